"""One huge texture as tiles, in a store that viewers open: OME-Zarr, each tile an object.

Level 0 is the picture; each further level has half the size, down to one tile. napari, Neuroglancer
and Vizarr show it (OME-NGFF 0.5, Zarr 3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from tn_runtime.cluster.engine import Item, Workers, each
from tn_runtime.cluster.stores import Store
from tn_runtime.errors import RequestError
from tn_runtime.session import Model
from tn_runtime.synthesis import synthesize

TILE = 1024
"""Side of a tile, pixels: some megabytes of work and of memory, a hundred kilobytes of file."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Mosaic:
    """A huge picture and where it is kept; pairs are (vertical, horizontal), pixels."""

    url: str
    size: Pair
    seed: int
    origin: Pair
    period: Pair
    tile: int = TILE
    """Side of a tile, pixels."""

    @property
    def levels(self) -> list[Pair]:
        """The size at each level, finest first."""
        sizes = [self.size]
        while max(sizes[-1]) > self.tile:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return sizes

    def create(self, facts: dict[str, Any]) -> None:
        """Write the metadata, or check those that are there.

        Args:
            facts: what the picture is made by; kept in the store.

        Raises:
            RequestError: the store holds another picture.
        """
        facts = facts | {"size": [*self.size], "origin": [*self.origin], "period": [*self.period]}
        facts |= {"seed": self.seed, "tile": self.tile}
        if "zarr.json" in Store(self.url).names():
            kept = zarr.open_group(self.url, mode="r").attrs.get("texture-networks")
            if kept != facts:
                raise RequestError(
                    f"{self.url} holds another picture: give the same request, or another name"
                )
            return
        group = zarr.open_group(self.url, mode="a")
        for level, (height, width) in enumerate(self.levels):
            group.create_array(
                str(level),
                shape=(3, height, width),
                chunks=(3, self.tile, self.tile),
                dtype="uint8",
                dimension_names=("c", "y", "x"),
            )
        scales = [[1.0, float(2**level), float(2**level)] for level in range(len(self.levels))]
        axes = [{"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space"} for name in "yx"]
        datasets: list[Any] = [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for level, scale in enumerate(scales)
        ]
        colors = [{"color": color, "active": True} for color in ("FF0000", "00FF00", "0000FF")]
        ome: Any = {
            "version": "0.5",
            "multiscales": [{"name": "texture", "axes": axes, "datasets": datasets}],
            "omero": {"channels": colors},
        }
        group.attrs.update({"ome": ome, "texture-networks": facts})

    def missing(self, level: int) -> list[Item]:
        """Return the tiles that a level lacks; each is an object of the store."""
        there = set(Store(self.url).names())
        height, width = self.levels[level]
        return [
            {"level": level, "y": y, "x": x}
            for y in range(-(-height // self.tile))
            for x in range(-(-width // self.tile))
            if f"{level}/c/0/{y}/{x}" not in there
        ]


def fill(mosaic: Mosaic, model: Model, workers: Workers) -> Iterator[tuple[int, int, int]]:
    """Make all tiles that are missing, level by level; yield (level, tiles done, tiles to do).

    A tile depends on nothing but the request: a worker that is lost leaves no trace.

    Raises:
        RequestError: the model does not make such a picture.
    """
    for level in range(len(mosaic.levels)):
        tiles = mosaic.missing(level)
        made = each(tiles, workers, _Tiler, (mosaic, model if level == 0 else None))
        for number, _ in enumerate(made, start=1):
            yield level, number, len(tiles)


class _Tiler:
    """A process that makes tiles: of level 0 by the model, of others from the level before."""

    def __init__(self, mosaic: Mosaic, model: Model | None) -> None:
        self.mosaic, self.model = mosaic, model
        self.group = zarr.open_group(mosaic.url, mode="r+")

    def __call__(self, item: Item) -> Item:
        """Write a tile."""
        level, y, x = (int(item[name]) for name in ("level", "y", "x"))
        array: Any = self.group[str(level)]
        height, width = self.mosaic.levels[level]
        side = self.mosaic.tile
        rows = slice(y * side, min((y + 1) * side, height))
        columns = slice(x * side, min((x + 1) * side, width))
        if self.model is not None:
            size = rows.stop - rows.start, columns.stop - columns.start
            origin = self.mosaic.origin[0] + rows.start, self.mosaic.origin[1] + columns.start
            made = synthesize(self.model, size, self.mosaic.seed, origin, self.mosaic.period)
            pixels = made.transpose(2, 0, 1)
        else:
            finer: Any = self.group[str(level - 1)]
            pixels = _halved(
                finer[:, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
            )
        array[:, rows, columns] = pixels
        return item


def _halved(pixels: Any) -> Any:  # noqa: ANN401 - zarr's arrays are untyped
    """Return the mean of 2x2 pixels, uint8 (3, h, w); an odd edge is doubled."""
    height, width = pixels.shape[1:]
    even = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    blocks = even.reshape(3, even.shape[1] // 2, 2, even.shape[2] // 2, 2)
    return ((blocks.sum(axis=(2, 4), dtype=np.uint16) + 2) // 4).astype(np.uint8)
