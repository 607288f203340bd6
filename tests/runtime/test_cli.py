"""tn-run as people and scripts meet it: real processes, their output and their exit codes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import contract
from runtime.processes import TN_RUN, python, start_tn_run, tn_run
from tn_runtime.pictures import read
from tn_runtime.session import shipped
from tn_runtime.version import __version__

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals, devices, limits of POSIX")


def succeeds(*arguments, **options):
    done = tn_run(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done


def fails(*arguments, **options):
    """Run, and return the one error line."""
    done = tn_run(*arguments, **options)
    assert done.returncode == 2, done
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def the_error(stderr):
    [line] = [each for each in stderr.splitlines() if not each.startswith("ran on ")]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("arguments", [["--help"], ["texture", "--help"], ["--version"], []])
def test_help_is_light(arguments):
    script = (
        "import sys, io, contextlib\n"
        "sys.argv[0] = 'tn-run'\n"
        "from tn_runtime.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'onnxruntime', 'PIL', 'tifffile'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = python(script, *arguments)
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout or "Usage" in done.stdout


def test_a_picture_is_what_the_model_makes(plain_model, tmp_path):
    done = succeeds(
        *("texture", plain_model, "-o", tmp_path / "a.png", "--size", "700x33"),
        *("--seed", "-4", "--origin", "-50,1000000000"),
    )
    expected = contract.expected((33, 700), -4, (10**9, -50))
    np.testing.assert_array_equal(read(tmp_path / "a.png").srgb(), expected)
    assert done.stdout.count("\n") == 1
    assert "a.png" in done.stdout
    assert done.stderr.startswith("ran on ")
    assert done.stderr.count("\n") == 1
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.text == {
            "Software": f"texture-networks {__version__}",
            "Model": "plain",
            "Model-SHA256": hashlib.sha256(plain_model.read_bytes()).hexdigest(),
            "Seed": "-4",
            "Size": "700x33",
            "Origin": "-50,1000000000",
            "Period": "0,0",
        }


@pytest.mark.parametrize(
    ("option", "period"),
    [("--tileable", (32, 64)), ("--tileable-x", (0, 64)), ("--tileable-y", (32, 0))],
)
def test_tileable(plain_model, tmp_path, option, period):
    output = tmp_path / "a.tiff"
    succeeds("texture", plain_model, "-o", output, "--size", "64x32", "--origin", "9,9", option)
    expected = contract.expected((32, 64), 0, (9, 9), period)
    np.testing.assert_array_equal(read(output).srgb(), expected)


def test_a_range_of_seeds_makes_numbered_files_and_json_names_them(plain_model, tmp_path):
    done = succeeds(
        *("texture", plain_model, "-o", tmp_path / "a.png", "--size", "5", "--seed", "8..10"),
        *("--json", "--provider", "cpu", "--threads", "1"),
    )
    facts = json.loads(done.stdout)
    names = [str(tmp_path / f"a_{number}.png") for number in ("08", "09", "10")]
    assert facts["outputs"] == names
    assert (facts["provider"], facts["seeds"], facts["model"]) == ("cpu", [8, 9, 10], "plain")
    assert (facts["failed"], facts["seconds"] >= 0) == ([], True)
    assert done.stderr == ""
    for name, seed in zip(names, (8, 9, 10), strict=True):
        np.testing.assert_array_equal(read(name).srgb(), contract.expected((5, 5), seed))


def test_of_several_files_one_may_fail(plain_model, tmp_path):
    (tmp_path / "a_2.png").mkdir()
    arguments = ("texture", plain_model, "-o", tmp_path / "a.png", "--size", "5", "--seed", "1..3")
    done = tn_run(*arguments, "--json")
    assert done.returncode == 1
    assert "a_2.png cannot be written: it is a folder" in the_error(done.stderr)
    facts = json.loads(done.stdout)
    assert facts["outputs"] == [str(tmp_path / f"a_{seed}.png") for seed in (1, 3)]
    assert facts["seeds"] == [1, 3]
    [failed] = facts["failed"]
    assert failed["output"] == str(tmp_path / "a_2.png")
    assert f"error: {failed['error']}" == the_error(done.stderr)
    for seed in (1, 3):
        pixels = read(tmp_path / f"a_{seed}.png").srgb()
        np.testing.assert_array_equal(pixels, contract.expected((5, 5), seed))
    done = tn_run(*arguments)
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert done.stdout.startswith("2 of 3 pictures")


def test_what_no_file_can_have_is_said_once(plain_model, tmp_path):
    error = fails(
        *("texture", plain_model, "-o", tmp_path / "a.png", "--size", "5", "--seed", "1..3"),
        "--tileable",
    )
    assert "5 pixels cannot tile" in error


def test_a_sheet_is_one_file(plain_model, tmp_path):
    succeeds(
        *("texture", plain_model, "-o", tmp_path / "a.png"),
        *("--size", "30x20", "--seed", "1..4", "--sheet"),
    )
    sheet = read(tmp_path / "a.png").srgb()
    np.testing.assert_array_equal(sheet[-20:, -30:], contract.expected((20, 30), 4))
    assert len(list(tmp_path.iterdir())) == 1


def test_stdout_takes_a_png(plain_model, tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        done = tn_run(
            *("texture", plain_model, "-o", "-", "--size", "600x40"),
            capture_output=False,
            stdout=file,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read(tmp_path / "a.png").srgb(), contract.expected((40, 600)))


def test_info_and_models_speak_json(plain_model):
    facts = json.loads(succeeds("info", plain_model, "--json").stdout)
    assert facts["file"] == plain_model.name
    assert str(plain_model.parent) not in json.dumps(facts)  # a file to publish
    assert facts["self_test"]["inputs"]["period"] == [0, 8]
    assert (facts["name"], facts["kind"], facts["stride"]) == ("plain", "texture", 4)
    assert facts["sha256"] == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    assert facts["exemplars"][0]["name"] == "nothing.png"
    shown = succeeds("info", plain_model).stdout
    assert "exemplars.1.name" in shown
    assert max(map(len, shown.splitlines())) < 140


def test_shipped_models_are_listed_by_what_one_types(tmp_path):
    (tmp_path / "dead_leaves").write_bytes(b"no model")  # a file wins over a name, but not here
    known = json.loads(succeeds("models", "--json", cwd=tmp_path).stdout)
    assert [each["name"] for each in known] == list(shipped())
    assert [each["path"] for each in known] == [str(path) for path in shipped().values()]
    kinds = {each["name"]: each["kind"] for each in known}
    assert (kinds["citrus"], kinds["great_wave"]) == ("texture", "style")
    assert all(each["exemplars"][0]["credit"] for each in known)
    assert succeeds("models", cwd=tmp_path).stdout.startswith(f"{min(shipped())} ")


def test_the_name_typed_is_that_of_the_file(plain_model, tmp_path):
    (tmp_path / "gravel.onnx").write_bytes(plain_model.read_bytes())
    script = "import pathlib, tn_runtime.session as session\n"
    script += f"session.MODELS = pathlib.Path({str(tmp_path)!r})\n{TN_RUN}"
    assert [each["name"] for each in json.loads(python(script, "models", "--json").stdout)] == [
        "gravel"
    ]


def test_a_name_works_wherever_a_path_does(tmp_path):
    path = shipped()["dead_leaves"]
    assert succeeds("info", "dead_leaves").stdout == succeeds("info", path).stdout
    for model, name in (("dead_leaves", "a.png"), (path, "b.png")):
        succeeds("texture", model, "-o", tmp_path / name, "--size", "16x9")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_doctor_speaks_json():
    facts = json.loads(succeeds("doctor", "--json").stdout)
    assert [each["name"] for each in facts["providers"]] == ["cuda", "cpu"]
    assert "cpu: runs" in succeeds("doctor").stdout


def test_info_for_people_has_no_empty_rows_and_no_long_numbers(tiny_model):
    lines = succeeds("info", tiny_model).stdout.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert rows["training.loss"] == "0.25"
    assert rows["parity.float_error"] == f"{float(rows['parity.float_error']):.4g}"
    assert rows["training.config.stages.1.sample"] == "128"
    assert "exemplar.crop" not in rows
    starts = {line.index(rows[line.split()[0]], len(line.split()[0])) for line in lines}
    assert len(starts) == 1  # one column


def test_doctor_runs_the_self_test_of_a_model(plain_model, tmp_path):
    shown = succeeds("doctor", plain_model).stdout
    assert "cpu: runs: 'plain' passes its self-test: every byte is equal" in shown
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(contract.model_bytes(replace=[("{0, 85, 170}", "{9, 94, 179}")]))
    done = tn_run("doctor", wrong)
    assert done.returncode == 1
    assert "cpu: does not run: " in done.stdout
    assert "wrong pixels on CPU" in done.stdout
    assert tn_run("doctor", tmp_path / "none.onnx").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "12by7"], "give WxH"),
        (["--size", "0"], "size 0x0"),
        (["--seed", "one"], "give a number"),
        (["--seed", "9..1"], "write it 1..9"),
        (["--seed", "0..1000000"], "at most 100000"),
        (["--seed", str(2**63)], "out of range"),
        (["--origin", "5"], "give X,Y"),
        (["--sheet"], "--sheet needs several seeds"),
        (["--tileable", "--size", "101x64"], "the nearest is 100 or 104"),
        (["--provider", "tpu"], "'auto', 'cuda', 'cpu'"),
        (["--threads", "0"], "not 0"),
        (["--threads", "99999999999"], "must be 1 to 1024, or left out, not 99999999999"),
        (["--threads", "many"], "--threads"),
        (["--colour"], "No such option: --colour (see tn-run texture --help)"),
        (["-o", "a.bmp"], "choose one of .png"),
        (["-o", "a.webp", "--size", "20000x1"], "take .png or .tiff"),
        (["-o", "none/a.png"], "error: none/a.png cannot be written: the folder "),
        (["-o", "."], "error: . cannot be written: it is a folder; name a file"),
        (["-o", "a" * 250 + ".png", "--seed", "9..10"], "names of files end at 255"),
    ],
)
def test_what_the_user_can_mend_is_one_line(plain_model, tmp_path, arguments, message, refused):
    assert message in refused("texture", plain_model, "-o", "a.png", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json"], "both want stdout"),
        (["--seed", "1..2"], "takes one picture"),
        (["--sheet", "--seed", "1..9", "--size", "2000000000"], "too large for PNG"),
    ],
)
def test_what_stdout_cannot_take_is_one_line(plain_model, arguments, message):
    assert message in fails("texture", plain_model, "-o", "-", *arguments)


@pytest.mark.parametrize("command", ["info", "texture"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither a file nor the name"),
        (b"", "is empty"),
        (b"PK\x03\x04", "tn-export"),
        (b"\xff\xd8\xff\xe0", "bad.onnx is not an ONNX file; name a model that tn-export wrote"),
        (contract.model_bytes()[:300], "is not an ONNX model"),
        (contract.model_bytes(metadata={}), "another project"),
    ],
)
def test_bad_models_are_one_line(tmp_path, command, content, message, refused):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    output = ["-o", tmp_path / "a.png"] if command == "texture" else []
    assert message in refused(command, path, *output)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("arguments", [["paint"], ["texture"], ["info"]])
def test_usage_errors_point_to_the_help(arguments, refused):
    assert "--help)" in refused(*arguments)


@POSIX
def test_what_takes_long_is_said_on_a_terminal_and_wiped_off():
    import pty

    ours, theirs = pty.openpty()
    script = (
        "from tn_runtime.console import busy, note\n"
        "with busy('loading ...'): pass\n"
        "note('error: none.png')\n"
    )
    python(script, capture_output=False, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 1000) == b"loading ...\r           \rerror: none.png\r\n"
    os.close(ours)
    assert "loading" not in python(script).stderr


@POSIX
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg", ".webp"])
def test_a_full_disk_leaves_nothing(plain_model, tmp_path, suffix):
    import resource

    def small_files():
        # Beyond the limit a write fails as on a full disk, once the signal is ignored.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    error = fails(
        *("texture", plain_model, "-o", tmp_path / f"a{suffix}", "--size", "600"),
        preexec_fn=small_files,
    )
    assert f"a{suffix} cannot be written: File too large" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux and BSD")
@pytest.mark.parametrize("command", [["texture", "-o", "-", "--size", "600"], ["info"]])
def test_a_full_disk_behind_stdout_is_an_error(plain_model, command):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = tn_run(
            command[0],
            plain_model,
            *command[1:],
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 2
    assert "No space left" in the_error(done.stderr)


def any_larger(folder, size):
    return any(path.stat().st_size > size for path in folder.iterdir())


@POSIX
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_an_interrupted_run_leaves_nothing(plain_model, tmp_path, name, code, suffix):
    process = start_tn_run(
        *("texture", plain_model, "-o", tmp_path / f"a{suffix}", "--size", "20000x20000"),
    )
    # In the midst of the work: Cython modules swallow a Ctrl-C that meets their import.
    while process.poll() is None and not any_larger(tmp_path, 1000):
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    assert stderr == ("interrupted\n" if code == 130 else "")
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_nohup_lets_it_go_on(plain_model, tmp_path):
    process = start_tn_run(
        *("texture", plain_model, "-o", tmp_path / "a.png", "--size", "1500x3000"),
        before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)",
    )
    while process.poll() is None and not any_larger(tmp_path, 1000):
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert read(tmp_path / "a.png").srgb().shape == (3000, 1500, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
def test_names_in_no_encoding_are_names(plain_model, tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/\xff.png")
    assert "\\udcff.png" in succeeds("texture", plain_model, "-o", name, "--size", "4").stdout
    done = succeeds("texture", plain_model, "-o", name, "--size", "4", "--json")
    assert json.loads(done.stdout)["outputs"] == [name]


@POSIX
def test_a_closed_pipe_ends_quietly(plain_model):
    process = start_tn_run("texture", plain_model, "-o", "-", "--size", "20000x20000")
    process.stdout.buffer.read(10)
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert "error" not in stderr
    assert "Traceback" not in stderr


def test_the_file_runs_under_onnx_runtime_alone(tiny_model, tmp_path):
    succeeds(
        *("texture", tiny_model, "-o", tmp_path / "a.png", "--size", "70x40", "--origin=-3,5"),
        *("--seed", "6"),
    )
    script = """
import sys
sys.modules["tn_runtime"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
integers = {"seed": [6], "origin": [5, -3], "size": [40, 70], "period": [0, 0]}
[image] = session.run(None, {name: np.array(value) for name, value in integers.items()})
np.save(sys.argv[2], image[0])
"""
    done = python(script, tiny_model, tmp_path / "a.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), read(tmp_path / "a.png").srgb())
