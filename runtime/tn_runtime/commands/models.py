"""tn-run models: the models that come with the package."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tn_runtime import console
from tn_runtime.commands.info import describe
from tn_runtime.commands.options import JsonOption
from tn_runtime.console import STDOUT
from tn_runtime.errors import ModelError


def models(
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Draw them all on a contact sheet; - writes PNG to stdout."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """List the models that can be named without a path: the shipped ones, and your own.

    Your own are the .onnx files in a folder that `tn-export --install` writes to.
    """
    from tn_runtime import library
    from tn_runtime.session import named

    if sheet is not None:
        console.check_stdout(str(sheet), json_)
    broken: list[str] = []
    facts = list(_sound(named(), broken))
    if sheet is not None and facts:
        from tn_runtime.commands.models_sheet import write

        write(sheet, [each["name"] for each in facts])
    if json_:
        console.result(json.dumps(facts))
    elif sheet != STDOUT:
        for each in facts:
            several = len(each["styles"]) > 1
            styles = f"  styles: {', '.join(each['styles'])}" if several else ""
            console.result(f"{each['name']:24} {each['kind']:10} {each['path']}{styles}")
        console.note(f"your own models: {library.folder()}")
    if broken:
        raise typer.Exit(console.SOME_FAILED)


def _sound(paths: dict[str, Path], broken: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the facts of each model; those that do not load are reported."""
    for name, path in paths.items():
        try:
            yield {**describe(path), "name": name, "path": str(path)}
        except ModelError as error:
            console.note_error(str(error))
            broken.append(name)
