"""The codecs of pictures, and which of them a file's name asks for."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tn_runtime.errors import PictureError, RequestError

Codec = Literal["h264", "h265", "vp9", "av1", "prores", "ffv1"]


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg's and how it is used."""

    name: str
    """FFmpeg's name."""
    pixel_format: str
    crf: int | None
    """The constant rate factor, 0 best; such that strokes are kept. None of codecs without one."""
    options: dict[str, str] = field(default_factory=dict)


ENCODERS: dict[str, Encoder] = {
    "h264": Encoder("libx264", "yuv420p", 18, {"preset": "medium"}),
    "h265": Encoder(
        "libx265", "yuv420p", 20, {"preset": "medium", "x265-params": "log-level=error:open-gop=0"}
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        "yuv420p",
        26,
        {"b": "0", "row-mt": "1", "cpu-used": "4", "lag-in-frames": "0"},
    ),
    "av1": Encoder("libsvtav1", "yuv420p", 28, {"preset": "8"}),
    "prores": Encoder("prores_ks", "yuv422p10le", None, {"profile": "3"}),
    "ffv1": Encoder("ffv1", "bgr0", None),
}

SUFFIXES: dict[str, tuple[str, ...]] = {
    ".mp4": ("h264", "h265", "av1", "vp9"),
    ".m4v": ("h264", "h265"),
    ".mov": ("h264", "h265", "prores"),
    ".mkv": ("h264", "h265", "vp9", "av1", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".gif": ("ffv1",),
    ".webp": ("ffv1",),
}
"""The codecs of each kind of file, the first by default. GIF and WebP are made of lossless frames,
when all are there."""

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints warnings about threads by itself

ANIMATIONS = (".gif", ".webp")


def choose(path: Path, codec: str | None) -> Encoder:
    """Return the encoder for an output.

    Raises:
        PictureError: an unknown suffix.
        RequestError: a codec that such a file does not hold.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise PictureError(
            f"{path} has no suffix of a video; end it in {', '.join(SUFFIXES)}, "
            "or number pictures as in frame_%05d.png"
        )
    held = SUFFIXES[suffix]
    if codec is None:
        return ENCODERS[held[0]]
    if suffix in ANIMATIONS:
        raise RequestError(f"--codec is of videos; leave it out for {path}")
    if codec not in held:
        raise RequestError(f"{suffix} does not hold {codec}; choose from {', '.join(held)}")
    return ENCODERS[codec]
