"""The same claims on a GPU; skipped, with the reason, where there is none."""

import numpy as np
import pytest
import torch

from tn_runtime import load, providers, stylize, synthesize
from tn_train.config import Budget, GeneratorConfig, Stage, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.generator import Generator
from tn_train.loop import Run, train
from tn_train.style import StyleTask
from tn_train.texture import TextureTask

RUNTIME_OBSTACLE = providers.cuda().obstacle

on_runtime = pytest.mark.skipif(RUNTIME_OBSTACLE is not None, reason=str(RUNTIME_OBSTACLE))
on_torch = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")


@pytest.fixture(scope="module")
def models(tiny_model):
    return load(tiny_model, "cuda"), load(tiny_model, "cpu")


@on_runtime
@pytest.mark.parametrize("size", [(1, 1), (17, 333), (600, 530)])
def test_cuda_makes_the_pixels_of_the_cpu(models, size):
    cuda, cpu = (synthesize(model, size, seed=3, origin=(-7, 10**9)) for model in models)
    assert np.abs(cuda.astype(int) - cpu).max() <= 1


@on_runtime
def test_windows_agree_on_cuda(models):
    whole = synthesize(models[0], (600, 600), seed=3)
    part = synthesize(models[0], (100, 80), seed=3, origin=(290, 480))
    assert np.abs(whole[290:390, 480:560].astype(int) - part).max() <= 1


@on_torch
def test_training_runs_on_cuda(checkpoint_of_nothing):
    device = torch.device("cuda")
    layers = ("relu1_1", "relu2_1")
    training = TrainingConfig(size=32, stages=(Stage(1.0, 32, 2),), layers=layers)
    exemplar = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    task = TextureTask(vgg16(layers).to(device), exemplar.to(device), training)
    run = Run(checkpoint_of_nothing(training), device)
    train(run, task, lambda _: None)
    assert run.step == 20
    assert all(weight.device.type == "cpu" for weight in run.checkpoint().weights.values())


@on_runtime
@pytest.mark.parametrize("size", [(1, 1), (17, 333), (600, 530), (1300, 1100)])
def test_cuda_paints_the_pixels_of_the_cpu(tiny_instance_model, size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    cuda, cpu = (stylize(load(tiny_instance_model, name), photo) for name in ("cuda", "cpu"))
    assert np.abs(cuda.astype(int) - cpu).max() <= 2


@on_torch
def test_training_of_a_style_runs_on_cuda(checkpoint_of_nothing):
    device = torch.device("cuda")
    layers = ("relu1_1", "relu2_1")
    training = TrainingConfig(
        size=32,
        stages=(Stage(1.0, 32, 2),),
        layers=layers,
        content_layer="relu2_2",
        content_weight=1.0,
    )
    painting = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def photos(stage: Stage, step: int):
        rng = torch.Generator().manual_seed(step)
        while True:
            yield torch.randint(0, 256, (2, 3, 32, 32), generator=rng, dtype=torch.uint8)

    descriptor = vgg16((*layers, "relu2_2")).to(device)
    task = StyleTask(descriptor, [painting.to(device)], photos, painting, training)
    checkpoint = checkpoint_of_nothing(training, content_channels=3, norm="instance")
    run = Run(checkpoint, device)
    train(run, task, lambda _: None)
    assert run.step == 20


@on_torch
def test_the_network_is_the_same_on_cuda(tiny_generator: Generator):
    noise = [torch.rand(shape) for shape in tiny_generator.input_shapes(1, 32, 32)]
    with torch.inference_mode():
        cpu = tiny_generator(*noise)
        cuda = tiny_generator.to("cuda")(*(level.cuda() for level in noise)).cpu()
    tiny_generator.to("cpu")
    assert torch.allclose(cpu, cuda, atol=1e-2)  # TF32 is PyTorch's default for convolutions


@pytest.fixture
def checkpoint_of_nothing():
    from tn_runtime.spec import Exemplar
    from tn_train.checkpoint import Checkpoint

    def make(training: TrainingConfig, **config: object) -> Checkpoint:
        return Checkpoint(
            name="cuda",
            preset="paper",
            config=GeneratorConfig(widths=(12, 16, 8), **config),
            training=training,
            budget=Budget(steps=20, minutes=None),
            descriptor="vgg16",
            exemplars=(Exemplar("x.png", "", 32, 32),),
        )

    return make
