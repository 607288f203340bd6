"""What a suite is made of, and what it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from tn_bench.config import Extent
from tn_bench.machine import cores
from tn_bench.processes import in_process
from tn_bench.results import PICTURES, Fact, Measurement
from tn_bench.subjects import Subject
from tn_runtime.pictures import Rows, save
from tn_runtime.pixels import Pixels

Device = Literal["cpu", "cuda"]


class NotHere(Exception):  # noqa: N818 - no error
    """Something cannot be measured on this machine; the message says why."""


@dataclass(frozen=True)
class Found:
    """What a case has found."""

    measurements: Sequence[Measurement]
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Names of files in the folder of pictures, by what they show."""


@dataclass(frozen=True)
class Case:
    """One step of a suite: it runs whole, or is run again."""

    name: str
    cost: float
    """About how many seconds it takes on two cores, for the time that is left."""
    measure: Callable[[], Found]
    """May raise NotHere."""


@dataclass(frozen=True)
class Bench:
    """What all suites measure, with what, and where pictures go."""

    extent: Extent
    device: Device
    subjects: Sequence[Subject]
    folder: Path
    """Of the results."""
    work: Path
    """For what is needed in between."""

    @property
    def textures(self) -> list[Subject]:
        """The models of textures."""
        return [each for each in self.subjects if each.kind == "texture"]

    @property
    def styles(self) -> list[Subject]:
        """The models of styles."""
        return [each for each in self.subjects if each.kind == "style"]

    def first(self, count: int) -> list[Subject]:
        """Return the first models of each kind."""
        return [*self.textures[:count], *self.styles[:count]]

    @property
    def thread_counts(self) -> list[int]:
        """One thread, where that is asked for, and all; on a GPU they do not matter."""
        few = [1] if self.extent.one_thread and self.device == "cpu" and cores() > 1 else []
        return [*few, cores()]

    def network(self, subject: Subject) -> Path:
        """Return a file with a model's PyTorch network, for `networks.load`."""
        return self._networks(subject)[0]

    def multiplications(self, subject: Subject) -> float:
        """Return the multiplications per pixel of a model's network."""
        return self._networks(subject)[1]

    def plain(self, subject: Subject) -> Path:
        """Return the plain ONNX export of a model's network."""
        path = self.work / f"{subject.name}.plain.onnx"
        if not path.exists():
            in_process(_export_plain, self.network(subject), path)
        return path

    def keep(self, name: str, pixels: Pixels) -> str:
        """Write a picture, uint8 (H, W, 3), for the report; return the file's name."""
        file = f"{name.replace(' ', '_')}.png"
        (self.folder / PICTURES).mkdir(exist_ok=True)
        save(self.folder / PICTURES / file, Rows.of_array(pixels))
        return file

    def _networks(self, subject: Subject) -> tuple[Path, float]:
        path = self.work / f"{subject.name}.network.pt"
        if subject.name not in self._multiplications:
            self._multiplications[subject.name] = in_process(_save_network, subject.model, path)
        return path, self._multiplications[subject.name]

    @cached_property
    def _multiplications(self) -> dict[str, float]:
        return {}


def measurement(figure: str, unit: str, values: Sequence[float], **facts: Fact) -> Measurement:
    """Return a figure with its single runs."""
    return Measurement(figure, unit, tuple(map(float, values)), facts)


def _save_network(model: Path, path: Path) -> float:
    from tn_bench.networks import save as save_network  # noqa: PLC0415

    return save_network(model, path)


def _export_plain(saved: Path, path: Path) -> None:
    import logging  # noqa: PLC0415
    import warnings  # noqa: PLC0415

    from tn_bench.networks import export_plain  # noqa: PLC0415

    logging.disable(logging.WARNING)  # torch.onnx has much to say; this process is for it alone
    warnings.simplefilter("ignore")
    export_plain(saved, path)
