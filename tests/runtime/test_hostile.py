"""Hostile input ends as a result or as one clear line: no traceback, crash, hang or gigabytes."""

import subprocess
import sys

import numpy as np
import pytest

from runtime import contract, hostile, style_contract
from runtime.processes import ENVIRONMENT, PEAK, python

KINDS = list(hostile.sound_pictures())
FEW, MANY = 6, 60

WORK = """
import pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
from tn_runtime.errors import TextureNetworksError
from tn_runtime.pictures import read
counts = [0, 0]
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(path.name, file=sys.stderr, flush=True)
    try:
        picture = read(path)
        picture.srgb(), picture.alpha()
        counts[0] += 1
    except TextureNetworksError as error:
        assert str(path) in str(error) and chr(10) not in str(error), str(error)
        counts[1] += 1
assert peak() < 900_000, peak()
print(*counts)
"""


def decoded(folder, files):
    """Read files in one process; return how many were pictures and how many were refused."""
    for number, data in enumerate(files):
        (folder / f"{number:04}.png").write_bytes(data)
    command = [sys.executable, "-c", PEAK + WORK, str(folder)]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    lines = {line.strip() for line in done.stderr.splitlines()}
    assert lines == {path.name for path in folder.iterdir()}  # no library has anything to say
    return tuple(map(int, done.stdout.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.hard)])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_nearly_sound(tmp_path, kind, count):
    rng = np.random.default_rng(KINDS.index(kind))
    data = hostile.sound_pictures()[kind]
    sound, refused = decoded(tmp_path, [data, *hostile.mutations(data, rng, count)])
    assert sound >= 1
    assert sound + refused == count + 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_bombs_and_files_that_call_for_others(tmp_path):
    files = list(hostile.bombs())
    sound, refused = decoded(tmp_path, files)
    assert (sound, refused) == (2, len(files) - 2)  # those with texts that are left out


RUN = """
import contextlib, io, pathlib, sys
sys.argv[0] = "tn-run"
from tn_runtime import cli, console
codes = []
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(path.name, file=sys.stderr, flush=True)
    sys.argv[1:] = ["info", str(path)]
    try:
        cli.main()
    except SystemExit as end:
        codes.append(end.code)
print(*sorted(set(codes)), file=sys.stderr)
"""


@pytest.mark.parametrize("count", [24, pytest.param(300, marks=pytest.mark.hard)])
@pytest.mark.parametrize("module", [contract, style_contract])
def test_models_nearly_sound(tmp_path, module, count):
    data, rng = module.model_bytes(), np.random.default_rng(count)
    for number, each in enumerate(hostile.mutations(data, rng, count)):
        (tmp_path / f"{number:04}.onnx").write_bytes(each)
    done = python(RUN, tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-1500:]
    *lines, codes = done.stderr.splitlines()
    assert set(codes.split()) <= {"0", "2"}
    names = {path.name for path in tmp_path.iterdir()}
    others = [line for line in lines if line.strip() not in names]
    assert all(line.startswith("error: ") for line in others), others[:3]


ARGUMENTS = ["", "-1", "0", "1e9", "nan", "9" * 40, "../x", "a\0b", "%s%n", "é", "--", "1,2", "∞"]
OPTIONS = ["--size", "--seed", "--origin", "--threads", "--provider", "-o", "--sheet", "--tileable"]
OPTIONS += ["--strength", "--max-size", "--max-pixels", "--format", "--quality", "--stroke-scale"]

CALL = """
import json, os, sys
sys.argv[0] = "tn-run"
from tn_runtime import cli
for words in json.loads(sys.stdin.read()):
    sys.argv[1:] = words
    try:
        cli.main()
    except SystemExit as end:
        assert end.code in (0, 1, 2), (words, end.code)
"""


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.hard)])
def test_arguments_of_every_kind(tmp_path, count):
    import json

    (tmp_path / "plain.onnx").write_bytes(contract.model_bytes())
    rng = np.random.default_rng(count)
    calls = []
    for _ in range(count):
        words = ["texture" if rng.random() < 0.7 else "style", "plain.onnx"]
        for _ in range(int(rng.integers(1, 5))):
            words += [str(rng.choice(OPTIONS)), str(rng.choice(ARGUMENTS))]
        calls.append([word.replace("\0", "") for word in words])
    done = python(CALL, cwd=tmp_path, input=json.dumps(calls), timeout=600)
    assert done.returncode == 0, done.stderr[-1500:]
    assert "Traceback" not in done.stderr
    starts = ("error: ", "ran on ")
    assert all(line.startswith(starts) for line in done.stderr.splitlines()), done.stderr[:2000]
