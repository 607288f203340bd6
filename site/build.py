"""Build the static site: the page of `tn-run serve`, and the shipped models run in the browser.

`make site` calls this after npm has brought ONNX Runtime. The folder holds all that the page needs,
and goes on any static host.
"""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

from tn_runtime import load
from tn_runtime.pictures import Rows, save
from tn_runtime.serve.models import Card
from tn_runtime.session import shipped
from tn_runtime.swatches import PHOTO, swatch

HERE = Path(__file__).parent
PAGE = HERE.parent / "runtime/tn_runtime/serve/page"
RUNTIME = HERE / "node_modules/onnxruntime-web/dist"
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)


def build(site: Path) -> None:
    """Build the site in a folder, which is emptied first."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(PAGE, site)
    for name in ("source.js", "worker.js"):
        shutil.copy(HERE / name, site)
    shutil.copy(PHOTO, site / "photo.jpg")
    for name in ("ort", "models", "swatches"):
        (site / name).mkdir()
    for name in RUNTIME_FILES:
        shutil.copy(RUNTIME / name, site / "ort")
    shutil.copy(HERE / "onnxruntime-license.txt", site / "ort/LICENSE")
    cards = []
    for name, path in shipped().items():
        model = load(path, "cpu")
        shutil.copy(path, site / "models")
        save(site / f"swatches/{name}.webp", Rows.of_array(swatch(model)))
        cards.append(dataclasses.asdict(Card.of(name, model)))
    (site / "models.json").write_text(json.dumps(cards, indent=1), "utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
