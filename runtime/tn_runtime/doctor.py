"""What really runs here, and why the rest does not."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tn_runtime import providers, session
from tn_runtime.errors import ProviderError, TextureNetworksError
from tn_runtime.version import __version__


@dataclass(frozen=True)
class ProviderReport:
    """One provider, tried."""

    name: str
    works: bool | None
    """None: not tried, since no model is there to try it with."""
    reason: str
    """What proves it, or what stops it."""


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


def examine() -> Report:
    """Try each provider: make one tiny window with a shipped model, if there is one."""
    models = session.shipped()
    model = next(iter(models.values()), None)
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
        session.load(model, provider).prove()
    except TextureNetworksError as error:
        return ProviderReport(provider, works=False, reason=str(error))
    return ProviderReport(provider, works=True, reason=f"it made a window with {model.stem!r}")


def _look(provider: Literal["cuda", "cpu"]) -> ProviderReport:
    """Without a model an obstacle may be found, but nothing is proven."""
    providers.onnxruntime()
    obstacle = providers.cuda().obstacle if provider == "cuda" else None
    if obstacle is not None:
        return ProviderReport(provider, works=False, reason=obstacle)
    return ProviderReport(provider, works=None, reason="no model is shipped to try it with")
