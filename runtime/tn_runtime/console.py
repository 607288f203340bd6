"""How the commands speak: one `error:` line on stderr, the exit codes, the missing-extra line.

Exit codes: 0 done, 1 some inputs failed or a proof failed, 2 the user can mend it, 130 interrupted.
"""

import os
import sys

import click
import typer

from tn_runtime.errors import TextureNetworksError

EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "matplotlib": "train",
    "onnx": "export",
    "onnxscript": "export",
    "psutil": "bench",
}


def note(message: str) -> None:
    """Print one line for the person on stderr; stdout belongs to results."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - this is the one place that prints


def run(app: typer.Typer) -> None:
    """Run a command line; turn everything that a user can cause into one line and an exit code."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except TextureNetworksError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our stdout went away; keep the interpreter from flushing into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(
            f"{error.name} is not installed; "
            f"this command needs it: pip install 'texture-networks[{extra}]'",
            2,
        )
    except OSError as error:
        _fail(_describe(error), 2)


def _fail(message: str, code: int) -> None:
    note("error: " + " ".join(message.split()))
    sys.exit(code)


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
