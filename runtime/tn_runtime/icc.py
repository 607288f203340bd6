"""ICC profiles: the ways from a picture's colours to sRGB, and back."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tn_runtime.pixels import Pixels

Transform = ImageCms.ImageCmsTransform


def srgb_transform(mode: str, profile: bytes | None) -> Transform | None:
    """Return the way from a profile's colours, in a mode of Pillow, to sRGB in RGB.

    None for a profile that is broken or of another mode: viewers show the colours as they are.
    """
    try:
        source: Any = None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif mode == "LAB":
            source = ImageCms.createProfile("LAB")
        if source is not None:
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        pass
    return None


def ways(
    profile: bytes | None,
) -> tuple[Transform, Transform] | None:
    """Return the ways from a profile's RGB to sRGB, and back; None if either is missing."""
    there = srgb_transform("RGB", profile)
    if there is None or profile is None:
        return None
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        back = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None  # a profile of a scanner may know one way only
    return there, back


def converted(rgb: Pixels, transform: Transform) -> Pixels:
    """Convert uint8 (rows, W, 3)."""
    band = Image.fromarray(np.ascontiguousarray(rgb))
    return np.array(ImageCms.applyTransform(band, transform))
