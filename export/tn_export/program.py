"""The network as a program: called with integers by any ONNX Runtime, it returns pixels.

The prologue turns what a caller gives into the pyramid around the window: noise for textures, the
photo for stylisation, and noise beside it for some styles. The epilogue turns the network's floats
into uint8 pixels. All of it is one graph.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnxscript import GraphBuilder, OpBuilder

from tn_export.core import add_network
from tn_export.graph import finished, new_builder
from tn_export.noise import Lines, noises_in_graph, offsets_in_graph
from tn_export.waves import waves_in_graph
from tn_train.generator import Generator

Ints = npt.NDArray[np.int64]

INT64 = ir.DataType.INT64
UINT8 = ir.DataType.UINT8


@dataclass(frozen=True)
class Region:
    """A window, widened to the whole strides that the core makes, in coordinates of the plane.

    All are int64 [2] in (y, x) order.
    """

    start: ir.Value
    strides: ir.Value
    """How many strides, in each direction."""
    offset: ir.Value
    """Position of the window within."""


def texture_program(generator: Generator) -> ir.Model:
    """Return a texture program.

    Inputs int64: `seed` [N], `origin` [2] and `size` [2] in (y, x) order, `period` [2] (0 for none,
    otherwise a multiple of the stride). Output `image`: uint8 [N, h, w, 3], RGB.
    """
    builder = new_builder("texture")
    op = builder.op
    seed = builder.input("seed", INT64, ["N"])
    origin = builder.input("origin", INT64, [2])
    size = builder.input("size", INT64, [2])
    period = builder.input("period", INT64, [2])

    region = _region(op, origin, size, generator.config.stride)
    noises = _noises(op, generator, seed, region, period)
    [float_image] = add_network(builder, generator, noises)
    _add_image(builder, float_image, region, size)
    return finished(builder)


def style_program(generator: Generator) -> ir.Model:
    """Return a style program.

    Inputs: `content` uint8 [N, H, W, 3], RGB, a photo or a part of it; int64 `window` [4], (y, x,
    h, w) of the output within the content, which is mirrored where the window needs more; int64
    `origin` [2], (y, x) of the content in the whole picture; with noise int64 `seed` [N]; with
    several styles float32 `style` [N, S]. Output `image`: uint8 [N, h, w, 3], RGB. With normalised
    channels there are one more output, `measured` float32 [N, C, 2], and the initializers of
    `add_network`.
    """
    builder = new_builder("style")
    op = builder.op
    content = builder.input("content", UINT8, ["N", "H", "W", 3])
    window = builder.input("window", INT64, [4])
    origin = builder.input("origin", INT64, [2])

    size = op.Slice(window, [2], [4])
    region = _region(op, op.Add(origin, op.Slice(window, [0], [2])), size, generator.config.stride)
    inputs = _photos(op, generator, content, origin, region)
    if generator.config.noise_channels:
        seed = builder.input("seed", INT64, ["N"])
        noises = _noises(op, generator, seed, region, period=None)
        pairs = zip(inputs, noises, strict=True)
        inputs = [op.Concat(photo, noise, axis=1) for photo, noise in pairs]
    float_image, *measured = add_network(builder, generator, inputs)
    _add_image(builder, float_image, region, size)
    for value in measured:
        value.type = ir.TensorType(ir.DataType.FLOAT)
        value.shape = ir.Shape(["N", generator.normalized_channels, 2])
        builder.add_output(value, "measured")
    return finished(builder)


PROGRAMS = {"texture": texture_program, "style": style_program}


def _region(op: OpBuilder, origin: ir.Value, size: ir.Value, stride: int) -> Region:
    offset = op.Mod(origin, stride)
    start = op.Sub(origin, offset)
    strides = op.Div(op.Add(op.Add(offset, size), stride - 1), stride)
    return Region(start, strides, offset)


def _noises(
    op: OpBuilder, generator: Generator, seed: ir.Value, region: Region, period: ir.Value | None
) -> list[ir.Value]:
    """Return the noise of each level around the region, and the waves."""
    rows, columns = (_lines(op, generator, axis, region, period) for axis in (0, 1))
    config = generator.config
    noises = noises_in_graph(op, seed, config.levels, config.noise_channels, rows, columns)
    if not config.waves or period is None:
        return noises
    start = offsets_in_graph(op, seed, len(config.waves))
    waves = waves_in_graph(op, config, start, period, rows, columns)
    pairs = zip(noises[config.wave_level :], waves, strict=True)
    joined = [op.Concat(*pair, axis=1) for pair in pairs]
    return [*noises[: config.wave_level], *joined]


def _lines(
    op: OpBuilder, generator: Generator, axis: int, region: Region, period: ir.Value | None
) -> Lines:
    """Return the coordinates of each level around the region, wrapped if there is a period."""
    scales = 2 ** np.arange(generator.config.levels)
    sizes, halos = generator.config.stride // scales, np.array(generator.halos)
    start, strides = (op.Gather(value, axis) for value in (region.start, region.strides))

    def affine(per_stride: Ints, constant: Ints) -> ir.Value:
        return op.Add(op.Mul(strides, per_stride.tolist()), constant.tolist())  # type: ignore[no-any-return]

    counts = affine(sizes, 2 * halos)
    ends = affine(sizes.cumsum(), (2 * halos).cumsum())
    before = affine(sizes.cumsum() - sizes, (2 * halos).cumsum() - halos)

    place = op.Range(0, op.Gather(ends, generator.config.levels - 1), 1)
    passed = op.GreaterOrEqual(op.Unsqueeze(place, [1]), ends)
    levels = op.ReduceSum(op.Cast(passed, to=INT64), [1], keepdims=0)
    first = op.Sub(op.Div(start, scales.tolist()), before)
    coordinates = op.Add(place, op.Gather(first, levels))
    if period is not None:
        repeats = op.Div(op.Gather(period, axis), scales.tolist())
        coordinates = _wrapped(op, coordinates, op.Gather(repeats, levels))
    return Lines(coordinates, levels, counts)


def _photos(
    op: OpBuilder, generator: Generator, content: ir.Value, origin: ir.Value, region: Region
) -> list[ir.Value]:
    """Return the photo at each level around the region; see `tn_train.pyramid.pyramid`."""
    margin = generator.halo
    first = op.Sub(op.Sub(region.start, origin), margin)
    count = op.Add(op.Mul(region.strides, generator.config.stride), 2 * margin)
    pixels, shape = content, op.Shape(content)
    for axis in (0, 1):
        length = op.Gather(shape, axis + 1)
        place = _mirrored(op, _coordinates(op, axis, first, count, length), length)
        pixels = op.Gather(pixels, place, axis=axis + 1)
    channels_first = op.Cast(op.Transpose(pixels, perm=[0, 3, 1, 2]), to=ir.DataType.FLOAT)
    return add_photo_pyramid(op, generator, op.Div(channels_first, 255.0))


def add_photo_pyramid(op: OpBuilder, generator: Generator, photo: ir.Value) -> list[ir.Value]:
    """Return the photo at each level, of a photo with `generator.halo` pixels on each side."""
    margin = generator.halo
    photos = []
    for level, halo in enumerate(generator.halos):
        if level:
            photo = op.AveragePool(photo, kernel_shape=[2, 2], strides=[2, 2])
        crop = (margin >> level) - halo
        photos.append(op.Slice(photo, [crop, crop], [-crop, -crop], [2, 3]) if crop else photo)
    return photos


def _coordinates(
    op: OpBuilder, axis: int, first: ir.Value, count: ir.Value, length: ir.Value
) -> ir.Value:
    """Return `count` coordinates from `first` on, of one axis of a photo; int64 [count]."""
    begin, end = (op.Gather(value, axis) for value in (first, count))
    # A step of 0 fails the run. A photo of length 0 must not reach Mod: by zero, it ends the
    # process in ONNX Runtime 1.22.
    step = op.Min(length, 1)
    return op.Add(op.Range(0, end, step), begin)  # type: ignore[no-any-return]  # untyped


def _wrapped(op: OpBuilder, plane: ir.Value, repeat: ir.Value) -> ir.Value:
    """Wrap coordinates that have a period, each its own; those of period 0 have none."""
    # Where evaluates both branches, and Mod by zero fails the run.
    wrapped = op.Mod(plane, op.Max(repeat, 1))
    return op.Where(op.Greater(repeat, 0), wrapped, plane)  # type: ignore[no-any-return]


def _mirrored(op: OpBuilder, plane: ir.Value, length: ir.Value) -> ir.Value:
    """Mirror coordinates into [0, length); the edge pixel is repeated."""
    there = op.Mod(plane, op.Mul(length, 2))
    back = op.Sub(op.Sub(op.Mul(length, 2), 1), there)
    return op.Min(there, back)  # type: ignore[no-any-return]


def _add_image(
    builder: GraphBuilder, float_image: ir.Value, region: Region, size: ir.Value
) -> None:
    """Crop the window, round to levels of 255, put channels last; the output `image`."""
    op = builder.op
    end = op.Add(region.offset, size)
    window = op.Slice(float_image, region.offset, end, [2, 3])
    levels = op.Clip(op.Add(op.Mul(window, 255.0), 0.5), 0.0, 255.0)
    image = op.Transpose(op.Cast(levels, to=UINT8), perm=[0, 2, 3, 1])
    image.type, image.shape = ir.TensorType(UINT8), ir.Shape(["N", "h", "w", 3])
    builder.add_output(image, "image")
