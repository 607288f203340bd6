"""What a file says of parts that are not copied is taken out; what does not fit is said."""

import io
import struct
import sys
import time
import zlib

import pytest
from PIL import Image

from runtime.picture_files import chunk, png_bytes, png_chunks, smooth
from runtime.processes import PEAK, python
from tn_runtime.pictures import Rows, decode, encode, exif

FORMATS = [".png", ".jpg", ".webp", ".tiff"]
MADE = {"Software": "texture-networks 1.2.3"}

RIGHTS = b'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">A. Nyone</rdf:li></rdf:Alt></dc:rights>'


def packet(attributes=b"", elements=b""):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about=""'
        + attributes
        + b">"
        + elements
        + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


CAMERA = b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
GAIN = b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
CONTAINER = (
    b' xmlns:C="http://ns.google.com/photos/1.0/container/"'
    b' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)
DIRECTORY = (
    b'<C:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><C:Item Item:Semantic="GainMap"/>'
    b"</rdf:li></rdf:Seq></C:Directory>"
)
TRAILERS = {
    "motion": (
        packet(CAMERA + b" GCamera:MotionPhoto=\"1\" GCamera:MicroVideoOffset='4012'", RIGHTS),
        packet(CAMERA, RIGHTS),
        "its video is left out",
    ),
    "gain map": (
        packet(GAIN + CONTAINER + b' hdrgm:Version="1.0"', RIGHTS + DIRECTORY),
        packet(GAIN + CONTAINER, RIGHTS),
        "its HDR gain map is left out",
    ),
    "elements": (
        packet(GAIN, b"<hdrgm:Gamma>1</hdrgm:Gamma><hdrgm:Version/>" + RIGHTS),
        packet(GAIN, RIGHTS),
        "its HDR gain map is left out",
    ),
    "nothing": (packet(b"", RIGHTS), packet(b"", RIGHTS), None),
    "an end alone": (
        packet(GAIN, b"</hdrgm:X>" + RIGHTS),
        packet(GAIN, b"</hdrgm:X>" + RIGHTS),
        None,
    ),
}


def jpeg(**options):
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, "JPEG", quality=98, **options)
    return stream.getvalue()


def written(picture, suffix):
    """Return the file of a picture that nothing was done to, and what was left out of it."""
    stream = io.BytesIO()
    left_out = encode(stream, suffix, Rows.of_picture(picture, [picture.colors()], MADE))
    return stream.getvalue(), left_out


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", list(TRAILERS))
def test_xmp_does_not_speak_of_what_is_gone(kind, suffix):
    before, after, note = TRAILERS[kind]
    picture = decode(jpeg(xmp=before) + b"the video, or the gain map")
    assert picture.about.notes == ((note,) if note else ())
    assert decode(written(picture, suffix)[0]).about.xmp == after


def test_xmp_that_is_made_to_be_slow_is_not():
    """Each of these took quadratic time: minutes for a megabyte."""
    started = time.process_time()
    for part in (b"<hdrgm:A>", b"<xmp:Thumbnails>", b" hdrgm:A='", b"</hdrgm:A>"):
        text = packet(GAIN, part * (2**20 // len(part)))
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + text
        decode(png_bytes(smooth(), [(b"iTXt", text)]))
    declarations = b"".join(
        b' xmlns:p%d="http://ns.adobe.com/hdr-gain-map/1.0/"' % number for number in range(9999)
    )
    decode(png_bytes(smooth(), [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet(declarations))]))
    assert time.process_time() - started < 60  # not a time: what took minutes must not


def test_exif_beyond_a_segment_loses_its_largest_tags_alone_and_says_so():
    tags = Image.Exif()
    tags[271] = "Camera"
    tags.get_ifd(34665)[37500] = bytes(70000)
    tags.get_ifd(34665)[36867] = "2024:05:06 07:08:09"
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, "WEBP", exif=tags)
    picture = decode(stream.getvalue())
    data, [note] = written(picture, ".jpg")
    assert note.startswith("is without a part of the photo's EXIF (the maker's note)")
    with Image.open(io.BytesIO(data)) as image:
        kept = image.getexif()
    assert (kept[271], kept.get_ifd(34665)[36867]) == ("Camera", "2024:05:06 07:08:09")
    assert 37500 not in kept.get_ifd(34665)
    for suffix in (".png", ".webp", ".tiff"):
        data, left_out = written(picture, suffix)
        assert left_out == []
        assert len(decode(data).about.exif[34665][37500].data) == 70000


