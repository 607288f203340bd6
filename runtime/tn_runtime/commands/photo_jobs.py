"""The photos of a command, and the output of each."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tn_runtime.console import STDIN, STDOUT
from tn_runtime.errors import PictureError, RequestError
from tn_runtime.files import check_inputs_stay, check_name
from tn_runtime.pictures import FORMATS, SUFFIXES


@dataclass(frozen=True)
class PhotoJob:
    """One photo to stylise."""

    photo: Path
    output: Path


@dataclass(frozen=True)
class Worklist:
    """All photos of a command; no two have the same output, and no output is a photo."""

    jobs: list[PhotoJob]
    into_folder: bool
    """Each output has its photo's name, below one folder; else there is one file."""
    clashes: list[dict[str, str]] = field(default_factory=list)
    """Photos that are left out: `photo`, `output` and `error`, the reason."""


def plan(photos: Sequence[Path], destination: str, suffix: str | None = None) -> Worklist:
    """Find all photos and name their outputs.

    Args:
        photos: files, folders, which are searched, and `-` for stdin.
        destination: a file for one photo, `-` for stdout, or a folder.
        suffix: of all outputs; with None each output in a folder has its photo's suffix, or .png if
        that format cannot be written.

    Raises:
        RequestError: photos and outputs that do not fit together.
        PictureError: a folder that cannot be searched.
    """
    output = Path(destination)
    folders = [photo for photo in photos if photo != STDIN and photo.is_dir()]
    if STDIN in photos and len(photos) > 1:
        raise RequestError("- is the photo on stdin, which goes alone; leave the others out")
    one_file = not output.is_dir() and not destination.endswith(("/", os.sep))
    if len(photos) == 1 and not folders and one_file:
        return Worklist([_alone(photos[0], output, suffix)], into_folder=False)
    if output == STDOUT:
        raise RequestError("-o - takes one photo; name a folder for several")
    if STDIN in photos:
        raise RequestError(f"the photo on stdin has no name; name a file, as in {output / 'a.png'}")
    if output.exists() and not output.is_dir():
        raise RequestError(f"{output} is a file; several photos go into a folder, name one")
    if one_file and output.suffix.lower() in FORMATS:
        raise RequestError(f"{output} is a name for one picture; name a folder for several")
    found = {(_real(photo), below): photo for photo, below in _found(photos, output)}
    if not found:
        raise RequestError(
            f"{', '.join(map(str, photos))}: no photos there; their names end in "
            f"{', '.join(sorted(SUFFIXES))}, and hidden ones are left out"
        )
    jobs = [
        PhotoJob(photo, output / _renamed(below, suffix)) for (_, below), photo in found.items()
    ]
    _check(jobs, folders, output)
    for job in jobs:
        check_name(job.output)
    jobs, clashes = _without_clashes(jobs, output)
    return Worklist(jobs, into_folder=True, clashes=clashes)


def _alone(photo: Path, output: Path, suffix: str | None) -> PhotoJob:
    own = ".png" if output == STDOUT else output.suffix.lower()
    if suffix is not None and FORMATS.get(own) != FORMATS[suffix]:
        raise RequestError(f"--format {suffix[1:]} is not the format of -o {output}; leave it out")
    if output != STDOUT and photo != STDIN:
        check_inputs_stay(output, photo)
    return PhotoJob(photo, output)


def _found(photos: Sequence[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each photo, and its path below the output folder."""
    for photo in photos:
        if photo.is_dir():
            yield from ((path, path.relative_to(photo)) for path in _search(photo, output))
        else:
            yield photo, Path(photo.name)


def _search(folder: Path, output: Path) -> Iterator[Path]:
    """Yield the photos in a folder and below it, sorted; the output folder is left out."""
    forbidden = _real(output)
    for place, folders, files in os.walk(folder, onerror=_refuse):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _real(here / name) != forbidden
        )
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                path = here / name
                if path.is_file() or not path.exists():  # pipes would be waited for; broken links
                    yield path  # are reported


def _refuse(error: OSError) -> NoReturn:
    raise PictureError(f"{error.filename} cannot be searched: {error.strerror}") from error


def _renamed(below: Path, suffix: str | None) -> Path:
    own = below.suffix.lower()
    if suffix is None:
        suffix = below.suffix if own in FORMATS else ".png"
    return below.with_suffix(suffix)


def _check(jobs: list[PhotoJob], folders: list[Path], output: Path) -> None:
    """Refuse outputs that this run or the next one would take for photos."""
    searched = [folder for folder in folders if not _is_below(output, folder)]
    photos = {_real(job.photo) for job in jobs}
    for job in jobs:
        if _real(job.output) in photos or any(_is_below(job.output, each) for each in searched):
            raise RequestError(
                f"{job.output} would lie among the photos; name another folder for the outputs"
            )


def _without_clashes(
    jobs: list[PhotoJob], output: Path
) -> tuple[list[PhotoJob], list[dict[str, str]]]:
    """Set aside photos with the same output as another; the one with the same suffix keeps it."""
    names = {_real(job.output) for job in jobs}
    same = len({name.casefold() for name in names}) < len(names)
    fold = str.casefold if same and _ignores_case(output) else str
    taken: dict[str, Path] = {}
    clashes = []
    for job in sorted(jobs, key=lambda job: job.photo.suffix != job.output.suffix):
        name = fold(_real(job.output))
        if name not in taken:
            taken[name] = job.photo
            continue
        error = (
            f"{taken[name]} and {job.photo} would both become {job.output}; "
            "give the second to a command of its own, with another output folder"
        )
        facts = {"photo": str(job.photo), "output": str(job.output), "error": error}
        clashes.append(facts)
    kept = set(taken.values())
    return [job for job in jobs if job.photo in kept], clashes


def _ignores_case(folder: Path) -> bool:
    """Tell whether names that differ only in upper and lower case are one name there."""
    while not folder.exists():
        folder = folder.parent
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=folder) as file:
        name = Path(file.name).name
        return (folder / name.swapcase()).exists()
    return False


def _is_below(path: Path, folder: Path) -> bool:
    return Path(_real(folder)) in Path(_real(path)).parents


def _real(path: Path) -> str:
    """Return one text for all names of one place."""
    return os.path.normcase(os.path.realpath(path))
