"""Metadata of a picture: what its file says beside the samples, made true again.

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
from tn_runtime.pictures.color import Coded, Gamma, rgb_of_grey
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
"""EXIF wants this before a user comment."""


FIRST_OF_SEVERAL = "it has several pictures, and the first is taken"


@dataclass
class Said:
    """Metadata as a file has it."""

    tags: Directory = field(default_factory=dict)
    """EXIF."""
    profile: bytes | None = None
    """ICC, of the colours as they are stored."""
    coded: Coded | Gamma | None = None
    """Colours that are said otherwise, which count more."""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)
    """Texts of a PNG."""
    notes: list[str] = field(default_factory=list)
    """Parts of the file that are left out, a few words each."""


@dataclass(frozen=True)
class About:
    """Metadata that is true of the upright picture; written as far as the format has a place."""

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
    """Parts of the file that were left out or changed, a few words each."""


def understood(said: Said, mode: str) -> tuple[About, int]:
    """Return what is true of the upright picture, and the orientation of the stored one, 1 to 8.

    `mode` is Pillow's name of the samples' colours.
    """
    tags, turn = said.tags, ORIENTATION.search(said.xmp)
    orientation = exif.integer(tags, exif.ORIENTATION, int(turn[2]) if turn else 1)
    if exif.ORIENTATION in tags:
        tags = {**tags, exif.ORIENTATION: exif.short(1)}
    xmp = _without_elements(ORIENTATION.sub(rb"\g<1>1", said.xmp), THUMBNAILS)
    xmp, left_out = _without_trailers(xmp)
    dots = _sound(said.dpi or exif.resolution(tags))
    if dots and orientation in SIDEWAYS:
        dots = dots[::-1]
    texts = {key: text for key, text in said.texts.items() if not key.startswith(NO_PLAIN_TEXT)}
    hdr = said.coded if isinstance(said.coded, Coded) and said.coded.hdr else None
    if said.coded:
        profile = said.coded.profile
    else:
        profile = rgb_of_grey(said.profile) if mode == "L" else said.profile
    notes = [*said.notes, *left_out]
    if hdr:
        notes.append(
            f"its colours are HDR ({hdr.hdr}); what is brighter than white is painted as white"
        )
    about = About(profile or None, tags, xmp, dots, texts, hdr, tuple(dict.fromkeys(notes)))
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


def _without_trailers(xmp: bytes) -> tuple[bytes, list[str]]:
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
    return xmp, notes


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
