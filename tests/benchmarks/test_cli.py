"""tn-bench as a process: one line out, one line of error, what is interrupted is kept."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tn_bench.cli import main

LAYERS = ("--layers", "relu1_1,relu2_1")


def command(*arguments):
    return [sys.executable, "-c", "from tn_bench.cli import main; main()", *map(str, arguments)]


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def tn_bench(*arguments):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), check=False
    )


@pytest.fixture(scope="module")
def exemplar(grain, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "grain.png"
    Image.fromarray(np.tile(grain, (2, 2, 1))[:112, :120]).save(path)
    return path


def test_gatys(exemplar, tmp_path):
    output = tmp_path / "made.png"
    done = tn_bench("gatys", exemplar, "-o", output, "--steps", 3, "--size", 40, *LAYERS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("evaluation 1  loss ")
    assert done.stdout.startswith(f"{output}: loss ")
    assert done.stdout.count("\n") == 1
    assert size_of(output) == (40, 37)


def test_gatys_from_coarse_to_fine(exemplar, tmp_path):
    output = tmp_path / "made.png"
    arguments = ("--pyramid", "--steps", 2, "--size", 64, *LAYERS)
    done = tn_bench("gatys", exemplar, "-o", output, *arguments)
    assert done.returncode == 0, done.stderr
    assert size_of(output) == (64, 60)


def test_gatys_with_a_photo_in_json(exemplar, tmp_path):
    output = tmp_path / "made.jpg"
    done = tn_bench(
        *("gatys", exemplar, "-o", output, "--content", exemplar, "--content-size", 48),
        *("--steps", 3, "--init", "noise", "--variation", 0.1, "--average", "--json", *LAYERS),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["output"] == str(output)
    assert [record["evaluations"] for record in facts["records"]] == [1, 2, 3]
    assert size_of(output) == (48, 45)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_interrupted_is_kept(exemplar, tmp_path, sent, code):
    output = tmp_path / "made.png"
    arguments = ("gatys", exemplar, "-o", output, "--steps", 100000, "--size", 64, *LAYERS)
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        first = process.stderr.readline()
        process.send_signal(sent)
        rest = process.stderr.read()
    assert first.startswith("evaluation ")
    assert process.returncode == code
    assert f"saved {output} as it was after" in rest
    assert size_of(output) == (64, 60)


def test_quality(exemplar):
    done = tn_bench("quality", exemplar, exemplar, "--gatys", exemplar, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["pictures"] == [str(exemplar)]
    rows = {row["name"]: row for row in facts["rows"]}
    assert rows["style, trained layers"]["pictures"] == pytest.approx([0], abs=1e-6)
    assert rows["patches 8x"]["gatys"] == 0
    assert facts["diversity"] == {}


def test_quality_for_people(exemplar):
    done = tn_bench("quality", exemplar, exemplar, exemplar)
    assert done.returncode == 0, done.stderr
    assert "marginals, unseen layers" in done.stdout
    assert "style relu1_2" not in done.stdout
    assert "diversity" not in done.stdout
    assert done.stderr.startswith("the exemplar repeats itself")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gatys", "missing.png", "-o", "out.png"), "missing.png cannot be read"),
        (("gatys", "{}", "-o", "out.xyz"), "out.xyz"),
        (("gatys", "{}", "-o", "out.png", "--size", "16"), "at least 32x32"),
        (("gatys", "{}", "-o", "out.png", "--layers", "relu9_1"), "no layer relu9_1"),
        (("gatys", "{}", "-o", "out.png", "--variation", "-1"), "--variation -1.0 is not a weight"),
        (("gatys", "{0}", "-o", "o.png", "--pyramid", "--content", "{0}"), "--pyramid is for"),
        (("gatys", "{}", "-o", "out.png", "--crop", "9"), "crop '9' is not a region"),
        (("gatys", "{}", "-o", "out.png", "--device", "abacus"), "device 'abacus' is not here"),
        (("gatys", "{}", "-o", "out.png", "--content", "gone.png"), "gone.png cannot be read"),
        (("gatys", "{0}", "-o", "o.png", "--content", "{0}", "--content-size", "9"), "least 32x32"),
        (
            ("gatys", "{0}", "-o", "o.png", "--content", "{0}", "--layers", "relu4_2"),
            "relu4_2 desc",
        ),
        (("quality", "{}", "missing.png"), "missing.png cannot be read"),
        (("quality", "{}", "{}", "--size", "100"), "the exemplar is 100x93"),
    ],
)
def test_errors_are_one_line(exemplar, tmp_path, monkeypatch, in_process, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, stderr = in_process("tn-bench", main, *(each.format(exemplar) for each in arguments))
    assert code == 2
    [line] = stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("grain.png", "grain.png is an input, and would be replaced; name another output"),
        ("photo.png", "photo.png is an input, and would be replaced"),
        ("none/a.png", "none/a.png cannot be written: the folder "),
        ("folder.png", "folder.png cannot be written: it is a folder; name a file"),
        ("a" * 252 + ".png", "has 256 bytes, and names of files end at 255"),
    ],
)
def test_outputs_are_checked_before_the_first_step(
    exemplar, tmp_path, monkeypatch, in_process, output, message
):
    monkeypatch.chdir(tmp_path)
    for name in ("grain.png", "photo.png"):
        (tmp_path / name).write_bytes(exemplar.read_bytes())
    (tmp_path / "folder.png").mkdir()
    arguments = ("grain.png", "--content", "photo.png", "-o", output)
    code, stderr = in_process("tn-bench", main, "gatys", *arguments, "--size", 48, "--steps", 1)
    assert code == 2
    [line] = stderr.splitlines()
    assert message in line
    for name in ("grain.png", "photo.png"):
        assert (tmp_path / name).read_bytes() == exemplar.read_bytes()
    assert list((tmp_path / "folder.png").iterdir()) == []


def test_help_needs_no_torch():
    code = "import sys, tn_bench.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), check=False)
    assert done.returncode == 0
