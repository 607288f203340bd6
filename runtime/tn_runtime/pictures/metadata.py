"""What a picture's file says beside its samples: read from each format, and made true again.

Kept are the colour profile, EXIF, XMP, the resolution and a PNG's texts. Made true: the orientation
(pictures are read upright), the size, the thumbnails (left out), and what XMP says of parts of the
file that are not copied: the video of a motion photo, a gain map.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tn_runtime.pictures import exif
from tn_runtime.pictures.color import Coded, rgb_of_grey
from tn_runtime.pictures.exif import Directory
from tn_runtime.pictures.store import SIDEWAYS

ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")
THUMBNAILS = rb"(?:xmp|xap):Thumbnails"
MAX_PREFIXES = 8
"""Different prefixes of one namespace that are looked for: a file could declare thousands."""
TRAILERS = {
    b"http://ns.google.com/photos/1.0/camera/": "its video",
    b"http://ns.google.com/photos/1.0/container/": "",
    b"http://ns.google.com/photos/1.0/container/item/": "",
    b"http://ns.adobe.com/hdr-gain-map/1.0/": "its HDR gain map",
    b"http://ns.apple.com/HDRGainMap/1.0/": "its HDR gain map",
    b"http://ns.adobe.com/xmp/note/": "",
}
"""Namespaces of XMP that describe what follows the picture in its file, with what that is."""

AUTHORS_OWN = frozenset(
    ("Artist", "Author", "Comment", "Copyright", "Description", "ImageDescription", "Title")
)
"""Texts of a photo that what is written about its making does not replace."""
NO_PLAIN_TEXT = ("XML:com.adobe.xmp", "Raw profile type ")
"""Beginnings of a PNG's texts that hold EXIF, XMP and the like."""
COMMENT_CODE = b"ASCII\0\0\0"
"""What EXIF wants before a user comment."""


FIRST_OF_SEVERAL = "it has several pictures, and the first is taken"
HDR_NOTE = "its colours are HDR ({}); what is brighter than white is painted as white"


@dataclass(frozen=True)
class About:
    """What a file says about its picture; kept as far as the written format has a place for it."""

    profile: bytes | None = None
    """ICC, of RGB; None is sRGB."""
    exif: Directory = field(default_factory=dict)
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts of a PNG."""
    coded: Coded | None = None
    """HDR colours as a PNG codes them; `profile` has them cut to what SDR can show."""
    notes: tuple[str, ...] = ()
    """What of the file was left out or changed, a few words each."""


def understood(
    mode: str,
    tags: Directory,
    *,
    profile: bytes | None = None,
    coded: Coded | None = None,
    xmp: bytes = b"",
    dpi: tuple[float, float] | None = None,
    texts: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> tuple[About, int]:
    """Return what is true of the upright picture, and the orientation of the stored one, 1 to 8.

    `mode` is Pillow's name of the samples' colours; codes go before a profile.
    """
    turn = ORIENTATION.search(xmp)
    orientation = exif.integer(tags, exif.ORIENTATION, int(turn[2]) if turn else 1)
    if exif.ORIENTATION in tags:
        tags = {**tags, exif.ORIENTATION: exif.short(1)}
    packet, left_out = _without_trailers(
        _without_elements(ORIENTATION.sub(rb"\g<1>1", xmp), THUMBNAILS)
    )
    if coded is not None:
        profile = coded.profile
    elif mode == "L":
        profile = rgb_of_grey(profile)
    hdr = coded is not None and coded.hdr
    dots = _sound(dpi or exif.resolution(tags))
    about = About(
        profile or None,
        tags,
        packet,
        dots[::-1] if dots and orientation in SIDEWAYS else dots,
        {key: text for key, text in (texts or {}).items() if not key.startswith(NO_PLAIN_TEXT)},
        coded if hdr else None,
        (*notes, *left_out, *([HDR_NOTE.format(hdr)] if hdr else [])),
    )
    return about, orientation


def exif_of_text(text: str) -> bytes:
    """Return the EXIF block in a PNG's text, where ImageMagick put it before eXIf was there."""
    with contextlib.suppress(ValueError):
        return bytes.fromhex("".join(text.split("\n")[3:]))
    return b""


def described(about: About | None, made: Mapping[str, str], height: int, width: int) -> Directory:
    """Return EXIF that says how large the picture is, and how it was made.

    A photo's own comment stays. In a picture that comes from no file, `about` is None, the
    description says how it was made.
    """
    software = exif.text(made.get("Software", ""))
    if about is None:
        return {exif.SOFTWARE: software, exif.DESCRIPTION: exif.text(json.dumps(dict(made)))}
    tags = dict(about.exif)
    inner = tags.get(exif.EXIF)
    shot: Directory = (
        dict(inner)
        if isinstance(inner, dict)
        else {exif.VERSION: exif.Tag(exif.UNDEFINED, b"0232")}
    )
    if exif.PIXEL_WIDTH in shot and exif.PIXEL_HEIGHT in shot:
        shot |= {exif.PIXEL_WIDTH: exif.long(width), exif.PIXEL_HEIGHT: exif.long(height)}
    if not exif.content(shot.get(exif.USER_COMMENT))[len(COMMENT_CODE) :].strip(b" \0"):
        note = COMMENT_CODE + json.dumps(dict(made)).encode()
        shot[exif.USER_COMMENT] = exif.Tag(exif.UNDEFINED, note)
    tags |= {exif.EXIF: shot, exif.SOFTWARE: software}
    if about.dpi:
        across, down = map(exif.rational, about.dpi)
        tags |= {exif.X_RESOLUTION: across, exif.Y_RESOLUTION: down}
        tags[exif.RESOLUTION_UNIT] = exif.short(exif.INCH)
    return tags


def all_texts(about: About, made: Mapping[str, str]) -> dict[str, str]:
    """Return a PNG's texts: the file's own, and how it was made."""
    own = {key: text for key, text in about.texts.items() if key in AUTHORS_OWN}
    return {**about.texts, **made, **own}


def _sound(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    if dpi is None:
        return None
    across, down = float(dpi[0]), float(dpi[1])
    return (across, down) if all(1 <= dots <= 60000 for dots in (across, down)) else None


def _without_trailers(xmp: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Take out what describes parts that follow the picture; return what these are, too."""
    notes = []
    for space, name in TRAILERS.items():
        declared = re.findall(rb"""xmlns:([\w.-]+)\s*=\s*["']%b["']""" % re.escape(space), xmp)
        for prefix in sorted(set(declared))[:MAX_PREFIXES]:
            names = re.escape(prefix) + rb":[\w.-]+"
            without = _without_elements(xmp, names)
            without = re.sub(rb"""\s%b\s*=\s*("[^"]*"|'[^']*')""" % names, b"", without)
            if without != xmp and name:
                notes.append(f"{name} is left out")
            xmp = without
    return xmp, tuple(dict.fromkeys(notes))


def _without_elements(xmp: bytes, names: bytes) -> bytes:
    """Remove the elements whose names match, with all that is in them, in linear time."""
    kept, end, start, depth = [], 0, 0, 0
    for tag in re.finditer(rb"<(/?)(?:%b)(?:\s[^<>]*)?/?>" % names, xmp):
        if depth == 0:
            if tag[1]:
                continue  # an end without a beginning
            start = tag.start()
        if not tag[0].endswith(b"/>"):
            depth += -1 if tag[1] else 1
        if depth == 0:
            kept.append(xmp[end:start])
            end = tag.end()
    return b"".join([*kept, xmp[end:]])
