"""tn-run: the command line of the runtime; each command has a file in `commands`."""

from typing import Annotated, NoReturn

import typer

from tn_runtime import console
from tn_runtime.commands.doctor import doctor
from tn_runtime.commands.info import info
from tn_runtime.commands.models import models
from tn_runtime.commands.serve import serve
from tn_runtime.commands.style import style
from tn_runtime.commands.texture import texture
from tn_runtime.commands.video import video
from tn_runtime.version import __version__

app = typer.Typer(
    name="tn-run",
    help="Make pictures with a texture-network model: one ONNX file, any size, no torch.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Make pictures with a texture-network model: one ONNX file, any size, no torch."""
    if version:
        console.result(f"tn-run {__version__}")
    elif context.invoked_subcommand is None:
        console.result(context.get_help())


for command in (texture, style, video, info, models, serve, doctor):
    app.command()(command)


def main() -> NoReturn:
    """Entry point of `tn-run`."""
    console.run(app)
