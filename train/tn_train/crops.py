"""Batches of random crops of photos, made ahead of training by processes of their own."""

import functools
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from tn_runtime.errors import PictureError
from tn_runtime.pixels import Pixels
from tn_train.photos import Photos, read, square, stack
from tn_train.workers import made_ahead

if TYPE_CHECKING:  # the workers do without torch, which takes seconds to import
    from torch import Tensor

LARGEST = 2
"""Shorter side of a scaled photo, at most, of the crop's: a crop shows at least half of it."""
CACHE = 2**27
"""Bytes of decoded photos that each process keeps: about 200 for crops of 256 pixels."""
TRIES = 8
"""Crops drawn until one has more than a single colour. A flat one, such as a white sky, teaches
nothing: instance normalisation divides by its deviation, and makes its gradients infinite."""
BYTES_PER_PIXEL = 4
"""Memory of Pillow's pictures in RGB."""


def batches(
    photos: Photos,
    *,
    seed: int,
    numbers: Iterable[int],
    sample: int,
    batch: int,
    report: Callable[[str], None],
    workers: int | None = None,
) -> "Generator[Tensor, None, None]":
    """Make the batches of these numbers, one after another.

    A batch depends on the photos, the seed, its number, `sample` and `batch` alone: however many
    processes make them, and wherever a run is taken up again, they are the same.

    Each crop comes from one of the photos for training, all equally likely: scaled so that its
    shorter side is `sample` to 2 * `sample` pixels, but not enlarged unless it is smaller than
    `sample`; a random square of that, as it is or mirrored. For a damaged photo, or a square of a
    single colour, another is drawn.

    Args:
        photos: those held out are not used.
        seed: from 0 on.
        numbers: from 0 on; they need not end.
        sample: side of the crops, pixels.
        batch: crops in a batch.
        report: called in this process with a line about each damaged photo, once.
        workers: processes; None is one or two, 0 makes all in this process.

    Yields:
        uint8 (batch, 3, sample, sample), RGB, contiguous. The processes start with the first and
        end when the generator is closed, or gone.

    Raises:
        PictureError: all photos for training are damaged.
        WorkerError: a process was killed, or cannot start.
    """
    return _stream(
        Crops(photos.training, seed, sample, batch),
        numbers,
        functools.cache(report),  # each process comes upon the same photos
        _processors() if workers is None else workers,
    )


@dataclass(frozen=True)
class Drawn:
    """A batch on its way from one process to another."""

    pixels: Pixels | None
    """None if there is no sound photo."""
    damaged: tuple[str, ...]
    """A line about each photo that was found damaged on the way."""


class Crops:
    """All batches, by number."""

    def __init__(self, paths: tuple[Path, ...], seed: int, sample: int, batch: int) -> None:
        self.paths = paths
        self.seed = seed
        self.sample = sample
        self.batch = batch
        self.damaged: dict[int, str] = {}
        self.cache: OrderedDict[int, Image.Image] = OrderedDict()
        """Decoded and scaled down as far as all crops allow, the last used at the end."""
        self.cached = 0
        """Bytes in it."""

    def drawn(self, index: int) -> Drawn:
        """Return a batch: uint8 (batch, 3, sample, sample)."""
        known = len(self.damaged)
        crops = [
            self._crop(np.random.default_rng((self.seed, index, k))) for k in range(self.batch)
        ]
        damaged = tuple(itertools.islice(self.damaged.values(), known, None))
        sound = [crop for crop in crops if crop is not None]
        return Drawn(stack(sound) if len(sound) == self.batch else None, damaged)

    def _crop(self, rng: np.random.Generator) -> Image.Image | None:
        """Return a crop that shows something if one of several does; None without sound photos."""
        crop = None
        for _ in range(TRIES):
            photo = self._draw(rng)
            if photo is None:
                return None
            crop = self._cut(photo, rng)
            if crop.getcolors(1) is None:  # there are more colours than one
                break
        return crop

    def _cut(self, photo: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = photo.size
        shorter = min(width, height)
        most = max(self.sample, min(shorter, LARGEST * self.sample))
        scaled = rng.integers(self.sample, most, endpoint=True)  # the photo's shorter side
        extent = shorter * self.sample / int(scaled)  # of the crop, in the photo's own pixels
        left, top = rng.random(2) * (width - extent, height - extent)
        crop = square(photo, left, top, extent, self.sample)
        return ImageOps.mirror(crop) if rng.random() < 0.5 else crop

    def _draw(self, rng: np.random.Generator) -> Image.Image | None:
        """Return a sound photo by chance, None where there is none."""
        while len(self.damaged) < len(self.paths):
            index = int(rng.integers(len(self.paths)))
            if index not in self.damaged and (photo := self._read(index)):
                return photo
        return None

    def _read(self, index: int) -> Image.Image | None:
        photo = self.cache.pop(index, None)
        if photo is None:
            try:
                photo = _shrink(read(self.paths[index]), LARGEST * self.sample)
            except PictureError as error:
                self.damaged[index] = str(error)
                return None
            self.cached += _memory(photo)
        self.cache[index] = photo
        while self.cached > CACHE and len(self.cache) > 1:
            self.cached -= _memory(self.cache.popitem(last=False)[1])
        return photo


def _stream(
    crops: Crops, numbers: Iterable[int], report: Callable[[str], None], workers: int
) -> "Generator[Tensor, None, None]":
    import torch  # noqa: PLC0415 - the workers do without

    made = made_ahead(crops.drawn, numbers, workers) if workers else map(crops.drawn, numbers)
    for drawn in made:
        for line in drawn.damaged:
            report(line)
        if drawn.pixels is None:
            raise PictureError(
                f"none of the {len(crops.paths)} photos to train on can be read, {crops.paths[0]} "
                "to begin with, and one must: replace them, or give another folder of photos"
            )
        yield torch.from_numpy(drawn.pixels)


def _processors() -> int:
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(2, there or 1)


def _shrink(photo: Image.Image, shorter: int) -> Image.Image:
    """Scale a photo down until its shorter side is that."""
    width, height = photo.size
    scale = shorter / min(width, height)
    if scale >= 1:
        return photo
    size = round(width * scale), round(height * scale)
    return photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _memory(photo: Image.Image) -> int:
    return photo.width * photo.height * BYTES_PER_PIXEL
