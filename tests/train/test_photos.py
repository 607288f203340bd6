"""Content: which photos there are, which are held out, and the crops that are made of the rest."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.pictures import read as read_picture
from tn_train.crops import Crops, batches
from tn_train.photos import PACKAGED, Photos, find, held_out
from train.pictures import pattern
from train.processes import ENVIRONMENT

# A machine with one processor is warned of a second worker.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

NOTICE = Path(__file__).parents[2] / "NOTICE"


def save(path: Path, pixels: np.ndarray | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pattern() if pixels is None else pixels).save(path, **options)
    return path


def plain(colour: tuple[int, int, int], height: int = 20, width: int = 24) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def damage(path: Path) -> Path:
    """Leave the header and half of the pixels."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of eight photos, each different."""
    for k in range(8):
        save(tmp_path / "photos" / f"{k}.png", np.roll(pattern(), 5 * k, axis=1))
    return tmp_path / "photos"


def made(photos: Photos, count: int = 3, **options) -> list[Tensor]:
    defaults = {"seed": 0, "numbers": itertools.count(), "sample": 16, "batch": 3, "workers": 0}
    stream = batches(photos, **{"report": pytest.fail} | defaults | options)
    taken = list(islice(stream, count))
    stream.close()
    return taken


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


# Finding


def test_pictures_are_found_below_a_folder_in_order(tmp_path: Path):
    for name in ("b.JPG", "a/z.png", "a/deep/er/y.webp", "c.tiff"):
        save(tmp_path / name)
    for name in (".hidden.png", ".cache/x.png"):
        save(tmp_path / name)
    for name in ("readme.txt", "film.mpg", "paper.pdf", "table.h5", "nothing"):
        (tmp_path / name).write_text("no picture")
    photos = find(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in photos.paths]
    assert names == ["a/deep/er/y.webp", "a/z.png", "b.JPG", "c.tiff"]
    assert photos.content.count == 4
    assert photos.skipped == ()


def test_previews_and_curves_of_runs_are_no_photos(tmp_path: Path):
    for name in ("a.png", "wave.preview.png", "wave.loss.png", "other.preview.png"):
        save(tmp_path / name)
    (tmp_path / "wave.pt").touch()
    found = [path.name for path in find(tmp_path).paths]
    assert found == ["a.png", "other.preview.png"]  # of no run that is there


def test_what_cannot_be_opened_is_skipped_with_a_reason(tmp_path: Path):
    save(tmp_path / "sound.png")
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty.jpg").touch()
    photos = find(tmp_path)
    assert photos.paths == (tmp_path / "sound.png",)
    assert len(photos.skipped) == 2
    for name, line in zip(("empty.jpg", "text.png"), photos.skipped, strict=True):
        assert line.startswith(f"{tmp_path / name} ")
        assert "\n" not in line


def test_no_pixels_are_decoded_to_find(tmp_path: Path):
    damage(save(tmp_path / "a.png"))
    assert find(tmp_path).content.count == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are others there")
def test_links_are_followed_and_end(tmp_path: Path):
    root = tmp_path / "root"
    save(root / "a.png")
    save(tmp_path / "elsewhere" / "b.png")
    (root / "up").symlink_to(root)
    (root / "to").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere")
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    (root / "self.png").symlink_to(root / "self.png")
    os.mkfifo(root / "pipe.png")
    photos = find(root)
    assert photos.paths == (root / "a.png", root / "again" / "b.png")
    assert len(photos.skipped) == 3


