"""The files of a run: renewed on the way where that can be, whole at the end."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.errors import RequestError
from tn_runtime.pictures import GAP
from tn_train import checkpoint as checkpoints
from tn_train import outputs as module
from tn_train.checkpoint import Checkpoint, Record
from tn_train.loop import Evaluation, Run, train
from tn_train.outputs import Outputs
from tn_train.preview import write_preview
from tn_train.texture import TextureTask
from train.processes import python


@pytest.fixture
def outputs(fresh: Checkpoint, exemplar: Tensor, tmp_path: Path, monkeypatch) -> Outputs:
    monkeypatch.setattr(module, "EVERY", 0.0)  # at every evaluation
    return Outputs(Run(fresh, torch.device("cpu")), [exemplar], tmp_path / "a.pt")


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

    if name == "a.pt":
        with pytest.raises(OSError, match="folder"):
            outputs.save()
        with pytest.raises(OSError, match="folder"):
            outputs.finish()
    else:  # a side product decides nothing
        outputs.save()
        assert outputs.finish()[0] == tmp_path / "a.pt"
    (tmp_path / name).rmdir()
    assert [path.name for path in outputs.finish()] == ["a.pt", "a.preview.png", "a.loss.png"]
    assert checkpoints.load(tmp_path / "a.pt").steps == 80
    assert {path.name for path in tmp_path.iterdir()} == {"a.pt", "a.preview.png", "a.loss.png"}


def test_a_preview_shows_the_exemplar_and_the_samples(tmp_path: Path):
    exemplar, samples = torch.zeros(1, 3, 4, 6), torch.ones(2, 3, 5, 7) * 0.5
    write_preview(tmp_path / "a.png", [exemplar], samples)
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (5, 6 + 7 + 7 + 2 * GAP, 3)
    assert (pixels[:4, :6] == 0).all()
    assert (pixels[:, 6 + GAP : 13 + GAP] == 128).all()


@pytest.mark.parametrize(
    "name", ["$a$", "\\frac{", "名前", os.fsdecode(b"\xff"), "a" * 240], ids=ascii
)
def test_a_curve_is_plotted_whatever_the_name(fresh: Checkpoint, exemplar, name, tmp_path, capfd):
    run = Run(fresh, torch.device("cpu"))
    run.history = [Record(step, 0.0, 1.0, {"relu1_1": 1.0}) for step in range(3)]
    outputs = Outputs(run, [exemplar], tmp_path / f"{name}.pt")
    outputs.check([tmp_path / "leaves.jpg"])
    assert len(outputs.finish()) == 2
    assert capfd.readouterr().err == ""


def test_a_plot_that_fails_is_one_line(outputs: Outputs, monkeypatch, tmp_path: Path, capsys):
    def fail(*_):
        raise ValueError("ParseException\nof a library")

    monkeypatch.setattr("tn_train.plot.write_curve", fail)
    assert outputs.finish() == [tmp_path / "a.pt"]
    assert capsys.readouterr().err == (
        f"{tmp_path / 'a.loss.png'}: ParseException of a library; the checkpoint is saved\n"
    )


def test_a_home_that_cannot_be_written_is_no_matter(tmp_path: Path):
    (tmp_path / "home").write_text("a file")
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import tn_train.outputs\n"
        "from tn_train.checkpoint import Record\n"
        "from tn_train.plot import write_curve\n"
        "write_curve(Path(sys.argv[1]), [Record(step, 0.0, 1.0, {}) for step in range(3)])\n"
    )
    homes = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": str(tmp_path / "home" / "none")}
    done = python(script, tmp_path / "a.png", environment=homes)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize("name", ["a.preview.png", "a.loss.png"])
def test_the_exemplar_is_not_overwritten(outputs: Outputs, name: str, tmp_path: Path):
    write_preview(tmp_path / name, outputs.exemplars, torch.zeros(1, 3, 4, 4))
    with pytest.raises(RequestError, match=r"is an input, and would be replaced"):
        outputs.check([tmp_path / name])


def test_a_strangers_picture_is_not_overwritten_and_ours_is(outputs: Outputs, tmp_path: Path):
    outputs.run.history = [Record(step, 0.0, 1.0, {}) for step in range(3)]
    outputs.evaluation = Evaluation(1.0, {}, torch.zeros(1, 3, 4, 4), flat=False)
    assert len(outputs.finish()) == 3
    outputs.check([tmp_path / "leaves.jpg"])
    for name in ("a.preview.png", "a.loss.png"):
        before = (tmp_path / name).read_bytes()
        Image.new("RGB", (4, 4)).save(tmp_path / name)
        with pytest.raises(RequestError, match=f"{name} is there, tn-train did not make it"):
            outputs.check([tmp_path / "leaves.jpg"])
        (tmp_path / name).write_bytes(before)


def test_names_too_long_for_what_comes_later_are_refused_first(outputs: Outputs, tmp_path: Path):
    long = Outputs(outputs.run, outputs.exemplars, tmp_path / ("ü" * 124 + ".pt"))
    with pytest.raises(RequestError, match="has 260 bytes, and names of files end at 255"):
        long.check([tmp_path / "leaves.jpg"])


def test_a_preview_needs_no_matplotlib():
    done = python("import sys, tn_train.outputs; assert 'matplotlib' not in sys.modules")
    assert done.returncode == 0, done.stderr
