"""The network written as nodes is the network, in counts of channels that all providers compute."""

import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from tiny import TINY, TINY_INSTANCE, TINY_STYLE, untrained
from tn_export.core import core_model
from tn_export.graph import serialized
from tn_export.program import PROGRAMS
from tn_runtime.session import shipped
from tn_train.config import PRESETS

CONFIGS = {
    "batch": TINY,
    "instance": TINY_INSTANCE,
    "ReLU": dataclasses.replace(TINY, slope=0.0),
    "no norm at joins": dataclasses.replace(TINY_INSTANCE, join_norm=False, slope=0.2),
    "photo and noise": TINY_STYLE,
    "six levels": dataclasses.replace(TINY, widths=(8,) * 6),
    "unlucky counts": dataclasses.replace(TINY, widths=(9, 15, 10), branch=12, noise_channels=6),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_it_computes_what_pytorch_computes(name):
    generator = untrained(CONFIGS[name])
    stride = generator.config.stride
    session = ort.InferenceSession(serialized(core_model(generator)))
    for batch, height, width in ((1, 1, 1), (2, 3, 2)):
        shapes = generator.input_shapes(batch, height * stride, width * stride)
        levels = [torch.rand(shape) for shape in shapes]
        with torch.inference_mode():
            expected = generator(*levels).numpy()
        feed = {f"level_{k}": level.numpy() for k, level in enumerate(levels)}
        [image] = session.run(["float_image"], feed)
        np.testing.assert_allclose(image, expected, atol=1e-4)


def input_channels(graph):
    """Return the input channels of every convolution, those in branches too."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}

    def nodes(graph):
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                yield from nodes(attribute.g)

    return [weights[node.input[1]][1] for node in nodes(graph) if node.op_type == "Conv"]


PRESET_CONFIGS = {
    f"{kind} {name}": preset.generator
    for kind, presets in PRESETS.items()
    for name, preset in presets.items()
}


@pytest.mark.parametrize("name", [*CONFIGS, *PRESET_CONFIGS])
def test_no_convolution_has_a_count_of_channels_that_webgpu_computes_wrongly(name):
    generator = untrained((CONFIGS | PRESET_CONFIGS)[name])
    data = serialized(PROGRAMS[generator.config.kind](generator))
    assert_right_counts(onnx.load_from_string(data).graph)


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_have_none_either(name):
    assert_right_counts(onnx.load(shipped()[name]).graph)


def assert_right_counts(graph):
    counts = input_channels(graph)
    assert counts
    assert not [count for count in counts if count % 3 == 0 and count % 4 and count != 3]
