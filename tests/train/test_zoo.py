"""`tn-train zoo`: all models of a list, what is done is skipped, and stops are gone on from."""

import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from tn_runtime.errors import RequestError
from tn_train import checkpoint as checkpoints
from tn_train.cli import main
from tn_train.zoo import Entry, read_zoo
from train.pictures import pattern
from train.test_base import entry

LIST = Path(__file__).parents[2] / "train/zoo.toml"


def model(path: Path, kind: str = "texture", **changes: object) -> str:
    """Return an entry of a list; the smallest model that trains."""
    facts = {"steps": 1, "size": 48} | changes
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in facts.items()]
    return "\n".join([entry(path, kind), *lines, ""])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "moss.png"
    Image.fromarray(pattern(48, 48)).save(path)
    return path


def written(tmp_path: Path, *entries: str) -> Path:
    path = tmp_path / "zoo.toml"
    path.write_text("\n".join(entries))
    return path


def test_all_are_trained_what_is_done_is_skipped_and_one_that_fails_stops_no_other(
    in_process, picture, tmp_path, capsys
):
    listed = written(
        tmp_path,
        model(picture, name="moss"),
        model(picture, name="tiny", size=4),
        model(picture, name="fern", seed=3),
    )
    out = tmp_path / "made"
    words = ("zoo", listed, "-o", out, "--pictures", tmp_path, "--device", "cpu")
    code, stderr = in_process("tn-train", main, *words)
    assert code == 1
    assert "error: tiny: " in stderr
    assert sorted(each.name for each in out.glob("*.pt")) == ["fern.pt", "moss.pt"]
    fern = checkpoints.load(out / "fern.pt")
    assert (fern.steps, fern.training.seed, fern.exemplars[0].credit) == (
        1,
        3,
        "A. Painter: Moss (1900)",
    )

    listed.write_text(listed.read_text().replace("steps = 1", "steps = 2", 1))  # of moss
    before = (out / "fern.pt").read_bytes()
    code, stderr = in_process("tn-train", main, *words)
    assert checkpoints.load(out / "moss.pt").steps == 2  # it went on
    assert (out / "fern.pt").read_bytes() == before

    listed.write_text(listed.read_text().replace("seed = 3", "seed = 4"))
    code, stderr = in_process("tn-train", main, *words)
    assert code == 1
    assert "error: fern: --seed 4 contradicts" in stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "'' is no name for a model"),
        ({"name": "a/b"}, "'a/b' is no name for a model"),
        ({"name": "moss", "steps": 0}, "moss: 0 steps are no length of a run"),
        ({"name": "n" * 300}, "has 312 bytes, and names of files end at"),
        ({"name": "moss", "minutes": 1.0}, "two ways to say how long"),
        ({"name": "moss", "preset": "pap"}, "moss has the preset 'pap': choose from funnel, paper"),
        ({"name": "moss", "colour": 1}, "a [[texture]] has 'colour'; its names are file, title,"),
        ({"name": 1}, "a [[texture]] is not sound"),
    ],
)
def test_a_list_that_cannot_be_is_refused(picture, tmp_path, changes, message):
    with pytest.raises(RequestError) as error:
        read_zoo(written(tmp_path, model(picture, **changes)), tmp_path)
    assert message in str(error.value)


def test_names_are_unique_and_missing_pictures_are_named(picture, tmp_path):
    twice = written(tmp_path, *[model(picture, name="moss")] * 2)
    with pytest.raises(RequestError, match="names 'moss' twice"):
        read_zoo(twice, tmp_path)
    with pytest.raises(RequestError, match=r"are missing \(moss.png\)"):
        read_zoo(written(tmp_path, model(picture, name="moss")), None)
    with pytest.raises(RequestError, match="gone is not a folder"):
        read_zoo(written(tmp_path, model(picture, name="moss")), tmp_path / "gone")
    with pytest.raises(RequestError, match="no list of pictures in TOML"):
        read_zoo(written(tmp_path, "a = " + 5000 * "["), tmp_path)
    with pytest.raises(RequestError, match=r"has no \[\[texture\]\]"):
        read_zoo(written(tmp_path), None)


def test_the_project_s_own_list_is_sound():
    data = tomllib.loads(LIST.read_text())
    entries = [Entry(**each) for kind in ("texture", "style") for each in data[kind]]
    assert set(data) == {"texture", "style"}
    assert len({each.name for each in entries}) == len(entries)
    assert {each.license for each in entries} <= {"CC0-1.0", "public domain"}


@pytest.mark.hard
def test_models_are_trained_alike_on_ray_when_a_task_is_killed(picture, tmp_path):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    listed = written(
        tmp_path,
        model(picture, name="moss", steps=40),
        model(picture, name="fern", steps=40, seed=3),
    )
    script = "import sys; sys.argv[0] = 'tn-train'; from tn_train.cli import main; main()"
    words = ("zoo", listed, "--pictures", tmp_path, "--device", "cpu", "-o")

    def trained(folder: str, *more: str) -> dict[str, torch.Tensor]:
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, words), str(tmp_path / folder), *more],
            env={**os.environ, "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert "2 models: 2 trained, 0 there before" in done.stdout
        return {
            f"{name}.{key}": value
            for name in ("moss", "fern")
            for key, value in checkpoints.load(tmp_path / folder / f"{name}.pt").weights.items()
        }

    killer = threading.Thread(target=kill_a_training, daemon=True)
    killer.start()
    together = trained("together", "--ray", "auto")
    assert not killer.is_alive()
    alone = trained("alone")
    assert all(torch.equal(together[name], value) for name, value in alone.items())


def kill_a_training() -> None:
    while True:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::_train"):
                    time.sleep(3)
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return
            except (FileNotFoundError, ProcessLookupError):
                continue
        time.sleep(0.05)
