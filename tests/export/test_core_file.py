"""The network alone in a file: plain operators, one size, the pixels of the program."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tiny import TINY, TINY_STYLE, checkpoint_of, untrained
from tn_export import core_file
from tn_export.core_file import export_core
from tn_export.source import generator_of, read_source
from tn_export.verify import StyleCall, TextureCall
from tn_runtime.errors import CheckpointError, ModelError, ParityError, RequestError
from tn_runtime.session import load
from tn_runtime.spec import METADATA_KEY
from tn_train.checkpoint import save
from tn_train.waves import wave

SIZE = (32, 48)

PLAIN = {"Conv", "LeakyRelu", "Relu", "Resize", "Concat", "Slice", "AveragePool"}
MEASURING = {"ReduceMean", "Sub", "Mul", "Add", "Sqrt", "Div"}


@pytest.fixture(scope="module")
def style_checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("style") / "tiny.pt"
    save(checkpoint_of(untrained(TINY_STYLE)), path)
    return path


@pytest.fixture(scope="module")
def regular_checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("regular") / "tiny.pt"
    config = dataclasses.replace(TINY, waves=(wave(0.1, 0.004), wave(-0.013, 0.07)))
    save(checkpoint_of(untrained(config)), path)
    return path


@pytest.fixture(
    params=[
        "tiny_checkpoint",
        "tiny_model",
        "regular_checkpoint",
        "style_checkpoint",
        "tiny_instance_model",
    ]
)
def path(request):
    """Two textures and two styles, of checkpoints and of model files."""
    return request.getfixturevalue(request.param)


def test_a_core_makes_the_pixels_of_its_program(path, tmp_path):
    source, written = read_source(path), tmp_path / "core.onnx"
    spec = export_core(source, SIZE, written)
    texture = spec.makes == "texture"
    call = TextureCall((5,), (0, 0), SIZE) if texture else StyleCall((5,), SIZE, (0, 0), SIZE)
    inputs = call.inputs(source.generator)
    feed = core_file._core_inputs(source.generator, call, inputs)
    session = ort.InferenceSession(written)
    assert {each.name: tuple(each.shape) for each in session.get_inputs()} == {
        name: value.shape for name, value in feed.items()
    }
    [image] = session.run(["image"], feed)
    assert image.shape == (1, 3, *SIZE)
    [pixels] = ort.InferenceSession(source.program).run(["image"], inputs)
    levels = np.rint(image.clip(0, 1) * 255).transpose(0, 2, 3, 1)
    assert np.abs(levels - pixels).max() <= 1
    assert pixels.std() > 5


def test_a_core_has_plain_operators(path, tmp_path):
    spec = export_core(read_source(path), SIZE, tmp_path / "core.onnx")
    graph = onnx.load(tmp_path / "core.onnx").graph
    operators = {node.op_type for node in graph.node}
    assert operators - MEASURING <= PLAIN
    assert bool(operators & MEASURING) == ("Relu" in operators)  # the style with instance norm
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert all(each.dim_value for each in value.type.tensor_type.shape.dim)
    properties = ort.InferenceSession(tmp_path / "core.onnx").get_modelmeta().custom_metadata_map
    facts = json.loads(properties[METADATA_KEY])
    assert facts == json.loads(json.dumps(dataclasses.asdict(spec)))
    assert facts["exemplars"][0]["credit"] == "A. Nyone"


def test_weights_come_back_out_of_a_model_file(tiny_model, tiny_generator):
    import torch

    rng = torch.Generator().manual_seed(0)
    shapes = tiny_generator.input_shapes(1, 8, 12)
    levels = [torch.rand(shape, generator=rng) for shape in shapes]
    with torch.inference_mode():
        image = generator_of(load(tiny_model, "cpu"))(*levels)
        assert torch.allclose(image, tiny_generator(*levels), atol=1e-4)


def test_a_shipped_model_has_a_core(tmp_path):
    spec = export_core(read_source("citrus"), (64, 64), tmp_path / "core.onnx")
    assert (spec.name, spec.noise_halos, spec.photo_halo) == ("citrus", (4, 6, 7, 7, 7, 7, 5), 0)


def test_sizes_are_multiples_of_the_stride(tiny_model, tmp_path):
    message = "50x33 cannot .* multiples of 4; the nearest is 48x32"
    with pytest.raises(RequestError, match=message):
        export_core(read_source(tiny_model), (33, 50), tmp_path / "core.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_proof_catches_another_network(tiny_model, tmp_path):
    source = read_source(tiny_model)
    source.generator.to_rgb.bias += 0.02
    with pytest.raises(ParityError, match=r"by [56] levels .* no file"):
        export_core(source, SIZE, tmp_path / "core.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_core_says_so(tiny_model, tmp_path):
    with pytest.raises(ModelError, match="neither a file nor the name"):
        read_source(tmp_path / "none.onnx")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_source(tmp_path / "none.pt")
    export_core(read_source(tiny_model), SIZE, tmp_path / "core.onnx")
    with pytest.raises(ModelError, match="network alone"):
        read_source(tmp_path / "core.onnx")
