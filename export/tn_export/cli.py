"""tn-export: from a checkpoint of tn-train to one self-contained ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from tn_runtime import console, library
from tn_runtime.files import check_writable

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="What tn-train wrote.", metavar="NAME.pt")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Default: beside the checkpoint.", metavar="NAME.onnx"),
    ] = None,
    install: Annotated[
        bool,
        typer.Option("--install", help="Write it to your folder of models: it then has a name."),
    ] = False,
) -> None:
    """Export a trained generator to one ONNX file and prove that it computes the same.

    The file needs nothing but ONNX Runtime: seed, origin, size and period in, pixels out.
    """
    if install:
        output = _installed(checkpoint, output)
    output = output or checkpoint.with_suffix(".onnx")
    if output.suffix.lower() != ".onnx":
        raise typer.BadParameter(f"{output} is not a name for an ONNX file: end it in .onnx")
    check_writable(output, checkpoint)
    with console.busy("loading PyTorch ..."):
        from tn_export.model import export as write
        from tn_train.checkpoint import load
    kept = load(checkpoint)
    with console.busy("exporting, and proving that it computes the same ..."):
        spec = write(kept, output)
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


def main() -> None:
    """Run the command line."""
    console.run(app)
