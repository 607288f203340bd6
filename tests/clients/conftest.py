"""A folder as a stranger has it: the programs of docs/clients.md, two models, a photo."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients.documented import programs
from tn_runtime import load, synthesize
from tn_runtime.commands.info import describe
from tn_runtime.session import shipped

MODELS = {"texture": "citrus", "style": "great_wave"}
PACKAGES = Path(__file__).parent / "node_modules"
"""Where `make test-clients` puts the packages of package.json."""


def some_photo(height, width):
    """Return soft colours, edges and grain, uint8 (height, width, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:height, :width]
    soft = 60 * np.sin(y[..., None] / 19 + np.arange(3)) + 40 * np.sign(np.sin(x / 27))[..., None]
    return (128 + soft + rng.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo():
    return some_photo(171, 230)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, photo):
    folder = tmp_path_factory.mktemp("clients")
    for name, text in programs().items():
        (folder / name).write_text(text, encoding="utf-8")
    for kind, name in MODELS.items():
        shutil.copy(shipped()[name], folder / f"{kind}.onnx")
        (folder / f"{kind}.json").write_text(json.dumps(describe(name)))
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(photo).save(folder / "photo.ppm")
    if PACKAGES.is_dir():
        (folder / "node_modules").symlink_to(PACKAGES, target_is_directory=True)
    return folder


@pytest.fixture(scope="session")
def expected(photo):
    """What the clients should make: uint8 (h, w, 3) of each kind of model."""
    texture, style = (load(name, "cpu", threads=1) for name in MODELS.values())
    whole = {"window": np.array((0, 0, *photo.shape[:2])), "origin": np.array((0, 0))}
    return {
        "texture": synthesize(texture, (300, 400), 7, (-20, 1000000)),
        "style": style.run(content=photo[None], **whole)[0],
    }


@pytest.fixture(scope="session")
def compare():
    """A check that pixels differ by one level at most, on no more than a share of the samples."""

    def compare(pixels, expected, share):
        assert pixels.shape == expected.shape
        differences = np.abs(pixels.astype(int) - expected)
        assert differences.max() <= 1
        assert (differences > 0).mean() <= share

    return compare
