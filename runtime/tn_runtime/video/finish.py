"""From the picture of a part to the finished video: with sound, subtitles and exact times."""

import heapq
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tn_runtime.files import atomic
from tn_runtime.video.clip import Clip, Form, Note
from tn_runtime.video.encoders import ANIMATIONS
from tn_runtime.video.part import timed_packets

Timed = tuple[float, "Packet[Any]"]
"""A packet, and the second at which it is decoded."""

_OPTIONS = {
    ".mp4": {"movflags": "faststart"},
    ".m4v": {"movflags": "faststart"},
    ".mov": {"movflags": "faststart"},
}
_WEBP_QUALITY = "85"


def finish(
    part: Path, form: Form, times: Sequence[int], output: Path, source: Clip | None, note: Note
) -> None:
    """Write the finished video, whole or not at all.

    Args:
        part: holds one packet for each frame.
        form: of the frames.
        times: of the frames, in units of the form's time base; Matroska keeps milliseconds only.
        output: its suffix says which kind of file.
        source: the video that was painted, whose sound and subtitles are taken, if there is one.
        note: is told what the file cannot hold.

    Raises:
        OSError: it cannot be written.
    """
    suffix = output.suffix.lower()
    with atomic(output) as temporary:
        if suffix in ANIMATIONS:
            _animate(part, form, times, temporary)
            return
        with ExitStack() as stack:
            file = stack.enter_context(
                av.open(str(temporary), "w", options=_OPTIONS.get(suffix, {}))
            )
            made = stack.enter_context(av.open(str(part)))
            picture = _like(file, made.streams.video[0])
            picture.time_base = form.time_base
            if picture.codec_context:
                picture.codec_context.framerate = made.streams.video[0].average_rate or form.rate
                if suffix != ".mkv" and picture.codec_context.name == "hevc":
                    picture.codec_context.codec_tag = "hvc1"  # as QuickTime wants it
            flows = [_pictures(part, picture, times)]
            if source is not None and source.frame_rate is None:
                whole = stack.enter_context(av.open(str(source.path)))
                file.metadata.update(_words(whole))
                if not source.start and source.end is None and whole.chapters():
                    file.set_chapters(whole.chapters())
                flows.append(_others(whole, file, source, output, note))
            for _, packet in heapq.merge(*flows, key=lambda timed: timed[0]):
                file.mux(packet)


def _like(file: OutputContainer, stream: Any) -> Any:  # noqa: ANN401 - there is a type for each
    """Return a stream for the packets of another; not every decoder has an encoder of its name."""
    try:
        return file.add_stream_from_template(stream)
    except ValueError:
        return file.add_stream_from_template(stream, opaque=True)


def _words(source: InputContainer) -> dict[str, str]:
    """Return the texts about a video, without what the other file says about itself."""
    own = {"major_brand", "minor_version", "compatible_brands", "encoder"}
    return {key: value for key, value in source.metadata.items() if key.lower() not in own}


def _pictures(part: Path, stream: Stream, times: Sequence[int]) -> Iterator[Timed]:
    for packet in timed_packets(part, stream, len(times), times):
        yield float((packet.dts or 0) * (packet.time_base or 1)), packet


def _others(
    source: InputContainer, file: OutputContainer, clip: Clip, output: Path, note: Note
) -> Iterator[Timed]:
    """Return the packets of sound and subtitles; streams are added at once."""
    copied: dict[int, Stream] = {}
    encoded: dict[int, tuple[AudioStream, AudioResampler]] = {}
    for stream in [*source.streams.audio, *source.streams.subtitles]:
        name = stream.codec_context.name if stream.codec_context else ""
        if _holds(file, stream):
            copied[stream.index] = _like(file, stream)
            _describe(copied[stream.index], stream)
        elif isinstance(stream, AudioStream):
            sound = file.add_stream(file.default_audio_codec, rate=48000)
            assert isinstance(sound, AudioStream)
            sound.layout = stream.layout.name if stream.layout.nb_channels <= 2 else "stereo"
            _describe(sound, stream)
            note(f"{output.suffix} does not hold {name}: the sound is encoded again")
            encoded[stream.index] = sound, AudioResampler(sound.format, sound.layout, sound.rate)
        else:
            note(f"{output.suffix} does not hold subtitles of the kind {name}: they are left out")
    chosen = [source.streams[index] for index in (*copied, *encoded)]
    return _flow(source, chosen, copied, encoded, clip) if chosen else iter(())


def _holds(file: OutputContainer, stream: Stream) -> bool:
    names = file.supported_codecs
    return bool(stream.codec_context) and stream.codec_context.codec.canonical_name in names