def test_large_pictures_are_found_without_a_warning(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # Pillow would warn, or refuse
    save(tmp_path / "large.bmp")
    save(tmp_path / "larger.png", pattern(100, 100))
    assert len(find(tmp_path).paths) == 2


def test_nothing_to_find(tmp_path: Path):
    with pytest.raises(RequestError, match=r"needs at least one photo.*name another folder"):
        find(tmp_path)
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(RequestError, match=r"of 1 there, none can be opened \(.*text.png is not"):
        find(tmp_path)
    with pytest.raises(RequestError, match=r"text.png is a file: photos come as a folder"):
        find(tmp_path / "text.png")
    with pytest.raises(RequestError, match=r"missing does not exist: name a folder"):
        find(tmp_path / "missing")


def test_content_is_known_again_by_names_and_sizes(folder: Path, tmp_path: Path):
    content = find(folder).content
    assert find(folder).content == content
    moved = folder.rename(tmp_path / "moved")
    assert find(moved).content == content
    (moved / "0.png").rename(moved / "00.png")
    assert find(moved).content != content
    (moved / "00.png").rename(moved / "0.png")
    assert find(moved).content == content
    (moved / "0.png").write_bytes((moved / "0.png").read_bytes() + b"more")
    assert find(moved).content != content


# Held out


@pytest.mark.parametrize(("count", "few"), [(4, 1), (7, 1), (8, 2), (16, 4), (40, 4)])
def test_a_few_photos_are_held_out(tmp_path: Path, count: int, few: int):
    for k in range(count):
        save(tmp_path / f"{k:02}.png", plain((k, 0, 0)))
    photos = find(tmp_path)
    assert len(photos.held_out) == few
    assert set(photos.held_out).isdisjoint(photos.training)
    assert sorted(photos.held_out + photos.training) == list(photos.paths)
    gaps = np.diff([photos.paths.index(path) for path in photos.held_out])
    assert all(count // few - 1 <= gap <= count // few + 1 for gap in gaps)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_photos_serve_both(tmp_path: Path, count: int):
    for k in range(count):
        save(tmp_path / f"{k}.png")
    photos = find(tmp_path)
    assert photos.held_out == photos.training == photos.paths


def test_photos_held_out_are_never_trained_on(folder: Path):
    for path in find(folder).held_out:
        save(path, plain((255, 0, 0)))
    photos = find(folder)
    for path in photos.training:
        save(path, plain((0, 0, 255)))
    crops = torch.cat(made(photos, 20))
    assert (crops == torch.tensor([0, 0, 255]).view(3, 1, 1)).all()
    pictures = held_out(photos, 8, pytest.fail)
    assert (pictures == torch.tensor([1.0, 0, 0]).view(3, 1, 1)).all()


def test_held_out_photos_show_their_middle(tmp_path: Path):
    pixels = pattern(40, 60)
    save(tmp_path / "a.png", pixels)
    save(tmp_path / "b.png", pixels.transpose(1, 0, 2))
    pictures = held_out(find(tmp_path), 40, pytest.fail)
    middle = torch.from_numpy(pixels[:, 10:50].astype(np.float32) / 255).permute(2, 0, 1)
    assert pictures.dtype == torch.float32
    assert torch.equal(pictures, torch.stack([middle, middle.transpose(1, 2)]))
    for side in (1, 7, 90):
        pictures = held_out(find(tmp_path), side, pytest.fail)
        assert pictures.shape == (2, 3, side, side)
        assert pictures.is_contiguous()
        assert 0 <= pictures.min() <= pictures.max() <= 1


def test_damaged_photos_are_not_evaluated_on(tmp_path: Path):
    save(tmp_path / "a.png")
    damage(save(tmp_path / "b.png"))
    lines = []
    assert held_out(find(tmp_path), 8, lines.append).shape == (1, 3, 8, 8)
    assert [line.split()[0] for line in lines] == [str(tmp_path / "b.png")]
    damage(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"none of the 2 photos held out .* replace them"):
        held_out(find(tmp_path), 8, lines.append)


# Crops


def test_batches_are_bytes_of_the_shape_asked_for(folder: Path):
    for batch in made(find(folder), sample=12, batch=5):
        assert batch.shape == (5, 3, 12, 12)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous()


def test_batches_do_not_depend_on_who_makes_them(folder: Path):
    photos = find(folder)
    alone = made(photos, 8)
    for workers in (1, 2, 3):
        assert same(made(photos, 8, workers=workers), alone)
    assert same(made(photos, 8, workers=None), alone)


def test_batches_go_on_where_they_were_left(folder: Path):
    photos = find(folder)
    whole = made(photos, 8)
    assert same(made(photos, 3, numbers=itertools.count(5)), whole[5:])
    assert same(made(photos, 3, numbers=itertools.count(5), workers=2), whole[5:])
    assert same(made(photos, 1, numbers=[7]), whole[7:])
    again = made(photos, 4, numbers=[6, 5, 6, 5], workers=2)
    assert same(again, [whole[6], whole[5]] * 2)


def test_a_batch_has_a_seed_and_a_number(folder: Path):
    photos = find(folder)
    batches_made = [*made(photos, 10), *made(photos, 10, seed=1), *made(photos, 1, seed=2**63 - 1)]
    assert len({batch.numpy().tobytes() for batch in batches_made}) == 21


def test_global_randomness_is_left_alone(folder: Path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    made(find(folder), workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_all_photos_are_equally_likely(tmp_path: Path):
    for k in range(3):
        save(tmp_path / f"{k}.png", plain((k, 0, 0), height=20 * (k + 1)))
    crops = torch.cat(made(find(tmp_path), 30, sample=1, batch=20))
    counts = Counter(crops[:, 0].flatten().tolist())
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 150  # of 600; the odds against are one in a thousand millions


def test_a_photo_is_not_enlarged(tmp_path: Path):
    pixels = pattern(16, 16)
    save(tmp_path / "a.png", pixels)
    photo = torch.from_numpy(pixels).permute(2, 0, 1)
    seen = set()
    for crop in torch.cat(made(find(tmp_path), 8)):
        mirrored = torch.equal(crop, photo.flip(2))
        assert mirrored or torch.equal(crop, photo)
        seen.add(mirrored)
    assert seen == {False, True}


def test_a_small_photo_is_enlarged_as_little_as_can_be(tmp_path: Path):
    ramp = np.zeros((8, 8, 3), np.uint8)
    ramp[..., 0] = np.arange(8)[:, None] * 30
    save(tmp_path / "a.png", ramp)
    for crop in torch.cat(made(find(tmp_path), 4, sample=32)):
        assert crop[0, 0].max() < 10  # the top of the photo
        assert crop[0, -1].min() > 200  # its bottom


def test_a_crop_of_a_large_photo_shows_half_of_it_or_more(tmp_path: Path):
    ramp = np.zeros((256, 300, 3), np.uint8)
    ramp[..., 0] = np.arange(256)[:, None]
    ramp[..., 1] = np.arange(300) * 255 // 299
    save(tmp_path / "a.png", ramp)
    crops = torch.cat(made(find(tmp_path), 30, sample=32)).int()
    heights = (crops[:, 0, -1, 0] - crops[:, 0, 0, 0]) / 256 * 32 / 31
    assert 0.48 < heights.min() < 0.6
    assert 0.9 < heights.max() < 1.02
    widths = (crops[:, 1, 0, -1] - crops[:, 1, 0, 0]).abs() / 256 * 32 / 31
    assert torch.allclose(widths, heights * 256 / 300, atol=0.03)  # nothing is squashed
    assert crops[:, 0, 0, 0].min() < 20  # parts from everywhere
    assert crops[:, 0, -1, 0].max() > 235


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 2), (31, 33)])
def test_photos_of_any_size(tmp_path: Path, size: tuple[int, int]):
    save(tmp_path / "a.png", pattern(*size))
    photos = find(tmp_path)
    assert made(photos, 1)[0].shape == (3, 3, 16, 16)
    assert held_out(photos, 16, pytest.fail).shape == (1, 3, 16, 16)


def of_kind(folder: Path, kind: str) -> Path:
    picture = Image.fromarray(pattern(16, 16))
    if kind == "16 bits":
        wide = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        return save(folder / "a.png", wide)
    if kind == "floats":
        return save(folder / "a.tiff", pattern(16, 16)[..., 0].astype(np.float32) / 255)
    path = folder / ("a.jpg" if kind == "CMYK" else "a.png")
    picture.convert(kind).save(path)
    return path


@pytest.mark.parametrize("kind", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "16 bits", "floats"])
def test_photos_of_any_kind(tmp_path: Path, kind: str):
    path = of_kind(tmp_path, kind)
    photos = find(tmp_path)
    expected = torch.from_numpy(read_picture(path).srgb()).permute(2, 0, 1)
    crop = made(photos, 1, batch=1)[0][0]
    assert torch.equal(crop, expected) or torch.equal(crop.flip(2), expected)
    assert torch.equal(held_out(photos, 16, pytest.fail)[0], expected / 255)


