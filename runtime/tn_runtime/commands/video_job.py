"""The work of `tn-run video`: look for shots, paint, finish; it goes on where it was stopped."""

import dataclasses
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from tn_runtime import console
from tn_runtime.console import STDIN, STDOUT
from tn_runtime.errors import PictureError, RequestError
from tn_runtime.files import check_inputs_stay, check_writable
from tn_runtime.pictures import check_output
from tn_runtime.pixels import Pixels
from tn_runtime.requests import check_kind
from tn_runtime.session import Model
from tn_runtime.stylization import REFERENCE_PIXELS, Options, check_max_size
from tn_runtime.video.ahead import ahead
from tn_runtime.video.clip import NUMBERED, Clip, first_number, read_clip
from tn_runtime.video.encoders import Encoder, choose
from tn_runtime.video.finish import finish
from tn_runtime.video.outputs import NumberedPictures, Output, Pipe
from tn_runtime.video.painting import Scene, painted, scenes
from tn_runtime.video.part import Part, part_of


@dataclass(frozen=True)
class VideoJob:
    """The request of a `video` command."""

    source: Path
    output: Path
    options: Options
    max_size: int | None
    """Pixels of the longest side."""
    codec: str | None
    crf: int | None
    frame_rate: Fraction | None
    start: float
    end: float | None
    resume: bool

    @property
    def numbered(self) -> bool:
        """Whether the output is a sequence of pictures."""
        return bool(NUMBERED.search(self.output.name))

    def check(self) -> Encoder | None:
        """Refuse wrong requests before anything is loaded; return the encoder, if there is one.

        Raises:
            RequestError: an option out of range, or one that has no effect.
            PictureError: an unknown suffix.
        """
        check_max_size(self.max_size)
        encoder = None
        if self.output != STDOUT and not self.numbered:
            encoder = choose(self.output, self.codec)
        elif self.codec is not None:
            raise RequestError(f"--codec is of videos; leave it out for -o {self.output}")
        if self.crf is not None and (encoder is None or encoder.crf is None):
            raise RequestError(f"--crf has no effect on {self.output}; leave it out")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise RequestError(f"--crf {self.crf} is out of range; it is 0, best, to 63")
        if self.output == STDOUT:
            if self.resume:
                raise RequestError("--resume goes on with a file; leave it out for -o -")
            return None
        first = self.output
        if self.numbered:
            first = self.output.with_name(self.output.name % 1)
            check_output(first, 1, 1)
        check_writable(first)
        check_inputs_stay(self.output, self.source)
        if self.numbered and self.output == self.source:
            raise RequestError(f"{self.output} is the input, and would be replaced; name another")
        if encoder and part_of(self.output).exists() and not self.resume:
            raise RequestError(
                f"{part_of(self.output)} is a video that was not completed; "
                "go on with it (--resume), or delete it"
            )
        return encoder


@dataclass
class Outcome:
    """What was made."""

    frames: int
    """Of the whole video."""
    shots: int
    painted: int = 0
    """Frames that were painted now; others were there."""


def run(job: VideoJob, model: Model) -> Outcome:
    """Paint the video.

    Raises:
        TextureNetworksError: it cannot be read or painted.
        OSError: the output cannot be written.
        KeyboardInterrupt: Ctrl-C; what is done is kept.
    """
    check_kind(model, "style")
    encoder = job.check()
    note = console.note_once
    with ExitStack() as stack:
        source = _spooled(stack) if job.source == STDIN else job.source
        clip = read_clip(source, note, job.frame_rate, job.start, job.end)
        size = _limited(clip.size, job.max_size)
        if encoder and encoder.pixel_format.startswith("yuv42") and any(n % 2 for n in size):
            note(f"{size[1]}x{size[0]} is odd; the last row or column is doubled in the video")
        bars = stack.enter_context(console.bars())
        search = bars.add_task("looking for shots", total=_expected(clip))
        times, plan = _looked_through(model, clip, size, job.options, lambda: bars.advance(search))
        bars.remove_task(search)
        output = stack.enter_context(_output(job, clip, encoder, model))
        outcome = Outcome(len(times), len(plan))
        words = f"frames on {model.provider.upper()}"
        task = bars.add_task(words, total=len(times), completed=output.first)
        started = time.perf_counter()
        frames = ahead(_frames(clip, size, output.first))
        pictures = ahead(painted(model, frames, plan, job.options, output.first))
        with closing(frames), closing(pictures):
            for picture, pts in zip(pictures, times[output.first :], strict=True):
                output.write(picture, pts)
                outcome.painted += 1
                speed = outcome.painted / (time.perf_counter() - started)
                bars.update(task, advance=1, description=f"{words}, {speed:.1f} each second")
        if not isinstance(output, Part):
            return outcome
        output.close()
        if clip.start:  # the first frame of a part is its beginning, for the sound, too
            first, times = times[0], [each - times[0] for each in times]
            clip = dataclasses.replace(clip, start=float(first * clip.form.time_base))
        finish(output.path, clip.form, times, job.output, clip, note)
        output.path.unlink()
    return outcome


def _spooled(stack: ExitStack) -> Path:
    """Return a temporary copy of stdin: a video is read twice."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    copy = Path(folder) / "stdin"
    with copy.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return copy


def _limited(size: tuple[int, int], most: int | None) -> tuple[int, int]:
    """Return a size with no side longer than asked for."""
    if most is None or max(size) <= most:
        return size
    height, width = (max(1, round(side * most / max(size))) for side in size)
    return height, width


def _expected(clip: Clip) -> int | None:
    return max(1, round(clip.duration * clip.form.rate)) if clip.duration else None


def _looked_through(
    model: Model,
    clip: Clip,
    size: tuple[int, int],
    options: Options,
    advance: Callable[[], None],
) -> tuple[list[int], list[Scene]]:
    """Return the times of all frames, increasing, and the shots."""
    times: list[int] = []
    small = _limited(size, max(1, round((REFERENCE_PIXELS * max(size) / min(size)) ** 0.5)))

    def reduced() -> Iterator[Pixels]:
        for frame in clip.frames(console.note_once):
            pts = frame.pts or 0
            times.append(max(pts, times[-1] + 1) if times else pts)
            advance()
            yield clip.pixels(frame, small)

    plan = list(scenes(model, ahead(reduced()), size, options))
    if not times:
        raise PictureError(f"{clip.path} has no frame in the part that was asked for")
    return times, plan


def _frames(clip: Clip, size: tuple[int, int], first: int) -> Iterator[Pixels]:
    for frame in islice(clip.frames(console.note_once), first, None):
        yield clip.pixels(frame, None if size == clip.size else size)


def _output(job: VideoJob, clip: Clip, encoder: Encoder | None, model: Model) -> Output:
    if encoder:
        return Part(
            part_of(job.output), clip.form, encoder, job.crf, _fingerprint(job, clip, model)
        )
    if job.numbered:
        start = first_number(clip.path) if clip.frame_rate else 1
        return NumberedPictures(job.output, start, resume=job.resume)
    return Pipe(console.picture_stream(), clip.form)


def _fingerprint(job: VideoJob, clip: Clip, model: Model) -> str:
    """Return a hash of all that decides about the pictures; of the video, its size."""
    facts = {
        "model": model.sha256,
        "shares": model.shares if model.spec.takes_style else None,
        "options": dataclasses.asdict(job.options),
        "size": [*clip.size, job.max_size],
        "part": [clip.start, clip.end],
        "bytes": clip.path.stat().st_size if clip.frame_rate is None else None,
        "encoder": [job.codec, job.crf],
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
