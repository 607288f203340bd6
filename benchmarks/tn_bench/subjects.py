"""What is measured: a model and the picture that it was trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tn_runtime.errors import RequestError
from tn_runtime.session import find, load, shipped
from tn_runtime.spec import ModelSpec
from tn_train import collection, photos
from tn_train.config import Crop, TrainingConfig

if TYPE_CHECKING:  # torch takes seconds to import, and processes that time others do without
    from torch import Tensor

PACKAGED = (*collection.PACKAGED, Path(__file__).parent / "data")
"""Folders of the package that hold exemplars."""


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


def bundled(folder: Path | None) -> tuple[list[Subject], dict[str, str]]:
    """Return the shipped models whose exemplars are at hand.

    Args:
        folder: holds exemplars that the package does not.

    Returns:
        Models with their exemplars, those with packaged ones first; and of the other models the
        name with that of the exemplar.
    """
    found: list[Subject] = []
    missing: dict[str, str] = {}
    for name, path in shipped().items():
        spec = load(path, provider="cpu").spec
        wanted = spec.exemplars[0]
        places = [place / wanted.name for place in (*PACKAGED, *([folder] if folder else []))]
        same = [place for place in places if _is(place, wanted.sha256)]
        if same:
            found.append(Subject(path, spec, same[0]))
        else:
            missing[name] = wanted.name
    return sorted(found, key=lambda each: each.exemplar.parent not in PACKAGED), missing


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def held_out() -> list[Path]:
    """Return packaged photos that no packaged style was trained on; the last is the largest."""
    return list(photos.find(None).held_out)


def photo_pixels(path: Path, size: int) -> "Tensor":
    """Read a photo, float32 (1, 3, H, W), RGB in [0, 1], its longest side at most so long."""
    from tn_train.data import read_exemplar  # noqa: PLC0415

    pixels, _ = read_exemplar(path, size=size)
    return pixels
