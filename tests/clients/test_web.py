"""The pages of docs/clients.md in Chromium; and its self-test, where WebGPU makes wrong pixels."""

import base64
import contextlib
import functools
import io
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from clients.conftest import PACKAGES

playwright = pytest.importorskip("playwright.sync_api")

SHARE = {"texture": 4e-4, "style": 5e-3}
"""Of the samples may differ by a level: wasm adds in another order."""

PATIENCE = 240_000
"""Milliseconds; a busy machine takes a while."""

FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def address(folder):
    """The folder on a local server, with onnxruntime-web in it."""
    packaged = PACKAGES / "onnxruntime-web/dist"
    if not packaged.is_dir():
        pytest.skip("onnxruntime-web is not installed: run `make test-clients`, which installs it")
    for path in packaged.glob("ort*"):
        if path.suffix in {".mjs", ".wasm"} and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    program = next(found, None)
    if program is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    with contextlib.closing(browser.new_page()) as page:
        page.set_default_timeout(PATIENCE)
        yield page


@pytest.mark.parametrize("kind", ["texture", "style"])
def test_a_page(page, address, expected, compare, kind):
    errors = []

    def keep(error):  # playwright takes no built-in method
        errors.append(error)

    page.on("pageerror", keep)
    page.goto(f"{address}/{kind}.html")
    page.wait_for_function("document.title")
    assert not errors
    picture = page.evaluate("document.querySelector('canvas').toDataURL('image/png')")
    png = base64.b64decode(picture.partition(",")[2])
    compare(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), expected[kind], SHARE[kind])


VERDICT = """
async ([bundle, kind]) => {
  if (!(await navigator.gpu?.requestAdapter())) return null;
  const ort = await import(`/${bundle}`);
  const { passes } = await import("/self_test.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal";
  const options = { executionProviders: ["webgpu"] };
  const session = await ort.InferenceSession.create(`/${kind}.onnx`, options);
  const facts = await (await fetch(`/${kind}.json`)).json();
  const int64 = (...v) => new ort.Tensor("int64", BigInt64Array.from(v, BigInt), [v.length]);
  const size = [48, 64];
  const bytes = Uint8Array.from({ length: 3 * size[0] * size[1] }, (_, i) => (i * i) >> 7);
  const feed =
    kind === "texture"
      ? { seed: int64(7), origin: int64(-20, 1000000), size: int64(...size), period: int64(0, 0) }
      : {
          content: new ort.Tensor("uint8", bytes, [1, ...size, 3]),
          window: int64(0, 0, ...size),
          origin: int64(0, 0),
        };
  const passed = await passes(ort, session, facts);
  return [passed, Array.from((await session.run(feed, ["image"])).image.data)];
}
"""


def wanted(kind):
    from clients.conftest import MODELS
    from tn_runtime import load, synthesize

    model = load(MODELS[kind], "cpu", threads=1)
    if kind == "texture":
        return synthesize(model, (48, 64), 7, (-20, 1000000))
    content = (np.arange(48 * 64 * 3) ** 2 >> 7).astype(np.uint8).reshape(1, 48, 64, 3)
    whole = {"window": np.array((0, 0, 48, 64)), "origin": np.array((0, 0))}
    return model.run(content=content, **whole)[0]


@pytest.mark.hard  # a software GPU takes its time
@pytest.mark.parametrize("kind", ["texture", "style"])
@pytest.mark.parametrize("bundle", ["ort.min.mjs", "ort.webgpu.min.mjs"])
def test_the_self_test_tells_wrong_pixels_of_webgpu(page, address, bundle, kind):
    page.goto(f"{address}/self_test.mjs")
    verdict = page.evaluate(VERDICT, [bundle, kind])
    if verdict is None:
        pytest.skip("this Chromium has no WebGPU")
    passed, made = verdict
    differences = np.abs(np.array(made).reshape(48, 64, 3) - wanted(kind))
    assert passed == (differences.max() <= 1)
