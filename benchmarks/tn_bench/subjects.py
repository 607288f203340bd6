"""What is measured: a model and the picture that it was trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tn_runtime.errors import RequestError
from tn_runtime.session import find, load, shipped
from tn_runtime.spec import ModelSpec
from tn_train import photos
from tn_train.config import Crop, TrainingConfig

if TYPE_CHECKING:  # torch takes seconds to import, and processes that time others do without
    from torch import Tensor

TRAIN = Path(photos.__file__).parent / "data"
BUNDLED = {
    "dead_leaves": TRAIN / "dead_leaves.jpg",
    "citrus": TRAIN / "photos" / "citrus.jpg",
    "great_wave": Path(__file__).parent / "data" / "great_wave.jpg",
}
"""Shipped models and their exemplars."""


@dataclass(frozen=True)
class Subject:
    """A model with its exemplar."""

    model: Path
    spec: ModelSpec
    exemplar: Path

    @classmethod
    def of(cls, model: str | Path, exemplar: Path) -> Self:
        """Take a model file, or a model by its name.

        Raises:
            ModelError: there is none, or it is not sound.
            RequestError: the exemplar is no file.
        """
        path = find(model)
        if not exemplar.is_file():
            raise RequestError(f"the exemplar {exemplar} of {model} does not exist; name a picture")
        return cls(path, load(path, provider="cpu").spec, exemplar)

    @classmethod
    def alone(cls, model: str | Path) -> Self:
        """Take a model without its exemplar, which timing does not need."""
        path = find(model)
        return cls(path, load(path, provider="cpu").spec, path)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `MODEL=EXEMPLAR`.

        Raises:
            RequestError: another form.
        """
        model, equals, exemplar = text.partition("=")
        if not (model and equals and exemplar):
            raise RequestError(
                f"subject {text!r} has another form than MODEL=EXEMPLAR, such as moss.onnx=moss.jpg"
            )
        return cls.of(model, Path(exemplar))

    @property
    def name(self) -> str:
        """The model's."""
        return self.spec.name

    @property
    def kind(self) -> str:
        """`texture` or `style`."""
        return self.spec.kind

    @property
    def training(self) -> dict[str, Any]:
        """The fields of its TrainingConfig; older files lack some."""
        return self.spec.training.config

    @property
    def digest(self) -> str:
        """Hashes of model and exemplar."""
        return "=".join(
            hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            for path in (self.model, self.exemplar)
        )

    def pixels(self) -> "Tensor":
        """Read the exemplar as in training, float32 (1, 3, H, W), RGB in [0, 1]."""
        from tn_train.data import read_exemplar  # noqa: PLC0415

        crop = self.spec.exemplars[0].crop
        size = self.training.get("size", TrainingConfig().size)
        pixels, _ = read_exemplar(self.exemplar, size=size, crop=Crop.parse(crop) if crop else None)
        return pixels


def bundled() -> list[Subject]:
    """Return the shipped models with their exemplars."""
    models = shipped()
    return [Subject.of(models[name], exemplar) for name, exemplar in BUNDLED.items()]


def held_out() -> list[Path]:
    """Return packaged photos that no packaged style was trained on; the last is the largest."""
    return list(photos.find(None).held_out)


def photo_pixels(path: Path, size: int) -> "Tensor":
    """Read a photo, float32 (1, 3, H, W), RGB in [0, 1], its longest side at most so long."""
    from tn_train.data import read_exemplar  # noqa: PLC0415

    pixels, _ = read_exemplar(path, size=size)
    return pixels
