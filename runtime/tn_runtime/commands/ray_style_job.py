"""The work of `tn-run style --ray`: what is done is skipped, broken photos are reported."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tn_runtime import console
from tn_runtime.cluster.engine import Item, Workers, cluster, each
from tn_runtime.cluster.stores import Store, is_url
from tn_runtime.commands.style_job import Outcome, StyleJob, stylized
from tn_runtime.errors import RequestError, TextureNetworksError
from tn_runtime.pictures import FORMATS, SUFFIXES, encode
from tn_runtime.session import Model


@dataclass(frozen=True)
class Photo:
    """A photo on a store, and its output on another."""

    name: str
    """Below the folder of photos."""
    output: str
    """Below the folder of outputs."""


def run(
    job: StyleJob, model: Model, folder: str, output: str, suffix: str | None, address: str
) -> Outcome:
    """Stylise the photos of a folder on a cluster.

    Args:
        job: the request; its worklist is empty.
        model: that paints.
        folder: of the photos, local or on a store.
        output: folder of the outputs.
        suffix: of all outputs; with None each has its photo's, or .png.
        address: of the cluster, or auto.

    Raises:
        TextureNetworksError: the folder cannot be searched, or there is no cluster.
    """
    source, destination = _store(folder), _store(output)
    photos, clashes = _found(source, suffix)
    if not photos:
        raise RequestError(
            f"{folder}: no photos there; their names end in {', '.join(sorted(SUFFIXES))}, "
            "and hidden ones are left out"
        )
    there = set() if job.overwrite else set(_there(destination, output))
    waiting = [photo for photo in photos if photo.output not in there]
    skipped = [Path(output, photo.output) for photo in photos if photo.output in there]
    outcome = Outcome([], skipped, clashes)
    for clash in clashes:
        console.note_error(clash["error"])
    with cluster(address) as workers, console.bar(f"photos, {workers.count} workers") as progress:
        done = stylize_all(waiting, folder, output, job, model, workers)
        for number, (photo, error) in enumerate(done, start=1):
            made = Path(output, photo.output)
            if error is None:
                outcome.made.append(made)
            else:
                console.note_error(error)
                facts = {"photo": f"{folder}/{photo.name}", "output": str(made), "error": error}
                outcome.failed.append(facts)
            progress(number, len(waiting))
    outcome.made.sort()
    return outcome


def _store(text: str) -> Store:
    return Store(text.rstrip("/") if is_url(text) else str(Path(text).absolute()))


def _there(store: Store, output: str) -> list[str]:
    if not is_url(output) and not Path(output).exists():
        return []
    return store.names()


def _found(store: Store, suffix: str | None) -> tuple[list[Photo], list[dict[str, str]]]:
    photos: dict[str, Photo] = {}
    clashes = []
    for name in store.names():
        path = PurePosixPath(name)
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in path.parts):
            continue
        own = path.suffix if path.suffix.lower() in FORMATS else ".png"
        output = str(path.with_suffix(suffix or own))
        if output in photos:
            other = photos[output].name
            error = f"{other} and {name} would both become {output}; rename the second"
            clashes.append({"photo": name, "output": output, "error": error})
            continue
        photos[output] = Photo(name, output)
    return list(photos.values()), clashes


def stylize_all(
    photos: Sequence[Photo],
    folder: str,
    output: str,
    job: StyleJob,
    model: Model,
    workers: Workers,
) -> Iterator[tuple[Photo, str | None]]:
    """Stylise photos; yield each with None, or with the reason why it failed, in any order.

    A photo that is broken does not stop the rest. Equal processors make the same bytes as
    `tn-run style` does alone.

    Args:
        photos: what is still to be made.
        folder: where the photos are, local or on a store.
        output: where the outputs go, each whole or not at all.
        job: the request.
        model: is sent to the workers, which open it once each.
        workers: of the cluster.
    """
    source, destination = _store(folder), _store(output)
    items = [{"photo": photo.name, "output": photo.output, "error": ""} for photo in photos]

    def read(item: Item) -> Item:
        try:
            return item | {"data": source.read(item["photo"])}
        except TextureNetworksError as error:
            return item | {"data": b"", "error": str(error)}

    def write(item: Item) -> Item:
        picture = item.pop("data")
        if item["error"]:
            return item
        try:
            destination.write(item["output"], picture)
        except TextureNetworksError as error:
            return item | {"error": str(error)}
        return item

    for item in each(items, workers, Painter, (model, job, folder), read, write):
        yield Photo(item["photo"], item["output"]), item["error"] or None


class Painter:
    """A process that holds the model."""

    def __init__(self, model: Model, job: StyleJob, folder: str) -> None:
        self.model, self.job, self.folder = model, job, folder

    def __call__(self, item: Item) -> Item:
        """Return the item with the encoded picture as its `data`."""
        if item["error"]:
            return item
        name, output = str(Path(self.folder, item["photo"])), Path(item["output"])
        stream = io.BytesIO()
        try:
            rows, _ = stylized(self.job, self.model, item["data"], name, output)
            encode(stream, output.suffix, rows)
        except (TextureNetworksError, MemoryError) as error:
            return item | {"data": b"", "error": str(error) or "out of memory"}
        return item | {"data": stream.getvalue()}