def test_tiffs_that_pillow_does_not_know(tmp_path: Path):
    import tifffile

    tifffile.imwrite(
        tmp_path / "a.tiff", pattern(16, 16).astype(np.float32) / 255, photometric="rgb"
    )
    expected = torch.from_numpy(pattern(16, 16)).permute(2, 0, 1)
    assert torch.equal(held_out(find(tmp_path), 16, pytest.fail)[0], expected / 255)


def test_photos_are_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: its left edge is the top
    save(tmp_path / "a.png", pattern(16, 16), exif=exif)
    expected = torch.from_numpy(np.rot90(pattern(16, 16), -1).copy()).permute(2, 0, 1)
    assert torch.equal(held_out(find(tmp_path), 16, pytest.fail)[0], expected / 255)


def test_a_damaged_photo_is_replaced_and_reported_once(folder: Path):
    photos = find(folder)
    bad = [damage(photos.training[k]) for k in (0, 3)]
    alone = made(photos, 12, report=lambda _: None)
    for workers in (0, 2):
        lines = []
        assert same(made(photos, 12, workers=workers, report=lines.append), alone)
        assert sorted(line.split()[0] for line in lines) == sorted(map(str, bad))
    later = made(photos, 2, numbers=itertools.count(10), report=lambda _: None)
    assert same(later, alone[10:])


