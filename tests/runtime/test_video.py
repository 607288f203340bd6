"""tn-run video on clips that are made here: what is kept, what is steady, and what goes on."""

import itertools
import signal
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av", reason="the extra video is not installed")

from runtime import clips
from runtime.clips import scene, write
from runtime.processes import TN_RUN, python, start_tn_run, tn_run
from tn_runtime.cli import main
from tn_runtime.session import load
from tn_runtime.stylization import Options, stylize
from tn_runtime.video.ahead import ahead
from tn_runtime.video.painting import painted, scenes
from tn_runtime.video.shots import MOST_SAMPLES, shots

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def pan(number, count, size=(48, 64)):
    return [scene(number, size, step) for step in range(count)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two shots with sound."""
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", pan(1, 8) + pan(5, 4))


@pytest.fixture
def video(in_process, tiny_instance_model, tmp_path, monkeypatch):
    """Runs tn-run video in an empty folder; returns the line on stdout and those on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(source, output, *options):
        words = ("video", tiny_instance_model, source, "-o", output, "--provider", "cpu")
        code, stderr = in_process("tn-run", main, *words, *options)
        assert code == 0, stderr
        return stderr

    return run


def test_a_cut_ends_a_shot_and_nothing_else_does():
    fade = [(scene(3) * (step / 24)).astype(np.uint8) for step in range(25)]
    flash = [*pan(1, 4), np.full((48, 64, 3), 255, np.uint8), *pan(1, 8)[5:]]
    for frames, lengths in (
        (pan(1, 8) + pan(5, 4) + pan(2, 1), [8, 4, 1]),
        (pan(1, 30), [30]),
        (flash, [len(flash)]),
        ([*fade, *pan(3, 8)], [33]),
        ([], []),
    ):
        assert [shot.frames for shot in shots(frames)] == lengths


def test_samples_of_a_shot_are_spread_over_it():
    for length in (1, 5, 8, 9, 100, 1000):
        frames = (np.full((8, 8, 3), (n * 60 // length, 0, 0), np.uint8) for n in range(length))
        [shot] = shots(frames)
        values = [int(sample[0, 0, 0]) for sample in shot.samples]
        assert min(length, MOST_SAMPLES // 2) <= len(values) <= MOST_SAMPLES
        assert values == sorted(values)
        assert values[-1] >= 25 * (length > 1)


def test_a_still_repeated_gives_equal_frames_and_a_shot_has_one_look(tiny_instance_model):
    model = load(tiny_instance_model, "cpu")
    options = Options(strength=0.8)
    still = scene(1)
    frames = [still, still, *pan(1, 8)[2:], *pan(5, 4)]
    plan = list(scenes(model, frames, (48, 64), options))
    assert [each.frames for each in plan] == [8, 4]
    made = list(painted(model, frames, plan, options))
    np.testing.assert_array_equal(made[0], made[1])
    given = model.given(plan[1].statistics)
    for number in range(8, 12):
        np.testing.assert_array_equal(made[number], stylize(given, frames[number], strength=0.8))
    later = list(painted(model, frames[9:], plan, options, first=9))
    np.testing.assert_array_equal(later, made[9:])


def test_sound_times_and_size_are_kept(video, clip, tmp_path):
    video(clip, "out.mp4")
    out = tmp_path / "out.mp4"
    assert clips.times(out) == clips.times(clip)
    assert clips.streams(out) == {"video": "h264", "audio": "aac"}
    before, after = clips.frames(clip), clips.frames(out)
    assert after.shape == before.shape
    assert np.abs(after.astype(int) - before).mean() > 5  # it is painted
    assert list(tmp_path.iterdir()) == [out]  # no part is left


def test_at_strength_zero_the_colours_stay(video, clip, tmp_path):
    video(clip, "out.mp4", "--strength", "0", "--crf", "4")
    before, after = clips.frames(clip).astype(int), clips.frames(tmp_path / "out.mp4")
    assert np.abs((after - before).mean((0, 1, 2))).max() < 0.5  # none is darker
    blocks = (after - before).reshape(12, 6, 8, 8, 8, 3).mean((2, 4))  # chroma has half the size
    assert np.abs(blocks).mean() < 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out.webm", {"video": "vp9", "audio": "opus"}),
        ("out.mkv", {"video": "h264", "audio": "aac"}),
        ("out.gif", {"video": "gif"}),
    ],
)
def test_the_suffix_says_the_codec(video, clip, tmp_path, name, expected):
    noted = video(clip, name)
    assert ("the sound is encoded again" in noted) == (name == "out.webm")
    assert {kind: name.removeprefix("lib") for kind, name in clips.streams(name).items()} == (
        expected
    )
    for made, given in zip(clips.times(name), clips.times(clip), strict=True):
        assert abs(made - given) <= Fraction(1, 100)


def test_variable_rate_odd_size_and_rotation(video, tmp_path):
    source = write(
        tmp_path / "in.mkv",
        pan(1, 6, (48, 65)),
        pix_fmt="yuv444p",
        times=[0, 40, 70, 200, 201, 900],
        sound=False,
    )
    noted = video(source, "out.mp4")
    assert "65x48 is odd" in noted
    assert clips.times("out.mp4") == clips.times(source)
    assert clips.frames("out.mp4").shape == (6, 48, 66, 3)

    turned = write(tmp_path / "turned.mp4", [scene(1)] * 2, turned=90)
    video(turned, "upright.mp4", "--strength", "0", "--crf", "4")
    after = clips.frames("upright.mp4").astype(int)
    assert after.shape == (2, 64, 48, 3)
    assert np.abs(after[0] - np.rot90(scene(1))).mean() < 8


def test_a_part_of_a_video(video, clip, tmp_path):
    video(clip, "out.mp4", "--start", "0.1", "--end", "0:00.3")
    whole = clips.times(clip)
    chosen = [each for each in whole if 0.1 <= each < 0.3]
    assert clips.times("out.mp4") == [each - chosen[0] for each in chosen]


def test_numbered_pictures_in_and_out_go_on(video, clip, tmp_path):
    video(clip, "f_%03d.png")
    names = sorted(tmp_path.glob("f_*.png"))
    assert [each.name for each in names[:2]] == ["f_001.png", "f_002.png"]
    assert len(names) == len(clips.times(clip))
    last = names[-1].read_bytes()
    names[-1].unlink()
    before = [each.stat().st_mtime_ns for each in names[:-1]]
    video(clip, "f_%03d.png", "--resume")
    assert names[-1].read_bytes() == last
    assert [each.stat().st_mtime_ns for each in names[:-1]] == before
    video("f_%03d.png", "out.mp4", "--frame-rate", "10")
    assert clips.times("out.mp4") == [Fraction(n, 10) for n in range(len(names))]


def test_what_the_network_cannot_keep_is_said(video, tmp_path):
    deep = write(tmp_path / "deep.mkv", pan(1, 2), "ffv1", "yuv420p10le", sound=False)
    assert "more than 8 bits" in video(deep, "deep.mp4")
    clear = [np.dstack([each, np.full((48, 64), 99, np.uint8)]) for each in pan(1, 2)]
    alpha = write(tmp_path / "alpha.mkv", clear, "ffv1", "bgra", sound=False)
    assert "transparency is left out" in video(alpha, "alpha.mp4")


def test_a_photo_is_a_video_of_one_frame(video, tmp_path):
    Image.fromarray(scene(1)).save(tmp_path / "photo.png")
    video("photo.png", "out.mp4")
    assert len(clips.times("out.mp4")) == 1


def test_a_video_that_was_cut_short_is_painted_as_far_as_it_goes(video, tmp_path):
    whole = write(tmp_path / "in.mkv", pan(1, 60), sound=False)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    video(whole, "out.mp4")
    assert 2 < len(clips.times("out.mp4")) < 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.mp4", "-o", "out.mp4"), "none.mp4 does not exist"),
        (("text.mp4", "-o", "out.mp4"), "text.mp4 is no video that can be read"),
        (("f_%03d.png", "-o", "out.mp4"), "there are no pictures f_%03d.png"),
        (("{clip}", "-o", "out.txt"), "out.txt has no suffix of a video; end it in .mp4"),
        (("{clip}", "-o", "out.webm", "--codec", "h264"), ".webm does not hold h264; choose from"),
        (("{clip}", "-o", "out.mp4", "--crf", "99"), "--crf 99 is out of range; it is 0, best,"),
        (("{clip}", "-o", "out.gif", "--crf", "9"), "--crf has no effect on out.gif"),
        (("{clip}", "-o", "out.mp4", "--start", "9"), "--start 9 is after the end of"),
        (("{clip}", "-o", "out.mp4", "--start", "x"), "--start 'x' is not a time"),
        (("{clip}", "-o", "out.mp4", "--end", "0"), "--end 0 is not after --start 0"),
        (("{clip}", "-o", "out.mp4", "--frame-rate", "9"), "has a rate of its own: leave it out"),
        (("{clip}", "-o", "out.mp4", "--frame-rate", "1/0"), "--frame-rate '1/0' is not a rate"),
        (("{clip}", "-o", "no/out.mp4"), "no/out.mp4 cannot be written"),
        (("{clip}", "-o", "{clip}"), "is an input, and would be replaced"),
    ],
)
def test_errors_are_one_line(refused, tiny_instance_model, clip, tmp_path, words, message):
    (tmp_path / "text.mp4").write_text("no video")
    filled = [word.replace("{clip}", str(clip)) for word in words]
    assert message in refused("video", tiny_instance_model, *filled)
    assert [each.name for each in tmp_path.iterdir()] == ["text.mp4"]


def test_a_texture_model_is_refused(refused, tiny_model, clip):
    assert "is a texture model" in refused("video", tiny_model, clip, "-o", "out.mp4")


def test_raw_frames_go_through_pipes(tiny_instance_model, clip, tmp_path):
    out = tmp_path / "out.mp4"
    words = ("video", tiny_instance_model, "--provider", "cpu")
    raw = tn_run(*words, clip, "-o", "-", text=False)
    assert raw.returncode == 0
    assert raw.stdout.startswith(b"YUV4MPEG2 W64 H48 F30000:1001 ")
    count = len(clips.times(clip))
    assert len(raw.stdout) == raw.stdout.index(b"\n") + 1 + count * (6 + 3 * 64 * 48)
    done = tn_run(*words, "-", "-o", out, "--strength", "0", input=raw.stdout, text=False)
    assert done.returncode == 0, done.stderr
    assert clips.times(out) == clips.times(clip)


def test_without_the_extra_it_is_one_line(clip):
    script = f"import sys; sys.modules['av'] = None\n{TN_RUN}"
    done = python(script, "video", "great_wave", clip, "-o", "out.mp4")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'texture-networks[video]'" in done.stderr


@POSIX
@pytest.mark.parametrize(
    ("number", "codec"),
    [
        (signal.SIGINT, "ffv1"),
        pytest.param(signal.SIGKILL, "h264", marks=pytest.mark.hard),
        pytest.param(signal.SIGKILL, "h265", marks=pytest.mark.hard),
        pytest.param(signal.SIGINT, "vp9", marks=pytest.mark.hard),
        pytest.param(signal.SIGTERM, "av1", marks=pytest.mark.hard),
    ],
)
def test_what_is_done_is_kept_and_gone_on_with(tiny_instance_model, tmp_path, number, codec):
    source = write(tmp_path / "in.mp4", pan(1, 150, (72, 96)) + pan(5, 150, (72, 96)))
    whole, out = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    part = tmp_path / "out.mkv.part.mkv"
    words = ("video", tiny_instance_model, source, "--provider", "cpu", "--codec", codec, "-o")
    assert tn_run(*words, whole).returncode == 0
    with start_tn_run(*words, out) as process:
        while not part.exists() or part.stat().st_size < whole.stat().st_size // 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    done = len(clips.times(part))
    assert 60 < done < 300
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume goes on" in stderr
    refusal = tn_run(*words, out)
    assert "was not completed; go on with it (--resume)" in refusal.stderr
    other = tn_run(*words, out, "--resume", "--strength", "0.5")
    assert "was made by another model, video or options" in other.stderr
    resumed = tn_run(*words, out, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert " of them done before" in resumed.stdout
    assert not part.exists()
    assert clips.times(out) == clips.times(whole)
    difference = np.abs(clips.frames(out).astype(int) - clips.frames(whole)).mean((1, 2, 3))
    # From its key frame on, a lossy encoder spends its bits a little differently.
    assert difference.max() == 0 if codec == "ffv1" else difference.max() < 10


def test_work_ahead_raises_errors_at_their_place_and_ends_early():
    def items():
        yield from range(3)
        raise ValueError("broken")

    made = ahead(items())
    assert list(itertools.islice(made, 3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(made)

    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    made = ahead(endless())
    assert next(made) == 0
    made.close()
    assert closed == [True]


def test_a_drift_is_a_seamless_loop(in_process, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load(tiny_model, "cpu")
    count = model.spec.stride * 2
    words = ("texture", tiny_model, "--provider", "cpu", "--size", "32x24", "--seed", "7")
    loop = ("--drift", "2,-1", "--frames", count)
    code, stderr = in_process("tn-run", main, *words, *loop, "-o", "f_%02d.png")
    assert code == 0, stderr
    made = [np.array(Image.open(each)) for each in sorted(tmp_path.glob("f_*.png"))]
    assert len(made) == count
    for before, after in itertools.pairwise([*made, made[0]]):  # the last goes over into the first
        np.testing.assert_array_equal(after[1:, :-2], before[:-1, 2:])
    assert not np.array_equal(made[0], made[1])
    code, stderr = in_process("tn-run", main, *words, *loop, "-o", "loop.mp4", "--frame-rate", "12")
    assert code == 0, stderr
    assert clips.times("loop.mp4") == [Fraction(n, 12) for n in range(count)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--drift", "2,0"), "--drift needs --frames"),
        (("--drift", "0.5,0", "--frames", "9"), "--drift '0.5,0' is not a place in whole pixels"),
        (("--drift", "1,0", "--frames", "0"), "--frames 0 is out of range"),
        (("--drift", "1,0", "--frames", "9"), "the nearest --frames is 8 or 12"),
        (("--frames", "9"), "add --drift X,Y"),
        (("--drift", "1,0", "--frames", "8", "--tileable"), "leave out --sheet, --tileable"),
    ],
)
def test_errors_of_a_drift_are_one_line(refused, tiny_model, tmp_path, words, message):
    assert message in refused("texture", tiny_model, "-o", "out.mp4", *words)
    assert list(tmp_path.iterdir()) == []


def test_subtitles_are_copied_or_said_to_be_left_out(video, clip, tmp_path):
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    source = tmp_path / "in.mkv"
    with av.open(str(clip)) as film, av.open(str(words)) as text, av.open(str(source), "w") as file:
        picture = file.add_stream_from_template(film.streams.video[0])
        line = file.add_stream_from_template(text.streams.subtitles[0])
        for packets, stream in ((text.demux(), line), (film.demux(video=0), picture)):
            for packet in packets:
                if packet.size:
                    packet.stream = stream
                    file.mux(packet)
    assert "left out" not in video(source, "out.mkv")
    with av.open("out.mkv") as file:
        [kept] = [bytes(each) for each in file.demux(subtitles=0) if each.size]
    assert kept == b"Hello"
    assert ".mp4 does not hold subtitles of the kind" in video(source, "out.mp4")


def test_a_video_with_one_key_frame_can_begin_anywhere(video, tmp_path):
    source = write(tmp_path / "in.mp4", pan(1, 30), sound=False, g="9999", sc_threshold="0")
    video(source, "out.mp4", "--start", "0.5")
    assert len(clips.times("out.mp4")) == len([each for each in clips.times(source) if each >= 0.5])
