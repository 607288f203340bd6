"""The work of `tn-run style`: finished photos are skipped, broken ones are reported."""

import dataclasses
import functools
import hashlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tn_runtime import console
from tn_runtime.commands.photo_jobs import PhotoJob, Worklist
from tn_runtime.console import STDIN, STDOUT
from tn_runtime.errors import PictureError, RequestError, TextureNetworksError
from tn_runtime.files import check_writable, disk_is_full
from tn_runtime.masks import check_grey
from tn_runtime.pictures import (
    FORMATS,
    MAX_PIXELS,
    Picture,
    Rows,
    check_output,
    decode,
    read_bytes,
    save,
)
from tn_runtime.requests import check_kind
from tn_runtime.session import Model
from tn_runtime.stylization import Options, check_max_size, masked, reduced, stylized_bands
from tn_runtime.synthesis import Progress
from tn_runtime.version import __version__

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


AT_ONCE = 2
"""How many photos are in work at a time."""


@dataclass
class Outcome:
    """The outcome of the photos."""

    made: list[Path]
    skipped: list[Path]
    failed: list[dict[str, str]]
    """For each photo: `photo` and `output`, the names, and `error`, the reason."""


@dataclass(frozen=True)
class Mask:
    """A file that says where one style is painted."""

    path: Path
    sha256: str
    picture: Picture


@dataclass(frozen=True)
class StyleJob:
    """The request of a `style` command."""

    worklist: Worklist
    options: Options
    max_size: int | None
    """Pixels of the longest side, see `stylize`."""
    max_pixels: int | None
    """Largest photo that is read; None takes the default."""
    quality: int | None
    overwrite: bool
    masks: dict[str, Mask] = field(default_factory=dict)
    """By the name of the style."""

    def check(self) -> None:
        """Refuse wrong requests before anything is loaded.

        Raises:
            RequestError: an option out of range, or one that has no effect.
            PictureError: an unknown suffix.
        """
        check_max_size(self.max_size)
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise RequestError(f"quality {self.quality} is out of range; it is 1 to 100")
        outputs = [task.output for task in self.worklist.jobs]
        if not self.worklist.into_folder and outputs != [STDOUT]:
            check_writable(outputs[0])
            check_output(outputs[0], 1, 1)
        if self.quality is not None and outputs and not any(map(_is_lossy, outputs)):
            raise RequestError(f"--quality is of JPEG and WebP; leave it out for -o {outputs[0]}")

    def check_model(self, model: Model) -> None:
        """Refuse a model that cannot do it.

        Raises:
            RequestError: a model of textures, or one without the styles of the masks.
        """
        check_kind(model, "style")
        masked(model, self.masks)

    def settings(self, model: Model) -> dict[str, Any]:
        """Return the options, as they are reported; some only where they have an effect."""
        return {
            **dataclasses.asdict(self.options),
            "seed": self.options.seed if model.spec.takes_seed else None,
            "max_size": self.max_size,
            "blend": model.shares if model.spec.takes_style else None,
            "masks": {style: str(mask.path) for style, mask in self.masks.items()},
        }


def read_masks(paths: Mapping[str, Path], max_pixels: int | None) -> dict[str, Mask]:
    """Read the masks of styles, each of at most so many pixels; None takes the default.

    Raises:
        PictureError: one cannot be read.
        RequestError: one is not grey.
    """
    masks = {}
    for style, path in paths.items():
        data = read_bytes(path)
        picture = decode(data, path, max_pixels or MAX_PIXELS)
        check_grey(style, picture)
        masks[style] = Mask(path, hashlib.sha256(data).hexdigest(), picture)
    return masks


def run(job: StyleJob, model: Model) -> Outcome:
    """Stylise each photo; one of several that fails does not stop the rest.

    Two photos are in work at a time: the network paints one while the other is decoded or encoded.

    Raises:
        TextureNetworksError: the only photo failed.
        MemoryError: the only photo is too large.
    """
    outcome = Outcome([], [], list(job.worklist.clashes))
    for clash in outcome.failed:
        console.note_error(clash["error"])
    jobs = job.worklist.jobs
    with console.bars() as bars:
        overall = bars.add_task(
            f"photos on {model.provider.upper()}", total=len(jobs), visible=len(jobs) > 1
        )
        attempt = functools.partial(_attempt, job, model, bars)
        for task, result in zip(jobs, _each(attempt, jobs), strict=True):
            if result == "made":
                outcome.made.append(task.output)
            elif result == "skipped":
                outcome.skipped.append(task.output)
            elif isinstance(result, Exception):
                if len(jobs) == 1 and not job.worklist.clashes:
                    raise result
                if disk_is_full(result):  # all others would fail, too
                    raise PictureError(
                        f"{result}; make room and start again, what is done is kept"
                    ) from result
                reason = str(result) or "out of memory"
                console.note_error(reason)
                failed = {"photo": str(task.photo), "output": str(task.output), "error": reason}
                outcome.failed.append(failed)
            bars.advance(overall)
    return outcome


