"""The verb `stylize`: a photo repainted, checked, cut into tiles, run and put together."""

import itertools
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tn_runtime import tiling
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.masks import Masks, Regions, check_grey, check_shapes
from tn_runtime.pictures import LUMA, Picture, RowBuffer, RowSource, resampled, with_detail
from tn_runtime.pixels import Pixels
from tn_runtime.requests import check_integer, check_kind, check_seed
from tn_runtime.session import Model
from tn_runtime.synthesis import Progress
from tn_runtime.tiling import Window

REFERENCE_PIXELS = 2**16
"""Size in pixels of the square picture on which the shared statistics of a large photo are
measured. This is the size of training. With four times as many
pixels, a photo of 1024 pixels takes 1.3 times
as long, and the pictures are alike to the eye."""

ONE_RUN_PIXELS = {"cpu": 2**18, "cuda": 2**20}
"""Size in pixels, by provider, up to which a square photo is painted by the run that measures it. A
larger photo gets its own session, which takes half the time per pixel. Opening it takes tens of
milliseconds on the CPU. On CUDA it takes longer, and a run takes less."""

BLENDED_PIXELS = 2**19
"""How many pixels are blended with the photo at once, in 64-bit numbers."""

STROKE_SCALES = (0.25, 8.0)
"""The smallest and the largest."""

Size = tuple[int, int]
"""(height, width), pixels."""


