"""What really runs here, and why the rest does not."""

import platform
from dataclasses import dataclass
from typing import Literal

from tn_runtime import providers, session
from tn_runtime.errors import TextureNetworksError
from tn_runtime.version import __version__


@dataclass(frozen=True)
class ProviderReport:
    """One provider, tried."""

    name: str
    works: bool
    reason: str
    """What proves it, or what stops it."""


@dataclass(frozen=True)
class Report:
    """Facts about this machine."""

    version: str
    python: str
    system: str
    onnxruntime: str
    compiled: list[str]
    """Providers that this build of ONNX Runtime has; says nothing about whether they work."""
    providers: list[ProviderReport]
    models: list[str]
    """Names of the shipped models."""
    warnings: list[str]


def examine() -> Report:
    """Try each provider with a real session, if a model is shipped to try it with."""
    ort = providers.onnxruntime()
    names = list(session.shipped())
    warning = providers.double_installation()
    return Report(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        onnxruntime=ort.__version__,
        compiled=ort.get_available_providers(),
        providers=[_try("cuda", names), _try("cpu", names)],
        models=names,
        warnings=[warning] if warning else [],
    )


def _try(provider: Literal["cuda", "cpu"], names: list[str]) -> ProviderReport:
    if not names:
        obstacle = providers.cuda().obstacle if provider == "cuda" else None
        found = obstacle or "nothing found against it, and no shipped model to try it with"
        return ProviderReport(provider, works=obstacle is None, reason=found)
    try:
        session.load(names[0], provider)
    except TextureNetworksError as error:
        return ProviderReport(provider, works=False, reason=str(error))
    return ProviderReport(provider, works=True, reason=f"a session on model {names[0]!r} runs")
