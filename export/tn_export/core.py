"""The trained network as ONNX nodes: valid convolutions, any size.

The nodes are written one by one, in the order of `Generator.run`. A graph holds a network with
instance normalisation twice, with one set of weights, as the two branches of an `If`: one measures
the statistics of each picture, the other has them as constants. ONNX Runtime keeps only the branch
that the constant `given` selects, and only with constant statistics it folds each norm into the
convolution before it. So it does with several styles: their blend is an input of the first branch
and a constant of the second.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from onnxscript import GraphBuilder, OpBuilder
from torch import Tensor, nn

from tn_export.graph import finished, new_builder
from tn_export.optimize import folded
from tn_runtime.folding import BLEND, GIVEN, STATISTICS, default_blend, default_statistics
from tn_train.generator import Generator, Join
from tn_train.norm import EPS, InstanceNorm

FLOAT = ir.DataType.FLOAT
REPEATED = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
"""Attributes of Resize that repeat pixels, and that interpolate linearly."""

Norm = Callable[[InstanceNorm, ir.Value], ir.Value]
"""Adds the nodes of a norm, and returns its result."""

Weights = dict[Tensor, ir.Value]


def add_network(
    builder: GraphBuilder, generator: Generator, levels: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Add the nodes of a generator in evaluation mode.

    A generator of several styles adds an input to the graph: `style`, float32 [N, S], the share of
    each style in each picture.

    Args:
        builder: of the graph.
        generator: its BatchNorms are folded away.
        levels: the pyramid, as in `Generator.forward`.

    Returns:
        The picture, float32 (N, 3, h, w); of a generator with normalised channels also what is
        measured of them, float32 (N, C, 2). Such a graph gets two initializers: `given`, false, and
        `statistics`, float32 (C, 2); with several styles a third one, `blend`, float32 (S,). While
        `given` is true, all pictures are normalised by `statistics`, and have the styles of
        `blend`; what is measured is `statistics`, N times.
    """
    network = folded(generator)
    weights = _weights(builder, network)
    if network.normalized_channels:
        return _either_branch(builder, network, weights, levels)
    return [_Nodes(builder.op, weights).generator(network, levels)]


def add_measuring_network(
    builder: GraphBuilder, generator: Generator, levels: Sequence[ir.Value]
) -> ir.Value:
    """Do as `add_network`, for the picture alone: norms measure it, and it has one style."""
    network = folded(generator)
    weights = _weights(builder, network)
    norm = Measuring(builder.op, weights, style=None)
    return _Nodes(builder.op, weights, norm).generator(network, levels)


def core_model(generator: Generator) -> ir.Model:
    """Return the network alone as a model, to be compared with PyTorch.

    Inputs `level_0` ... `level_{K-1}`, finest first; the other input, outputs and initializers are
    those of `add_network`: `float_image` and, where there is one, `measured`.
    """
    builder = new_builder("core")
    levels = [
        builder.input(f"level_{level}", FLOAT, ["N", shape[1], f"h_{level}", f"w_{level}"])
        for level, shape in enumerate(generator.input_shapes(1, 1, 1))
    ]
    outputs = add_network(builder, generator, levels)
    for value, name in zip(outputs, ("float_image", "measured"), strict=False):
        value.type = ir.TensorType(FLOAT)
        builder.add_output(value, name)
    return finished(builder)


def _weights(builder: GraphBuilder, network: Generator) -> Weights:
    """Make an initializer of each parameter, for all branches."""
    return {
        parameter: builder.initializer(ir.tensor(_padded(parameter)), name, qualify=False)
        for name, parameter in network.named_parameters()
    }


def _padded(parameter: Tensor) -> np.ndarray:
    """Return a parameter as float32; with weights of 0 for what `_Nodes.convolution` adds.

    Those of a norm are (c,), or (c, S) of several styles.
    """
    array: np.ndarray = parameter.detach().numpy()
    if array.ndim == 2:  # of a norm
        array = array.T if len(array) > 1 else array[0]
    if array.ndim == 4:
        array = np.pad(array, ((0, 0), (0, missing_channels(array.shape[1])), (0, 0), (0, 0)))
    return array