def _describe(stream: Stream, other: Stream) -> None:
    stream.metadata.update(other.metadata)
    stream.disposition = other.disposition


def _flow(
    source: InputContainer,
    chosen: list[Stream],
    copied: dict[int, Stream],
    encoded: dict[int, tuple[AudioStream, AudioResampler]],
    clip: Clip,
) -> Iterator[Timed]:
    if clip.start:
        source.seek(int(clip.start * av.time_base))
    for packet in source.demux(chosen):
        index = packet.stream.index
        if index in encoded:
            yield from _encoded(cast("Packet[AudioStream]", packet), *encoded[index], clip)
            continue
        if packet.dts is None or packet.pts is None or packet.time_base is None:
            continue
        second = float(packet.pts * packet.time_base)
        if second < clip.start or (clip.end is not None and second >= clip.end):
            continue
        shift = round(clip.start / packet.time_base)
        packet.pts -= shift
        packet.dts -= shift
        packet.stream = copied[index]
        yield float(packet.dts * packet.time_base), packet


def _encoded(
    packet: "Packet[AudioStream]", stream: AudioStream, resampler: AudioResampler, clip: Clip
) -> Iterator[Timed]:
    """Yield sound in another codec; the packet at the end is empty, and flushes."""
    end = math.inf if clip.end is None else clip.end
    flushes = packet.size == 0
    decoded: list[AudioFrame | None] = [
        each for each in packet.decode() if clip.start <= (each.time or 0) < end
    ]
    for frame in [*decoded, None] if flushes else decoded:
        if frame is not None and frame.pts is not None:
            frame.pts -= round(clip.start / float(frame.time_base or 1))
        for each in resampler.resample(frame):
            yield from _timed(stream.encode(each))
    if flushes:
        yield from _timed(stream.encode(None))


def _timed(made: "Sequence[Packet[Any]]") -> Iterator[Timed]:
    for packet in made:
        yield float((packet.dts or 0) * (packet.time_base or 1)), packet


# Animations: GIF and WebP


def _animate(part: Path, form: Form, times: Sequence[int], path: Path) -> None:
    """Write lossless frames as an animation that repeats for ever."""
    gif = path.suffix.lower() == ".gif"
    with av.open(str(path), "w", options={"loop": "0"}) as file:
        stream = file.add_stream("gif" if gif else "libwebp_anim", rate=form.rate)
        assert isinstance(stream, VideoStream)
        stream.time_base = Fraction(1, 100) if gif else Fraction(1, 1000)
        stream.pix_fmt = "pal8" if gif else "yuv420p"
        if not gif:
            stream.codec_context.options = {"quality": _WEBP_QUALITY, "loop": "0"}
        base = stream.time_base
        frames = _in_colors(part) if gif else _frames(part)
        for number, frame in enumerate(frames):
            if not number:
                stream.width, stream.height = frame.width, frame.height
            made = frame if gif else frame.reformat(format="yuv420p")
            made.pts, made.time_base = round(times[number] * form.time_base / base), base
            file.mux(stream.encode(made))
        file.mux(stream.encode(None))


def _frames(part: Path) -> Iterator[VideoFrame]:
    with av.open(str(part)) as container:
        yield from container.decode(video=0)


def _in_colors(part: Path) -> Iterator[VideoFrame]:
    """Yield the frames in the 256 colours that suit all of them."""
    first = next(_frames(part))
    graph = Graph()
    whole = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    palette = graph.add("palettegen")
    sink = graph.add("buffersink")
    graph.link_nodes(whole, palette, sink).configure()
    for frame in _frames(part):
        whole.push(frame)
    whole.push(None)
    colors = sink.pull()
    assert isinstance(colors, VideoFrame)

    graph = Graph()
    frames = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    table = graph.add_buffer(
        width=colors.width, height=colors.height, format=colors.format, time_base=first.time_base
    )
    use = graph.add("paletteuse", "dither=sierra2_4a")
    sink = graph.add("buffersink")
    frames.link_to(use, 0, 0)
    table.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    colors.pts, colors.time_base = 0, first.time_base
    table.push(colors)
    table.push(None)
    for frame in _frames(part):
        frames.push(frame)
        yield from _pulled(sink)
    frames.push(None)
    yield from _pulled(sink)


def _pulled(sink: object) -> Iterator[VideoFrame]:
    while True:
        try:
            yield sink.pull()  # type: ignore[attr-defined]
        except (av.BlockingIOError, av.EOFError):
            return
