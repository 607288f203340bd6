"""The files of a run: renewed on the way where that can be, whole at the end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.errors import PictureError
from tn_train import checkpoint as checkpoints
from tn_train import outputs as module
from tn_train.checkpoint import Checkpoint
from tn_train.loop import Run, train
from tn_train.outputs import Outputs
from tn_train.preview import GAP, write_preview
from tn_train.texture import TextureTask
from train.processes import python


@pytest.fixture
def outputs(fresh: Checkpoint, exemplar: Tensor, tmp_path: Path, monkeypatch) -> Outputs:
    monkeypatch.setattr(module, "EVERY", 0.0)  # at every evaluation
    return Outputs(Run(fresh, torch.device("cpu")), exemplar, tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.preview.png"])
def test_what_cannot_be_written_for_a_while_does_not_stop_the_run(
    name: str, outputs: Outputs, task: TextureTask, tmp_path: Path, capsys
):
    (tmp_path / name).mkdir()  # in place of what a viewer holds, or of a full disk
    train(outputs.run, task, outputs.update)
    assert outputs.run.step == 80
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert name in lines[0]
    assert "goes on" in lines[0]
    other = {"a.pt", "a.preview.png"} - {name}
    assert all((tmp_path / each).is_file() for each in other)

    with pytest.raises((OSError, PictureError), match="folder"):
        outputs.save()
    with pytest.raises((OSError, PictureError), match="folder"):
        outputs.finish()
    (tmp_path / name).rmdir()
    assert [path.name for path in outputs.finish()] == ["a.pt", "a.preview.png", "a.loss.png"]
    assert checkpoints.load(tmp_path / "a.pt").steps == 80
    assert {path.name for path in tmp_path.iterdir()} == {"a.pt", "a.preview.png", "a.loss.png"}


def test_a_preview_shows_the_exemplar_and_the_samples(tmp_path: Path):
    exemplar, samples = torch.zeros(1, 3, 4, 6), torch.ones(2, 3, 5, 7) * 0.5
    write_preview(tmp_path / "a.png", exemplar, samples)
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (5, 6 + 7 + 7 + 2 * GAP, 3)
    assert (pixels[:4, :6] == 0).all()
    assert (pixels[:, 6 + GAP : 13 + GAP] == 128).all()


def test_a_preview_needs_no_matplotlib():
    done = python("import sys, tn_train.outputs; assert 'matplotlib' not in sys.modules")
    assert done.returncode == 0, done.stderr
