"""Small pictures and small runs: seconds, no downloads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.spec import Exemplar
from tn_train.checkpoint import Checkpoint
from tn_train.config import Budget, GeneratorConfig, Stage, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.loop import Event, Run, train
from tn_train.texture import TextureTask
from train.pictures import pattern

torch.set_num_threads(1)  # these networks are too small for more

STAGES = (Stage(0.6, 16, 2), Stage(0.4, 32, 1))
LAYERS = ("relu1_1", "relu2_1")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "pattern.png"
    Image.fromarray(pattern()).save(path)
    return path


@pytest.fixture(scope="session")
def exemplar() -> Tensor:
    return torch.from_numpy(pattern().astype(np.float32) / 255).permute(2, 0, 1)[None]


@pytest.fixture
def fresh() -> Checkpoint:
    """Return a tiny run of 80 steps that has not begun."""
    return Checkpoint(
        name="tiny",
        preset="paper",
        config=GeneratorConfig(widths=(8, 8, 8), branch=4),
        training=TrainingConfig(size=48, stages=STAGES, layers=LAYERS),
        budget=Budget(steps=80),
        descriptor="vgg16",
        exemplars=(Exemplar("pattern.png", "0" * 64, 48, 40),),
    )


@pytest.fixture
def task(exemplar: Tensor) -> TextureTask:
    return TextureTask(
        vgg16(LAYERS), exemplar, TrainingConfig(size=48, stages=STAGES, layers=LAYERS)
    )


@pytest.fixture
def trained(fresh: Checkpoint, task: TextureTask) -> Callable[..., Run]:
    """Return a function that trains a checkpoint to its end on the CPU."""

    def run_it(
        checkpoint: Checkpoint = fresh, report: Callable[[Event], None] = lambda _: None
    ) -> Run:
        run = Run(checkpoint, torch.device("cpu"))
        train(run, task, report)
        return run

    return run_it
