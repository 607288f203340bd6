"""The work of `tn-run texture --ray`: a huge picture as tiles in an OME-Zarr store."""

from pathlib import Path

from tn_runtime import console
from tn_runtime.cluster.engine import cluster
from tn_runtime.cluster.mosaic import Mosaic, fill
from tn_runtime.cluster.stores import is_url
from tn_runtime.commands.texture_job import TextureJob
from tn_runtime.errors import RequestError
from tn_runtime.requests import check_request
from tn_runtime.session import Model


def mosaic(job: TextureJob, output: str) -> Mosaic:
    """Return the picture that is asked for.

    Raises:
        RequestError: several pictures, or another kind of output.
    """
    if not output.rstrip("/").endswith(".zarr"):
        raise RequestError(f"--ray writes a store of tiles, not {output}; end its name in .zarr")
    if len(job.seeds) > 1 or job.sheet:
        raise RequestError("--ray makes one picture; give one seed, and leave out --sheet")
    url = output.rstrip("/") if is_url(output) else str(Path(output).absolute())
    return Mosaic(url, job.size, job.seeds[0], job.origin, job.period)


def run(picture: Mosaic, model: Model, address: str) -> None:
    """Make the picture, or go on with it.

    Raises:
        TextureNetworksError: it cannot be made, or there is no cluster.
    """
    check_request(model, picture.size, [picture.seed], picture.origin, picture.period)
    if not is_url(picture.url):
        Path(picture.url).mkdir(parents=True, exist_ok=True)
    picture.create({"model": model.spec.name, "sha256": model.sha256})
    with cluster(address) as workers, console.bars() as bars:
        tasks = [
            bars.add_task(f"level {level}, {width}x{height}", total=None)
            for level, (height, width) in enumerate(picture.levels)
        ]
        for level, done, total in fill(picture, model, workers):
            bars.update(tasks[level], completed=done, total=total)
