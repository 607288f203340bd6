"""The contract between exporter and runtime: the metadata of a model file.

Every fact about a model is a field here, written by tn-export into the ONNX file's own metadata
(key `texture_networks`, one JSON object) and read by the runtime. There is no sidecar.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, Self

from tn_runtime.errors import ModelError
from tn_runtime.folding import Offsets
from tn_runtime.schema import build

METADATA_KEY = "texture_networks"
FORMAT = 3
"""The format number. Files of the same number run on every later runtime; a new meaning needs a new
number."""

CORE = "core"
"""The kind of a file that holds the network alone; see `tn_export.core_file`."""


@dataclass(frozen=True)
class Exemplar:
    """A picture that a generator was trained from."""

    name: str
    sha256: str
    """Hash of the picture's file."""
    width: int
    height: int
    """Pixels, of the part that was trained on, at the resolution of training."""
    credit: str = ""
    license: str = ""
    crop: str = ""
    """The part of the picture that was trained on, X,Y,WxH in its own pixels; empty for all."""

    @property
    def style(self) -> str:
        """Name of the style: the file's, without its suffix."""
        return PurePath(self.name).stem


@dataclass(frozen=True)
class GeneratorSpec:
    """The network inside."""

    preset: str
    parameters: int
    config: dict[str, Any]
    """Enough to rebuild it, see `tn_train.config.GeneratorConfig`."""


@dataclass(frozen=True)
class Training:
    """A summary of the training."""

    descriptor: str
    steps: int
    seconds: float
    loss: float
    """Sum over the layers, at all scales compared, of the relative squared Gram distance, fixed
    statistics and noise; of a style with a tenth of the relative content loss."""
    config: dict[str, Any]
    """Enough to train again, see `tn_train.config.TrainingConfig`."""
    started_from: str = ""
    """Name and steps of the checkpoint that the run began with; empty if it began with nothing."""


@dataclass(frozen=True)
class Parity:
    """The proof made at export: PyTorch against ONNX Runtime on several window sizes."""

    windows: int
    float_error: float
    """Largest absolute difference of the float core, for colours in [0, 1]."""
    pixel_error: int
    """Largest difference of the finished pixels, in levels of 255."""


@dataclass(frozen=True)
class SelfTest:
    """A small request and the pixels that ONNX Runtime makes of it on a CPU.

    Some engines run a program without an error and make wrong pixels. Any client can compare.
    """

    inputs: dict[str, tuple[int, ...]]
    """Values of each int64 input, by its name; all are below 2^53, as JavaScript needs."""
    content: str
    """Base64 of the input `content`, uint8 [1, h, w, 3], as large as the window; empty for a
    texture."""
    image: str
    """Base64 of the output `image`, uint8 [1, h, w, 3]. A sample may differ by one level."""
    style: tuple[float, ...] = ()
    """Values of the input `style`, float32 [1, S]; empty for a file without this input."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a caller may want to know about a model file.

    The runtime acts on kind, name, stride, halo, normalized_channels, given_at, statistics_at,
    blend_at, noise, waves, self_test and the names of the exemplars; the rest is for people.
    """

    kind: Literal["texture", "style"]
    name: str
    stride: int
    """Pixels: the grid on which the coarsest level lives; a period is a multiple of it."""
    halo: int
    """Pixels of context on each side that decide about a pixel of any window."""
    normalized_channels: int
    """Channels that are normalised by their mean and variance over the picture, which all its tiles
    must share; 0: the model has none, and tiles are exact as they are."""
    noise: str
    """Name of the noise scheme, see `tn_export.noise`; empty for a style that sees the photo alone,
    and has no input `seed`."""
    generator: GeneratorSpec
    exemplars: tuple[Exemplar, ...]
    """One; of several styles, the paintings in the order of the input `style`."""
    training: Training
    parity: Parity
    self_test: SelfTest
    producer: str
    """Name and version of the exporter."""
    format: int
    given_at: int = 0
    """Offset in the file of the one byte of the initializer `given`; 0 without normalised channels.
    """
    statistics_at: int = 0
    """Offset in the file of the bytes of the initializer `statistics`, float32 [C, 2], little
    endian; 0 without normalised channels."""
    waves: tuple[tuple[float, ...], ...] = ()
    """Wave vectors of a regular texture, (y, x), cycles per pixel of the picture. A period rounds
    them to whole numbers of cycles."""
    blend_at: int = 0
    """Offset in the file of the bytes of the initializer `blend`, float32 [S], little endian; 0
    for a file of one style."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles, in the order of the input `style`; a texture has none."""
        return tuple(each.style for each in self.exemplars) if self.kind == "style" else ()

    @property
    def takes_style(self) -> bool:
        """Whether the model has the input `style`."""
        return len(self.styles) > 1

    @property
    def offsets(self) -> Offsets:
        """Where the file holds what a caller may overwrite."""
        return Offsets(self.given_at, self.statistics_at, self.blend_at)

    @property
    def takes_seed(self) -> bool:
        """Whether the model has the input `seed`."""
        return self.kind == "texture" or self.noise != ""

    def to_json(self) -> str:
        """Return the metadata value, one JSON object."""
        facts = dataclasses.asdict(self)
        return json.dumps(facts, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the metadata value; unknown keys are left alone.

        Raises:
            ModelError: not JSON, a newer or an older format, a field missing or of the wrong type.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's metadata is not JSON ({error})") from error
        number = data.get("format") if isinstance(data, dict) else None
        if type(number) is not int or number < 1:
            raise ModelError(f"the model's metadata has no valid format number ({number!r:.60})")
        if data.get("kind") == CORE:
            raise ModelError(
                "it is a network alone, for other engines; tn-run runs the program that "
                "tn-export writes without --core"
            )
        _check_format(number)
        try:
            spec = build(cls, data)
        except ValueError as error:
            raise ModelError(f"the model's metadata is not sound: {error}") from error
        if spec.stride < 1 or spec.halo < 0 or spec.normalized_channels < 0:
            raise ModelError(
                f"the model's metadata is not sound: stride {spec.stride}, halo {spec.halo}, "
                f"normalized_channels {spec.normalized_channels}"
            )
        if not all(len(each) == 2 and any(each) for each in spec.waves):
            raise ModelError(f"the model's metadata is not sound: waves {spec.waves!r:.60}")
        _check_exemplars(spec)
        return spec


def _check_format(number: int) -> None:
    """Refuse other formats than this version's."""
    if number > FORMAT:
        raise ModelError(
            f"the model has metadata format {number}, this version reads {FORMAT}: "
            "pip install --upgrade texture-networks (in a clone: git pull)"
        )
    if number < FORMAT:
        raise ModelError(
            f"the model has metadata format {number}, this version reads {FORMAT}: export it "
            "again from its checkpoint, tn-export NAME.pt -o NAME.onnx"
        )


def _check_exemplars(spec: ModelSpec) -> None:
    """Refuse none, styles of one name, and several where there can be only one."""
    count, names = len(spec.exemplars), {each.style for each in spec.exemplars}
    if count != len(names) or not count or (count > 1 and not spec.normalized_channels):
        raise ModelError(
            f"the model's metadata is not sound: {count} exemplars with {len(names)} names, "
            f"normalized_channels {spec.normalized_channels}"
        )
