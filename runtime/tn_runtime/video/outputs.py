"""Where frames go that need no finish: numbered pictures, and a pipe."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from tn_runtime.pictures import Rows, save
from tn_runtime.pixels import Pixels
from tn_runtime.video.clip import EXACT, Form


class Output(Protocol):
    """What takes the pictures of a video, in order."""

    first: int
    """Number of the first frame that it lacks."""

    def write(self, picture: Pixels, pts: int) -> None:
        """Take a picture, uint8 (H, W, 3), RGB, and its time in units of the form's time base."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class NumberedPictures:
    """A file for each frame, each whole or not at all."""

    def __init__(self, pattern: Path, start: int, *, resume: bool) -> None:
        """Begin at the number `start`, or after the pictures that are there.

        Args:
            pattern: the name, with the place of the number, as in frame_%05d.png.
            start: number of the first picture.
            resume: whether pictures that are there are kept.
        """
        self.pattern, self.start, self.first = pattern, start, 0
        while resume and self._name(self.first).exists():
            self.first += 1
        self._next = self.first

    def write(self, picture: Pixels, pts: int) -> None:
        """Write the next picture, uint8 (H, W, 3)."""
        save(self._name(self._next), Rows.of_array(picture))
        self._next += 1

    def _name(self, number: int) -> Path:
        return self.pattern.with_name(self.pattern.name % (self.start + number))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Pipe:
    """Raw frames in YUV4MPEG2, which says its own size and rate; colours at full size."""

    def __init__(self, stream: BinaryIO, form: Form) -> None:
        self.stream, self.form, self.first = stream, form, 0
        self._begun = False

    def write(self, picture: Pixels, pts: int) -> None:
        """Write a picture, uint8 (H, W, 3), as Y, U and V."""
        if not self._begun:
            height, width = picture.shape[:2]
            rate = f"{self.form.rate.numerator}:{self.form.rate.denominator}"
            words = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C444 XCOLORRANGE=LIMITED\n"
            self.stream.write(words.encode())
            self._begun = True
        frame = VideoFrame.from_ndarray(picture, "rgb24").reformat(
            format="yuv444p",
            dst_colorspace=self.form.colorspace,
            dst_color_range="MPEG",
            interpolation=EXACT | Interpolation.BICUBIC,
        )
        self.stream.write(b"FRAME\n" + np.ascontiguousarray(frame.to_ndarray()).tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