Result = Literal["made", "skipped"] | Exception
Attempt = Callable[[PhotoJob, threading.Event], Result]


def _each(attempt: Attempt, jobs: Sequence[PhotoJob]) -> Iterator[Result]:
    """Yield the outcome of each photo, in order; an exception stops the photos in work."""
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        waiting = deque(threads.submit(attempt, task, stop) for task in jobs)
        try:
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise


def _attempt(
    job: StyleJob, model: Model, bars: "Bars", task: PhotoJob, stop: threading.Event
) -> Result:
    """Stylise one photo; return the outcome."""
    if job.worklist.into_folder and not job.overwrite and task.output.exists():
        return "skipped"
    tiles = bars.add_task(task.photo.name, total=None)

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        bars.update(tiles, completed=done, total=total)

    try:
        stylize_file(job, model, task, progress)
    except (TextureNetworksError, MemoryError) as error:
        return error
    finally:
        bars.remove_task(tiles)
    return "made"


def stylize_file(job: StyleJob, model: Model, task: PhotoJob, progress: Progress | None) -> None:
    """Stylise one photo.

    Raises:
        PictureError: it cannot be read, or its output not be written.
        RequestError: a mask has another shape.
        ModelError: the model failed.
    """
    name = _shown(task.photo)
    rows, notes = stylized(job, model, _read(task.photo), name, task.output, progress)
    for note in notes:
        console.note(f"{name}: {note}")
    if task.output == STDOUT:
        console.write_png(rows)
    else:
        if job.worklist.into_folder:
            _make_folder(task.output.parent)
        for left_out in save(task.output, rows):
            console.note(f"{task.output} {left_out}")
    if rows.depth > 8 and not _is_lossy(task.output) and job.options.strength > 0:
        console.note_once("the output has 16 bits, as the photo; the network paints with 8 of them")


def stylized(
    job: StyleJob,
    model: Model,
    data: bytes,
    name: str,
    output: Path,
    progress: Progress | None = None,
) -> tuple[Rows, list[str]]:
    """Return the stylised photo, which is painted as its rows are taken, and notes about it.

    Args:
        job: the request.
        model: that paints.
        data: the photo's file.
        name: the photo's, for messages and the picture's metadata.
        output: its suffix says how it will be written.
        progress: called after each tile.

    Raises:
        PictureError: the photo cannot be read.
        RequestError: a mask has another shape.
    """
    decoded = decode(data, name, job.max_pixels or MAX_PIXELS)
    photo = reduced(decoded, job.max_size)
    metadata = provenance(job, model, name, hashlib.sha256(data).hexdigest())
    masks = {style: mask.picture for style, mask in job.masks.items()}
    try:
        bands = stylized_bands(model, photo, job.options, progress, masks)
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error
    quality = job.quality if _is_lossy(output) else None
    return Rows.of_picture(photo, bands, metadata, quality), list(decoded.about.notes)


def provenance(job: StyleJob, model: Model, name: str, sha256: str) -> dict[str, str]:
    """Return the texts kept in the picture, which suffice to make it again."""
    options = job.options
    seed = {"Seed": str(options.seed)} if model.spec.takes_seed else {}
    blend = ",".join(f"{style}={share}" for style, share in model.shares.items())
    masks = {
        "Masks": ",".join(f"{style}={mask.path.name}" for style, mask in job.masks.items()),
        "Masks-SHA256": ",".join(mask.sha256 for mask in job.masks.values()),
    }
    return {
        "Software": f"texture-networks {__version__}",
        "Model": model.spec.name,
        "Model-SHA256": model.sha256,
        "Photo": Path(name).name,
        "Photo-SHA256": sha256,
        **seed,
        **({"Blend": blend} if model.spec.takes_style else {}),
        **(masks if job.masks else {}),
        "Strength": str(options.strength),
        "Keep-Colors": "yes" if options.keep_colors else "no",
        "Stroke-Scale": str(options.stroke_scale),
        "Max-Size": str(job.max_size or "none"),
    }


def _is_lossy(output: Path) -> bool:
    suffix = output.suffix.lower()
    return suffix in FORMATS and FORMATS[suffix].lossy


def _shown(photo: Path) -> str:
    return "stdin" if photo == STDIN else str(photo)


def _read(photo: Path) -> bytes:
    return sys.stdin.buffer.read() if photo == STDIN else read_bytes(photo)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder} cannot be made: {error.strerror or error}") from error
