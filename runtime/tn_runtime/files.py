"""Outputs appear whole under their final name, or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes that name when the body succeeds.

    The temporary file lies on the same volume, since renaming is atomic only there, and has the
    suffix of `path`, since many writers choose their format by it. If `path` is a symbolic link,
    its target is replaced. Whatever leaves the body by an exception, Ctrl-C included, leaves no
    temporary file behind and an older `path` as it was.

    Raises:
        OSError: `path` is a directory or a device, its folder is missing or cannot be written to.
    """
    final = Path(os.path.realpath(path))
    _check(final, path)
    temporary = final.with_name(f".partial-{secrets.token_hex(8)}{final.suffix}")
    try:
        yield temporary
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check(final: Path, given: str | os.PathLike[str]) -> None:
    if final.is_dir():
        raise IsADirectoryError(f"{given} is a folder; name a file")
    if final.exists() and not final.is_file():
        # Renaming onto /dev/null would replace the device for the whole system.
        raise OSError(f"{given} is not a regular file, and cannot be replaced by one")
    if not final.parent.is_dir():
        raise FileNotFoundError(f"{given}: the folder {final.parent} does not exist; create it")
