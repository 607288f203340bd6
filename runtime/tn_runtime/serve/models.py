"""The models that have a name: what a page shows of them, and those that are loaded."""

import contextlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tn_runtime.errors import ModelError
from tn_runtime.providers import ProviderChoice
from tn_runtime.session import Model, load, named

MAX_LOADED = 8
"""Models that are kept loaded; each holds up to a hundred megabytes after it has run."""

Version = tuple[int, int]
"""Time of change and size of a file."""


@dataclass(frozen=True)
class Card:
    """What a page shows of a model, and needs to run its file."""

    name: str
    kind: Literal["texture", "style"]
    bytes: int
    """Size of the model file."""
    sha256: str
    parameters: int
    styles: tuple[str, ...]
    """Names, see the contract; the page paints in the first."""
    exemplar: str
    """Name of the file of the picture that the model learned from, of several the first."""
    credit: str
    license: str
    stride: int
    """Pixels; the side of a tileable picture is a multiple of it."""
    halo: int
    """Pixels of context around a tile."""
    takes_seed: bool
    normalized_channels: int
    given_at: int
    statistics_at: int
    """Offsets of the statistics in the file, see the contract."""

    @classmethod
    def of(cls, name: str, model: Model) -> "Card":
        """Return the card of a loaded model."""
        spec = model.spec
        exemplar = spec.exemplars[0]
        return cls(
            name,
            spec.kind,
            len(model.data),
            model.sha256,
            spec.generator.parameters,
            spec.styles,
            exemplar.name,
            exemplar.credit,
            exemplar.license,
            spec.stride,
            spec.halo,
            spec.takes_seed,
            spec.normalized_channels,
            spec.given_at,
            spec.statistics_at,
        )


class NamedModels:
    """Loads models by name when they are first asked for, and anew when their file has changed."""

    def __init__(self, provider: ProviderChoice = "auto") -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._loaded: OrderedDict[Path, tuple[Version, Model]] = OrderedDict()
        self._cards: dict[Path, tuple[Version, Card]] = {}

    def get(self, name: str) -> Model:
        """Return a model by its name, never by a path.

        Raises:
            KeyError: no model has that name.
            ModelError: its file is not sound.
        """
        path = named()[name]
        with self._lock:
            return self._get(path, _version(path))

    def cards(self) -> list[Card]:
        """Return the cards of all models; those that do not load are left out."""
        found = []
        for name, path in named().items():
            with self._lock, contextlib.suppress(ModelError):
                version = _version(path)
                known = self._cards.get(path)
                if known is None or known[0] != version:
                    known = version, Card.of(name, self._get(path, version))
                    self._cards[path] = known
                found.append(known[1])
        return found

    def _get(self, path: Path, version: Version) -> Model:
        known = self._loaded.pop(path, None)
        if known is None or known[0] != version:
            known = version, load(path, self._provider)
        self._loaded[path] = known
        if len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)
        return known[1]


def _version(path: Path) -> Version:
    try:
        facts = os.stat(path)  # noqa: PTH116 - one call for both
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    return facts.st_mtime_ns, facts.st_size
