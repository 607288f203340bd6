"""The content of style training: a folder of photos, a few of them held out for evaluation."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.pictures import SUFFIXES, check_readable
from tn_runtime.pictures import read as read_picture
from tn_runtime.pixels import Pixels

if TYPE_CHECKING:
    from torch import Tensor

PACKAGED = Path(__file__).parent / "data" / "photos"
OF_A_RUN = (".preview.png", ".loss.png")
"""Endings of the pictures that tn-train writes beside NAME.pt."""
MOST_HELD_OUT = 4
FEWEST_TO_SPLIT = 4
"""With fewer photos all of them serve both training and evaluation."""


@dataclass(frozen=True)
class Content:
    """Facts by which a resumed run recognises its photos."""

    count: int
    sha256: str
    """Hash of the sorted names and sizes; reading 80,000 photos would take minutes."""


@dataclass(frozen=True)
class Photos:
    """Pictures below a folder; see `find`."""

    paths: tuple[Path, ...]
    """Sorted by their names relative to the folder; at least one."""
    content: Content
    skipped: tuple[str, ...]
    """Why files and folders were left out, a line each."""

    @property
    def held_out(self) -> tuple[Path, ...]:
        """Those for evaluation and previews: a quarter, four at most, evenly spread by name.

        The packaged ones begin with a portrait, so the first is among them.
        """
        count = len(self.paths)
        if count < FEWEST_TO_SPLIT:
            return self.paths
        few = min(count // 4, MOST_HELD_OUT)
        return tuple(self.paths[k * count // few] for k in range(few))

    @property
    def training(self) -> tuple[Path, ...]:
        """The photos for training: all others, or all if there are fewer than four."""
        held_out = set(self.held_out)
        others = tuple(path for path in self.paths if path not in held_out)
        return others or self.paths


def find(folder: Path | None) -> Photos:
    """Find all pictures below a folder, or the packaged ones; their headers alone are read.

    Hidden files and files without the suffix of a picture are left out. Links are followed; a
    folder that several links lead to counts once.

    Raises:
        RequestError: not a folder, or no picture in it can be opened.
    """
    root = PACKAGED if folder is None else folder
    _check_folder(root)
    skipped: list[str] = []
    sizes: dict[str, int] = {}
    for path in _pictures(root, skipped):
        try:
            sizes[path.relative_to(root).as_posix()] = _size(path)
        except PictureError as error:
            skipped.append(str(error))
    if not sizes:
        raise RequestError(_nothing_found(root, skipped))
    names = sorted(sizes)
    content = Content(len(names), _digest((name, sizes[name]) for name in names))
    return Photos(tuple(root / name for name in names), content, tuple(skipped))


def listed(paths: Iterable[Path]) -> Photos:
    """Return photos that a list names, sorted by name.

    Raises:
        PictureError: one cannot be opened.
    """
    ordered = tuple(sorted(paths, key=lambda path: path.name))
    content = Content(len(ordered), _digest((path.name, _size(path)) for path in ordered))
    return Photos(ordered, content, ())


def held_out(photos: Photos, side: int, report: Callable[[str], None]) -> "Tensor":
    """Read the photos that are held out, the square in the middle of each.

    Args:
        photos: damaged ones among the held out are left out.
        side: of the squares, pixels; the shorter side of each photo becomes that.
        report: called with a line about each damaged photo.

    Returns:
        float32 (N, 3, side, side), RGB in [0, 1].

    Raises:
        PictureError: all are damaged.
    """
    import torch  # noqa: PLC0415 - processes that read photos do without

    squares = []
    for path in photos.held_out:
        try:
            squares.append(_middle(read(path), side))
        except PictureError as error:
            report(str(error))
    if not squares:
        raise PictureError(
            f"none of the {len(photos.held_out)} photos held out for evaluation can be read, "
            f"{photos.held_out[0]} to begin with, and one must: replace them, "
            "or give another folder of photos"
        )
    return torch.from_numpy(stack(squares)).float() / 255


def stack(squares: Sequence[Image.Image]) -> Pixels:
    """Return pictures of one size as uint8 (N, 3, H, W), RGB, contiguous."""
    values = np.stack([np.asarray(picture) for picture in squares])  # (N, H, W, 3)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def read(path: Path) -> Image.Image:
    """Read a photo as `read_rgb` does, any mode, to cut squares from.

    Raises:
        PictureError: it is damaged, or gone.
    """
    return Image.fromarray(read_picture(path).srgb())


def square(photo: Image.Image, left: float, top: float, extent: float, side: int) -> Image.Image:
    """Cut a square of `extent` pixels, which may be a fraction, and scale it to `side` pixels."""
    width, height = photo.size
    box = (left, top, min(left + extent, width), min(top + extent, height))
    return photo.resize((side, side), Image.Resampling.LANCZOS, box)


def _middle(photo: Image.Image, side: int) -> Image.Image:
    width, height = photo.size
    extent = min(width, height)
    return square(photo, (width - extent) / 2, (height - extent) / 2, extent, side)


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise RequestError(
            f"{folder} is a file: photos come as a folder, such as {folder.parent}; "
            "without one, those in the package are taken"
        )
    raise RequestError(
        f"{folder} does not exist: name a folder of photos; "
        "without one, those in the package are taken"
    )


def _pictures(root: Path, skipped: list[str]) -> Iterator[Path]:
    """Walk through all files that are pictures by their suffix; note folders that are closed."""

    def skip(error: OSError) -> None:
        skipped.append(f"{error.filename} cannot be read: {error.strerror or error}")

    seen = set()
    for place, folders, names in os.walk(root, onerror=skip, followlinks=True):
        folder = Path(place)
        real = folder.resolve()
        if real in seen:  # a link to a folder that was walked through, maybe to one above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        runs = {Path(name).stem for name in names if name.endswith(".pt")}
        for name in sorted(names):
            is_picture = Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
            if is_picture and not _is_of_a_run(name, runs):
                yield folder / name


def _is_of_a_run(name: str, runs: set[str]) -> bool:
    """Tell whether a file is the preview or the curve of a checkpoint beside it."""
    return any(name.removesuffix(kind) in runs for kind in OF_A_RUN if name.endswith(kind))


def _size(path: Path) -> int:
    """Return a picture's size in bytes; raise PictureError where it cannot be opened."""
    try:
        status = path.stat()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise PictureError(f"{path} is not a regular file; remove it")
    check_readable(path)
    return status.st_size


def _nothing_found(folder: Path, skipped: list[str]) -> str:
    found = f"of {len(skipped)} there, none can be opened" if skipped else "there is none in it"
    first = f" ({skipped[0]})" if skipped else ""
    return (
        f"{folder} needs at least one photo, such as a .jpg or .png, and {found}{first}: "
        "name another folder; without one, those in the package are taken"
    )


def _digest(files: Iterator[tuple[str, int]]) -> str:
    digest = hashlib.sha256()
    for name, size in files:
        digest.update(f"{name}\0{size}\n".encode(errors="surrogatepass"))  # names need be no text
    return digest.hexdigest()
