"""tn-export: from a checkpoint of tn-train to one self-contained ONNX file, or to its core."""

from pathlib import Path
from typing import Annotated

import typer

from tn_runtime import console, library
from tn_runtime.commands.texture import parse_size
from tn_runtime.files import check_writable

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="What tn-train wrote; with --core also a model file or its name.",
            metavar="NAME.pt",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Default: beside the checkpoint.", metavar="NAME.onnx"),
    ] = None,
    install: Annotated[
        bool,
        typer.Option("--install", help="Write it to your folder of models: it then has a name."),
    ] = False,
    core: Annotated[
        str | None,
        typer.Option(
            "--core",
            help="Write the network alone, for pictures of this size: noise and photo in, floats "
            "out. For engines that cannot run the program, see docs/clients.md.",
            metavar="WxH",
        ),
    ] = None,
) -> None:
    """Export a trained generator to one ONNX file and prove that it computes the same.

    The file needs nothing but ONNX Runtime: seed, origin, size and period in, pixels out.
    """
    if core is not None:
        if install:
            raise typer.BadParameter("--install is for programs, --core writes none; leave one out")
        _export_core(checkpoint, core, output)
        return
    if install:
        output = _installed(checkpoint, output)
    output = output or checkpoint.with_suffix(".onnx")
    _check_suffix(output)
    check_writable(output, checkpoint)
    with console.busy("loading PyTorch ..."):
        from tn_export.model import export as write

    with console.bar("proof") as report:
        spec = write(checkpoint, output, report)
    parity = spec.parity
    styles = f"{len(spec.styles)} styles, " if spec.takes_style else ""
    console.result(
        f"{output}  {output.stat().st_size / 1000:.0f} kB, {styles}"
        f"{spec.generator.parameters:,} parameters; equal to PyTorch on {parity.windows} windows "
        f"within {parity.float_error:.1g} (pixels: {parity.pixel_error} of 255 levels)"
    )


def _installed(checkpoint: Path, output: Path | None) -> Path:
    """Return where the model goes in the user's folder, which is made."""
    if output is not None:
        raise typer.BadParameter(f"--install and -o {output} exclude each other; leave one out")
    folder = library.folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / checkpoint.with_suffix(".onnx").name


def _export_core(source: Path, text: str, output: Path | None) -> None:
    size = parse_size(text, "--core")
    if output is None:
        raise typer.BadParameter("--core writes another kind of file; name it: -o CORE.onnx")
    _check_suffix(output)
    check_writable(output, source)
    with console.busy("loading PyTorch ..."):
        from tn_export.core_file import export_core
        from tn_export.source import read_source

    spec = export_core(read_source(source), size, output)
    height, width = spec.size
    console.result(
        f"{output}  {output.stat().st_size / 1000:.0f} kB, makes pictures of {width}x{height}, "
        "equal to the program's within one level of 255"
    )


def _check_suffix(output: Path) -> None:
    if output.suffix.lower() != ".onnx":
        raise typer.BadParameter(f"{output} is not a name for an ONNX file: end it in .onnx")


def main() -> None:
    """Run the command line."""
    console.run(app)
