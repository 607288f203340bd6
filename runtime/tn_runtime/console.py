"""Messages and exit codes of all commands: one `error:` line on stderr, results on stdout.

Exit codes: 0 done, 1 some of several inputs failed (the rest is done) or a proof failed, 2 the user
can mend it, 130 interrupted, 143 terminated (SIGTERM, or SIGHUP as a terminal closes).
"""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import typer

from tn_runtime.errors import RequestError, TextureNetworksError

if TYPE_CHECKING:
    from rich.progress import Progress

    from tn_runtime.pictures import Rows
    from tn_runtime.session import Model

STDIN = STDOUT = Path("-")
"""The name that stands for a stream in place of a file."""

EXTRAS = {"tn-train": "train", "tn-export": "export", "tn-bench": "bench"}
"""The extra that has everything a command needs."""

MODULES = {
    "torch": "train",
    "safetensors": "train",
    "matplotlib": "train",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "psutil": "bench",
    "fastapi": "serve",
    "uvicorn": "serve",
    "av": "video",
    "ray": "cluster",
    "fsspec": "cluster",
    "zarr": "cluster",
    "jinja2": "bench",
}

closed: set[str] = set()
"""Names of the streams that were closed when the command began."""
_for_pictures: list[int] = []
"""The file descriptor for a picture on stdout."""

SOME_FAILED = 1
INTERRUPTED = 130
TERMINATED = 143

_noted: list[str] = []
"""Lines of `note_once` so far."""


def note(message: str) -> None:
    """Print one line for the person on stderr; stdout belongs to results."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - the place that prints to stderr


def note_once(message: str) -> None:
    """Print a line that is true of several files the first time only."""
    if message not in _noted:
        _noted.append(message)
        note(message)


def note_error(message: str) -> None:
    """Print one error line on stderr."""
    note("error: " + " ".join(message.split()))


def result(line: str) -> None:
    """Print one line of the result on stdout."""
    print(line)  # noqa: T201 - the place that prints to stdout


def announce(model: "Model", asked: str) -> None:
    """Say on stderr which device `auto` took.

    Commands call it at the end: an error must be the only line.
    """
    if asked == "auto":
        reason = f": {model.fallback}" if model.fallback else ""
        note(f"ran on {model.provider.upper()}{reason}")


@contextlib.contextmanager
def busy(words: str) -> Iterator[None]:
    """Show on a terminal what the command does, until the body ends."""
    if not sys.stderr.isatty():
        yield
        return
    print(words, end="\r", file=sys.stderr, flush=True)  # noqa: T201 - as in `note`
    try:
        yield
    finally:
        print(" " * len(words), end="\r", file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def bars() -> "Iterator[Progress]":
    """Show progress bars on stderr, if that is a terminal, until the body ends."""
    from rich.console import Console  # noqa: PLC0415 - --help must not wait for it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    shown = Progress(
        TextColumn("{task.description}", markup=False),  # names of files may hold brackets
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )
    # Started without a terminal, rich before 14 prints an empty line at the end.
    with contextlib.nullcontext() if shown.disable else shown:
        yield shown


@contextlib.contextmanager
def bar(name: str) -> "Iterator[Callable[[int, int], None]]":
    """Show one bar; yield a function of the number of parts done and the number of all parts."""
    with bars() as shown:
        task = shown.add_task(name)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def check_stdout(output: str, as_json: bool) -> None:
    """Refuse a picture on a terminal, and a picture and JSON on one stdout.

    Raises:
        RequestError: one of these.
    """
    if output != str(STDOUT):
        return
    if as_json:
        raise RequestError("-o - and --json both want stdout; name a file, or leave --json out")
    if "stdout" in closed:
        raise RequestError("-o - writes a PNG to stdout, which is closed; name a file")
    if sys.stdout.isatty():
        raise RequestError("-o - would write a PNG to the terminal; send it to a file or a pipe")
    _take_stdout()


def _take_stdout() -> None:
    """Keep stdout for the picture: from now on, what libraries print there goes to stderr."""
    sys.stdout.flush()
    _for_pictures[:] = [os.dup(1)]
    os.dup2(2, 1)


def picture_stream() -> BinaryIO:
    """Return the stream for what was asked for on stdout; whoever takes it closes it."""
    if not _for_pictures:
        _take_stdout()
    return os.fdopen(_for_pictures.pop(), "wb")


def write_png(rows: "Rows") -> None:
    """Write a PNG to stdout as it is made.

    Raises:
        OSError: the reader went away, or the disk behind it is full.
    """
    from tn_runtime.pictures import encode  # noqa: PLC0415

    with picture_stream() as stream:
        encode(stream, ".png", rows)


def run(app: typer.Typer) -> NoReturn:
    """Run a command line; turn every error that a user can cause into one line and an exit code."""
    _catch_signals()
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not fit its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Outside standalone mode typer hands `typer.Exit`'s code back; it maps Ctrl-C to Exit(130).
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()  # a full disk behind stdout must fail here, not after the exit code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except typer.TyperException as error:
        _fail(_usage(error), 2)
    except TextureNetworksError as error:
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in MODULES:
            raise
        _fail(_missing(str(error.name)), 2)
    except MemoryError as error:
        _fail(str(error) or "out of memory; ask for less at once", 2)
    except OSError as error:  # a closed pipe is not among them: typer ends those quietly with 1
        _fail(_describe(error), 2)
    if code == INTERRUPTED:
        note("interrupted")
    sys.exit(code)


def _open_closed_streams() -> None:
    """Open the null device in place of streams that were closed.

    Otherwise the next file that is opened, a picture's, would get the number of stdout or stderr,
    and with it whatever is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            closed.add(name)
            mode = os.O_RDONLY if name == "stdin" else os.O_WRONLY
            os.open(os.devnull, mode)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w"))  # noqa: SIM115, PTH123


def _catch_signals() -> None:
    """End by an exception, as with Ctrl-C, so that unfinished files are removed."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, _terminate)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)


def _fail(message: str, code: int) -> NoReturn:
    note_error(message)
    sys.exit(code)


def _missing(module: str) -> str:
    extra = EXTRAS.get(Path(sys.argv[0]).stem) or MODULES[module.partition(".")[0]]
    return (
        f"{module} is not installed; this command needs it: "
        f"pip install 'texture-networks[{extra}]' (in a clone: pip install '.[{extra}]')"
    )


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    help_line = f" (see {context.command_path} --help)" if context else ""
    return error.format_message().rstrip(".") + help_line


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
