"""`tn-train` as a person meets it: real files, real processes."""

import functools
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tn_runtime.version import __version__
from tn_train import checkpoint as checkpoints
from tn_train import cli
from tn_train.cli import main
from tn_train.config import Budget
from tn_train.options import RunOptions
from tn_train.plan import Options, plan
from train.pictures import pattern
from train.processes import ENVIRONMENT, python, run_tn_train, start_tn_train

TINY = ("--layers", "relu1_1,relu2_1", "--size", "32", "--device", "cpu")


@pytest.fixture
def call(in_process):
    """Return a function that calls `tn-train` in this process."""
    return functools.partial(in_process, "tn-train", main)


def test_a_run_makes_its_files(picture: Path, tmp_path: Path):
    out = tmp_path / "leaf.pt"
    words = ("--credit", "A. Person", "--license", "CC0", "--crop", "4,4,36x30")
    done = run_tn_train("texture", picture, "-o", out, "--steps", 5, "--seed", 5, *TINY, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: loss ")
    assert done.stdout.count("\n") == 1
    assert "step 1 " in done.stderr
    checkpoint = checkpoints.load(out)
    assert (checkpoint.name, checkpoint.preset, checkpoint.steps) == ("leaf", "funnel", 5)
    assert checkpoint.training.seed == 5
    assert checkpoint.training.layers == ("relu1_1", "relu2_1")
    assert checkpoint.exemplars[0].credit == "A. Person"
    assert checkpoint.exemplars[0].license == "CC0"
    assert (checkpoint.exemplars[0].width, checkpoint.exemplars[0].height) == (32, 27)
    for name in ("leaf.preview.png", "leaf.loss.png"):
        with Image.open(tmp_path / name) as made:
            assert min(made.size) > 10
            assert np.asarray(made.convert("L")).std() > 1
    assert len(list(tmp_path.iterdir())) == 4  # and the exemplar


@pytest.mark.parametrize("threads", [pytest.param("1", marks=pytest.mark.hard), "2"])
def test_the_same_seed_steps_and_threads_give_the_same_model(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
):
    monkeypatch.setitem(ENVIRONMENT, "OMP_NUM_THREADS", threads)
    made = []
    for name in ("first.pt", "second.pt"):
        out = tmp_path / name
        done = run_tn_train("texture", picture, "-o", out, "--steps", 5, *TINY)
        assert done.returncode == 0, done.stderr
        made.append(checkpoints.load(out).weights)
    first, second = made
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_existing_checkpoint_is_not_overwritten(picture: Path, tmp_path: Path, call):
    out = tmp_path / "mine.pt"
    out.write_bytes(b"precious")
    code, stderr = call("texture", picture, "-o", out, "--steps", 5, *TINY)
    assert code == 2
    assert "--resume" in stderr
    assert out.read_bytes() == b"precious"


def test_ctrl_c_saves_and_the_line_it_prints_goes_on(tmp_path: Path):
    picture, out = tmp_path / "my picture.png", tmp_path / "half.pt"
    Image.fromarray(pattern()).save(picture)
    process = start_tn_train("texture", picture, "-o", out, "--steps", 10**6, *TINY)
    with process:
        first = process.stderr.readline()  # a step is done
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert first.startswith("step 1 ")
    assert "Traceback" not in rest
    steps = checkpoints.load(out).steps
    assert steps >= 1

    (line,) = [each for each in rest.splitlines() if "go on with: " in each]
    words = shlex.split(line.partition("go on with: ")[2])
    assert words[0] == "tn-train"
    assert words[-2:] == ["--device", "cpu"]
    done = run_tn_train(*words[1:], "--steps", steps + 30)
    assert done.returncode == 0, done.stderr
    assert checkpoints.load(out).steps == steps + 30
    again = run_tn_train("texture", picture, "-o", out, "--resume")
    assert again.returncode == 2
    assert "is finished" in again.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="nobody sends signals there")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_save_as_well(name: str, picture: Path, tmp_path: Path):
    number, out = getattr(signal, name), tmp_path / "half.pt"
    process = start_tn_train("texture", picture, "-o", out, "--steps", 10**6, *TINY)
    with process:
        process.stderr.readline()  # a step is done
        process.send_signal(number)
        process.send_signal(number)  # as a closing terminal and its shell do
        rest = process.stderr.read()
    assert process.returncode == 143, rest
    assert "go on with: " in rest
    assert "Traceback" not in rest
    assert checkpoints.load(out).steps >= 1
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux", "tn-train 'my a.pt' --compile"), ("win32", 'tn-train "my a.pt" --compile')],
)
def test_commands_are_quoted_for_the_shell_there(platform: str, expected: str, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert cli._quoted(["tn-train", "my a.pt", "--compile"]) == expected


def test_the_command_to_go_on_keeps_what_is_not_in_the_checkpoint():
    options = Options((Path("a.png"),), Path("a.pt"), vgg19=Path("vgg.pth"))
    assert cli._again(options) == ["tn-train", "texture", "a.png", "--vgg19", "vgg.pth"]
    words = ["-o", "a.pt", "--resume"]
    asked = RunOptions(Path("a.pt"))
    assert cli._to_go_on(asked) == words
    asked = RunOptions(Path("a.pt"), device="mps", compile_=True)
    assert cli._to_go_on(asked) == [*words, "--device", "mps", "--compile"]


WITH_LITTLE_MEMORY = """
import resource, tn_train.texture
from pathlib import Path
from tn_train.cli import main
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 400 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory can be limited there")
def test_too_little_memory_is_one_line(tmp_path: Path):
    Image.fromarray(pattern(2000, 2000)).save(tmp_path / "large.png")
    arguments = ("texture", tmp_path / "large.png", "-o", tmp_path / "a.pt", "--size", 2000)
    done = python(WITH_LITTLE_MEMORY, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "error: large.png is 2000x2000 in training, which needs more memory than there is: "
        "let it be smaller, or --crop\n"
    )


def test_transparent_pixels_are_mentioned_once(tmp_path: Path, call):
    alpha(tmp_path / "alpha.png")
    arguments = ("-o", tmp_path / "a.pt", "--steps", 1, *TINY)
    code, stderr = call("texture", tmp_path / "alpha.png", *arguments)
    assert code == 0
    assert stderr.count("alpha is ignored") == 1


def grey(path: Path) -> None:
    Image.fromarray(pattern()).convert("L").save(path)


def alpha(path: Path) -> None:
    Image.fromarray(np.dstack([pattern(), pattern()[..., 0]])).save(path)


def sixteen_bit(path: Path) -> None:
    Image.fromarray(pattern()[..., 0].astype(np.uint16) * 257).save(path)


def palette(path: Path) -> None:
    Image.fromarray(pattern()).convert("P").save(path)


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: on its side
    Image.fromarray(pattern()).save(path, exif=exif)


@pytest.mark.parametrize("make", [grey, alpha, sixteen_bit, palette, rotated])
def test_exemplars_of_any_mode_train(make, tmp_path: Path, call):
    path, out = tmp_path / "any.png", tmp_path / "any.pt"
    make(path)
    code, stderr = call("texture", path, "-o", out, "--steps", 5, *TINY)
    assert code == 0, stderr
    exemplar = checkpoints.load(out).exemplars[0]
    expected = (27, 32) if make is rotated else (32, 27)
    assert (exemplar.width, exemplar.height) == expected


def bad_calls(folder: Path) -> dict[str, tuple[list[object], str]]:
    good = folder / "good.png"
    Image.fromarray(pattern()).save(good)
    (folder / "text.png").write_text("text")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good.read_bytes()[:200])
    out = ["-o", folder / "out.pt", "--steps", 1]
    return {
        "missing": ([folder / "nowhere.png", *out], "nowhere.png"),
        "directory": ([folder, *out], str(folder)),
        "text": ([folder / "text.png", *out], "text.png"),
        "empty": ([folder / "empty.png", *out], "empty.png"),
        "cut off": ([folder / "cut.png", *out], "cut.png"),
        "small": ([good, *out, "--crop", "0,0,20x20"], "at least 32x32"),
        "crop": ([good, *out, "--crop", "a"], "write X,Y,WxH"),
        "beyond": ([good, *out, "--crop", "0,0,99x9"], "48x40"),
        "layers": ([good, *out, "--layers", "relu7_1"], "its layers are"),
        "preset": ([good, *out, "--preset", "best"], "choose from funnel"),
        "device": ([good, *out, "--device", "abacus"], "choose from auto"),
        "vgg19": ([good, *out, "--vgg19", folder / "text.png"], "text.png"),
        "two budgets": ([good, *out, "--minutes", "1"], "give one"),
        "no time": (
            [good, "-o", folder / "a.pt", "--minutes", "nan"],
            "nan minutes are no length of a run",
        ),
        "no steps": ([good, "-o", folder / "a.pt", "--steps", "0"], "--steps"),
        "suffix": ([good, "-o", folder / "a.onnx"], "end it in .pt"),
        "no folder": ([good, "-o", folder / "b" / "a.pt"], "does not exist"),
        "nothing to resume": ([good, *out, "--resume"], "does not exist"),
        "unknown option": ([good, *out, "--speed"], "--speed"),
    }


CASES = [
    "missing", "directory", "text", "empty", "cut off", "small", "crop", "beyond", "layers",
    "preset", "device", "vgg19", "two budgets", "no time", "no steps", "suffix", "no folder",
    "nothing to resume", "unknown option",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_user_can_mend_is_one_line(case: str, tmp_path: Path, call):
    arguments, says = bad_calls(tmp_path)[case]
    before = set(tmp_path.iterdir())
    code, stderr = call("texture", *arguments)
    assert code == 2, stderr
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert says in stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, even root's")
def test_a_folder_that_takes_no_files_is_noticed_at_once(picture: Path, call):
    code, stderr = call("texture", picture, "-o", "/proc/a.pt", *TINY)
    assert code == 2
    assert stderr.startswith("error: /proc/a.pt cannot be written: ")
    assert stderr.count("\n") == 1


def test_a_full_disk_keeps_the_last_checkpoint(
    picture: Path, tmp_path: Path, call, small_disk, monkeypatch
):
    monkeypatch.setattr("tn_train.outputs.EVERY", 0.0)  # saved at every evaluation
    monkeypatch.setattr(Budget, "evaluations", 5)
    arguments = ("texture", picture, "--steps", 5, *TINY)
    assert call(*arguments, "-o", tmp_path / "a.pt")[0] == 0
    disk = small_disk((tmp_path / "a.pt").stat().st_size * 3 // 2)  # room for one, not for two
    out = disk / "a.pt"
    code, stderr = call(*arguments, "-o", out)
    assert code == 2
    lines = stderr.splitlines()
    assert lines.count(f"{out}: No space left on device; training goes on") == 1
    assert lines[-1] == f"error: {out}: No space left on device"
    assert 0 < checkpoints.load(out).steps < 5
    assert not [path for path in disk.iterdir() if path.name.startswith(".partial")]

    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    code, stderr = call("texture", picture, "-o", out, "--resume", "--device", "cpu")
    assert code == 0, stderr
    assert checkpoints.load(out).steps == 5


def test_resume_refuses_another_picture_and_other_options(picture: Path, tmp_path: Path, call):
    out, other = tmp_path / "a.pt", tmp_path / "other.png"
    Image.fromarray(pattern()[::-1]).save(other)
    assert call("texture", picture, "-o", out, "--steps", 5, *TINY)[0] == 0
    for arguments, says in (
        ([other, "--steps", 9], "another picture"),
        ([picture, "--steps", 9, "--size", 31], "--size 31 contradicts"),
        ([picture, "--steps", 9, "--layers", "relu1_1"], "--layers relu1_1 contradicts"),
        (
            [picture, "--steps", 9, "--layers", "relu1_1=2,relu2_1"],
            f"the weights in --layers relu1_1=2 contradicts {out}, which has none",
        ),
        ([picture, "--steps", 9, "--even-light"], "--even-light on contradicts"),
        ([picture, "--steps", 9, "--vgg19", other], "--vgg19"),
    ):
        code, stderr = call("texture", *arguments, "-o", out, "--resume")
        assert code == 2
        assert says in stderr


def test_a_crop_is_resumed_without_being_named(picture: Path, tmp_path: Path, call):
    out = tmp_path / "a.pt"
    part = ("--crop", "4,4,36x30")
    assert call("texture", picture, "-o", out, "--steps", 1, *TINY, *part)[0] == 0
    before = checkpoints.load(out)
    assert before.exemplars[0].crop == "4,4,36x30"
    options = Options((picture,), out, resume=True, budget=Budget(steps=2))
    planned = plan(options)
    assert planned.checkpoint.exemplars == before.exemplars
    assert [pixels.shape for pixels in planned.pixels] == [(1, 3, 27, 32)]
    code, stderr = call("texture", picture, "-o", out, "--resume", "--crop", "4,4,36x31")
    assert code == 2
    assert "--crop 4,4,36x31 contradicts" in stderr


def test_credit_can_be_added_afterwards(picture: Path, tmp_path: Path, call):
    out = tmp_path / "a.pt"
    assert call("texture", picture, "-o", out, "--steps", 5, *TINY)[0] == 0
    code, stderr = call("texture", picture, "-o", out, "--resume", "--credit", "A. Person")
    assert code == 0, stderr
    checkpoint = checkpoints.load(out)
    assert (checkpoint.exemplars[0].credit, checkpoint.steps) == ("A. Person", 5)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["texture", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    code = (
        "import sys\nfrom tn_train.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'matplotlib', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = python(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert "texture" in done.stdout


def test_help_is_help_and_not_an_error():
    for arguments in ((), ("--help",)):
        done = run_tn_train(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: tn-train ")
    done = run_tn_train("--version")
    assert (done.returncode, done.stdout) == (0, f"tn-train {__version__}\n")


def test_defaults_are_shown_plainly():
    done = run_tn_train("texture", "--help")
    shown = " ".join(done.stdout.split())
    for default in ("10", "funnel", "relu1_1,relu2_1,relu3_1,relu4_1", "0", "auto"):
        assert f"[default: {default}]" in shown
    assert "(" not in shown
