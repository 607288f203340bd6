"""tn-run style as people and scripts meet it: one photo, streams, folders, and runs cut short."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from runtime import style_contract
from runtime.processes import ENVIRONMENT, TN_RUN, start_tn_run, tn_run
from tn_runtime.commands import photo_jobs
from tn_runtime.pictures import read
from tn_runtime.version import __version__

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and links of POSIX")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("style") / "plain.onnx"
    path.write_bytes(style_contract.model_bytes())
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Be in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo(path, size=(40, 50), mode="RGB", seed=0):
    """Write a photo, and return its path."""
    channels = len(mode)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def is_stylised(output, source, seed=0):
    np.testing.assert_array_equal(
        read(output).srgb(), style_contract.expected(read(source).srgb(), seed)
    )


def succeeds(*arguments, **options):
    done = tn_run("style", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done


def fails(*arguments, **options):
    """Run, and return the one error line."""
    done = tn_run("style", *arguments, **options)
    assert done.returncode == 2, done
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def errors(stderr):
    assert "Traceback" not in stderr
    return [line for line in stderr.splitlines() if line.startswith("error: ")]


def files(folder):
    """Return the names of all files below."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


# One photo


def test_a_photo_becomes_a_file_that_says_how_it_was_made(model, folder):
    source = photo(folder / "a.png", (60, 700))
    done = succeeds(model, source, "-o", "b.png", "--seed", "-4", "--strength", "1")
    is_stylised("b.png", source, -4)
    assert done.stdout.startswith("b.png: ")
    assert done.stdout.count("\n") == 1
    assert done.stderr.startswith("ran on ")
    assert done.stderr.count("\n") == 1
    with Image.open("b.png") as image:
        image.load()
        assert image.text == {
            "Software": f"texture-networks {__version__}",
            "Model": "plain style",
            "Model-SHA256": hashlib.sha256(model.read_bytes()).hexdigest(),
            "Photo": "a.png",
            "Photo-SHA256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "Seed": "-4",
            "Strength": "1.0",
            "Keep-Colors": "no",
            "Stroke-Scale": "1.0",
            "Max-Size": "none",
        }


def test_a_file_is_replaced_and_the_photo_itself_is_not(model, folder):
    source = photo(folder / "a.png")
    before = source.read_bytes()
    photo(folder / "b.png", seed=1)
    succeeds(model, source, "-o", "b.png")
    is_stylised("b.png", source)
    assert "a.png is an input, and would" in fails(model, "a.png", "-o", "a.png")
    (folder / "sub").mkdir()
    assert "sub/../a.png is a.png, an input" in fails(model, "a.png", "-o", "sub/../a.png")
    (folder / "link.png").hardlink_to(source)
    assert "link.png is a.png, an input" in fails(model, "a.png", "-o", "link.png")
    assert source.read_bytes() == before


def test_options_reach_the_picture(model, folder):
    source = photo(folder / "a.png", (200, 100))
    done = succeeds(
        *(model, source, "-o", "b.png", "--strength", "0", "--max-size", "50", "--json"),
        *("--provider", "cpu", "--threads", "1", "--keep-colors", "--stroke-scale", "2"),
    )
    facts = json.loads(done.stdout)
    assert done.stderr == ""
    assert (facts["outputs"], facts["skipped"], facts["failed"]) == (["b.png"], [], [])
    options = ("seed", "strength", "keep_colors", "stroke_scale", "max_size")
    assert [facts[each] for each in options] == [0, 0, True, 2, 50]
    assert (facts["model"], facts["provider"]) == ("plain style", "cpu")
    assert read("b.png").srgb().shape == (50, 25, 3)


def test_a_seed_without_noise_has_no_effect_and_is_told_so(folder):
    (folder / "m.onnx").write_bytes(style_contract.model_bytes(style_contract.NORMALIZED))
    source = photo(folder / "a.png")
    plain = succeeds("m.onnx", source, "-o", "b.png", "--json", "--provider", "cpu")
    seeded = succeeds(
        *("m.onnx", source, "-o", "c.png", "--json", "--provider", "cpu", "--seed", "0")
    )
    assert plain.stderr == ""
    assert seeded.stderr == "normalized style takes no noise: --seed 0 has no effect\n"
    for name, done in (("b.png", plain), ("c.png", seeded)):
        assert json.loads(done.stdout)["seed"] is None
        with Image.open(name) as image:
            image.load()
            assert "Seed" not in image.text
    np.testing.assert_array_equal(read("b.png").srgb(), read("c.png").srgb())


