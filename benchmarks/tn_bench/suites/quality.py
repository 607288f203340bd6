"""The measures of quality for all models, beside Gatys' pictures and the floor."""
# ruff: noqa: PLC0415

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tn_bench.processes import in_process
from tn_bench.results import PICTURES, Fact, Measurement
from tn_bench.subjects import Subject, held_out, photo_pixels
from tn_bench.suites.case import Bench, Case, Device, Found, measurement
from tn_runtime.pixels import Pixels

TITLE = "Quality"
HOW = (
    "Textures: `tn-bench quality EXEMPLAR SAMPLE...`; smaller is nearer to the exemplar. The floor "
    "is the same measure between halves of the exemplar; Gatys' picture is the one of the suite "
    "gatys, of the largest size measured there. Styles: the score of "
    "`tn_bench.measures.stylization`, from 0 to 1, on packaged photos that were not trained on; "
    "larger is better. What the measures mean, and how far they agree with the eye, is in "
    "benchmarks/lab/measures.md and benchmarks/lab/style_measures.md. No measure replaces looking: "
    "the page shows the samples."
)
SEEDS = 2
"""Samples of a texture; with them there is a measure of diversity."""
PHOTO_SIZE = 512


def cases(bench: Bench) -> Iterator[Case]:
    """Return the cases: one for each model."""
    for subject in bench.subjects:
        work = _texture if subject.kind == "texture" else _style
        yield Case(subject.name, 14, partial(work, bench, subject))


def _texture(bench: Bench, subject: Subject) -> Found:
    gatys = _gatys_picture(bench, subject)
    side = bench.extent.sample_size
    shown, found = in_process(measure_texture, subject, side, gatys, bench.device)
    return Found(found, _kept(bench, subject, shown))


def measure_texture(
    subject: Subject, side: int, gatys: Path | None, device: Device
) -> tuple[dict[str, Pixels], list[Measurement]]:
    """Return pictures by name, and what the measures say about the samples.

    The pictures are the samples, and a part of the exemplar that is as large as a sample.
    """
    from tn_bench.measures.quality import SUMMARY, measure
    from tn_bench.picture import to_pixels
    from tn_runtime import load, synthesize
    from tn_runtime.pictures import read

    model = load(subject.model, provider=device)
    samples = list(synthesize(model, (side, side), seed=list(range(1, SEEDS + 1))))
    other = read(gatys).srgb() if gatys else None
    exemplar = to_pixels(subject.pixels()[0])
    quality = measure(exemplar, samples, other)
    facts: dict[str, Fact] = {"model": subject.name, "kind": subject.kind}
    found = []
    for row in quality.rows:
        if row.name in SUMMARY:
            found.append(measurement(row.name, "", row.pictures, side="generator", **facts))
            found.append(measurement(row.name, "", [row.floor], side="floor", **facts))
            if row.gatys is not None:
                found.append(measurement(row.name, "", [row.gatys], side="gatys", **facts))
    for name, value in quality.diversity.items():
        found.append(measurement(f"diversity in {name}", "", [value], side="generator", **facts))
    shown = {f"sample {number}": sample for number, sample in enumerate(samples, start=1)}
    return {"exemplar": exemplar[:side, :side]} | shown, found


def _style(bench: Bench, subject: Subject) -> Found:
    shown, found = in_process(measure_style, subject, held_out(), bench.device)
    return Found(found, _kept(bench, subject, shown))


def measure_style(
    subject: Subject, photos: Sequence[Path], device: Device
) -> tuple[dict[str, Pixels], list[Measurement]]:
    """Return painting, photos and stylised photos by name, and the scores."""
    from tn_bench.measures.stylization import LAYERS, Stylization
    from tn_bench.picture import to_pixels, to_tensor
    from tn_runtime import load, stylize
    from tn_train.descriptor import vgg16

    model = load(subject.model, provider=device)
    painting = subject.pixels()[0]
    stylization = Stylization(vgg16(LAYERS), painting)
    shown = {"exemplar": to_pixels(painting)}
    found = []
    for path in photos:
        photo = photo_pixels(path, PHOTO_SIZE)[0]
        pixels = to_pixels(photo)
        stylised = stylize(model, pixels)
        shown |= {f"photo {path.stem}": pixels, f"painted {path.stem}": stylised}
        score = stylization(to_tensor(stylised), photo)
        parts = {"hand": score.hand, "tones": score.tones, "contrast": score.contrast}
        facts: dict[str, Fact] = {"model": subject.name, "kind": "style", "photo": path.stem}
        found += [
            measurement(name, "", [value], side="generator", **facts)
            for name, value in ({"score": score.total} | parts).items()
        ]
    return shown, found


def _kept(bench: Bench, subject: Subject, shown: dict[str, Pixels]) -> dict[str, str]:
    """Write pictures, and add Gatys' if there is one; return the names of the files."""
    files = {
        name: bench.keep(f"quality {subject.name} {name}", pixels) for name, pixels in shown.items()
    }
    gatys = _gatys_picture(bench, subject)
    return files | ({"Gatys": gatys.name} if gatys else {})


def _gatys_picture(bench: Bench, subject: Subject) -> Path | None:
    """Return the picture that the suite gatys left, of the largest size; None without one."""
    for size in sorted(bench.extent.gatys_sizes, reverse=True):
        path = bench.folder / PICTURES / f"gatys_{subject.name}_{size}_gatys.png"
        if path.exists():
            return path
    return None
