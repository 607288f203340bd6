"""tn-run doctor: which execution providers run a model rightly here, and why the others do not."""

import dataclasses
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from tn_runtime import console, providers
from tn_runtime.commands.options import JsonOption
from tn_runtime.errors import ProviderError, TextureNetworksError
from tn_runtime.version import __version__

VERDICTS = {True: "runs", False: "does not run", None: "not tried"}


@dataclass(frozen=True)
class ProviderReport:
    """One provider, tried."""

    name: str
    works: bool | None
    """None: not tried, because there is no model to try it with."""
    reason: str
    """The proof that it works, or the obstacle."""


@dataclass(frozen=True)
class Report:
    """Facts about this machine."""

    version: str
    python: str
    system: str
    onnxruntime: str | None
    """Its version; None if it does not work at all."""
    compiled: list[str]
    """Providers that this build of ONNX Runtime has; says nothing about whether they work."""
    providers: list[ProviderReport]
    models: list[str]
    """Names of the shipped models."""
    warnings: list[str]


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(help="Model whose self-test is run. [default: the first that is shipped]"),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Run a model's self-test on each execution provider; say which ones work, and why not.

    With MODEL, the exit code is 1 if the model does not pass on the CPU.
    """
    facts = examine(model)
    if json_:
        console.result(json.dumps(dataclasses.asdict(facts)))
    else:
        _show(facts)
    if model is not None and not facts.providers[-1].works:
        raise typer.Exit(console.SOME_FAILED)


def _show(facts: Report) -> None:
    console.result(f"texture-networks {facts.version}, Python {facts.python}, {facts.system}")
    if facts.onnxruntime is None:
        console.result("ONNX Runtime does not work")
    else:
        console.result(f"ONNX Runtime {facts.onnxruntime}, built with {', '.join(facts.compiled)}")
    for each in facts.providers:
        console.result(f"{each.name}: {VERDICTS[each.works]}: {each.reason}")
    for warning in facts.warnings:
        console.result(f"warning: {warning}")


def examine(name: str | None = None) -> Report:
    """Run the self-test of a model on each provider; of the first that is shipped without a name.

    Raises:
        ModelError: no such model.
    """
    from tn_runtime.session import find, shipped

    models = shipped()
    model = find(name) if name is not None else next(iter(models.values()), None)
    warning = providers.double_installation()
    version, compiled = _onnxruntime()
    return Report(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        onnxruntime=version,
        compiled=compiled,
        providers=[_try("cuda", model), _try("cpu", model)],
        models=list(models),
        warnings=[warning] if warning else [],
    )


def _onnxruntime() -> tuple[str | None, list[str]]:
    try:
        ort = providers.onnxruntime()
    except ProviderError:
        return None, []  # why is said of each provider
    return ort.__version__, ort.get_available_providers()


def _try(provider: Literal["cuda", "cpu"], model: Path | None) -> ProviderReport:
    try:
        if model is None:
            return _look(provider)
        from tn_runtime.session import load

        share = load(model, provider).prove()
    except TextureNetworksError as error:
        return ProviderReport(provider, works=False, reason=str(error))
    differing = (
        f"{share:.2%} of its samples differ by one level" if share else "every byte is equal"
    )
    return ProviderReport(
        provider, works=True, reason=f"{model.stem!r} passes its self-test: {differing}"
    )


def _look(provider: Literal["cuda", "cpu"]) -> ProviderReport:
    """Look for an obstacle; nothing is proven without a model."""
    providers.onnxruntime()
    obstacle = providers.cuda().obstacle if provider == "cuda" else None
    if obstacle is not None:
        return ProviderReport(provider, works=False, reason=obstacle)
    return ProviderReport(provider, works=None, reason="no model is shipped to try it with")
