"""Clips that tests make: a pan over a picture, with sound, and whatever else a video may have."""

from fractions import Fraction

import av
import numpy as np

from tn_runtime.video.clip import EXACT

RATE = Fraction(30000, 1001)


def scene(number, size=(48, 64), step=0):
    """Return a frame of a scene, uint8 (H, W, 3); the camera moves by `step` pixels."""
    rng = np.random.default_rng(number)
    low, high = sorted(rng.integers(0, 256, (2, 3)), key=lambda color: color.sum())
    height, width = size
    grain = rng.random((height // 8 + 2, width // 4 + 40, 1)).repeat(8, 0).repeat(8, 1)
    window = grain[:height, step : step + width]
    return (low + window * (high - low)).astype(np.uint8)


def write(
    path,
    frames,
    codec="libx264",
    pix_fmt="yuv420p",
    times=None,
    sound=True,
    turned=0,
    subtitles=False,
    **options,
):
    """Write frames, uint8 (H, W, 3 or 4), as a video; return its path.

    `times` are of the frames, in milliseconds; the rate is that of NTSC if there are none.
    """
    with av.open(str(path), "w") as file:
        picture = file.add_stream(codec, rate=RATE, options={"crf": "8", **options})
        picture.height, picture.width = frames[0].shape[:2]
        picture.pix_fmt = pix_fmt
        base = Fraction(1, 1000) if times else 1 / RATE
        picture.codec_context.time_base = base
        if turned:
            picture.set_display_rotation(turned)
        if sound:
            voice = file.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000)
            voice.layout = "mono"
        for number, array in enumerate(frames):
            form = "rgba" if array.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), form)
            frame.pts, frame.time_base = times[number] if times else number, base
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        if sound:
            length = round(len(frames) * 48000 / RATE)
            tone = (8000 * np.sin(np.arange(length) / 9)).astype(np.int16)
            for start in range(0, length, 1024):
                part = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
                part.rate, part.pts = 48000, start
                file.mux(voice.encode(part))
            file.mux(voice.encode(None))
    return path


def frames(path):
    """Return the frames of a video, uint8 (N, H, W, 3)."""
    with av.open(str(path)) as file:
        return np.stack(
            [
                each.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
                for each in file.decode(video=0)
            ]
        )


def times(path):
    """Return the seconds of a video's frames, exact."""
    with av.open(str(path)) as file:
        return [each.pts * each.time_base for each in file.decode(video=0)]


def streams(path):
    """Return the codecs of a video's streams by kind."""
    with av.open(str(path)) as file:
        return {each.type: each.codec_context.name for each in file.streams}
