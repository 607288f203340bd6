"""A checkpoint is data: it executes nothing, and whatever is wrong with it is one line."""

import contextlib
import dataclasses
import math
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tn_runtime.errors import CheckpointError
from tn_train import checkpoint as checkpoints
from tn_train.checkpoint import MARK, Checkpoint, Record
from tn_train.config import Crop, GeneratorConfig, Stage
from tn_train.generator import Generator


@pytest.fixture
def full(fresh: Checkpoint) -> Checkpoint:
    return dataclasses.replace(
        fresh,
        exemplars=(dataclasses.replace(fresh.exemplars[0], crop="1,2,30x40"),),
        steps=10,
        seconds=2.5,
        loss=0.25,
        weights=Generator(fresh.config).state_dict(),
        history=(Record(10, 2.5, 0.25, {"relu1_1": 0.25}),),
    )


@pytest.fixture
def path(full: Checkpoint, tmp_path: Path) -> Path:
    checkpoints.save(full, tmp_path / "full.pt")
    return tmp_path / "full.pt"


def test_round_trip(full: Checkpoint, path: Path):
    loaded = checkpoints.load(path)
    for field in dataclasses.fields(Checkpoint):
        if field.name != "weights":
            assert getattr(loaded, field.name) == getattr(full, field.name)
    assert all(torch.equal(loaded.weights[name], full.weights[name]) for name in full.weights)
    assert loaded.crop == Crop(1, 2, 30, 40)
    assert not loaded.generator().training


def rewrite(path: Path, **changes) -> None:
    torch.save(torch.load(path, weights_only=True) | changes, path)


class Evil:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_evil_pickles_are_not_executed(path: Path, tmp_path: Path):
    victim = tmp_path / "executed"
    torch.save({MARK: 1, "name": Evil(victim)}, tmp_path / "archive.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(victim)))
    rewrite(path, state={"rng": Evil(victim)})
    for evil in (tmp_path / "archive.pt", tmp_path / "bare.pt", path):
        with pytest.raises(CheckpointError, match="not a checkpoint of tn-train"):
            checkpoints.load(evil)
    assert not victim.exists()
    pickle.loads((tmp_path / "bare.pt").read_bytes())  # it would have
    assert victim.exists()


def test_truncated_files(path: Path):
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            checkpoints.load(path)


def test_a_damaged_byte_is_found(path: Path):
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda each: each.file_size)
    data[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoints.load(path)


def test_foreign_files(tmp_path: Path, path: Path):
    foreign = tmp_path / "foreign.pt"
    torch.save({"state_dict": {}}, foreign)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "text")
    (tmp_path / "text.pt").write_text("text")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("foreign.pt", "zip.pt", "text.pt", "list.pt"):
        with pytest.raises(CheckpointError, match="not a checkpoint of tn-train"):
            checkpoints.load(tmp_path / name)
    with pytest.raises(CheckpointError, match="directory"):
        checkpoints.load(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoints.load(tmp_path / "missing.pt")


def test_a_later_format_asks_for_an_upgrade(path: Path):
    rewrite(path, **{MARK: 99})
    with pytest.raises(CheckpointError, match=r"format 99.*upgrade"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {}},
        {"weights": {"to_rgb.bias": 3}},
        {"weights": None},
        {"config": {"widths": (8, 8)}},
        {"config": {"widths": (10**9, 10**9, 10**9)}},
        {"config": {"widths": ()}},
        {"config": {"widths": 7}},
        {"config": {"widths": (8, -8)}},
        {"config": {"depth": 3}},
        {"config": "paper"},
        {"training": {"size": "1"}},
        {"exemplars": ({"name": "a"},)},
        {"exemplars": ()},
        {"history": [1]},
        {"history": None},
        {"steps": "many"},
        {"steps": True},
        {"steps": -1},
        {"seconds": None},
        {"seconds": math.nan},
        {"loss": "0.25"},
        {"state": "x"},
        {"history": [{"step": 1, "seconds": 1.0, "loss": 1.0, "layers": {"relu1_1": "x"}}]},
        {"name": 3},
    ],
)
def test_inconsistent_files(path: Path, changes):
    rewrite(path, **changes)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("config", {"branch": "8"}),
        ("config", {"branch": -1}),
        ("config", {"join_norm": 1}),
        ("config", {"noise_channels": 0}),  # a texture is made of nothing else
        ("config", {"styles": 0}),
        ("config", {"styles": 2}),  # of BatchNorm there is one for all
        ("config", {"slope": -0.1}),
        ("config", {"slope": 1.0}),
        ("config", {"widths": [8, 8, 8.0]}),
        ("training", {"learning_rate": "a"}),
        ("training", {"learning_rate": math.nan}),
        ("training", {"layers": "relu1_1"}),
        ("training", {"layers": []}),
        ("training", {"stages": ()}),
        ("training", {"stages": ({"share": 1.0, "sample": 16, "batch": 0},)}),
        ("training", {"stages": ({"share": 1.0, "sample": 18, "batch": 1},)}),
        ("training", {"averaging": 1.0}),
        ("training", {"grid_weight": -1.0}),
        ("training", {"tie_weight": math.inf}),
        ("training", {"lattice_weight": math.nan}),
        ("training", {"seed": 2**63}),
        ("budget", {"minutes": "x"}),
        ("budget", {"minutes": 0.0}),
        ("budget", {"steps": 0}),
        ("exemplars", {"width": 1.5}),
        ("exemplars", {"credit": None}),
        ("exemplars", {"crop": "a"}),
    ],
)
def test_values_of_other_types_and_impossible_ones(path: Path, part: str, changes):
    data = torch.load(path, weights_only=True)
    before = data[part]
    after = [each | changes for each in before] if part == "exemplars" else before | changes
    rewrite(path, **{part: after})
    with pytest.raises(CheckpointError):
        checkpoints.load(path)


