"""A stranger's photo, decoded in a process of its own.

A file that crashes a decoder, or takes too long or too much memory, ends that process alone. What
comes back is bounded: sRGB, 8 bits, no side longer than MAX_SIDE.
"""

import contextlib
import io
import subprocess
import sys

import numpy as np

from tn_runtime.errors import PictureError, TextureNetworksError
from tn_runtime.pixels import Samples

MAX_SIDE = 2048
"""Pixels; a larger photo is reduced."""
MAX_PIXELS = 100_000_000
"""Pixels of a photo that is decoded: what cameras have."""
SECONDS = 60
"""Decoding a photo of that size takes a few, and more on a busy machine."""
MAX_MEMORY = 4 * 2**30
"""Bytes of address space, where the system has such a limit."""
REFUSED = 2
"""Exit code of the process for a photo that cannot be read; the reason is on stderr."""


def decoded(data: bytes) -> Samples:
    """Return the photo of a file, uint8 (H, W, 3), or (H, W, 4) with alpha, sRGB.

    Raises:
        PictureError: it cannot be read within the bounds.
    """
    # -P: files in the working directory are not taken for modules.
    command = [sys.executable, "-P", "-m", "tn_runtime.serve.uploads"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PictureError(
            f"the photo takes more than {SECONDS} s to decode; save it anew, or smaller"
        ) from error
    if done.returncode == REFUSED:
        raise PictureError(done.stderr.decode(errors="replace").strip())
    if done.returncode != 0:
        raise PictureError("the photo is damaged, or too large to decode; save it anew, or smaller")
    photo: Samples = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    return photo


def main() -> None:
    """Decode the file on stdin, and write the photo to stdout as numpy's .npy."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    try:
        photo = _decode(sys.stdin.buffer.read())
    except TextureNetworksError as error:
        sys.stderr.write(str(error))
        sys.exit(REFUSED)
    np.save(sys.stdout.buffer, photo, allow_pickle=False)


def _decode(data: bytes) -> Samples:
    from tn_runtime.pictures import decode  # noqa: PLC0415 - the server needs no decoder
    from tn_runtime.pixels import to_8_bits  # noqa: PLC0415
    from tn_runtime.stylization import reduced  # noqa: PLC0415

    photo = reduced(decode(data, "the photo", MAX_PIXELS), MAX_SIDE)
    if not photo.has_alpha:
        return photo.srgb()
    return np.concatenate([photo.srgb(), to_8_bits(photo.alpha())[..., None]], axis=2)


if __name__ == "__main__":
    main()
