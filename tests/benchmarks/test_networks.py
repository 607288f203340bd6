"""The network inside a model file is the one that was exported, and so is its plain form."""

import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from tn_bench import networks
from tn_export.source import read_source


@pytest.fixture(params=["texture", "style"])
def pair(request, tiny_generator, tiny_model, tiny_instance_generator, tiny_instance_model):
    """A generator, and the model file that was exported from it."""
    if request.param == "texture":
        return tiny_generator, tiny_model
    return tiny_instance_generator, tiny_instance_model


def levels(generator, side):
    torch.manual_seed(1)
    return [torch.rand(shape) for shape in generator.input_shapes(2, side, side)]


@torch.no_grad()
def test_the_network_of_a_file(pair, tmp_path):
    generator, model = pair
    z = levels(generator, 32)
    expected = generator(*z)
    networks.save(model, tmp_path / "network.pt")
    assert torch.allclose(networks.load(tmp_path / "network.pt")(*z), expected, atol=1e-4)


@torch.no_grad()
def test_the_plain_network_is_the_valid_one_on_a_torus(tiny_generator, tiny_model):
    plain = networks.Plain(read_source(tiny_model).generator).eval()
    z = [torch.rand(1, 3, 32 >> level, 32 >> level) for level in range(3)]
    wrapped = [
        F.pad(each, (halo,) * 4, mode="circular")
        for each, halo in zip(z, tiny_generator.halos, strict=True)
    ]
    assert torch.allclose(plain(*z), tiny_generator(*wrapped), atol=1e-4)


def test_the_plain_export_runs_at_any_size(pair, tmp_path):
    generator, model = pair
    networks.save(model, tmp_path / "network.pt")
    networks.export_plain(tmp_path / "network.pt", tmp_path / "plain.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "plain.onnx")
    plain = networks.Plain(read_source(model).generator).eval()
    channels = generator.config.input_channels(0)
    for height, width in ((64, 64), (32, 96)):
        z = [torch.rand(1, channels, height >> k, width >> k) for k in range(3)]
        [image] = session.run(None, {f"level_{k}": each.numpy() for k, each in enumerate(z)})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(image), plain(*z), atol=1e-4)
