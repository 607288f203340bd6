"""Stylised photos against their painting and their photo: the score, and the losses of training.

python benchmarks/lab/styles.py PAINTING PHOTO PICTURE...

The pictures are stylised photos of the photo's size, by whatever means.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from tn_bench.measures.stylization import LAYERS, Stylization
from tn_runtime.console import result, run
from tn_train.config import TrainingConfig
from tn_train.data import read_exemplar
from tn_train.descriptor import vgg16
from tn_train.losses import StylizationLoss

LOSSES = TrainingConfig()
"""The losses shown are those that `tn-bench gatys` minimises."""

app = typer.Typer(add_completion=False)


@app.command()
def measure(
    painting: Path,
    photo: Path,
    pictures: list[Path],
    size: Annotated[int, typer.Option(help="Longest side of the painting, in pixels.")] = 512,
    content_size: Annotated[int, typer.Option(help="Longest side of the photo, in pixels.")] = 512,
) -> None:
    """Print the score of each picture and its parts, the style loss and the content loss."""
    layers = (*LOSSES.layers, LOSSES.content_layer)
    descriptor = vgg16(tuple(dict.fromkeys((*layers, *LAYERS))))
    style, _ = read_exemplar(painting, size=size)
    content, _ = read_exemplar(photo, size=content_size)
    stylization = Stylization(descriptor, style[0])
    loss = StylizationLoss(
        descriptor, style, LOSSES.layers, LOSSES.content_layer, normalize_gradients=False
    )
    width = max(len(path.name) for path in (photo, *pictures))
    for path in (photo, *pictures):
        picture, _ = read_exemplar(path, size=content_size)
        score = stylization(picture[0], content[0])
        with torch.no_grad():
            losses, distance = loss(picture, loss.target(content))
        total = sum(each.item() for each in losses.values())
        result(
            f"{path.name:{width}} score {score.total:.3f}  hand {score.hand:.3f}  tones "
            f"{score.tones:.3f}  contrast {score.contrast:.3f}  style {total:.3f}  content "
            f"{distance.item():.3f}"
        )


if __name__ == "__main__":
    run(app)
