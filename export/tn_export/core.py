"""From the trained network to the core graph: valid convolutions, dynamic sizes, nothing else."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from torch.export import Dim

from tn_export.optimize import folded
from tn_train.generator import Generator
from tn_train.norm import Statistics

OPSET = 18
"""With 19 and 20, older CUDA providers send Resize to the CPU: they have its kernel up to 18."""


class Core(nn.Module):
    """A generator as a plain function of tensors."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the picture, and with normalised channels what was measured of them.

        Args:
            inputs: the pyramid; with normalised channels, their given statistics come first.
        """
        if not self.generator.normalized_channels:
            return self.generator(*inputs)  # type: ignore[no-any-return]  # nn.Module is untyped
        statistics = Statistics(inputs[0])
        return self.generator.run(inputs[1:], statistics), statistics.all()


def core_graph(generator: Generator) -> ir.Model:
    """Export the generator as a pyramid in, float picture out.

    Inputs `level_0` ... `level_{K-1}` (finest first) as in `Generator.forward`, output
    `float_image` (N, 3, h, w). Sizes are dynamic: h and w are any multiples of the stride. With
    normalised channels there are an input `statistics` and an output `measured`, as in `norm`.
    """
    network = folded(generator)
    stride, channels = generator.config.stride, generator.normalized_channels
    example = [torch.rand(shape) for shape in network.input_shapes(2, 2 * stride, 3 * stride)]
    shapes = list(_dynamic_shapes(network))
    names = [f"level_{level}" for level in range(len(example))]
    outputs = ["float_image"]
    if channels:
        example.insert(0, torch.rand(2, channels, 2))
        shapes.insert(0, {0: Dim("M", min=0, max=4096)})
        names.insert(0, "statistics")
        outputs.append("measured")
    with _quiet():
        program = torch.onnx.export(
            Core(network),
            tuple(example),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(tuple(shapes),),
            input_names=names,
            output_names=outputs,
        )
    assert program is not None
    # The exporter leaves the stack traces of this machine on every node.
    ClearMetadataAndDocStringPass()(program.model)
    return program.model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporter's progress, its deprecations and its word on torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _dynamic_shapes(network: Generator) -> tuple[dict[int, object], ...]:
    """Tie all levels to the same two numbers: how many strides high and wide the window is."""
    batch = Dim("N", min=1, max=4096)
    high = Dim("high", min=1, max=4096)
    wide = Dim("wide", min=1, max=4096)
    levels = network.config.levels
    return tuple(
        {
            0: batch,
            2: 2 ** (levels - 1 - level) * high + 2 * halo,
            3: 2 ** (levels - 1 - level) * wide + 2 * halo,
        }
        for level, halo in enumerate(network.halos)
    )
