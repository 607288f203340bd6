"""A picture whose header is read and whose samples are not; how they become a `Picture`."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tn_runtime.pictures import color
from tn_runtime.pictures.metadata import Said, understood
from tn_runtime.pictures.picture import Picture
from tn_runtime.pictures.store import Store
from tn_runtime.pixels import Samples, straight, to_8_bits

STRIP = 64
"""Rows that are decoded at once, where a decoder leaves the choice."""

Strips = Callable[[], Iterator[NDArray[Any]]]
"""Called, yields (rows, W, C) from top to bottom; each call decodes anew."""


@dataclass(frozen=True)
class Encoded:
    """A picture as its file has it."""

    height: int
    width: int
    """Pixels, before it is turned upright."""
    mode: str
    """Pillow's name of the colours, which are the first channels: L, RGB, CMYK, LAB or YCbCr."""
    alpha: bool
    """The channel behind the colours is alpha; further channels have no meaning here."""
    dtype: np.dtype[Any]
    strips: Strips
    said: Said
    upright: bool = False
    """The decoder has turned it already, whatever `said` says."""
    premultiplied: bool = False

    @property
    def colors(self) -> int:
        """How many channels are colours."""
        return Image.getmodebands(self.mode)

    def decoded(self) -> Picture:
        """Decode the samples: grey or RGB with straight alpha, of 8 or 16 bits, upright."""
        about, orientation = understood(self.said, self.mode)
        convert, profile = color.to_rgb(self.mode, about.profile)
        span = self._span()
        deep = self.dtype == np.uint16 and convert is None
        channels = (1 if self.mode == "L" else 3) + self.alpha
        dtype = np.uint16 if deep else np.uint8
        turn = 1 if self.upright else orientation
        store = Store.of_size(self.height, self.width, channels, dtype, turn)
        top = 0
        for strip in self.strips():
            samples = self._samples(strip, span)
            if convert:
                samples = to_8_bits(samples)
                colors, alpha = np.split(samples, [self.colors], axis=2)
                samples = np.concatenate([convert(colors), alpha], axis=2)
            store.put(top, samples)
            top += len(strip)
        return Picture(store, dataclasses.replace(about, profile=profile))

    def _span(self) -> tuple[float, float]:
        """Return the values that mean black and white."""
        if self.dtype in (np.uint8, np.uint16):
            return 0.0, float(np.iinfo(self.dtype).max)
        colors = (strip[..., : self.colors] for strip in self.strips())
        low, high = np.transpose([(part.min(), part.max()) for part in colors]).astype(float)
        black, white = float(low.min()), float(high.max())
        if not np.isfinite([black, white]).all():
            raise ValueError("it holds values that are not finite numbers")
        nominal = 65535.0 if self.dtype.kind in "iu" else 1.0
        if black >= 0 and white <= nominal:
            return 0.0, nominal
        return black, white if white > black else black + 1

    def _samples(self, strip: NDArray[Any], span: tuple[float, float]) -> Samples:
        """Return (rows, W, colours and alpha) of 8 or 16 bits, alpha straight."""
        colors, rest = np.split(strip[..., : self.colors + self.alpha], [self.colors], axis=2)
        if self.dtype not in (np.uint8, np.uint16):
            integer = self.dtype.kind in "iu"
            opaque = (0.0, float(np.iinfo(self.dtype).max)) if integer else span
            colors, rest = _scaled(colors, *span), _scaled(rest, *opaque)
        if self.premultiplied:
            colors = straight(colors, rest[..., 0])
        return np.concatenate([colors, rest], axis=2)


def _scaled(values: NDArray[Any], low: float, high: float) -> Samples:
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)