def test_a_photo_that_is_gone_is_replaced(folder: Path):
    photos = find(folder)
    gone = photos.training[0]
    gone.unlink()
    lines = []
    assert len(made(photos, 12, report=lines.append)) == 12
    assert [line.split()[0] for line in lines] == [str(gone)]


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_but_damaged_photos(folder: Path, workers: int):
    photos = find(folder)
    for path in photos.training:
        damage(path)
    lines = []
    with pytest.raises(PictureError, match=r"none of the 6 photos to train on .* replace them"):
        made(photos, workers=workers, report=lines.append)
    assert len(lines) == 6


def test_few_photos_are_kept_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch):
    photos = find(folder)
    alone = made(photos, 12)
    three = 3 * 32 * 38 * 4  # of 40 x 48 pixels, scaled down to 32 on the shorter side
    monkeypatch.setattr("tn_train.crops.CACHE", three)
    assert same(made(photos, 12), alone)
    crops = Crops(photos.training, seed=0, sample=16, batch=3)
    for index in range(12):
        assert crops.drawn(index).damaged == ()
    assert len(crops.cache) == 3
    assert crops.cached == three


def test_squares_of_a_single_colour_are_drawn_again(tmp_path: Path):
    sky = np.full((48, 400, 3), 255, np.uint8)
    sky[:, -40:] = np.random.default_rng(0).integers(0, 255, (48, 40, 3))
    Image.fromarray(sky).save(tmp_path / "sky.png")
    crops = made(find(tmp_path), 20, batch=1)
    flat = [crop for crop in crops if crop.min() == crop.max()]
    assert len(flat) < 12  # of 20, of which 17 would be flat without
    Image.fromarray(sky[:, :48]).save(tmp_path / "sky.png")
    assert all(crop.min() == 255 for crop in made(find(tmp_path), 2))  # and there is an end to it


# Processes

WATCHED = """
import itertools, multiprocessing, signal, sys
from pathlib import Path
from tn_train.crops import batches
from tn_train.photos import find

def main():
    signal.signal(signal.SIGINT, lambda *_: None)
    stream = batches(
        find(Path(sys.argv[1])), seed=0, numbers=itertools.count(), sample=16, batch=2,
        report=print, workers=2,
    )
    print("begins", flush=True)
    next(stream)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    for line in sys.stdin:
        for _ in range(20):
            next(stream)
        print("goes on", flush=True)
    globals()["kept"] = stream

if __name__ == "__main__":
    main()
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.fixture
def watched(folder: Path, tmp_path: Path):
    """Start a process, alone in its group, that makes batches with two workers."""
    script = tmp_path / "watched.py"
    script.write_text(WATCHED)
    with subprocess.Popen(
        [sys.executable, "-W", "error", script, folder],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_signals_to_all_leave_the_workers_at_work(watched: subprocess.Popen):
    assert watched.stdout.readline() == "begins\n"
    time.sleep(0.2)  # while they start
    os.killpg(watched.pid, signal.SIGINT)
    workers = [int(pid) for pid in watched.stdout.readline().split()]
    assert len(workers) == 2
    os.killpg(watched.pid, signal.SIGINT)
    for pid in workers:
        for number in (signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    watched.stdin.write("\n")
    watched.stdin.flush()
    assert watched.stdout.readline() == "goes on\n"
    assert all(alive(pid) for pid in workers)
    _, errors = watched.communicate(timeout=60)  # it ends by itself
    assert (watched.returncode, errors) == (0, "")
    assert not any(alive(pid) for pid in workers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_go_with_the_process_that_started_them(watched: subprocess.Popen):
    watched.stdout.readline()
    workers = [int(pid) for pid in watched.stdout.readline().split()]
    watched.kill()
    watched.wait()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)


# The photos in the package


def test_packaged_photos_are_sound_credited_and_small():
    photos = find(None)
    assert photos.skipped == ()
    assert sorted(PACKAGED.iterdir()) == list(photos.paths)
    notice = NOTICE.read_text()
    for path in photos.paths:
        height, width, _ = read_picture(path).srgb().shape
        assert 256 <= min(height, width) <= 400
        assert f"    {path.name}: " in notice
        with Image.open(path) as picture:
            assert not {"exif", "icc_profile", "comment", "xmp"} & picture.info.keys()
    assert sum(path.stat().st_size for path in photos.paths) < 600_000


def test_packaged_photos_have_a_portrait_held_out():
    photos = find(None)
    assert [path.stem for path in photos.held_out] == ["astronaut", "coffee"]
    assert made(photos, 1, sample=256, batch=4)[0].shape == (4, 3, 256, 256)
