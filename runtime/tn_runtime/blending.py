"""Blends of the styles in one file: the share that each has in a picture."""

import math
import numbers
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tn_runtime.errors import RequestError


def blend(styles: Sequence[str], shares: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the share of each style, float32 (S,); they add up to 1.

    Args:
        styles: names, in the order of the file.
        shares: of some styles, by name; only their ratios count.

    Raises:
        RequestError: an unknown name, or shares that cannot be.
    """
    values = np.zeros(len(styles))
    for style, share in shares.items():
        values[_place(styles, style)] = _checked(style, share)
    if not values.any():
        raise RequestError("a blend needs a style with a share of more than 0")
    values /= values.max()  # the sum of the largest numbers would be infinite
    return (values / values.sum()).astype(np.float32)  # type: ignore[no-any-return]  # numpy's


def _place(styles: Sequence[str], style: str) -> int:
    if style not in styles:
        raise RequestError(
            f"the model has no style {style!r:.60}; it has {', '.join(styles) or 'none'}"
        )
    return styles.index(style)


def _checked(style: str, share: float) -> float:
    if not isinstance(share, numbers.Real) or not 0 <= share < math.inf:
        raise RequestError(f"the share of {style!r:.60} is {share!r:.60}; give 0 or more")
    return float(share)