def missing_channels(count: int) -> int:
    """Return how many input channels a convolution needs in addition.

    ONNX Runtime's WebGPU provider (1.23 to 1.30) computes 3x3 convolutions wrongly, without an
    error, if their input channels are a multiple of 3 and not of 4; 3 itself is right.
    """
    return -count % 4 if count % 3 == 0 and count > 3 else 0


def _either_branch(
    builder: GraphBuilder, network: Generator, weights: Weights, levels: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Add the `If`; return float_image and measured."""
    given = builder.initializer(ir.tensor(np.array(False)), GIVEN, qualify=False)
    default = default_statistics(network.normalized_channels)
    statistics = builder.initializer(ir.tensor(default), STATISTICS, qualify=False)
    style = blend = None
    if (styles := network.config.styles) > 1:
        style = builder.op.Unsqueeze(builder.input("style", FLOAT, ["N", styles]), [2])
        blend = builder.initializer(ir.tensor(default_blend(styles)), BLEND, qualify=False)

    def measuring(op: OpBuilder) -> tuple[ir.Value, ir.Value]:
        norm = Measuring(op, weights, style)
        image = _Nodes(op, weights, norm).generator(network, levels)
        return image, op.Squeeze(op.Concat(*norm.measured, axis=1), [3])

    def folding(op: OpBuilder) -> tuple[ir.Value, ir.Value]:
        norm = Given(op, weights, blend, statistics)
        image = _Nodes(op, weights, norm).generator(network, levels)
        batch = op.Shape(levels[0], start=0, end=1)
        return image, op.Expand(statistics, op.Concat(batch, list(default.shape), axis=0))

    def branch(trace: Callable[[OpBuilder], tuple[ir.Value, ir.Value]], name: str) -> ir.Graph:
        builder.push_module(name)
        outputs = [ir.val(f"{name}.{output}", FLOAT) for output in ("float_image", "measured")]
        graph = builder.subgraph(trace, [], outputs, name=name)
        builder.pop_module()
        return graph

    return builder.op.If(  # type: ignore[no-any-return]  # OpBuilder is untyped
        given,
        then_branch=branch(folding, "folding"),
        else_branch=branch(measuring, "measuring"),
        _outputs=2,
    )


class Measuring:
    """Normalises each picture by its own statistics, and keeps them; see `InstanceNorm`."""

    def __init__(self, op: OpBuilder, weights: Weights, style: ir.Value | None) -> None:
        """Take the share of each style in each picture, float32 (N, S, 1); None for one style."""
        self.op, self.weights, self.style = op, weights, style
        self.measured: list[ir.Value] = []
        """Mean and variance, float32 (N, c, 2, 1), of each norm."""

    def __call__(self, norm: InstanceNorm, x: ir.Value) -> ir.Value:
        """Add the nodes of a norm; return its result."""
        op, margin = self.op, norm.margin
        window = op.Slice(x, [margin] * 2, [-margin] * 2, [2, 3]) if margin else x
        mean = op.ReduceMean(window, [2, 3])
        centred = op.Sub(window, mean)
        variance = op.ReduceMean(op.Mul(centred, centred), [2, 3])
        self.measured.append(op.Concat(mean, variance, axis=2))
        weight, bias = (
            self._blended(parameter, f"{x.name}.{name}")
            for name, parameter in norm.named_parameters()
        )
        scale = op.Div(weight, op.Sqrt(op.Add(variance, EPS)))
        shift = op.Sub(bias, op.Mul(mean, scale))
        return op.Add(op.Mul(x, scale), shift)  # type: ignore[no-any-return]

    def _blended(self, parameter: Tensor, name: str) -> ir.Value:
        """Return the weight or bias of each picture, (N, c, 1, 1) or (c, 1, 1)."""
        if self.style is None:
            # A second copy of what `Given` has: nodes that reshape the first would make all
            # sessions slower to open.
            values = parameter.detach().numpy()[0, :, None, None]
            return self.op.initializer(ir.tensor(values), name)
        # One product a picture: a batch is its singles to the bit.
        products = self.op.MatMul(self.weights[parameter], self.style)
        return self.op.Unsqueeze(products, [3])  # type: ignore[no-any-return]


class Given:
    """Normalises all pictures by constants."""

    def __init__(
        self, op: OpBuilder, weights: Weights, blend: ir.Value | None, statistics: ir.Value
    ) -> None:
        """Take the share of each style, float32 (S,), None for one; and statistics, (C, 2)."""
        self.op, self.weights, self.blend, self.statistics = op, weights, blend, statistics
        self.done = 0

    def __call__(self, norm: InstanceNorm, x: ir.Value) -> ir.Value:
        """Add the nodes of a norm; return its result."""
        op, start, end = self.op, self.done, self.done + norm.channels
        self.done = end
        own = op.Slice(self.statistics, [start], [end], [0])
        mean, variance = (op.Gather(own, column, axis=1) for column in (0, 1))
        weight, bias = (self._blended(each) for each in (norm.weight, norm.bias))
        return op.BatchNormalization(x, weight, bias, mean, variance, epsilon=EPS)  # type: ignore[no-any-return]

    def _blended(self, parameter: Tensor) -> ir.Value:
        """Return the weight or bias, (c,)."""
        weights = self.weights[parameter]
        return weights if self.blend is None else self.op.MatMul(weights, self.blend)


class _Nodes:
    """Adds the nodes of a network; each method stands for `forward` of one of its parts."""

    def __init__(self, op: OpBuilder, weights: Weights, norm: Norm | None = None) -> None:
        self.op, self.weights, self.norm = op, weights, norm

    def generator(self, network: Generator, levels: Sequence[ir.Value]) -> ir.Value:
        x = self.add(network.coarsest, levels[-1])
        for level in reversed(range(network.config.levels - 1)):
            x = self.upsampled(x, smooth=level < network.config.smooth)
            if crop := network.crops[level]:
                x = self.op.Slice(x, [crop] * 2, [-crop] * 2, [2, 3])
            join, branch = network.joins[level], network.branches[level]
            assert isinstance(join, Join)
            x = self.join(join, x, self.add(branch, levels[level]))
        return self.add(network.to_rgb, x)

    def upsampled(self, x: ir.Value, *, smooth: bool) -> ir.Value:
        how = LINEAR if smooth else REPEATED
        return self.op.Resize(x, None, [1.0, 1.0, 2.0, 2.0], **how)  # type: ignore[no-any-return]  # OpBuilder is untyped

    def join(self, join: Join, coarse: ir.Value, branch: ir.Value) -> ir.Value:
        coarse, branch = self.add(join.coarse_norm, coarse), self.add(join.branch_norm, branch)
        return self.add(join.block, self.op.Concat(coarse, branch, axis=1))

    def add(self, module: nn.Module, x: ir.Value) -> ir.Value:
        match module:
            case nn.Sequential():
                for each in module:
                    x = self.add(each, x)
            case nn.Conv2d():
                x = self.convolution(module, x)
            case nn.ReLU():
                x = self.op.Relu(x)
            case nn.LeakyReLU():
                x = self.op.LeakyRelu(x, alpha=module.negative_slope)
            case InstanceNorm() if self.norm:
                x = self.norm(module, x)
            case nn.Identity():
                pass
            case _:
                raise TypeError(f"no nodes are known for {module}")
        return x

    def convolution(self, convolution: nn.Conv2d, x: ir.Value) -> ir.Value:
        assert convolution.bias is not None
        if missing := missing_channels(convolution.in_channels):
            x = self.op.Concat(x, self.op.Slice(x, [0], [missing], [1]), axis=1)
        weight, bias = self.weights[convolution.weight], self.weights[convolution.bias]
        return self.op.Conv(x, weight, bias, kernel_shape=list(convolution.kernel_size))  # type: ignore[no-any-return]
