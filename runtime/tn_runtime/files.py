"""Outputs appear whole under their final name, or not at all."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from tn_runtime.errors import RequestError

MAX_NAME = 255
"""Bytes of a file's name, on all usual file systems."""


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes that name when the body succeeds.

    The temporary file lies on the same volume, since renaming is atomic only there, and has the
    suffix of `path`, since many writers choose their format by it. If `path` is a symbolic link,
    its target is replaced; the mode of an older file is kept. Whatever leaves the body by an
    exception, Ctrl-C included, leaves no temporary file behind and an older `path` as it was. What
    a killed process left behind is removed when `path` is written again.

    Raises:
        OSError: `path` is a directory or a device, its folder is missing or cannot be written to,
            the disk is full. It names `path`.
    """
    final = Path(os.path.realpath(path))
    _check(final, path)
    mark = f".partial-{hashlib.sha256(os.fsencode(final.name)).hexdigest()[:16]}"
    _sweep(final.parent, mark)
    temporary = final.with_name(f"{mark}-{secrets.token_hex(4)}{final.suffix[-32:]}")
    try:
        with _held(temporary):
            yield temporary
            if final.exists():
                shutil.copymode(final, temporary)
            temporary.replace(final)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno is None or error.filename not in {None, str(temporary)}:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_inputs_stay(output: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Refuse an output that is one of the inputs.

    Raises:
        RequestError: it is one.
    """
    for each in inputs:
        with contextlib.suppress(OSError):
            if Path(output).samefile(each):
                raise RequestError(
                    f"{output} is {each}, which is read, and would be replaced; name another output"
                )


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name that no file can have.

    Raises:
        RequestError: it is too long.
    """
    length = len(os.fsencode(Path(path).name))
    if length > MAX_NAME:
        raise RequestError(
            f"{Path(path).name[:40]}... has {length} bytes, and names of files end at {MAX_NAME}; "
            "give a shorter name"
        )


def _check(final: Path, given: str | os.PathLike[str]) -> None:
    if final.is_dir():
        raise IsADirectoryError(f"{given} is a folder; name a file")
    if final.exists() and not final.is_file():
        # Renaming onto /dev/null would replace the device for the whole system.
        raise OSError(f"{given} is not a regular file, and cannot be replaced by one")
    if not final.parent.is_dir():
        raise FileNotFoundError(f"{given}: the folder {final.parent} does not exist; create it")


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Create a file and lock it as long as this process lives, so that no other sweeps it."""
    with path.open("xb") as file:
        if not _lock(file.fileno()):
            file.close()  # Windows would not rename what is open
        yield


def _sweep(folder: Path, mark: str) -> None:
    """Remove what killed processes left: files that nobody holds."""
    for path in folder.glob(f"{mark}-*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if _lock(file.fileno()):
                path.unlink()


def _lock(file: int) -> bool:
    """Lock a file; tell whether that was possible, which it is for one process alone."""
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
