"""Lists of pictures to train on: what they are, where they come from, where they lie."""

import dataclasses
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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
        """Author, title and, where it is known, year."""
        return f"{self.author}: {self.title}" + (f" ({self.year})" if self.year else "")


P = TypeVar("P", bound=Picture)
K = TypeVar("K", bound=str)


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
    tables = read_tables(path, ("painting", "photo"), Picture)
    paintings = dict(find_pictures(path, tables["painting"], folder))
    if not paintings:
        raise RequestError(f"{path} has no [[painting]]: list at least one")
    photos = dict(find_pictures(path, tables["photo"], folder))
    return Collection(paintings, tuple(photos))


def read_tables(path: Path, kinds: Sequence[K], entry: type[P]) -> dict[K, list[P]]:
    """Read a list in TOML with some kinds of tables, whose entries are pictures.

    Raises:
        RequestError: it cannot be read, or holds something else.
    """
    data = _parse(path)
    for kind in data:
        if kind not in kinds:
            known = " and ".join(f"[[{each}]]" for each in kinds)
            raise RequestError(f"{path} has {kind!r}: its tables are {known}")
    return {kind: _pictures(path, data.get(kind, []), kind, entry) for kind in kinds}


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no list of pictures in TOML: {error}") from error


def _pictures(path: Path, tables: Any, kind: str, entry: type[P]) -> list[P]:  # noqa: ANN401 - TOML
    if not isinstance(tables, list):
        raise RequestError(f"{path} has one {kind!r}: write a table [[{kind}]] for each picture")
    fields = [field.name for field in dataclasses.fields(entry)]
    for name in (name for table in tables if isinstance(table, dict) for name in table):
        if name not in fields:
            raise RequestError(
                f"{path}: a [[{kind}]] has {name!r}; its names are {', '.join(fields)}"
            )
    try:
        pictures = [build(entry, table) for table in tables]
    except ValueError as error:
        raise RequestError(f"{path}: a [[{kind}]] is not sound: {error}") from error
    for picture in pictures:
        if Path(picture.file).name != picture.file:
            raise RequestError(f"{path}: {picture.file!r} is no name of a file, without a folder")
    return pictures


def find_pictures(path: Path, pictures: Sequence[P], folder: Path | None) -> list[tuple[Path, P]]:
    """Return where each picture of a list lies: in the folder, or in the package.

    Raises:
        RequestError: some are missing, or are others than those of the list.
    """
    if folder and not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: name the one that holds the pictures")
    found: list[tuple[Path, P]] = []
    missing: list[P] = []
    for picture in pictures:
        places = [place / picture.file for place in (*([folder] if folder else []), *PACKAGED)]
        here = [place for place in places if place.is_file()]
        if here and here[0].parent in PACKAGED and _hash(here[0]) != picture.sha256:
            here = []  # another picture of that name
        if not here:
            missing.append(picture)
            continue
        _check_same(path, here[0], picture)
        found.append((here[0], picture))
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
    if _hash(found) != picture.sha256:
        raise RequestError(
            f"{found} is not the picture in {path}: its SHA-256 is another; "
            f"take the one from {picture.source}, or change the list"
        )


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
