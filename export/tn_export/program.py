"""From the core graph to a program: called with integers by any ONNX Runtime, it returns pixels.

The prologue turns (seed, origin, size, period) into the noise pyramid around the window, the
epilogue turns the core's floats into uint8 pixels. All of it becomes one graph.
"""

import onnx_ir as ir
from onnx_ir.convenience import replace_all_uses_with
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    CommonSubexpressionEliminationPass,
    NameFixPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)
from onnxscript import GraphBuilder, OpBuilder

from tn_export.noise import noise_in_graph
from tn_train.generator import Generator

IR_VERSION = 8
"""The one that came with opset 18. A newer one would shut out older runtimes for nothing."""

INT64 = ir.DataType.INT64


def texture_program(core: ir.Model, generator: Generator) -> ir.Model:
    """Wrap the core graph in place into a texture program.

    Inputs int64: `seed` [N], `origin` [2] and `size` [2] in (y, x) order, `period` [2] (0 for none,
    otherwise a multiple of the stride). Output `image`: uint8 [N, h, w, 3], RGB.
    """
    graph = core.graph
    builder = GraphBuilder(graph)
    op = builder.op
    noise_inputs = list(graph.inputs)
    (float_image,) = graph.outputs
    graph.inputs.clear()
    graph.outputs.clear()

    seed = builder.input("seed", INT64, ["N"])
    origin = builder.input("origin", INT64, [2])
    size = builder.input("size", INT64, [2])
    period = builder.input("period", INT64, [2])

    stride = generator.config.stride
    # The core makes whole strides: the window is widened to them here and cropped again below.
    start = op.Sub(origin, op.Mod(origin, stride))
    strides = op.Div(op.Add(op.Sub(op.Add(origin, size), start), stride - 1), stride)
    for level, noise_input in enumerate(noise_inputs):
        scale, halo = 2**level, generator.halos[level]
        first = op.Sub(op.Div(start, scale), halo)
        count = op.Add(op.Mul(strides, stride // scale), 2 * halo)
        y, x = (_coordinates(op, axis, first, count, op.Div(period, scale)) for axis in (0, 1))
        channels = generator.config.noise_channels
        replace_all_uses_with(noise_input, noise_in_graph(op, seed, level, channels, y, x))

    image = _pixels(op, float_image, op.Sub(origin, start), size)
    image.type, image.shape = ir.TensorType(ir.DataType.UINT8), ir.Shape(["N", "h", "w", 3])
    builder.add_output(image, "image")
    return _tidied(core)


def _coordinates(
    op: OpBuilder, axis: int, first: ir.Value, count: ir.Value, period: ir.Value
) -> ir.Value:
    """Coordinates of the noise along one axis, wrapped if that axis has a period; int64 [count]."""
    begin, length, repeat = (op.Gather(value, axis) for value in (first, count, period))
    plane = op.Add(op.Range(0, length, 1), begin)
    # Where evaluates both branches, and Mod by zero fails the run.
    wrapped = op.Mod(plane, op.Max(repeat, 1))
    return op.Where(op.Greater(repeat, 0), wrapped, plane)  # type: ignore[no-any-return]


def _pixels(op: OpBuilder, float_image: ir.Value, offset: ir.Value, size: ir.Value) -> ir.Value:
    """Crop the window, round to levels of 255 and put channels last; uint8 [N, h, w, 3]."""
    window = op.Slice(float_image, offset, op.Add(offset, size), [2, 3])
    levels = op.Clip(op.Add(op.Mul(window, 255.0), 0.5), 0.0, 255.0)
    pixels = op.Cast(levels, to=ir.DataType.UINT8)
    return op.Transpose(pixels, perm=[0, 2, 3, 1])  # type: ignore[no-any-return]


def _tidied(model: ir.Model) -> ir.Model:
    model.graph.name = "texture"
    model.ir_version = IR_VERSION
    tidy = Sequential(
        TopologicalSortPass(),
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        NameFixPass(),
        ClearMetadataAndDocStringPass(),
    )
    model = tidy(model).model
    # ONNX Runtime infers the types and shapes in between; written out they are 10% of the file.
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = value.shape = None
    return model
