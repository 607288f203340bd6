"""Options that several commands of tn-run have."""

from typing import Annotated

import typer

from tn_runtime.providers import ProviderChoice

ModelArgument = Annotated[
    str, typer.Argument(help="Model file (.onnx), or a name that `tn-run models` lists.")
]
ProviderOption = Annotated[
    ProviderChoice,
    typer.Option("--provider", help="Device; auto takes CUDA where it works, and else the CPU."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="CPU threads. The pixels do not depend on them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|ADDRESS",
        help="Do it on a Ray cluster; auto takes this machine. Needs the extra cluster.",
        show_default=False,
    ),
]
