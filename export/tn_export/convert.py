"""From the trained network to the core graph: valid convolutions, dynamic sizes, nothing else."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch.export import Dim

from tn_export.optimize import folded
from tn_train.generator import Generator

OPSET = 18
"""With 19 and 20, older CUDA providers send Resize to the CPU: they have its kernel up to 18."""


def core_graph(generator: Generator) -> ir.Model:
    """Export the generator as noise in, float picture out.

    Inputs `noise_0` ... `noise_{K-1}` (finest first) as in `Generator.forward`, output
    `float_image` (N, 3, h, w). Sizes are dynamic: h and w are any multiples of the stride.
    """
    network = folded(generator)
    stride = generator.config.stride
    example = tuple(torch.rand(shape) for shape in network.noise_shapes(2, 2 * stride, 3 * stride))
    with _quiet():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(_dynamic_shapes(network),),
            input_names=[f"noise_{level}" for level in range(len(example))],
            output_names=["float_image"],
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
