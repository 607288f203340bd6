"""The program: one graph from integers to pixels that needs ONNX Runtime and nothing else."""

import copy
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from tiny import TINY, checkpoint_of, untrained
from tn_export import verify
from tn_export.core import core_model
from tn_export.graph import serialized
from tn_export.model import export
from tn_export.optimize import folded
from tn_export.program import texture_program
from tn_runtime.errors import ParityError
from tn_runtime.schema import build
from tn_runtime.spec import METADATA_KEY, ModelSpec
from tn_train.config import GeneratorConfig


@pytest.fixture(scope="module")
def program(tiny_model_bytes):
    """The file under onnxruntime alone."""
    session = ort.InferenceSession(tiny_model_bytes, providers=["CPUExecutionProvider"])

    def run(seed, origin=(0, 0), size=(40, 40), period=(0, 0)):
        values = {"seed": seed, "origin": origin, "size": size, "period": period}
        feed = {name: np.array(value, dtype=np.int64) for name, value in values.items()}
        return session.run(["image"], feed)[0]

    return run


@pytest.mark.parametrize("join_norm", [True, False])
def test_folding_is_exact(join_norm):
    generator = untrained(GeneratorConfig(widths=(12, 16, 8), join_norm=join_norm))
    noise = [torch.rand(shape) for shape in generator.input_shapes(2, 16, 24)]
    network = folded(generator)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    with torch.no_grad():
        assert torch.allclose(network(*noise), generator(*noise), atol=5e-5)


@pytest.mark.parametrize("size", [(1, 1), (17, 333), (2048, 64), (5, 3)])
def test_any_size(program, size):
    assert program([0], size=size).shape == (1, *size, 3)


def test_pixels_are_a_picture(program):
    image = program([0], size=(256, 256))
    assert image.dtype == np.uint8
    assert image.std() > 5


@pytest.mark.parametrize("corner", [(0, 0), (-50, -23), (10**9, -(10**9) - 1), (2**33 - 9, 7)])
def test_windows_agree_on_their_overlap(program, corner):
    y, x = corner
    whole = program([4], corner, (60, 90))
    part = program([4], (y + 13, x + 31), (40, 21))
    assert np.array_equal(whole[:, 13:53, 31:52], part)


@pytest.mark.parametrize("period", [(32, 48), (4, 8), (64, 4)])
def test_a_period_makes_the_window_a_tile(program, period):
    """Periods of 4 and 8 pixels are smaller than the halo: the noise repeats inside it."""
    tile = program([2], size=period, period=period)
    shifted = program([2], origin=(7, -5), size=period, period=period)
    assert np.array_equal(shifted, np.roll(tile, (-7, 5), axis=(1, 2)))
    assert np.array_equal(
        program([2], size=(2 * period[0], period[1]), period=period)[:, : period[0]], tile
    )


def test_a_period_on_one_axis_leaves_the_other_endless(program):
    image = program([2], size=(64, 96), period=(0, 32))
    assert np.array_equal(image[:, :, :32], image[:, :, 64:])
    assert not np.array_equal(image[:, :32], image[:, 32:])


def test_a_batch_is_its_singles(program):
    batch = program([3, -1, 2**63 - 1])
    singles = [program([seed]) for seed in (3, -1, 2**63 - 1)]
    assert np.array_equal(batch, np.concatenate(singles))
    assert not np.array_equal(batch[0], batch[1])


def test_the_file_describes_itself(tiny_model_bytes):
    model = onnx.load_from_string(tiny_model_bytes)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    spec = ModelSpec.from_json(properties[METADATA_KEY])
    assert spec.name == "tiny"
    assert (spec.kind, spec.stride, spec.format) == ("texture", TINY.stride, 3)
    assert spec.halo == 4 * 4  # 4 pixels of the coarsest level
    assert build(GeneratorConfig, spec.generator.config) == TINY
    assert spec.exemplars[0].credit == "A. Nyone"
    assert spec.training.steps == 7
    assert spec.parity.windows >= 5
    assert json.loads(properties[METADATA_KEY])["parity"]["float_error"] < 1e-4


def test_the_file_is_one_clean_graph(tiny_model_bytes):
    model = onnx.load_from_string(tiny_model_bytes)
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {entry.domain for entry in model.opset_import} == {""}
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Pad", "BatchNormalization", "If", "Loop", "Identity"}
    assert b".py" not in tiny_model_bytes  # no path of the machine that exported it


def test_the_proof_catches_a_graph_that_computes_something_else():
    generator = untrained(TINY)
    graphs = [serialized(make(generator)) for make in (core_model, texture_program)]
    assert verify.prove(generator, *graphs).pixel_error <= 1
    with torch.no_grad():
        generator.to_rgb.bias += 0.01
    with pytest.raises(ParityError, match=r"differs from the network by 0\.01 .* no file"):
        verify.prove(generator, *graphs)


def test_the_proof_bears_a_network_that_amplifies_rounding():
    generator = untrained(TINY)
    convolution, norm, *_ = generator.joins[0].block
    with torch.no_grad():
        convolution.bias += 250
        norm.running_mean += 250  # subtracts it again, and the rounding stays
    graphs = [serialized(make(generator)) for make in (core_model, texture_program)]
    parity = verify.prove(generator, *graphs)
    assert parity.float_error > 1e-4  # without the 250 it is about 2e-5
    assert parity.pixel_error <= 1


def test_nan_is_no_proof(tiny_generator):
    generator = copy.deepcopy(tiny_generator)
    graphs = [serialized(make(generator)) for make in (core_model, texture_program)]
    generator.coarsest[1].running_var.fill_(-1)
    with pytest.raises(ParityError, match="nan"), np.errstate(invalid="ignore"):
        verify.prove(generator, *graphs)


def test_without_proof_there_is_no_file(tmp_path, monkeypatch, tiny_generator):
    monkeypatch.setattr(verify, "MAX_FLOAT_ERROR", 0.0)
    with pytest.raises(ParityError):
        export(checkpoint_of(tiny_generator), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