def test_quality_is_of_jpeg(model, folder):
    source = photo(folder / "a.png", (100, 100))
    sizes = []
    for quality in ("20", "95"):
        succeeds(model, source, "-o", "b.jpg", "--quality", quality)
        sizes.append((folder / "b.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_alpha_is_kept_or_missed(model, folder):
    source = photo(folder / "a.png", mode="RGBA")
    assert "alpha" not in succeeds(model, source, "-o", "b.png").stderr
    with Image.open("b.png") as made, Image.open(source) as given:
        assert made.getchannel("A").tobytes() == given.getchannel("A").tobytes()
    assert "b.jpg is without the photo's alpha" in succeeds(model, source, "-o", "b.jpg").stderr


def test_16_bits_are_kept_or_missed(model, folder):
    deep = np.random.default_rng(0).integers(0, 65536, (30, 40, 3), np.uint16)
    tifffile.imwrite(folder / "a.tiff", deep, photometric="rgb")
    assert "bits" not in succeeds(model, "a.tiff", "-o", "b.tiff", "--strength", "0").stderr
    np.testing.assert_array_equal(tifffile.imread(folder / "b.tiff"), deep)
    assert "b.jpg has 8 bits of the photo's 16" in succeeds(model, "a.tiff", "-o", "b.jpg").stderr


def test_streams(model, folder):
    source = photo(folder / "a.jpg")
    command = [sys.executable, "-W", "error", "-c", TN_RUN, "style", str(model), "-", "-o", "-"]
    done = subprocess.run(
        command, input=source.read_bytes(), capture_output=True, env=ENVIRONMENT, check=True
    )
    (folder / "b.png").write_bytes(done.stdout)
    is_stylised(folder / "b.png", source)
    with source.open("rb") as stream:
        succeeds(model, "-", "-o", "c.tiff", stdin=stream)
    is_stylised(folder / "c.tiff", source)
    assert "stdin is empty" in fails(model, "-", "-o", "d.png", stdin=subprocess.DEVNULL)
    (folder / "out").mkdir()
    error = fails(model, "-", "-o", "out", stdin=subprocess.DEVNULL)
    assert "the photo on stdin has no name" in error
    assert "-o - takes one photo" in fails(model, "out", "-o", "-")
    assert "goes alone" in fails(model, "-", source, "-o", "out", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strength", "2"], "strength 2 is out of range; it is 0 to 1"),
        (["--strength", "nan"], "strength nan"),
        (["--strength", "much"], "--strength"),
        (["--stroke-scale", "9"], "stroke scale 9 is out of range; it is 0.25"),
        (["--seed", str(2**63)], "out of range"),
        (["--max-size", "0"], "max size 0 is out of range"),
        (["--max-pixels", "many"], "--max-pixels 'many' is not a number of pixels; write 400MP"),
        (["--max-pixels", "0"], "write 400MP"),
        (["--quality", "101", "-o", "b.jpg"], "quality 101 is out of range; it is 1 to 100"),
        (["--quality", "80"], "--quality is of JPEG and WebP"),
        (["--format", "bmp"], "'png', 'jpg', 'webp', 'tiff'"),
        (["--format", "jpg"], "--format jpg is not the format of -o b.png; leave it out"),
        (["-o", "b.gif"], "choose one of .png"),
        (["-o", "none/b.png"], "error: none/b.png cannot be written: the folder "),
        (["--threads", "0"], "not 0"),
    ],
)
def test_what_the_user_can_mend_is_one_line(model, folder, arguments, message, refused):
    photo(folder / "a.png")
    assert message in refused("style", model, "a.png", "-o", "b.png", *arguments)
    assert files(folder) == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "jpg"], "--format jpg is not the format of -o -"),
        (["--json"], "both want stdout"),
    ],
)
def test_what_stdout_cannot_take_is_one_line(model, folder, arguments, message):
    photo(folder / "a.png")
    assert message in fails(model, "a.png", "-o", "-", *arguments)


def test_options_are_checked_before_the_model_is_read(folder, refused):
    arguments = ("none.onnx", photo(folder / "a.png"), "-o", "b.png", "--strength", "7")
    assert "strength 7" in refused("style", *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"no photo", "not a picture that can be read"),
    ],
)
def test_a_bad_photo_is_one_line(model, folder, content, message, refused):
    if content is not None:
        (folder / "a.png").write_bytes(content)
    assert message in refused("style", model, "a.png", "-o", "b.png")
    assert not (folder / "b.png").exists()


