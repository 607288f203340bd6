"""What a run of the suites leaves behind: one JSON file, written anew after every case.

    Results        a run on one machine
      Machine      its fingerprint
      Outcome      a case of a suite: done, failed or skipped
        Measurement  one figure with all its single runs

Pictures lie beside the file, in the folder `pictures`.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tn_runtime.errors import RequestError
from tn_runtime.files import atomic
from tn_runtime.schema import build

SCHEMA = 1
"""A new meaning of a field needs a new number."""
NAME = "results.json"
PICTURES = "pictures"

Fact = str | int | float


@dataclass(frozen=True)
class Machine:
    """Where the figures come from."""

    system: str
    processor: str
    vector_units: tuple[str, ...]
    """Those that matter to convolutions, such as avx2, avx512f and avx512_bf16."""
    cores: int
    """That this process may use."""
    memory: float
    """GB."""
    gpu: str
    """Name and memory; empty where there is none."""
    versions: dict[str, str]
    """Of Python and the packages that compute."""


@dataclass(frozen=True)
class Measurement:
    """One figure."""

    figure: str
    unit: str
    values: tuple[float, ...]
    """Every single run, in order; or the points of a curve."""
    facts: dict[str, Fact]
    """What was measured: model, size, variant ..."""

    def has(self, figure: str, facts: Mapping[str, Fact]) -> bool:
        """Tell whether this is a figure of that name, of what these facts name."""
        return self.figure == figure and facts.items() <= self.facts.items()


@dataclass(frozen=True)
class Outcome:
    """A case, done or not."""

    suite: str
    case: str
    seconds: float
    """It took."""
    others: float
    """Share of the processor that other processes took meanwhile, 0 to 1."""
    measurements: tuple[Measurement, ...] = ()
    pictures: dict[str, str] = dataclasses.field(default_factory=dict)
    """Names of files by what they show."""
    failure: str = ""
    """Why it failed, one line; empty if it did not."""
    skipped: str = ""
    """Why it cannot be measured here; empty if it can."""

    @property
    def done(self) -> bool:
        """Whether it need not be tried again."""
        return not self.failure and not self.skipped


@dataclass(frozen=True)
class Results:
    """A run of the suites."""

    schema: int
    version: str
    """Of this project."""
    commit: str
    started: str
    """Date and time."""
    command: str
    quick: bool
    device: str
    subjects: tuple[str, ...]
    """MODEL=EXEMPLAR, as hashes of both files."""
    planned: dict[str, int]
    """Number of cases of each suite that was asked for."""
    machine: Machine
    outcomes: tuple[Outcome, ...] = ()

    def of(self, suite: str) -> list[Outcome]:
        """Return what became of the cases of a suite."""
        return [each for each in self.outcomes if each.suite == suite]

    def find(self, figure: str, **facts: Fact) -> list[Measurement]:
        """Return all measurements of a figure that have these facts."""
        found = (each for outcome in self.outcomes for each in outcome.measurements)
        return [each for each in found if each.has(figure, facts)]

    def values(self, figure: str, **facts: Fact) -> list[float]:
        """Return all single runs of a figure, of all measurements that have these facts."""
        return [value for each in self.find(figure, **facts) for value in each.values]

    def with_outcome(self, outcome: Outcome) -> Self:
        """Return the results with a case added; it replaces an earlier try."""
        key = outcome.suite, outcome.case
        kept = (each for each in self.outcomes if (each.suite, each.case) != key)
        return dataclasses.replace(self, outcomes=(*kept, outcome))


def save(results: Results, folder: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(results), indent=1, allow_nan=False)
    with atomic(folder / NAME) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Results:
    """Read what a run left in a folder.

    Raises:
        RequestError: there is none, or it is damaged or of another version.
    """
    path = folder / NAME
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RequestError(
            f"{folder} holds no {NAME}: measure first, tn-bench run -o {folder}"
        ) from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RequestError(f"{path} is not JSON ({error}): measure again") from error
    number = data.get("schema") if isinstance(data, dict) else None
    if number != SCHEMA:
        raise RequestError(
            f"{path} has schema {number!r:.60}, this version reads {SCHEMA}: measure again"
        )
    try:
        return build(Results, data)
    except ValueError as error:
        raise RequestError(f"{path} is not sound: {error}; measure again") from error