def test_lists_of_other_writers_are_tuples_here(path: Path, full: Checkpoint):
    data = torch.load(path, weights_only=True)
    rewrite(path, training=data["training"] | {"layers": ["relu1_1", "relu2_1"]})
    assert checkpoints.load(path).training == full.training


def test_missing_fields(path: Path):
    data = torch.load(path, weights_only=True)
    for name in set(data) - {MARK}:
        torch.save({key: value for key, value in data.items() if key != name}, path)
        with pytest.raises(CheckpointError, match="not a sound checkpoint"):
            checkpoints.load(path)


def test_weights_that_are_not_finite(path: Path, full: Checkpoint):
    weights = {
        name: torch.full_like(w, torch.nan) if w.is_floating_point() else w
        for name, w in full.weights.items()
    }
    rewrite(path, weights=weights)
    with pytest.raises(CheckpointError, match="not finite"):
        checkpoints.load(path)


def test_an_unwritable_place_leaves_the_old_file(path: Path, full: Checkpoint, tmp_path: Path):
    with pytest.raises(OSError, match="does not exist"):
        checkpoints.save(full, tmp_path / "nowhere" / "a.pt")
    before = path.read_bytes()
    broken = dataclasses.replace(full, state={"a": lambda: None})
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save(broken, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["full.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_an_error_of_the_system(path: Path, full: Checkpoint, tmp_path: Path):
    import resource

    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            checkpoints.save(full, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["full.pt"]


def test_a_run_that_made_nothing_has_no_generator(path: Path):
    rewrite(path, loss=math.inf)
    with pytest.raises(CheckpointError, match="go on with it"):
        checkpoints.load(path).generator()


def test_six_levels(fresh: Checkpoint, tmp_path: Path):
    config = GeneratorConfig(widths=(48, 40, 32, 24, 16, 8))
    weights = Generator(config).state_dict()
    training = dataclasses.replace(fresh.training, stages=(Stage(1.0, 32, 2),))
    six = dataclasses.replace(fresh, config=config, training=training, weights=weights, loss=0.5)
    checkpoints.save(six, tmp_path / "six.pt")
    assert checkpoints.load(tmp_path / "six.pt").generator().parameter_count == 116_915


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.hard)])
def test_files_nearly_sound_are_read_or_refused(tiny_checkpoint: Path, tmp_path: Path, count: int):
    from runtime.hostile import mutations

    for each in mutations(tiny_checkpoint.read_bytes(), np.random.default_rng(count), count):
        (tmp_path / "a.pt").write_bytes(each)
        with contextlib.suppress(CheckpointError):
            checkpoints.load(tmp_path / "a.pt")
