"""Folders of files on any store that fsspec knows: a disk, S3, Google Cloud Storage, HTTP."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.files import atomic


def is_url(text: str) -> bool:
    """Tell whether a name is that of a store, as in s3://bucket/photos."""
    return "://" in text


@dataclass(frozen=True)
class Store:
    """A folder on a store. It can be sent to other processes: each opens its own connection."""

    url: str

    def names(self) -> list[str]:
        """Return the names of all files in the folder and below, relative to it, sorted.

        Raises:
            PictureError: the store cannot be reached.
        """
        system, root = self._opened()
        try:
            found = system.find(root)
        except Exception as error:  # every store has errors of its own
            raise PictureError(f"{self.url} cannot be searched: {_line(error)}") from error
        return sorted(str(PurePosixPath(path).relative_to(root)) for path in found)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            PictureError: it cannot be read.
        """
        system, root = self._opened()
        try:
            data: bytes = system.cat_file(f"{root}/{name}")
        except Exception as error:
            raise PictureError(f"{self.url}/{name} cannot be read: {_line(error)}") from error
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            PictureError: it cannot be written.
        """
        system, root = self._opened()
        path = f"{root}/{name}"
        try:
            if "file" in _protocols(system):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                with atomic(path) as temporary:
                    temporary.write_bytes(data)
            else:
                system.pipe_file(path, data)  # a store of objects has the whole object, or none
        except Exception as error:
            raise PictureError(f"{self.url}/{name} cannot be written: {_line(error)}") from error

    def _opened(self) -> tuple[Any, str]:
        try:
            system, root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise RequestError(
                f"{self.url} is on no store that works here: {_line(error)}"
            ) from error
        return system, root.rstrip("/")


def _protocols(system: Any) -> tuple[str, ...]:  # noqa: ANN401 - untyped package
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