def test_large_photos_are_read_when_asked_for(model, folder):
    photo(folder / "a.png", (60, 50))
    error = fails(model, "a.png", "-o", "b.png", "--max-pixels", "2999")
    assert "scale it down, or allow more (tn-run style: --max-pixels)" in error
    succeeds(model, "a.png", "-o", "b.png", "--max-pixels", "3000")
    succeeds(model, "a.png", "-o", "b.png", "--max-pixels", "1mp")


def test_each_kind_of_model_has_its_command(model, plain_model, folder):
    photo(folder / "a.png")
    assert "it takes no photo: tn-run texture" in fails(plain_model, "a.png", "-o", "b.png")
    done = tn_run("texture", model, "-o", "b.png")
    assert done.returncode == 2
    assert "it stylises photos: tn-run style" in errors(done.stderr)[0]
    assert files(folder) == ["a.png"]


def test_of_sixteen_bits_it_is_said_once_that_the_network_paints_with_eight(model, folder):
    (folder / "in").mkdir()
    for name in ("a", "b"):
        array = np.full((20, 30, 3), 777, np.uint16)
        tifffile.imwrite(folder / "in" / f"{name}.tiff", array, photometric="rgb")
    done = succeeds(model, "in", "-o", "out")
    assert [line for line in done.stderr.splitlines() if "16 bits" in line] == [
        "the output has 16 bits, as the photo; the network paints with 8 of them"
    ]
    assert "paints with 8" not in succeeds(model, "in", "-o", "jpg", "--format", "jpg").stderr
    assert "paints with 8" not in succeeds(model, "in", "-o", "same", "--strength", "0").stderr
    done = succeeds(model, "in/a.tiff", "-o", "-", text=False)
    assert done.stderr.count(b"paints with 8") == 1


# Folders


def album(folder):
    """Fill a folder with photos, and with what are none; return the photos."""
    paths = [
        photo(folder / name, seed=seed)
        for seed, name in enumerate(["b.png", "a.webp", "sub/b.png", "sub/deep/c.tiff", "d.PNG"])
    ]
    (folder / "notes.txt").write_text("no photo")
    photo(folder / ".hidden.png")
    photo(folder / ".thumbnails" / "b.png")
    return [path for path in paths if path.suffix != ".webp"]


def test_a_folder_keeps_its_structure(model, folder):
    photos = album(folder / "in")
    done = succeeds(model, "in", "-o", "out")
    assert files(folder / "out") == ["a.webp", "b.png", "d.PNG", "sub/b.png", "sub/deep/c.tiff"]
    for each in photos:
        is_stylised(folder / "out" / each.relative_to(folder / "in"), each)
    assert done.stdout.startswith("out: 5 photos: ")


def test_what_is_there_is_skipped_until_told_otherwise(model, folder):
    [source, *_] = album(folder / "in")
    (folder / "out").mkdir()
    (folder / "out" / "b.png").write_bytes(b"done before")
    done = succeeds(model, "in", "-o", "out", "--json")
    facts = json.loads(done.stdout)
    assert facts["skipped"] == [os.path.join("out", "b.png")]  # noqa: PTH118 - as it is printed
    assert len(facts["outputs"]) == 4
    assert (folder / "out" / "b.png").read_bytes() == b"done before"
    again = succeeds(model, "in", "-o", "out")
    assert "out: 0 photos, 5 skipped as done before (--overwrite" in again.stdout
    succeeds(model, "in", "-o", "out", "--overwrite")
    is_stylised(folder / "out" / "b.png", source)


@pytest.mark.parametrize("output", ["in/out", "in/sub/../out/"])
def test_outputs_below_the_photos_are_not_taken_for_photos(model, folder, output):
    album(folder / "in")
    succeeds(model, "in", "-o", output)
    assert len(files(folder / "in" / "out")) == 5
    assert "5 skipped" in succeeds(model, "in", "-o", output).stdout
    assert len(files(folder / "in" / "out")) == 5


def test_outputs_among_the_photos_are_refused(model, folder):
    album(folder / "in")
    photo(folder / "in" / "in" / "e.png")
    before = files(folder)
    for output in ("in", "in/.", "."):  # the last would make in/e.png of in/in/e.png
        assert "would lie among the photos" in fails(model, "in", "-o", output)
    error = fails(model, "in/b.png", "in/sub/b.png", "-o", "in")
    assert "b.png would lie among the photos" in error
    assert files(folder) == before