@dataclass(frozen=True)
class Options:
    """How a photo is stylised; the values are checked when it is created.

    Raises:
        RequestError: a value that cannot be served.
    """

    seed: int = 0
    """Seed of the noise, int64; without effect on a model that takes none."""
    strength: float = 1.0
    """0 is the photo, 1 the stylised picture."""
    keep_colors: bool = False
    """Take the luma of the stylised picture, and the colours of the photo."""
    stroke_scale: float = 1.0
    """How much larger than in training the strokes are, relative to the picture."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, value in (("strength", self.strength), ("stroke scale", self.stroke_scale)):
            if not isinstance(value, numbers.Real):
                raise RequestError(f"{name} {value!r:.60} is not a number")
        if not 0 <= self.strength <= 1:  # NaN is not, either
            raise RequestError(f"strength {self.strength:g} is out of range; it is 0 to 1")
        finest, broadest = STROKE_SCALES
        if not finest <= self.stroke_scale <= broadest:
            raise RequestError(
                f"stroke scale {self.stroke_scale:g} is out of range; it is {finest:g}, fine "
                f"strokes at {1 / finest**2:g} times the work, to {broadest:g}, broad ones"
            )


def stylize(
    model: Model,
    photo: NDArray[np.uint8] | NDArray[np.uint16],
    seed: int = 0,
    strength: float = 1.0,
    keep_colors: bool = False,
    stroke_scale: float = 1.0,
    max_size: int | None = None,
    masks: Mapping[str, NDArray[np.uint8] | NDArray[np.uint16]] | None = None,
) -> NDArray[Any]:
    """Repaint a photo, whole in memory.

    Args:
        model: of kind style; one with several styles paints its blend, see `Model.blended`.
        photo: uint8 or uint16 (H, W, 3 or 4), sRGB; a fourth channel, alpha, is kept as it is.
        seed: of the noise, int64; without effect on a model that takes none (`takes_seed` of its
            spec).
        strength: 0 to 1: photo + strength * (stylised - photo).
        keep_colors: add the change of luma (Rec. 601) to all channels of the photo: the luminance
            transfer of Gatys et al., "Preserving Color in Neural Artistic Style Transfer" (2016).
        stroke_scale: 0.25 to 8: the model sees the photo reduced by so much, and its strokes become
            so much larger; above 1 the photo's own detail leads the way back to full size.
        max_size: pixels of the longest side, to which a larger photo is reduced first; None leaves
            all photos as large as they are.
        masks: where other styles of the model are painted, by name: uint8 or uint16 (h, w), white
            where the style is seen; of the photo's shape and any size.

    Returns:
        An array of the photo's dtype and shape, unless `max_size` made it smaller.

    Raises:
        RequestError: an option or a photo that cannot be served, or a texture model.
        ModelError: the model failed.
    """
    options = Options(seed, strength, keep_colors, stroke_scale)
    check_max_size(max_size)
    array = _array(photo)
    _check_photo(array)
    limited = reduced(Picture.from_array(array), max_size)
    pictures = {style: Picture.from_array(_array(mask)) for style, mask in (masks or {}).items()}
    for style, mask in pictures.items():
        check_grey(style, mask)
    return np.concatenate(list(stylized_bands(model, limited, options, masks=pictures)))


def stylized_bands(
    model: Model,
    photo: Picture,
    options: Options,
    progress: Progress | None = None,
    masks: Masks | None = None,
) -> Iterator[NDArray[Any]]:
    """Repaint a photo from top to bottom, in memory that does not grow with it.

    The model's kind and the masks are checked at once, before the first band is asked for.

    Returns:
        Iterator of uint8 or uint16 (rows, width, 3), with alpha (rows, width, 4), in the photo's
        own space and depth; the rows add up to its height.

    Raises:
        RequestError: a texture model, or masks that do not fit the model or the photo.
        ModelError: the model failed.
    """
    check_kind(model, "style")
    masks = masks or {}
    models = [model, *masked(model, masks)]
    size = photo.height, photo.width
    check_shapes(masks, size)
    return _bands(models, photo, options, Regions(list(masks.values()), size), progress)


def measured(
    model: Model, photo: Pixels, options: Options, size: Size | None = None
) -> NDArray[np.float32]:
    """Return the statistics of a photo, to give to a model that paints others like it.

    Args:
        model: of kind style, with normalised channels.
        photo: uint8 (H, W, 3), sRGB.
        options: those of the painting.
        size: (height, width), pixels, of what will be painted, where `photo` is its reduction.

    Returns:
        float32 (C, 2), mean and variance of each normalised channel.

    Raises:
        ModelError: the model failed.
    """
    picture = Picture.from_array(photo)
    seen = _scaled(size or (picture.height, picture.width), 1 / options.stroke_scale)
    return _measured(model, picture, options.seed, seen)


def masked(model: Model, styles: Iterable[str]) -> list[Model]:
    """Return the model in each of the styles that have a mask.

    Raises:
        RequestError: it has no such style, only one style, or given statistics.
    """
    models = [model.blended({style: 1}) for style in styles]
    if models and not model.spec.takes_style:
        raise RequestError(f"{model.path} has one style; masks are for models with several")
    return models


def reduced(photo: Picture, max_size: int | None) -> Picture:
    """Return the photo with no side longer than `max_size` pixels, itself if it has none."""
    size = photo.height, photo.width
    if max_size is None or max(size) <= max_size:
        return photo
    new_size = _scaled(size, max_size / max(size))
    array = np.concatenate(list(_reduced_bands(photo, size, new_size)))
    return Picture.from_array(array, photo.about)


def _reduced_bands(photo: Picture, size: Size, new_size: Size) -> Iterator[NDArray[Any]]:
    """Yield the photo's own channels; what is transparent does not shine through."""
    plain = resampled(photo.colors, size, new_size)
    if not photo.has_alpha:
        yield from plain
        return

    def premultiplied(top: int, bottom: int) -> NDArray[np.float32]:
        alpha = photo.alpha(top, bottom)[..., None].astype(np.float32)
        return np.concatenate([photo.colors(top, bottom) * alpha, alpha], axis=2)

    for colors, weighted in zip(plain, resampled(premultiplied, size, new_size), strict=True):
        largest = np.iinfo(colors.dtype).max
        products, alpha = weighted[..., :3], weighted[..., 3:]
        visible = np.where(alpha < 0.5, colors, products / np.maximum(alpha, 0.5))
        both = np.concatenate([visible, alpha], axis=2)
        yield np.rint(both).clip(0, largest).astype(colors.dtype)


def check_max_size(max_size: int | None) -> None:
    """Refuse values that are not a length.

    Raises:
        RequestError: not a whole number from 1 on.
    """
    if max_size is not None and check_integer("max size", max_size) < 1:
        raise RequestError(f"max size {max_size} is out of range; it is 1 pixel or more")


