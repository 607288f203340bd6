"""Outputs appear whole under their final name, or not at all."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
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
    exception, Ctrl-C included, leaves no temporary file behind and an older `path` as it was. The
    leftovers of a killed process are removed when `path` is written again.

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


def disk_is_full(error: BaseException) -> bool:
    """Tell whether an error comes from a disk, or a quota, without space."""
    cause = error.__cause__
    full = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota
    return isinstance(cause, OSError) and cause.errno in full


def check_inputs_stay(output: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Refuse an output that is one of the inputs.

    Raises:
        RequestError: it is one.
    """
    for each in inputs:
        with contextlib.suppress(OSError):
            if Path(output).samefile(each):
                which = "" if str(output) == str(each) else f"{each}, "
                raise RequestError(
                    f"{output} is {which}an input, and would be replaced; name another output"
                )


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name that is too long.

    Raises:
        RequestError: it is.
    """
    length = len(os.fsencode(Path(path).name))
    if length > MAX_NAME:
        raise RequestError(
            f"{Path(path).name[:40]}... has {length} bytes, and names of files end at {MAX_NAME}; "
            "give a shorter name"
        )


def check_writable(path: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Refuse, before any work, an output that could not be written at its end, or is an input.

    Raises:
        RequestError: it is one of these.
    """
    check_name(path)
    check_inputs_stay(path, *inputs)
    final = Path(os.path.realpath(path))
    try:
        _check(final, path)
        with tempfile.TemporaryFile(dir=final.parent):
            pass
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}") from error


def _check(final: Path, given: str | os.PathLike[str]) -> None:
    if final.is_dir():
        raise OSError(errno.EISDIR, "it is a folder; name a file", str(given))
    if final.exists() and not final.is_file():
        # Renaming onto /dev/null would replace the device for the whole system.
        raise OSError(errno.EINVAL, "it is not a regular file; name another", str(given))
    if not final.parent.is_dir():
        reason = f"the folder {final.parent} does not exist; create it"
        raise OSError(errno.ENOENT, reason, str(given))


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
