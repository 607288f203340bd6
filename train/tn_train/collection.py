"""Lists of pictures to train a base on: what they are, where they come from, where they lie."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tn_runtime.errors import RequestError
from tn_runtime.schema import build
from tn_train.photos import PACKAGED as PHOTOS

PACKAGED = (PHOTOS.parent, PHOTOS)
"""Folders of the package that hold pictures."""
NAMED = 5
"""Names of missing pictures in a message."""


@dataclass(frozen=True)
class Picture:
    """One picture of a list."""

    file: str
    """Name of the file."""
    title: str
    author: str
    source: str
    """Where the file comes from."""
    license: str
    sha256: str
    """Hash of the file."""
    year: str = ""

    @property
    def credit(self) -> str:
        """Author, title and year."""
        return f"{self.author}: {self.title} ({self.year})"


@dataclass(frozen=True)
class Collection:
    """A list of pictures, all found."""

    paintings: dict[Path, Picture]
    photos: tuple[Path, ...]
    """Photos to stylise in training; none for those of the package."""


def read_collection(path: Path, folder: Path | None) -> Collection:
    """Read a list in TOML, tables `[[painting]]` and `[[photo]]`, and find its pictures.

    Args:
        path: of the list.
        folder: holds what the package does not.

    Raises:
        RequestError: the list cannot be read, or lacks a painting; pictures are missing, or are
            others than those of the list.
    """
    data = _parse(path)
    found = {kind: _found(path, _pictures(path, data, kind), folder) for kind in data}
    paintings = found.get("painting", {})
    if not paintings:
        raise RequestError(f"{path} has no [[painting]]: list at least one")
    return Collection(paintings, tuple(found.get("photo", {})))


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RequestError(f"{path} is no list of pictures in TOML: {error}") from error
    for kind in data:
        if kind not in {"painting", "photo"}:
            raise RequestError(f"{path} has {kind!r}: its tables are [[painting]] and [[photo]]")
    return data


def _pictures(path: Path, data: dict[str, Any], kind: str) -> list[Picture]:
    if not isinstance(data[kind], list):
        raise RequestError(f"{path} has one {kind!r}: write a table [[{kind}]] for each picture")
    try:
        pictures = [build(Picture, entry) for entry in data[kind]]
    except ValueError as error:
        raise RequestError(f"{path}: a [[{kind}]] is not sound: {error}") from error
    for picture in pictures:
        if Path(picture.file).name != picture.file:
            raise RequestError(f"{path}: {picture.file!r} is no name of a file, without a folder")
    return pictures


def _found(path: Path, pictures: list[Picture], folder: Path | None) -> dict[Path, Picture]:
    found: dict[Path, Picture] = {}
    missing: list[Picture] = []
    for picture in pictures:
        places = [place / picture.file for place in (*([folder] if folder else []), *PACKAGED)]
        here = [place for place in places if place.is_file()]
        if not here:
            missing.append(picture)
            continue
        _check_same(path, here[0], picture)
        found[here[0]] = picture
    if missing:
        names = ", ".join(picture.file for picture in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        place = f"put them into {folder}" if folder else "give their folder as --pictures"
        raise RequestError(
            f"{len(missing)} of the {len(pictures)} pictures in {path} are missing "
            f"({names}{more}): {place}; the list says where they come from"
        )
    return found


def _check_same(path: Path, found: Path, picture: Picture) -> None:
    try:
        data = found.read_bytes()
    except OSError as error:
        raise RequestError(f"{found} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise RequestError(
            f"{found} is not the picture in {path}: its SHA-256 is another; "
            f"take the one from {picture.source}, or change the list"
        )
