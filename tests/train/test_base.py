"""`tn-train base`, and what starts from it."""

import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tn_runtime.errors import CheckpointError, RequestError
from tn_train import checkpoint as checkpoints
from tn_train.cli import main
from tn_train.collection import read_collection
from tn_train.config import PRESETS
from tn_train.generator import Generator
from tn_train.plan import Options, plan
from train.pictures import pattern

PAINTINGS = ("waves", "dots")


def entry(path: Path, kind: str = "painting", **changes: str) -> str:
    facts = {
        "file": path.name,
        "title": path.stem.title(),
        "author": "A. Painter",
        "year": "1900",
        "source": "a museum",
        "license": "public domain",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    } | changes
    lines = [f'{name} = "{value}"' for name, value in facts.items()]
    return "\n".join([f"[[{kind}]]", *lines, ""])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two paintings, and four photos to practise on."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate((*PAINTINGS, "a", "b", "c", "d")):
        Image.fromarray(pattern(40 + number, 48)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def listed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("list") / "base.toml"
    entries = [entry(folder / f"{name}.png") for name in PAINTINGS]
    entries += [entry(folder / f"{name}.png", "photo") for name in "abcd"]
    path.write_text("\n".join(entries))
    return path


def called(*arguments: object) -> int:
    before, sys.argv = sys.argv, ["tn-train", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
    return end.value.code


@pytest.fixture(scope="module")
def trained(listed: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base of two steps."""
    out = tmp_path_factory.mktemp("base") / "both.pt"
    command = ("base", listed, "-o", out, "--pictures", folder, "--steps", 2, "--device", "cpu")
    assert called(*command) == 0
    return out


def test_a_base_has_norms_for_each_painting_and_no_more_than_others_need(trained: Path):
    kept = checkpoints.load(trained)
    assert kept.config == dataclasses.replace(PRESETS["style"]["instance"].generator, styles=2)
    assert [exemplar.style for exemplar in kept.exemplars] == list(PAINTINGS)
    assert kept.exemplars[0].credit == "A. Painter: Waves (1900)"
    assert kept.content.count == 4
    assert kept.state == {}
    assert {weight.dtype for weight in kept.weights.values()} == {torch.float16}
    assert trained.stat().st_size < 2**20
    weight = kept.generator().coarsest[1].weight
    assert weight.shape == (2, 32)
    assert not torch.equal(*weight)
    with Image.open(trained.with_suffix(".preview.png")) as preview:
        assert preview.height > 2 * 256  # a line for each painting


def planned(folder: Path, tmp_path: Path, **more: object):
    path = tmp_path / "new.png"
    Image.fromarray(pattern(48, 60)).save(path)
    exemplars = more.pop("exemplars", (path,))
    return plan(Options(exemplars, tmp_path / "new.pt", kind="style", content=folder, **more))


def test_a_new_painting_begins_with_the_kernels_and_the_mean_of_the_norms(
    trained: Path, folder: Path, tmp_path: Path
):
    checkpoint = planned(folder, tmp_path, start=trained).checkpoint
    shared = checkpoints.load(trained).generator().state_dict()
    assert checkpoint.started_from == "both, 2 steps"
    assert set(checkpoint.weights) == set(shared)
    for name, weight in checkpoint.weights.items():
        expected = shared[name].mean(0, keepdim=True) if weight.ndim == 2 else shared[name]
        assert torch.equal(weight, expected), name


def test_a_painting_that_the_base_knows_begins_as_the_base_paints_it(
    trained: Path, folder: Path, tmp_path: Path
):
    both = (folder / "dots.png", folder / "waves.png")
    checkpoint = planned(folder, tmp_path, start=trained, exemplars=both).checkpoint
    known, new = checkpoints.load(trained).generator(), Generator(checkpoint.config).eval()
    new.load_state_dict(checkpoint.weights)
    rng = torch.Generator().manual_seed(0)
    photo = [torch.rand(shape, generator=rng) for shape in known.input_shapes(2, 64, 64)]
    with torch.no_grad():
        painted = new(*photo, style=torch.eye(2))
        expected = known(*photo, style=torch.eye(2).flip(0))
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-5)
    assert (painted[0] - painted[1]).abs().max() > 0.01


def test_a_run_begins_with_the_weights_it_is_given(trained: Path, folder: Path, tmp_path: Path):
    new = tmp_path / "new.png"
    Image.fromarray(pattern(48, 60)).save(new)
    words = ("--content", folder, "--steps", 1, "--device", "cpu", "--layers", "relu1_2")
    losses = {}
    for name, start in (("both", ("--from", trained)), ("none", ())):
        out = tmp_path / f"{name}.pt"
        assert called("style", new, "-o", out, *start, *words) == 0
        run = checkpoints.load(out)
        losses[run.started_from] = run.history[0].loss
    assert losses["both, 2 steps"] != losses[""]


def test_a_run_that_goes_on_has_its_start(folder: Path, tmp_path: Path):
    with pytest.raises(RequestError, match="--from is for a run that begins"):
        planned(folder, tmp_path, resume=True, start=Path("a.pt"))


def test_a_finished_base_has_no_state_to_go_on_with(trained: Path, listed: Path, folder: Path):
    before = trained.read_bytes()
    command = ("base", listed, "-o", trained, "--pictures", folder, "--steps", 4, "--resume")
    assert called(*command) == 2
    assert trained.read_bytes() == before


def test_there_must_be_a_picture(folder: Path, tmp_path: Path):
    with pytest.raises(RequestError, match="no picture to learn from"):
        planned(folder, tmp_path, exemplars=())


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_are_those_that_pytorch_takes(folder: Path, tmp_path: Path, seed: int):
    with pytest.raises(RequestError, match=f"the seed is {seed}: it is 0 to"):
        planned(folder, tmp_path, seed=seed)


def test_another_network_is_no_start(trained: Path, folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"another network than the preset.*leave out --from"):
        planned(folder, tmp_path, preset="paper", start=trained)


def test_styles_go_by_their_names(folder: Path, tmp_path: Path):
    twin = tmp_path / "waves.jpg"
    Image.fromarray(pattern()).save(twin)
    with pytest.raises(RequestError, match=r"two paintings are named 'waves'.*rename one"):
        planned(folder, tmp_path, exemplars=(folder / "waves.png", twin))


def test_a_list_says_what_is_wrong_with_it(folder: Path, tmp_path: Path):
    path, waves = tmp_path / "list.toml", folder / "waves.png"
    sound = entry(waves)
    for text, says in (
        ("[[painting", "no list of pictures in TOML"),
        ("[[sculpture]]\n", r"'sculpture': its tables are \[\[painting\]\] and \[\[photo\]\]"),
        ("painting = 3\n", r"write a table \[\[painting\]\]"),
        (entry(waves, "photo"), r"has no \[\[painting\]\]"),
        ("[[painting]]\nfile = 'waves.png'\n", r"a \[\[painting\]\] is not sound.*title"),
        (entry(waves, file="../waves.png"), "is no name of a file"),
        (entry(waves, sha256="0" * 64), r"is not the picture in .*take the one from a museum"),
        (sound + entry(waves, file="gone.png"), r"1 of the 2 .* missing \(gone.png\): put them"),
    ):
        path.write_text(text)
        with pytest.raises(RequestError, match=says):
            read_collection(path, folder)
    path.write_text(sound)
    assert list(read_collection(path, folder).paintings) == [waves]
    with pytest.raises(RequestError, match="give their folder as --pictures"):
        read_collection(path, None)
