"""The work of `tn-run texture --drift`: a window walks over the plane, to a seamless loop."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tn_runtime import console
from tn_runtime.console import STDOUT
from tn_runtime.errors import RequestError
from tn_runtime.files import check_writable
from tn_runtime.pixels import Pixels
from tn_runtime.requests import check_request
from tn_runtime.session import Model
from tn_runtime.synthesis import synthesize
from tn_runtime.video.ahead import ahead
from tn_runtime.video.clip import NUMBERED, usual_form
from tn_runtime.video.encoders import choose
from tn_runtime.video.finish import finish
from tn_runtime.video.outputs import NumberedPictures, Output, Pipe
from tn_runtime.video.part import Part

Pair = tuple[int, int]


@dataclass(frozen=True)
class DriftJob:
    """The request of a `texture --drift` command; pairs are (vertical, horizontal), pixels."""

    output: Path
    size: Pair
    seed: int
    origin: Pair
    drift: Pair
    """From one frame to the next."""
    frames: int
    rate: Fraction
    """Frames per second."""

    @property
    def period(self) -> Pair:
        """What the window has walked when the loop closes: the plane repeats after it."""
        down, across = self.drift
        return self.frames * abs(down), self.frames * abs(across)

    @property
    def numbered(self) -> bool:
        """Whether the output is a sequence of pictures."""
        return bool(NUMBERED.search(self.output.name))

    def check(self) -> None:
        """Refuse outputs that cannot be written, before anything is loaded.

        Raises:
            RequestError: no drift, or no frames.
            PictureError: an unknown suffix.
        """
        if self.frames < 1:
            raise RequestError(f"--frames {self.frames} is out of range; it is 1 or more")
        if self.output != STDOUT:
            check_writable(
                self.output.with_name(self.output.name % 1) if self.numbered else self.output
            )
        if self.output != STDOUT and not self.numbered:
            choose(self.output, None)

    def check_model(self, model: Model) -> None:
        """Refuse a loop that does not close on the model's grid.

        Raises:
            RequestError: it does not, or something else that cannot be served.
        """
        check_request(model, self.size, [self.seed], self.origin, (0, 0))
        stride = model.spec.stride
        for name, step in zip(("y", "x"), self.drift, strict=True):
            if self.frames * step % stride:
                unit = stride // math.gcd(stride, step)
                below, above = self.frames // unit * unit, -(-self.frames // unit) * unit
                nearest = f"{below} or {above}" if below else f"{above}"
                raise RequestError(
                    f"{self.frames} frames of {step} pixels in {name} do not close the loop: with "
                    f"this model they must add up to a multiple of {stride}; "
                    f"the nearest --frames is {nearest}"
                )
        check_request(model, self.size, [self.seed], self.origin, self.period)


def run(job: DriftJob, model: Model) -> None:
    """Make the loop.

    Raises:
        TextureNetworksError: it cannot be made.
        OSError: it cannot be written.
    """
    form = usual_form(job.size, job.rate)
    with tempfile.TemporaryDirectory() as folder, console.bar(job.output.name) as progress:
        output: Output
        if job.output == STDOUT:
            output = Pipe(console.picture_stream(), form)
        elif job.numbered:
            output = NumberedPictures(job.output, 1, resume=False)
        else:
            output = Part(Path(folder) / "part.mkv", form, choose(job.output, None), None, "")
        with output:
            for number, picture in enumerate(ahead(_pictures(job, model))):
                output.write(picture, number)
                progress(number + 1, job.frames)
        if isinstance(output, Part):
            finish(output.path, form, range(job.frames), job.output, None, console.note)


def _pictures(job: DriftJob, model: Model) -> Iterator[Pixels]:
    (y, x), (down, across) = job.origin, job.drift
    for number in range(job.frames):
        origin = y + number * down, x + number * across
        yield synthesize(model, job.size, job.seed, origin, job.period)
