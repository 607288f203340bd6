"""Outputs appear whole under their final name, or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes that name when the body succeeds.

    The temporary name is free, hidden on POSIX, and has the suffix of `path`, since many writers
    choose their format by it; on the same volume, since renaming is atomic only there. Whatever
    leaves the body by an exception, Ctrl-C included, leaves no file and an older `path` untouched.

    Raises:
        OSError: `path` is a directory, its folder is missing or cannot be written to.
    """
    final = Path(path)
    if final.is_dir():
        raise IsADirectoryError(f"{final}: is a directory, name a file")
    if not final.parent.is_dir():
        raise FileNotFoundError(
            f"{final}: the folder {final.parent} does not exist, create it first"
        )
    temporary = final.with_name(f".{final.stem[:100]}.{secrets.token_hex(4)}{final.suffix}")
    try:
        yield temporary
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
