"""Options that several commands of tn-run have."""

from typing import Annotated

import typer

from tn_runtime.providers import ProviderChoice

ModelArgument = Annotated[str, typer.Argument(help="A .onnx file, or a name out of `models`.")]
ProviderOption = Annotated[
    ProviderChoice, typer.Option("--provider", help="auto takes CUDA where it really works.")
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="Of the CPU; the pixels do not depend on it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
