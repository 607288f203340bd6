"""Small pictures and small runs: seconds, no downloads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.spec import Exemplar
from tn_train.checkpoint import Checkpoint
from tn_train.config import Budget, GeneratorConfig, TrainingConfig
from tn_train.descriptor import vgg16
from tn_train.loop import Event, Run, train
from tn_train.texture import TextureTask

torch.set_num_threads(1)  # these networks are too small for more

ROOT = Path(__file__).parents[2]
FLOORS = [str(ROOT / floor) for floor in ("runtime", "train", "export", "benchmarks")]
LAYERS = ("relu1_1", "relu2_1")


def pattern(height: int = 40, width: int = 48) -> np.ndarray:
    """Return stripes and noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    wave = 120 + 80 * np.sin((2 * x + y) / 3)
    return (wave[..., None] * [1.0, 0.8, 0.5] + rng.integers(0, 40, (height, width, 3))).astype(
        np.uint8
    )


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
    """Return a tiny run of 20 steps that has not begun."""
    return Checkpoint(
        name="tiny",
        preset="paper",
        config=GeneratorConfig(widths=(8, 8, 8), branch=4),
        training=TrainingConfig(size=48, sample=16, batch=2, layers=LAYERS),
        budget=Budget(steps=20),
        descriptor="vgg16",
        exemplar=Exemplar("pattern.png", "0" * 64, 48, 40),
    )


@pytest.fixture
def task(exemplar: Tensor) -> TextureTask:
    return TextureTask(
        vgg16(LAYERS), exemplar, TrainingConfig(size=48, sample=16, batch=2, layers=LAYERS)
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


def command(*arguments: object) -> list[str]:
    """Return the words that start `tn-train` in a process of its own."""
    code = "from tn_train.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(FLOORS), "OMP_NUM_THREADS": "1"}


def tn_train(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `tn-train` and wait for it."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, check=False
    )