def _array(photo: Any) -> NDArray[Any]:  # noqa: ANN401 - whatever a caller has
    """Return an array. Of pictures from Pillow, only the modes RGB and RGBA are taken."""
    mode = getattr(photo, "mode", None)
    if isinstance(mode, str) and mode not in {"RGB", "RGBA"}:
        raise RequestError(
            f"a picture of Pillow in the mode {mode} is not a photo; give photo.convert('RGB')"
        )
    try:
        return np.asarray(photo)
    except (TypeError, ValueError) as error:
        raise RequestError(f"{type(photo).__name__} is not an array: {error}") from error


def _check_photo(photo: NDArray[Any]) -> None:
    if photo.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise RequestError(f"a photo must be uint8 or uint16, not {photo.dtype}")
    if photo.ndim != 3 or photo.shape[2] not in {3, 4} or 0 in photo.shape:
        raise RequestError(f"a photo must have the shape (H, W, 3) or (H, W, 4), not {photo.shape}")


# Painting: from the photo to what the model sees, and back


def _bands(
    models: Sequence[Model],
    photo: Picture,
    options: Options,
    regions: Regions,
    progress: Progress | None,
) -> Iterator[NDArray[Any]]:
    report = _of_all(progress, len(models)) if progress else None
    paintings = [_paintings(model, photo, options, report) for model in models]
    step = max(1, BLENDED_PIXELS // photo.width)
    top = 0
    while top < photo.height:
        bands = [next(painting) for painting in paintings]
        for start in range(0, len(bands[0]), step):
            part = regions.mixed([band[start : start + step] for band in bands], top)
            yield _blended(photo, top, part, options)
            top += len(part)
        del bands, part  # not to be held while the next are made


def _of_all(progress: Progress, count: int) -> Progress:
    """Return a callback for so many paintings, which are made in turns."""
    done = itertools.count(1)
    return lambda _, total: progress(next(done), count * total)


def _paintings(
    model: Model, photo: Picture, options: Options, progress: Progress | None
) -> Iterator[Pixels]:
    """Yield uint8 (rows, width, 3), sRGB: the stylised photo at its own size."""
    size = photo.height, photo.width
    seen = _scaled(size, 1 / options.stroke_scale)
    painter = _painter(model, photo, options.seed, seen)
    painting = painter.paint(_rows(photo, seen), progress)
    if seen == size:
        yield from painting
    elif options.stroke_scale < 1:
        yield from resampled(RowBuffer(painting), seen, size)
    else:
        yield from with_detail(photo.srgb, size, _rows(photo, seen), RowBuffer(painting), seen)


def _scaled(size: Size, factor: float) -> Size:
    height, width = size
    return max(1, round(height * factor)), max(1, round(width * factor))


def _rows(photo: Picture, size: Size) -> RowSource:
    """Return the photo's rows at another size, uint8, sRGB; they are read from top to bottom."""
    own = photo.height, photo.width
    return photo.srgb if size == own else RowBuffer(resampled(photo.srgb, own, size))


def _painter(model: Model, photo: Picture, seed: int, seen: Size) -> "Painter":
    """Decide how a photo is painted: in one run, or in tiles that share their statistics."""
    normalized = model.spec.normalized_channels and model.statistics is None
    if normalized and _reduction(model, seen, _one_run_pixels(model)) == 1:
        return Painter(model, seed, seen, tile=max(seen) + model.spec.stride)
    if normalized:
        model = model.given(_measured(model, photo, seed, seen))
    return Painter(model, seed, seen, model.tile)


def _one_run_pixels(model: Model) -> int:
    """Return the limit of its provider; a GPU with little memory has a lower one."""
    most = ONE_RUN_PIXELS[model.provider]
    return most if model.provider == "cpu" else min(most, model.tile**2)


def _measured(model: Model, photo: Picture, seed: int, seen: Size) -> NDArray[np.float32]:
    """Measure what all tiles share, float32 (C, 2), on a picture that fits one run."""
    height, width = _scaled(seen, _reduction(model, seen, REFERENCE_PIXELS))
    whole = Window(0, 0, height, width)
    content = _rows(photo, (height, width))(0, height)
    return model.measure(**_inputs(model, content, whole, whole, seed))


def _reduction(model: Model, size: Size, pixels: int) -> float:
    """Return the factor, at most 1, that makes a picture as little work as a square one.

    The work grows with the area of a window and its halo; a narrow picture has more halo.
    """
    around = 2 * (model.spec.halo + model.spec.stride)
    height, width = size
    most = (pixels**0.5 + around) ** 2
    if (height + around) * (width + around) <= most:
        return 1.0
    area, edges = height * width, around * (height + width)
    return (math.sqrt(edges**2 + 4 * area * (most - around**2)) - edges) / (2 * area)


@dataclass(frozen=True)
class Painter:
    """A model that paints one picture; it sees one tile and its surroundings at a time."""

    model: Model
    seed: int
    size: Size
    tile: int
    """Pixels, the largest side of a tile."""

    def paint(self, rows: RowSource, progress: Progress | None = None) -> Iterator[Pixels]:
        """Yield the stylised picture, uint8 (rows, width, 3), from top to bottom."""
        picture = Window(0, 0, *self.size)
        stride = self.model.spec.stride
        total, done = tiling.count(picture, stride, self.tile), 0
        for row in tiling.rows(picture, stride, self.tile):
            top, bottom = self._around(row.y, row.height, picture.height)
            context = rows(top, bottom)
            band = np.empty((row.height, row.width, 3), np.uint8)
            for tile in tiling.tiles(row, stride, self.tile):
                left, right = self._around(tile.x, tile.width, picture.width)
                part = Window(top, left, bottom - top, right - left)
                band[:, tile.x : tile.x + tile.width] = self._tile(
                    context[:, left:right], part, tile
                )
                done += 1
                if progress is not None:
                    progress(done, total)
            del context  # nor the band: not to be held while the next is made
            yield band
            del band

    def _around(self, start: int, length: int, end: int) -> tuple[int, int]:
        """Return a span with its halo, as far as the picture reaches; the model mirrors beyond."""
        halo = self.model.spec.halo
        return max(0, start - halo), min(end, start + length + halo)

    def _tile(self, content: Pixels, part: Window, tile: Window) -> Pixels:
        image = self.model.run(**_inputs(self.model, content, part, tile, self.seed))
        expected = (1, tile.height, tile.width, 3)
        if image.shape != expected:
            raise ModelError(f"{self.model.path} returned shape {image.shape}, not {expected}")
        painted: Pixels = image[0]
        return painted


def _inputs(
    model: Model, content: Pixels, part: Window, tile: Window, seed: int
) -> dict[str, NDArray[np.generic]]:
    """Return the contract's inputs; `content` is the part of the picture, which holds the tile."""
    window = (tile.y - part.y, tile.x - part.x, tile.height, tile.width)
    inputs: dict[str, NDArray[np.generic]] = {
        "content": np.ascontiguousarray(content[None]),
        "window": np.array(window, np.int64),
        "origin": np.array((part.y, part.x), np.int64),
    }
    if model.spec.takes_seed:
        inputs["seed"] = np.array([seed], np.int64)
    return inputs


# Back to the photo's own colours


def _blended(photo: Picture, top: int, painting: Pixels, options: Options) -> NDArray[Any]:
    """Return rows of the finished picture, with the photo's space, depth and alpha."""
    bottom = top + len(painting)
    before = photo.colors(top, bottom)
    after = photo.from_srgb(painting).astype(before.dtype)
    if photo.depth == 16:
        after *= 257  # 255 becomes 65535
    if options.keep_colors:
        after = _with_colors(after, before)
    if options.strength < 1:
        mixed = before + options.strength * (after.astype(np.float64) - before)
        after = np.rint(mixed).astype(before.dtype)
    if photo.has_alpha:
        after = np.concatenate([after, photo.alpha(top, bottom)[..., None]], axis=2)
    return after


def _with_colors(painting: NDArray[Any], photo: NDArray[Any]) -> NDArray[Any]:
    """Return the photo with the painting's luma, cut to the range of its dtype."""
    change = np.rint((painting.astype(np.float64) - photo) @ LUMA)[..., None]
    colored: NDArray[Any] = (photo + change).clip(0, np.iinfo(photo.dtype).max).astype(photo.dtype)
    return colored
