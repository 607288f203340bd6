"""The work of `tn-run texture`: if one of several pictures fails, the rest is made."""

from dataclasses import dataclass
from pathlib import Path

from tn_runtime import console
from tn_runtime.commands.sheet import sheet_bands, sheet_size
from tn_runtime.console import STDOUT
from tn_runtime.errors import RequestError, TextureNetworksError
from tn_runtime.files import check_writable, disk_is_full
from tn_runtime.pictures import Rows, check_output, save
from tn_runtime.requests import check_request
from tn_runtime.session import Model
from tn_runtime.synthesis import bands
from tn_runtime.version import __version__


@dataclass
class Outcome:
    """The outcome of a job's files."""

    made: list[tuple[Path, range]]
    """Each file with its seeds."""
    failed: list[dict[str, str]]
    """For each file: `output`, its name, and `error`, the reason."""


@dataclass(frozen=True)
class TextureJob:
    """The request of a `texture` command."""

    output: Path
    size: tuple[int, int]
    """(height, width), pixels."""
    seeds: range
    sheet: bool
    period: tuple[int, int]
    """(vertical, horizontal), pixels."""
    origin: tuple[int, int]
    """(y, x), pixels."""

    def check(self) -> None:
        """Refuse outputs that cannot be written, before anything is loaded.

        Raises:
            RequestError: options that contradict each other.
            PictureError: an unknown suffix, or a size beyond the format.
        """
        if self.sheet and len(self.seeds) == 1:
            raise RequestError("--sheet needs several seeds; give a range as in --seed 1..9")
        if self.output == STDOUT and len(self.seeds) > 1 and not self.sheet:
            raise RequestError("-o - takes one picture; give one seed, or --sheet")
        if self.output == STDOUT:
            check_output("stdout.png", *self.picture_size)
            return
        check_writable(self.outputs()[-1][0])
        check_output(self.output, *self.picture_size)

    def check_model(self, model: Model) -> None:
        """Refuse a request that the model cannot serve.

        Raises:
            RequestError: a size, seed, origin or period that cannot be served.
        """
        check_request(model, self.size, self.seeds, self.origin, self.period)

    @property
    def picture_size(self) -> tuple[int, int]:
        """(height, width) of each file, pixels."""
        return sheet_size(len(self.seeds), *self.size) if self.sheet else self.size

    def outputs(self) -> list[tuple[Path, range]]:
        """Return each file to write, with its seeds."""
        if self.sheet or len(self.seeds) == 1:
            return [(self.output, self.seeds)]
        digits = max(len(str(seed)) for seed in (self.seeds[0], self.seeds[-1]))
        stem, suffix = self.output.stem, self.output.suffix
        return [
            (self.output.with_name(f"{stem}_{seed:0{digits}d}{suffix}"), range(seed, seed + 1))
            for seed in self.seeds
        ]


def run(job: TextureJob, model: Model) -> Outcome:
    """Make each file; one of several that fails does not stop the rest.

    Raises:
        TextureNetworksError: the only file failed.
    """
    outcome = Outcome([], [])
    outputs = job.outputs()
    for path, seeds in outputs:
        try:
            make(job, model, path, seeds)
        except TextureNetworksError as error:
            if len(outputs) == 1 or disk_is_full(error):
                raise
            console.note_error(str(error))
            outcome.failed.append({"output": str(path), "error": str(error)})
        else:
            outcome.made.append((path, seeds))
    return outcome


def make(job: TextureJob, model: Model, path: Path, seeds: range) -> None:
    """Make one file, or the picture on stdout.

    Raises:
        PictureError: it cannot be written.
        ModelError: the model failed.
    """
    with console.bar(path.name) as progress:
        if job.sheet:
            rows = sheet_bands(model, seeds, job.size, job.origin, job.period, progress)
        else:
            rows = bands(model, job.size, seeds[0], job.origin, job.period, progress)
        picture = Rows(rows, *job.picture_size, provenance(job, model, seeds))
        if path == STDOUT:
            console.write_png(picture)
        else:
            save(path, picture)


def provenance(job: TextureJob, model: Model, seeds: range) -> dict[str, str]:
    """Return the texts kept in the picture, which suffice to make it again."""
    (height, width), (y, x), (down, across) = job.size, job.origin, job.period
    return {
        "Software": f"texture-networks {__version__}",
        "Model": model.spec.name,
        "Model-SHA256": model.sha256,
        "Seed": str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}..{seeds[-1]}",
        "Size": f"{width}x{height}",
        "Origin": f"{x},{y}",
        "Period": f"{across},{down}",
    }
