"""A video that is read: a file of any format of FFmpeg's, or numbered pictures."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.pixels import Pixels

Note = Callable[[str], None]
"""Takes a line for the person."""

NUMBERED = re.compile(r"%0?\d*d")
"""The place of the number in the name of a sequence of pictures, as in frame_%05d.png."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of numbered pictures, and of files that do not say."""

HD = 720
"""Rows from which on a file that does not say has the colours of HDTV (BT.709), as players take
it; smaller ones have those of BT.601."""

_PQ, _HLG = 16, 18
_BT709, _BT601 = 1, 6
_MATRICES = {
    1: Colorspace.ITU709,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""Matrices in the numbers of H.273, as files have them."""
_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya", "pal8")


@dataclass(frozen=True)
class Form:
    """The times and the colours that frames have in a file."""

    rate: Fraction
    """Frames per second, the average."""
    time_base: Fraction
    """Seconds of a unit of the timestamps."""
    matrix: int
    """The matrix of the colours: 1, BT.709, or 6, BT.601."""

    @property
    def colorspace(self) -> Colorspace:
        """The matrix, in swscale's words."""
        return Colorspace.ITU709 if self.matrix == _BT709 else Colorspace.ITU601


def usual_form(size: tuple[int, int], rate: Fraction) -> Form:
    """Return the form of frames of a size (height, width) that come from nowhere else."""
    return Form(rate, 1 / rate, _BT709 if min(size) >= HD else _BT601)


@dataclass(frozen=True)
class Clip:
    """A part of a video. Every pass over its frames opens it anew."""

    path: Path
    size: tuple[int, int]
    """(height, width) as seen, pixels."""
    form: Form
    duration: float | None
    """Seconds of the part, where the file says."""
    start: float
    end: float | None
    """Seconds of the file, from where to where it is read."""
    frame_rate: Fraction | None
    """For numbered pictures alone."""

    def frames(self, note: Note) -> Iterator[VideoFrame]:
        """Yield the frames of the part, in the order in which they are shown.

        Args:
            note: is told about damage; what can be read is read.

        Raises:
            PictureError: the file cannot be read any more.
        """
        with _opened(self.path, self.frame_rate) as container:
            stream = _picture(container, self.path)
            stream.thread_type = "AUTO"
            if self.start and self.frame_rate is None:
                container.seek(int(self.start * av.time_base))
            for frame in _decoded(container, stream, self.path, note):
                if frame.pts is None or frame.time + _EARLY < self.start:
                    continue
                if self.end is not None and frame.time + _EARLY >= self.end:
                    return
                yield frame

    def pixels(self, frame: VideoFrame, size: tuple[int, int] | None = None) -> Pixels:
        """Return a frame as it is seen, turned upright: uint8 (H, W, 3), RGB.

        Args:
            frame: of this clip.
            size: (height, width), to which it is scaled; as large as it is, if not given.
        """
        height, width = size or self.size
        if frame.rotation % 180:
            height, width = width, height
        rgb = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_MATRICES.get(frame.colorspace, self.form.colorspace),
            interpolation=EXACT | (Interpolation.AREA if size else Interpolation.BICUBIC),
        )
        array = np.asarray(rgb.to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(array, frame.rotation // 90 % 4))


EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""swscale's flags without which colours become darker by a level at each conversion."""

_EARLY = 1e-6
"""Seconds; timestamps are rounded."""


def read_clip(
    path: Path,
    note: Note,
    frame_rate: Fraction | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Clip:
    """Look at a video.

    Args:
        path: of a file, or numbered pictures, frame_%05d.png.
        note: is told what cannot be kept.
        frame_rate: of numbered pictures.
        start: seconds, where to begin.
        end: seconds, where to end.

    Raises:
        PictureError: it is not there, or no video.
        RequestError: a part that it does not have, or a frame rate that is not asked for.
    """
    numbered = bool(NUMBERED.search(path.name))
    if frame_rate and not numbered:
        raise RequestError(
            f"--frame-rate is of numbered pictures; {path} has a rate of its own: leave it out"
        )
    if end is not None and end <= start:
        raise RequestError(f"--end {end:g} is not after --start {start:g}; give seconds in order")
    rate = frame_rate or DEFAULT_RATE if numbered else None
    with _opened(path, rate) as container:
        stream = _picture(container, path)
        first = next(_decoded(container, stream, path, note), None)
        if first is None:
            raise PictureError(f"{path} has no frame that can be decoded")
        length = float(container.duration / av.time_base) if container.duration else None
        if length is not None and start >= length:
            raise RequestError(f"--start {start:g} is after the end of {path}, {length:.2f} s")
        _note_losses(first, path, note)
        height, width = first.height, first.width
        if first.rotation % 180:
            height, width = width, height
        form = usual_form(
            (height, width), stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        )
        return Clip(
            path=path,
            size=(height, width),
            form=dataclasses.replace(form, time_base=stream.time_base or form.time_base),
            duration=None if length is None else min(end or length, length) - start,
            start=start,
            end=end,
            frame_rate=rate,
        )


@contextmanager
def _opened(path: Path, rate: Fraction | None) -> Iterator[InputContainer]:
    """Open a video; turn FFmpeg's ways to fail into one line."""
    options = {}
    if rate is not None:
        options = {"framerate": str(rate), "start_number": str(first_number(path))}
    elif not path.is_file():
        raise PictureError(f"{path} does not exist" if not path.exists() else f"{path} is no file")
    try:
        container = av.open(str(path), format="image2" if rate else None, options=options)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PictureError(f"{path} is no video that can be read ({reason})") from error
    with container:
        yield container


def first_number(path: Path) -> int:
    """Return the smallest number of a sequence of pictures.

    Raises:
        PictureError: there is none.
    """
    head, tail = NUMBERED.split(path.name, maxsplit=1)
    pattern = re.compile(re.escape(head) + r"(\d+)" + re.escape(tail))
    found = [pattern.fullmatch(each.name) for each in path.parent.glob("*")]
    numbers = [int(match[1]) for match in found if match]
    if not numbers:
        raise PictureError(f"there are no pictures {path}; the number stands where %d stands")
    return min(numbers)


def _picture(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise PictureError(f"{path} has no picture; give a video")
    return container.streams.best("video") or container.streams.video[0]  # type: ignore[return-value]


def _decoded(
    container: InputContainer, stream: VideoStream, path: Path, note: Note
) -> Iterator[VideoFrame]:
    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.FFmpegError as error:
            note(f"{path} ends early: {error.strerror or error}; what came before is kept")
            break
        try:
            yield from packet.decode()
        except av.FFmpegError:
            damaged += 1
    if damaged:
        note(f"{path}: {damaged} damaged packets were left out")


def _note_losses(frame: VideoFrame, path: Path, note: Note) -> None:
    form = frame.format
    if form.name.startswith(_ALPHA):
        note(f"{path}: transparency is left out")
    if any(component.bits > 8 for component in form.components):
        note(f"{path} has more than 8 bits a colour; the network paints with 8 of them")
    if frame.color_trc in {_PQ, _HLG}:
        note(f"{path} is HDR; its numbers are taken as those of SDR, convert it before for colours")
    if frame.interlaced_frame:
        note(f"{path} is interlaced; deinterlace it before for clean edges")
