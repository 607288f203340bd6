"""The verb `painted`: frames of a video, each shot with statistics of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tn_runtime.pixels import Pixels
from tn_runtime.requests import check_kind
from tn_runtime.session import Model
from tn_runtime.stylization import Options, measured, stylize
from tn_runtime.video.shots import Shot, shots


@dataclass(frozen=True)
class Scene:
    """A shot that was measured."""

    frames: int
    statistics: NDArray[np.float32] | None
    """float32 (C, 2), the mean of those of its samples; None of a network without norms."""


def scenes(
    model: Model, reduced: Iterable[Pixels], size: tuple[int, int], options: Options
) -> Iterator[Scene]:
    """Find the shots of a video, and measure them.

    Args:
        model: of kind style.
        reduced: all frames, uint8 (h, w, 3), sRGB, reduced to about the size of training.
        size: (height, width) of the frames that are painted later, pixels.
        options: as they are painted.

    Raises:
        RequestError: a texture model.
        ModelError: the model failed.
    """
    check_kind(model, "style")
    for shot in shots(reduced):
        yield Scene(shot.frames, _statistics(model, shot, size, options))


def painted(
    model: Model,
    frames: Iterable[Pixels],
    plan: Iterable[Scene],
    options: Options,
    first: int = 0,
) -> Iterator[Pixels]:
    """Paint frames one by one; equal frames of a shot become equal pictures.

    The statistics are constants within a shot, and each shot has a session of its own, in which
    they are folded into the convolutions.

    Args:
        model: of kind style.
        frames: uint8 (H, W, 3), sRGB, from number `first` on.
        plan: all shots, from the first frame of the video on.
        options: strength, colours, stroke scale.
        first: number of the first of the frames; shots before it are passed over.

    Raises:
        ModelError: the model failed.
    """
    coming = iter(plan)
    left, session, before = 0, model, 0
    for number, frame in enumerate(frames, start=first):
        while number >= before + left:
            before += left
            scene = next(coming)
            left = scene.frames
            if number < before + left and scene.statistics is not None:
                session = model.given(scene.statistics)
        yield stylize(
            session,
            frame,
            seed=options.seed,
            strength=options.strength,
            keep_colors=options.keep_colors,
            stroke_scale=options.stroke_scale,
        )


def _statistics(
    model: Model, shot: Shot, size: tuple[int, int], options: Options
) -> NDArray[np.float32] | None:
    if not model.spec.normalized_channels:
        return None
    each = [measured(model, sample, options, size) for sample in shot.samples]
    return np.asarray(np.mean(each, axis=0, dtype=np.float64), np.float32)
