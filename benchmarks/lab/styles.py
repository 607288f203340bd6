"""Stylised photos against their painting and their photo, by the losses of training.

python benchmarks/lab/styles.py PAINTING PHOTO PICTURE...

Painting and photo are read as training and `tn-bench gatys` read them; the pictures are stylised
photos of the photo's size, by whatever means.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from tn_runtime.console import result, run
from tn_train.config import TrainingConfig
from tn_train.data import read_exemplar
from tn_train.descriptor import vgg16
from tn_train.losses import StylizationLoss

DEFAULT = TrainingConfig()

app = typer.Typer(add_completion=False)


@app.command()
def losses(
    painting: Path,
    photo: Path,
    pictures: list[Path],
    size: Annotated[int, typer.Option(help="Longest side of the painting.")] = DEFAULT.size,
    content_size: Annotated[int, typer.Option(help="Longest side of the photo.")] = 256,
) -> None:
    """Print the style loss, all layers added up, and the content loss of each picture."""
    descriptor = vgg16((*DEFAULT.layers, DEFAULT.content_layer))
    style, _ = read_exemplar(painting, size=size)
    content, _ = read_exemplar(photo, size=content_size)
    loss = StylizationLoss(
        descriptor, style, DEFAULT.layers, DEFAULT.content_layer, normalize_gradients=False
    )
    with torch.no_grad():
        for path in (photo, *pictures):
            picture, _ = read_exemplar(path, size=content_size)
            layers, distance = loss(picture, loss.target(content))
            total = sum(each.item() for each in layers.values())
            result(f"{path.name:40} style {total:8.4f}  content {distance.item():.4f}")


if __name__ == "__main__":
    run(app)