def test_xmp_beyond_a_segment_is_said():
    long = packet(b"", RIGHTS + b" " * 70000)
    picture = decode(png_bytes(smooth(), [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + long)]))
    assert picture.about.xmp == long
    assert written(picture, ".tiff")[1] == []
    assert written(picture, ".jpg")[1] == ["is without the photo's XMP: JPEG holds 64 KB of it"]


def test_exif_that_fits_is_left_alone():
    tags = {271: exif.text("Camera"), 34665: {37500: exif.Tag(7, bytes(500))}}
    assert exif.fitted(tags, 65000) == (tags, [])
    assert exif.fitted(tags, 200) == ({271: tags[271], 34665: {}}, ["the maker's note"])


LONG = "seed " * 400_000


@pytest.mark.parametrize(
    "text",
    [
        (b"zTXt", b"workflow\0\0" + zlib.compress(LONG.encode())),
        (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(LONG.encode())),
        (b"tEXt", b"workflow\0" + LONG.encode()),
    ],
)
def test_texts_of_megabytes_are_kept_and_read_again(text):
    picture = decode(png_bytes(smooth(), [text]))
    assert picture.about.texts == {"workflow": LONG}
    again = decode(written(picture, ".png")[0])
    assert again.about.texts["workflow"] == LONG


def test_a_profile_of_megabytes_is_read():
    profile = b"\0" * (3 * 2**20)
    data = png_bytes(smooth(), [(b"iCCP", b"name\0\0" + zlib.compress(profile))])
    assert decode(data).about.profile is None  # no profile, but no reason to refuse the picture


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_inflates_without_end_is_left_out(tmp_path, kind):
    bomb = zlib.compress(bytes(300_000_000))
    text = (b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0") + bomb
    more = (b"tEXt", b"Author\0Ann")
    (tmp_path / "a.png").write_bytes(png_bytes(smooth(), [(kind, text), more]))
    script = (
        f"{PEAK}\n"
        "from tn_runtime.pictures import read\n"
        "before = peak()\n"
        "about = read('a.png').about\n"
        "assert peak() - before < 250_000\n"
        "assert about.texts == {'Author': 'Ann'}, about.texts\n"
        "assert 'left out' in about.notes[0]\n"
    )
    done = python(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_broken_chunks_are_left_out():
    chunks = [
        (b"iTXt", b"no end"),
        (b"zTXt", b"key\0\0no deflate"),
        (b"iCCP", b""),
        (b"pHYs", b"\0"),
        (b"cHRM", b"\0" * 7),
        (b"cICP", b"\1"),
        (b"acTL", b""),
        (b"eXIf", b"nonsense"),
        (b"tEXt", b"Author\0Ann"),
    ]
    about = decode(png_bytes(smooth(), chunks)).about
    assert (about.texts, about.profile, about.dpi, about.exif) == (
        {"Author": "Ann"},
        None,
        None,
        {},
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_that_the_first_of_several_is_taken_is_said(kind):
    first, second = (Image.new("RGB", (16, 8), colour) for colour in ("#c81e3c", "#0000ff"))
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=[second], lossless=True)
    [note] = decode(stream.getvalue()).about.notes
    assert "the first" in note
    stream = io.BytesIO()
    first.save(stream, kind)
    assert decode(stream.getvalue()).about.notes == ()


def test_chunks_of_others_are_not_copied():
    picture = decode(png_bytes(smooth(), [(b"prIv", b"x"), (b"tIME", bytes(7))]))
    kinds = {kind for kind, _ in png_chunks(written(picture, ".png")[0])}
    assert kinds == {b"IHDR", b"sRGB", b"iTXt", b"IDAT", b"IEND"}


def test_imagemagicks_exif_is_exif():
    block = exif.encode({271: exif.text("Camera")})
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    data = png_bytes(smooth(), [(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))])
    about = decode(data).about
    assert (about.exif, about.texts) == ({271: exif.text("Camera")}, {})


def test_a_png_cut_off_within_a_chunk_beside_the_pixels_is_damaged():
    data = png_bytes(smooth())
    broken = data[:33] + struct.pack(">I", 10**6) + b"tEXt" + data[33:]
    with pytest.raises(Exception, match="damaged"):
        decode(broken)
    assert decode(data[:33] + chunk(b"tEXt", b"a\0b") + data[33:]).about.texts == {"a": "b"}
