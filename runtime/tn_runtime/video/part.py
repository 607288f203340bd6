"""The picture of a video that is not complete yet: OUT.part.mkv, playable at any moment.

Matroska keeps what is written when a process is killed. Groups of frames are closed and two seconds
long, so that another process goes on at the last key frame.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from tn_runtime.errors import RequestError
from tn_runtime.pixels import Pixels
from tn_runtime.video.clip import EXACT, Form
from tn_runtime.video.encoders import Encoder

KEY_SECONDS = 2
"""Seconds between key frames: the most that is painted again."""

MILLISECOND = Fraction(1, 1000)
"""Matroska's unit of time."""

REQUEST = "TEXTURE_NETWORKS_REQUEST"
"""The tag that says what the picture was made by."""

_FLUSHED = {"cluster_time_limit": "1000", "flush_packets": "1"}
_MPEG = 1
"""The range of colours of nearly all videos: 16 to 235."""


def part_of(output: Path) -> Path:
    """Return the name of the unfinished picture of an output."""
    return output.with_name(f"{output.name}.part.mkv")


def _before(part: Path) -> Path:
    return part.with_name(f"{part.name}.before.mkv")


class Part:
    """Encodes pictures into a part."""

    def __init__(
        self, path: Path, form: Form, encoder: Encoder, crf: int | None, request: str
    ) -> None:
        """Begin, or go on with what a file of that name holds.

        Args:
            path: of the part.
            form: of the frames.
            encoder: of the pictures.
            crf: the constant rate factor; the encoder's own if not given.
            request: a hash of all that decides about the pictures.

        Raises:
            RequestError: the file was made by another request.
        """
        self.path, self.form, self.encoder, self.request = path, form, encoder, request
        self.crf = encoder.crf if crf is None else crf
        self.first = 0
        """Number of the first frame that is still to be painted."""
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._last = -(2**62)
        before = _before(path)
        if path.exists() and not before.exists():
            _check_request(path, request)
            path.rename(before)
        if before.exists():  # also where a process was killed right here
            self.first = _kept(before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the file; it is whole as far as it goes."""
        if self._container is None and _before(self.path).exists():
            _before(self.path).replace(self.path)
        self.close()

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        container, stream = self._container, self._stream
        self._container = self._stream = None
        if container is not None and stream is not None:
            with container:
                container.mux(stream.encode(None))

    def write(self, picture: Pixels, pts: int) -> None:
        """Add a picture, uint8 (H, W, 3), at a time in units of the form's time base."""
        if self._stream is None:
            self._begin(*picture.shape[:2])
        assert self._stream is not None
        assert self._container is not None
        self._container.mux(self._stream.encode(self._frame(picture, pts)))

    def _begin(self, height: int, width: int) -> None:
        container = av.open(str(self.path), "w", format="matroska", options=_FLUSHED)
        container.metadata[REQUEST] = self.request
        encoder, form = self.encoder, self.form
        options = dict(encoder.options)
        if self.crf is not None:
            options["crf"] = str(self.crf)
        stream = container.add_stream(encoder.name, rate=_plain(form.rate), options=options)
        assert isinstance(stream, VideoStream)
        even = encoder.pixel_format.startswith("yuv42")
        stream.width = width + width % 2 * even
        stream.height = height + height % 2 * even
        stream.pix_fmt = encoder.pixel_format
        context = stream.codec_context
        context.time_base = form.time_base
        context.gop_size = max(1, round(KEY_SECONDS * form.rate))
        if encoder.pixel_format.startswith("yuv"):
            context.color_range = _MPEG
            context.colorspace = context.color_primaries = context.color_trc = form.matrix
        self._container, self._stream = container, stream
        if self.first:
            container.start_encoding()
            for packet in timed_packets(_before(self.path), stream, self.first):
                container.mux(packet)
            _before(self.path).unlink()

    def _frame(self, picture: Pixels, pts: int) -> VideoFrame:
        stream, form = self._stream, self.form
        assert stream is not None
        height, width = picture.shape[:2]
        margins = ((0, stream.height - height), (0, stream.width - width), (0, 0))
        array = np.pad(picture, margins, mode="edge") if any(map(any, margins)) else picture
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(array), "rgb24")
        if self.encoder.pixel_format.startswith("yuv"):
            frame = frame.reformat(
                format=self.encoder.pixel_format,
                dst_colorspace=form.colorspace,
                dst_color_range="MPEG",
                interpolation=EXACT | Interpolation.BICUBIC,
            )
        else:
            frame = frame.reformat(format=self.encoder.pixel_format)
        self._last = max(pts, self._last + 1)  # no two frames at one time
        frame.pts, frame.time_base = self._last, form.time_base
        return frame


def timed_packets(
    path: Path, stream: Stream, count: int, times: Sequence[int] | None = None
) -> Iterator["Packet[Any]"]:
    """Yield the first packets of a picture for a stream of another file, with new times.

    Matroska keeps milliseconds only, and not when a frame is decoded.

    Args:
        path: of the picture; it may be cut off.
        stream: that takes the packets.
        count: how many.
        times: of all frames, in units of the stream's time base; Matroska's own if not given.
    """
    with av.open(str(path)) as file:
        shown = [each.pts or 0 for each in islice(_packets(file), count)]
        own = file.streams.video[0].time_base or MILLISECOND
    base = own if times is None else stream.time_base or MILLISECOND
    order = sorted(range(len(shown)), key=shown.__getitem__)
    rank = {number: place for place, number in enumerate(order)}
    exact = times if times is not None else sorted(shown)
    # A frame is decoded as long before it is shown as the encoder reorders frames.
    delay = max((number - place for number, place in rank.items()), default=0)
    with av.open(str(path)) as file:
        # Matroska has lengths before the units of a frame, and encoders put start codes there.
        source = file.streams.video[0]
        form = _START_CODES.get(source.codec_context.name) if times is None else None
        shaped = BitStreamFilterContext(form, source).filter if form else _as_it_is
        for number, read in enumerate(islice(_packets(file), len(shown))):
            for packet in shaped(read):
                packet.stream = stream
                packet.time_base = base
                packet.pts = exact[rank[number]]
                early = number - delay
                packet.dts = exact[early] if early >= 0 else exact[0] + early
                yield packet


_START_CODES = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


def _as_it_is(packet: "Packet[Any]") -> "list[Packet[Any]]":
    return [packet]


def _packets(container: InputContainer) -> Iterator["Packet[Any]"]:
    try:
        yield from (each for each in container.demux(video=0) if each.size)
    except av.FFmpegError:  # cut off
        return


def _plain(rate: Fraction) -> Fraction:
    """Return a rate that every encoder takes; timestamps say when a frame is shown."""
    return rate.limit_denominator(1001) if 1 <= rate <= 1000 else Fraction(25)


def _check_request(path: Path, request: str) -> None:
    try:
        with av.open(str(path)) as container:
            known = container.metadata.get(REQUEST)
    except av.FFmpegError:  # killed before the first frame was written
        return
    if known != request:
        raise RequestError(
            f"{path} was made by another model, video or options: give the same, or delete it"
        )


def _kept(path: Path) -> int:
    """Return how many frames come before the last key frame of a part."""
    try:
        with av.open(str(path)) as file:
            keys = [number for number, each in enumerate(_packets(file)) if each.is_keyframe]
    except av.FFmpegError:  # killed before the first frame was written
        return 0
    return keys[-1] if keys else 0
