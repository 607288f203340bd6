"""A run of all suites on tiny networks, and the report of it, by the command line."""

import dataclasses
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tn_bench import cli, config, subjects
from tn_bench.results import load
from tn_bench.subjects import PACKAGED, bundled
from tn_bench.suites import NAMES
from tn_runtime import providers
from tn_runtime.session import shipped

TINY = dataclasses.replace(
    config.QUICK,
    runs=1,
    seconds=0.0,
    gatys_sizes=(64,),
    gatys_steps=4,
    seeds=2,
    judged=1,
    latency_sizes=(64,),
    variants=("program", "plain", "eager"),
    scaling_sizes=(64, 128),
    photos=1,
    sample_size=64,
    minutes=0.02,
    cold_runs=1,
    batches=(1,),
    one_thread=False,
)


@pytest.fixture(scope="module")
def exemplar(grain, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "grain.png"
    Image.fromarray(np.tile(grain, (2, 2, 1))[:112, :120]).save(path)
    return path


@pytest.fixture(scope="module")
def tn_bench():
    """Runs the command in this process, with little to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "QUICK", TINY)

        def run(*words):
            patch.setattr(sys, "argv", ["tn-bench", *map(str, words)])
            with pytest.raises(SystemExit) as done:
                cli.main()
            return done.value.code

        yield run


@pytest.fixture(scope="module")
def folder(tn_bench, tiny_model, tiny_instance_model, exemplar, tmp_path_factory):
    """What two commands left: the second goes on where the first ended."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    models = (tiny_model, tiny_instance_model)
    subjects = [word for model in models for word in ("--subject", f"{model}={exemplar}")]
    common = ("--quick", "--device", "cpu", "-o", folder, *subjects)
    assert tn_bench("run", "parity", *common) == 0
    first = load(folder)
    assert tn_bench("run", *common) == 0
    kept = load(folder).of("parity")
    assert [each for each in kept if each.done] == [each for each in first.outcomes if each.done]
    return folder


def test_every_suite_measures(folder):
    results = load(folder)
    assert set(results.planned) == set(NAMES)
    for name in NAMES:
        outcomes = results.of(name)
        assert len(outcomes) == results.planned[name]
        assert any(each.done for each in outcomes)
        assert [each.failure for each in outcomes if each.failure] == []
    skipped = [(each.suite, each.skipped) for each in results.outcomes if each.skipped]
    obstacle = providers.cuda().obstacle
    assert skipped == ([("parity", obstacle)] * 2 if obstacle else [])


def test_figures_are_what_they_say(folder):
    results = load(folder)
    for side in ("generator", "gatys"):
        assert all(loss > 0 for loss in results.values("loss", side=side, kind="texture"))
    gatys = results.values("gatys loss", kind="texture")
    assert len(gatys) == TINY.gatys_steps
    assert gatys[-1] < gatys[0]
    assert (
        results.values("gatys seconds")
        == sorted(results.values("gatys seconds")[:4]) + (results.values("gatys seconds")[4:])
    )
    assert len(results.values("loss", side="generator", kind="texture", model="tiny")) >= TINY.seeds
    program = results.values("memory", variant="program", kind="texture")
    assert max(program) + 50 < min(results.values("memory", variant="eager", kind="texture"))
    assert results.values("differing samples", against="windows") == [0]
    assert max(results.values("largest difference", against="PyTorch")) <= 1


def test_the_report_shows_every_suite(folder, tn_bench, tmp_path, capsys):
    assert tn_bench("report", folder, "-o", tmp_path / "report.html") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(tmp_path / f"report{end}") for end in (".html", ".md", "_plots")]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 8
    assert "Not measured" not in page
    assert "Unfinished" not in page
    for title in ("Against Gatys&#39; optimisation", "Latency and memory", "Parity"):
        assert f"<h2>{title}</h2>" in page


def test_another_extent_does_not_mix(folder, tn_bench, tiny_model, exemplar, capsys):
    words = ("run", "parity", "--quick", "--device", "cpu", "-o", folder)
    assert tn_bench(*words, "--subject", f"{tiny_model}={exemplar}") == 2
    assert "another choice of models or exemplars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "speed", "-o", "{}"), "there is no suite 'speed'; choose from gatys, latency"),
        (("run", "--device", "abacus", "-o", "{}"), "device 'abacus' is unknown"),
        (("run", "--subject", "moss.onnx", "-o", "{}"), "has another form than MODEL=EXEMPLAR"),
        (("report", "{}", "-o", "{}.html"), "measure first, tn-bench run -o"),
        (("report", "{}", "-o", "{}.pdf"), "end it in .html"),
    ],
)
def test_errors_are_one_line(tn_bench, tmp_path, capsys, words, message):
    assert tn_bench(*(word.format(tmp_path / "out") for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_cuda_that_is_not_here_is_refused(tn_bench, tmp_path, capsys):
    if providers.cuda().obstacle is None:
        pytest.skip("CUDA is here")
    assert tn_bench("run", "--device", "cuda", "-o", tmp_path / "out") == 2
    assert "CUDA cannot be measured here: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_shipped_models_are_measured_with_the_very_pictures_they_were_trained_on(tmp_path):
    found, missing = bundled(None)
    assert [subject.name for subject in found] == ["dead_leaves", "great_wave"]
    assert set(missing) == set(shipped()) - {"dead_leaves", "great_wave"}
    picture = tmp_path / missing["moss"]
    picture.write_bytes(b"another picture of that name")
    assert bundled(tmp_path) == (found, missing)


def test_exemplars_that_the_package_lacks_come_from_a_folder(tmp_path, monkeypatch):
    """Packaged ones come first, so that every run compares the same models with Gatys."""
    monkeypatch.setattr(subjects, "PACKAGED", subjects.PACKAGED[-1:])
    for path in (PACKAGED[0] / "dead_leaves.jpg", PACKAGED[1] / "cat.jpg"):
        shutil.copy(path, tmp_path)
    assert [subject.name for subject in bundled(None)[0]] == ["great_wave"]
    found, missing = bundled(tmp_path)
    assert [subject.name for subject in found] == ["great_wave", "dead_leaves"]
    assert found[1].exemplar == tmp_path / "dead_leaves.jpg"
    assert "dead_leaves" not in missing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pictures", "nowhere"], "nowhere is no folder: "),
        (["--pictures", ".", "--subject", "a.onnx=a.jpg"], "leave it out beside --subject"),
    ],
)
def test_a_folder_of_exemplars_that_cannot_be(arguments, said, tn_bench, tmp_path, capsys):
    assert tn_bench("run", *arguments, "-o", tmp_path / "out") == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
