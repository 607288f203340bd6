"""The network alone as an ONNX file, for engines that cannot run the program.

Its size is fixed, and no node computes with integers: the caller fills the inputs with noise and
photo, and rounds the picture. docs/clients.md shows how, in Python and in JavaScript.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import torch

from tn_export.core import add_measuring_network
from tn_export.graph import finished, new_builder, serialized
from tn_export.noise import SCHEME
from tn_export.program import add_photo_pyramid
from tn_export.source import Source
from tn_export.verify import MAX_PIXEL_ERROR, StyleCall, TextureCall, noise_pyramid, session
from tn_runtime.errors import ParityError, RequestError
from tn_runtime.files import atomic
from tn_runtime.pixels import from_unit
from tn_runtime.spec import CORE, FORMAT, METADATA_KEY, Exemplar
from tn_runtime.version import __version__
from tn_train.generator import Generator
from tn_train.pyramid import mirror

FLOAT = ir.DataType.FLOAT


@dataclass(frozen=True)
class CoreSpec:
    """What such a file says about itself, as JSON under the key of all our files."""

    kind: str
    """`CORE`."""
    makes: Literal["texture", "style"]
    name: str
    size: tuple[int, int]
    """(height, width) of the picture, pixels."""
    stride: int
    """Pixels of the picture per pixel of the coarsest noise."""
    noise: str
    """Name of the noise scheme; empty if there are no inputs `noise_0` ... `noise_{K-1}`."""
    noise_halos: tuple[int, ...]
    """Pixels of each level's noise on each side of the picture, finest level first."""
    wave_level: int
    """The finest level with an input `waves_k`; 0 if there are none."""
    wave_steps: tuple[tuple[int, int], ...]
    """(y, x) of each wave, in 2^-32 of a turn for half a pixel; see `tn_train.config.Wave`."""
    photo_halo: int
    """Pixels of the input `photo` on each side of the picture; 0 for a texture."""
    exemplars: tuple[Exemplar, ...]
    producer: str
    format: int


def export_core(source: Source, size: tuple[int, int], path: str | os.PathLike[str]) -> CoreSpec:
    """Write the network alone, for pictures of one size; return what the file says about itself.

    Args:
        source: the network, and the program whose pixels it must make.
        size: (height, width) of the picture, multiples of the stride.
        path: of the file.

    Raises:
        RequestError: a side is no multiple of the stride, or there are several styles.
        ParityError: its picture differs from the program's by more than a level; no file is
            written.
        OSError: the file cannot be written.
    """
    generator, config = source.generator, source.generator.config
    _check_size(size, config.stride)
    if config.styles > 1:
        raise RequestError(f"{source.name!r} has {config.styles} styles, and a core has one")
    spec = CoreSpec(
        kind=CORE,
        makes=config.kind,
        name=source.name,
        size=size,
        stride=config.stride,
        noise=SCHEME if config.noise_channels else "",
        noise_halos=tuple(generator.halos) if config.noise_channels else (),
        wave_level=config.wave_level if config.waves else 0,
        wave_steps=tuple((each.y, each.x) for each in config.waves),
        photo_halo=generator.halo if config.content_channels else 0,
        exemplars=source.exemplars,
        producer=f"texture-networks {__version__}",
        format=FORMAT,
    )
    core = fixed_core(generator, size)
    core.producer_name, core.producer_version = "texture-networks", __version__
    core.metadata_props[METADATA_KEY] = json.dumps(dataclasses.asdict(spec), sort_keys=True)
    with atomic(path) as temporary:
        temporary.write_bytes(serialized(core))
        onnx.checker.check_model(temporary, full_check=True)
        _prove(source, size, temporary.read_bytes())
    return spec


def fixed_core(generator: Generator, size: tuple[int, int]) -> ir.Model:
    """Return the network alone for pictures of one size, (height, width).

    Inputs, float32: of a generator with noise `noise_0` ... `noise_{K-1}`, finest level first,
    [1, C, h / 2^k + 2 halo_k, w / 2^k + 2 halo_k], in [0, 1); of a regular texture also `waves_k`
    from `wave_level` on, as large, -1 to 1; of a style `photo`
    [1, 3, h + 2 halo, w + 2 halo], RGB in [0, 1], mirrored beyond its edges. Output `image`:
    float32 [1, 3, h, w], RGB, nominally in [0, 1]. Instance norms measure the picture.
    """
    builder = new_builder("core")
    op, config = builder.op, generator.config
    levels: list[ir.Value] = []
    shapes = generator.input_shapes(1, *size)
    if config.noise_channels:
        levels = [
            builder.input(f"noise_{k}", FLOAT, [1, config.noise_channels, *sides])
            for k, (_, _, *sides) in enumerate(shapes)
        ]
    for k in range(config.wave_level, config.levels) if config.waves else ():
        waves = builder.input(f"waves_{k}", FLOAT, [1, 2 * len(config.waves), *shapes[k][2:]])
        levels[k] = op.Concat(levels[k], waves, axis=1)
    if config.content_channels:
        sides = [side + 2 * generator.halo for side in size]
        photo = builder.input("photo", FLOAT, [1, config.content_channels, *sides])
        photos = add_photo_pyramid(op, generator, photo)
        pairs = zip(photos, levels, strict=True)
        levels = [op.Concat(*pair, axis=1) for pair in pairs] if levels else photos
    image = add_measuring_network(builder, generator, levels)
    image.type, image.shape = ir.TensorType(FLOAT), ir.Shape([1, 3, *size])
    builder.add_output(image, "image")
    return finished(builder)


def _check_size(size: tuple[int, int], stride: int) -> None:
    height, width = size
    if height % stride or width % stride:
        nearest = "x".join(
            str(max(stride, round(side / stride) * stride)) for side in (width, height)
        )
        raise RequestError(
            f"{width}x{height} cannot be the size of a core: its sides must be multiples of "
            f"{stride}; the nearest is {nearest}"
        )


def _prove(source: Source, size: tuple[int, int], core: bytes) -> None:
    """Compare one picture of a core with that of the program."""
    generator = source.generator
    if generator.config.kind == "texture":
        call: TextureCall | StyleCall = TextureCall((7,), (0, 0), size)
    else:
        call = StyleCall((7,), size, (0, 0), size)
    inputs = call.inputs(generator)
    [pixels] = session(source.program).run(["image"], inputs)
    [image] = session(core).run(["image"], _core_inputs(generator, call, inputs))
    error = int(np.abs(from_unit(image).transpose(0, 2, 3, 1).astype(int) - pixels).max())
    if error > MAX_PIXEL_ERROR:
        raise ParityError(
            f"the core's picture differs from the program's by {error} levels of 255 (allowed: "
            f"{MAX_PIXEL_ERROR}); no file was written"
        )


def _core_inputs(
    generator: Generator, call: TextureCall | StyleCall, inputs: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return what the core gets for a request to the program whose window starts at a stride."""
    feed: dict[str, npt.NDArray[Any]] = {}
    if generator.config.noise_channels:
        count = generator.config.noise_channels
        for k, level in enumerate(noise_pyramid(generator, call)):
            feed[f"noise_{k}"], waves = level[:, :count], level[:, count:]
            if waves.size:
                feed[f"waves_{k}"] = waves
    if generator.config.content_channels:
        photo = torch.from_numpy(inputs["content"]).permute(0, 3, 1, 2).float() / 255
        rows, columns = (torch.arange(-generator.halo, side + generator.halo) for side in call.size)
        feed["photo"] = mirror(photo, rows, columns).numpy()
    return feed