def test_names_that_meet_are_reported_and_the_rest_is_done(model, folder):
    source = photo(folder / "in" / "a.png")
    photo(folder / "in" / "a.bmp", seed=1)
    photo(folder / "in" / "b.png", seed=2)
    photo(folder / "other" / "a.png", seed=3)
    for arguments, others in ((["in"], ["a.bmp"]), (["in", "other"], ["other", "a.bmp"])):
        done = tn_run("style", model, *arguments, "-o", "out", "--overwrite", "--json")
        assert done.returncode == 1
        facts = json.loads(done.stdout)
        assert [os.path.basename(each) for each in facts["outputs"]] == ["a.png", "b.png"]  # noqa: PTH119
        for failed, other in zip(facts["failed"], others, strict=True):
            assert other in failed["photo"]
            assert "would both become" in failed["error"]
        is_stylised("out/a.png", source)
    shutil.rmtree("out")
    succeeds(model, "in/a.png", "in/../in/a.png", "in/a.png", "-o", "out")


def test_names_that_meet_where_case_is_ignored(folder, monkeypatch):
    probe = folder / "probe.txt"
    probe.touch()
    assert photo_jobs._ignores_case(folder / "none") == (folder / "PROBE.TXT").exists()
    names = ["in/a.png", "other/A.png", "other/b.png"]
    for name in names:
        photo(folder / name)
    worklist = photo_jobs.plan([Path("in"), Path("other")], "out")
    if not (folder / "PROBE.TXT").exists():
        assert (len(worklist.jobs), worklist.clashes) == (3, [])
    monkeypatch.setattr(photo_jobs, "_ignores_case", lambda _: True)
    worklist = photo_jobs.plan([Path("in"), Path("other")], "out")
    assert [str(job.photo) for job in worklist.jobs] == [names[0], names[2]]
    [clash] = worklist.clashes
    assert (clash["photo"], clash["output"]) == (names[1], str(Path("out", "A.png")))
    assert "in/a.png and other/A.png would both become" in clash["error"]


def test_a_full_disk_ends_a_folder_run_and_what_is_done_is_kept(model, folder, small_disk):
    for number in range(9):
        photo(folder / "in" / f"{number}.png", (64, 64), seed=number)  # noise: 12 kB each
    disk = small_disk(64 * 1024)
    error = fails(model, "in", "-o", disk)
    assert re.match(r"error: .*disk/\d.png cannot be written: No space left on device; make", error)
    done = files(disk)
    assert 1 <= len(done) < 9
    for name in done:
        is_stylised(disk / name, folder / "in" / name)
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    again = succeeds(model, "in", "-o", disk)
    assert f"{9 - len(done)} photos, {len(done)} skipped" in again.stdout
    assert len(files(disk)) == 9


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--quality", "50"], ["a.jpg", "b.png", "c.png", "d.TIF"]),
        (["--format", "webp", "--quality", "50"], ["a.webp", "b.webp", "c.webp", "d.webp"]),
        (["--format", "tiff"], ["a.tiff", "b.tiff", "c.tiff", "d.tiff"]),
    ],
)
def test_outputs_have_the_photos_suffix_or_one_for_all(model, folder, options, expected):
    for name in ("a.jpg", "b.gif", "c.bmp", "d.TIF"):
        photo(folder / "in" / name, (9, 9))
    succeeds(model, "in", "-o", "out", *options)
    assert files(folder / "out") == expected
    formats = {"jpg": "JPEG", "tif": "TIFF"}
    for name in expected:
        with Image.open(folder / "out" / name) as image:
            suffix = name.rpartition(".")[2].lower()
            assert image.format == formats.get(suffix, suffix.upper())


def test_one_photo_goes_into_a_folder_that_is_one(model, folder):
    photo(folder / "a.png")
    (folder / "out").mkdir()
    succeeds(model, "a.png", "-o", "out")
    is_stylised("out/a.png", "a.png")
    succeeds(model, "a.png", "-o", "new/")
    is_stylised("new/a.png", "a.png")


def test_bad_files_do_not_stop_the_rest(model, folder):
    photos = album(folder / "in")
    (folder / "in" / "a.jpg").write_bytes(b"no photo")
    (folder / "in" / "sub" / "a.png").write_bytes(photos[0].read_bytes()[:500])
    (folder / "out" / "d.PNG").mkdir(parents=True)
    done = tn_run("style", model, "in", "missing.png", "-o", "out", "--overwrite", "--json")
    assert done.returncode == 1
    facts = json.loads(done.stdout)
    assert len(facts["outputs"]) == 4
    reasons = [failed["error"] for failed in facts["failed"]]
    assert [f"error: {reason}" for reason in reasons] == errors(done.stderr)
    for words in (
        "a.jpg is not a picture",
        "is damaged",
        "d.PNG cannot be written: it is a folder",
        "No such file",
    ):
        assert sum(words in reason for reason in reasons) == 1
    is_stylised("out/sub/b.png", "in/sub/b.png")
    again = tn_run("style", model, "in", "missing.png", "-o", "out")
    assert again.returncode == 1
    assert "out: 0 photos, 5 skipped as done before" in again.stdout
    assert ", 3 failed (in" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty", "-o", "out"], "empty: no photos there; their names end in .avif"),
        (["in", "-o", "in/b.png"], "b.png is a file; several photos go into a folder"),
        (["in", "-o", "b.jpg"], "b.jpg is a name for one picture; name a folder for several"),
        (["in", "-o", "in/b.png/out"], "cannot be made: Not a directory"),
    ],
)
def test_folders_that_cannot_be(model, folder, arguments, message, refused):
    photo(folder / "in" / "b.png")
    (folder / "empty").mkdir()
    assert message in refused("style", model, *arguments)
    assert files(folder) == ["in/b.png"]


