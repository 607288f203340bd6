"""The contract between exporter and runtime: what a model file says about itself.

Every fact about a model is a field here, written by tn-export into the ONNX file's own metadata
(key `texture_networks`, one JSON object) and read by the runtime. There is no sidecar.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from tn_runtime.errors import ModelError

T = TypeVar("T")

METADATA_KEY = "texture_networks"
FORMAT = 1
"""Files of the same format number run on every later runtime; a new meaning needs a new number."""


@dataclass(frozen=True)
class Exemplar:
    """The one picture that a generator was trained from."""

    name: str
    sha256: str
    """Of the picture's file."""
    width: int
    height: int
    """Pixels, of the part that was trained on, at the resolution of training."""
    credit: str = ""
    license: str = ""


@dataclass(frozen=True)
class GeneratorSpec:
    """The network inside: enough to rebuild it, see `tn_train.generator`."""

    preset: str
    widths: tuple[int, ...]
    """Channels of the blocks, finest level first."""
    branch: int
    noise_channels: int
    join_norm: bool
    parameters: int


@dataclass(frozen=True)
class Training:
    """A summary of how the weights came about."""

    descriptor: str
    layers: tuple[str, ...]
    steps: int
    seconds: float
    loss: float
    """Sum over the layers of the relative squared Gram distance, frozen statistics, fixed noise."""
    seed: int


@dataclass(frozen=True)
class Parity:
    """The proof made at export: PyTorch against ONNX Runtime on several window sizes."""

    windows: int
    float_error: float
    """Largest absolute difference of the float core, for colours in [0, 1]."""
    pixel_error: int
    """Largest difference of the finished pixels, in levels of 255."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a caller may want to know about a model file."""

    kind: Literal["texture"]
    name: str
    stride: int
    """2^(K-1) pixels: the grid on which coarse noise lives; a period is a multiple of it."""
    halo: int
    """Pixels of context on each side that decide about a pixel."""
    noise: str
    """Name of the noise scheme, see `tn_export.noise`."""
    generator: GeneratorSpec
    exemplar: Exemplar
    training: Training
    parity: Parity
    producer: str
    """Name and version of the exporter."""
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the metadata value, one JSON object."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the metadata value; unknown keys are left alone.

        Raises:
            ModelError: not JSON, a newer format, a field missing or of the wrong type.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ModelError(f"the model's metadata is not JSON ({error})") from error
        if not isinstance(data, dict):
            raise ModelError("the model's metadata is not a JSON object")
        number = data.get("format")
        if not isinstance(number, int) or number < 1:
            raise ModelError(f"the model's metadata has no valid format number ({number!r})")
        if number > FORMAT:
            raise ModelError(
                f"the model has metadata format {number}, this version reads up to {FORMAT}: "
                "pip install --upgrade texture-networks"
            )
        spec = _build(cls, data, "")
        _check(spec)
        return spec


def _check(spec: ModelSpec) -> None:
    levels = len(spec.generator.widths)
    if levels < 1 or spec.stride != 2 ** (levels - 1):
        raise ModelError(
            f"the model's metadata contradicts itself: {levels} levels but stride {spec.stride}"
        )
    if spec.halo < 0:
        raise ModelError(f"the model's metadata has a negative halo ({spec.halo})")


def _build(cls: type[T], data: dict[str, Any], path: str) -> T:
    hints = typing.get_type_hints(cls)
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # T is a dataclass here
        if field.name in data:
            values[field.name] = _value(hints[field.name], data[field.name], path + field.name)
        elif field.default is dataclasses.MISSING:
            raise ModelError(f"the model's metadata lacks {path + field.name!r}")
    return cls(**values)


def _value(hint: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - JSON in, typed fields out
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(typing.cast("type", hint), value, path + ".")
    origin = typing.get_origin(hint)
    if origin is Literal and value in typing.get_args(hint):
        return value
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_value(item, each, path) for each in value)
    if hint is float and type(value) in {int, float}:
        return float(value)
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and type(value) is hint:
        return value
    raise ModelError(f"the model's metadata has no valid {path!r} ({value!r})")