@POSIX
def test_links_to_folders_are_not_followed(model, folder):
    photo(folder / "in" / "b.png")
    (folder / "in" / "again").symlink_to(folder / "in")
    succeeds(model, "in", "-o", "out")
    assert files(folder / "out") == ["b.png"]


def shown_on(terminal):
    """Return what comes next; Linux ends with an error where others end with nothing."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@POSIX
def test_a_terminal_shows_how_far_it_is(model, folder):
    import pty

    for name in ("[a].png", "[bold]b.png"):
        photo(folder / "in" / name, (300, 300))
    (folder / "in" / "c.png").write_bytes(b"no photo")
    terminal, end = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", TN_RUN, "style", model, "in", "-o", "out"]
    process = subprocess.Popen(
        list(map(str, command)), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=end, text=True
    )
    os.close(end)
    shown = b"".join(iter(lambda: shown_on(terminal), b"")).decode()
    os.close(terminal)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stdout.startswith("out: 2 photos, 1 failed")
    assert "error: in/c.png is not a picture" in shown
    assert "photos" in shown
    assert "Traceback" not in shown


# Runs cut short


def start_album(model, folder, count=12):
    """Start a run over a folder, and wait until a few photos are done and others are not."""
    first = photo(folder / "in" / "00.png", (700, 900))
    for number in range(1, count):
        shutil.copy(first, folder / "in" / f"{number:02}.png")
    process = start_tn_run(
        "style", model, folder / "in", "-o", folder / "out", "--threads", 1, start_new_session=True
    )
    while process.poll() is None and len(finished(folder)) < 2:
        time.sleep(0.005)
    assert process.poll() is None
    return process


def finished(folder):
    return sorted(path.name for path in folder.glob("out/*.png") if path.name[0] != ".")


@POSIX
def test_a_killed_run_started_again_ends_complete(model, folder):
    process = start_album(model, folder)
    process.kill()
    process.communicate(timeout=60)
    before = finished(folder)
    assert 2 <= len(before) < 12
    partial = folder / "out" / ".partial-0123456789abcdef.png"
    partial.write_bytes(b"what a kill leaves behind")
    done = succeeds(model, "in", "-o", "out")
    assert f"out: {12 - len(before)} photos, {len(before)} skipped" in done.stdout
    assert finished(folder) == [f"{number:02}.png" for number in range(12)]
    is_stylised("out/00.png", "in/00.png")
    for name in finished(folder)[1:]:
        with Image.open(folder / "out" / name) as image:
            assert image.text["Photo"] == name
        np.testing.assert_array_equal(read(folder / "out" / name).srgb(), read("out/00.png").srgb())


@POSIX
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_run_leaves_whole_files_alone(model, folder, name, code):
    process = start_album(model, folder)
    process.send_signal(getattr(signal, name))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    assert stderr == ("interrupted\n" if code == 130 else "")
    assert finished(folder) == files(folder / "out")
    for each in finished(folder):
        is_stylised(folder / "out" / each, folder / "in" / each)


@POSIX
def test_pipes_in_a_folder_are_not_waited_for(model, folder):
    photo(folder / "in" / "a.png")
    os.mkfifo(folder / "in" / "b.png")
    succeeds(model, "in", "-o", "out/", timeout=60)
    assert files(folder / "out") == ["a.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
def test_names_in_no_encoding_are_names(model, folder):
    name = os.fsdecode(b"\xff.png")
    photo(folder / "in" / name)
    succeeds(model, "in", "-o", "out/")
    is_stylised(folder / "out" / name, folder / "in" / name)


def test_quality_without_an_output_that_has_it_is_refused(model, folder):
    photo(folder / "in" / "a.png")
    assert "--quality is of JPEG" in fails(model, "in", "-o", "out/", "--quality", "80")
    assert not (folder / "out").exists()
