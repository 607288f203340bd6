"""The page in a real browser: that of the server, and the static site, which runs models itself."""

import base64
import contextlib
import functools
import http.server
import importlib.util
import io
import shutil
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.picture_files import png_bytes, smooth
from tn_runtime import load, stylize, synthesize
from tn_runtime.serve.tiles import tile
from tn_runtime.session import shipped

uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
if CHROMIUM is None:
    pytest.skip(
        "no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True
    )

SITE = Path(__file__).parents[2] / "site"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "has_touch": True}
TIMEOUT = 120_000  # milliseconds: a busy machine is slow

UNFINISHED = "#plane canvas.leaflet-tile:not(.leaflet-tile-loaded)"
PIXELS = 'canvas => canvas.toDataURL("image/png")'
DROP = """([base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""


@dataclass
class Address:
    """Where a page is, and how far its pixels may be from those of this machine's ONNX Runtime."""

    url: str
    levels: int


@contextlib.contextmanager
def in_thread(serve, stop):
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@contextlib.contextmanager
def server():
    from tn_runtime.serve.app import create_app

    config = uvicorn.Config(create_app("cpu"), port=0, log_level="warning")
    running = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stop():
            running.should_exit = True

        with in_thread(lambda: running.run(sockets=[listener]), stop):
            yield Address(f"http://127.0.0.1:{listener.getsockname()[1]}/", levels=0)


@contextlib.contextmanager
def static_site(folder):
    if not (SITE / "node_modules/onnxruntime-web").exists():
        pytest.skip("ONNX Runtime for browsers is not here; make site brings it")
    spec = importlib.util.spec_from_file_location("build", SITE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.build(folder)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with host, in_thread(host.serve_forever, host.shutdown):
        yield Address(f"http://127.0.0.1:{host.server_port}/", levels=1)


LONG = pytest.mark.parametrize(
    "address", ["server", pytest.param("static", marks=pytest.mark.hard)], indirect=True
)
"""Marks a long test: the static page, which has the same script, is left to `make test-hard`."""


@pytest.fixture(scope="module", params=["server", "static"])
def address(request, tmp_path_factory):
    makers = {"server": server, "static": lambda: static_site(tmp_path_factory.mktemp("site"))}
    with makers[request.param]() as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(address, browser):
    """Yield what opens the page; it must ask nobody else, and raise nothing."""
    problems = []
    with contextlib.ExitStack() as contexts:

        def open_page(device=DESK, place=""):
            context = browser.new_context(**device)
            contexts.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(TIMEOUT)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "request", lambda each: problems.append(each.url) if foreign(each.url) else None
            )
            page.goto(address.url + place)
            return page

        def foreign(url):
            return not url.startswith((address.url, f"blob:{address.url}"))

        yield open_page
    assert problems == []


def settle(page):
    """Wait until all tiles are there."""
    page.wait_for_selector("#plane canvas.leaflet-tile-loaded")
    page.wait_for_selector(UNFINISHED, state="detached")


def pixels_of(canvas):
    _, data = canvas.evaluate(PIXELS).split(",")
    return read_png(io.BytesIO(base64.b64decode(data)))


def read_png(file):
    return np.asarray(Image.open(file).convert("RGB"))


def tile_pixels(page, name):
    return pixels_of(page.locator(f'#plane canvas[data-tile="{name}"]').last)


def painting(page):
    page.wait_for_selector("#busy", state="hidden")
    return pixels_of(page.locator("#painting"))


def assert_near(pixels, expected, levels):
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= levels


def center(page):
    x, y = page.locator("#place").inner_text().split("·")[0].rsplit(", ", 1)
    return int(x.replace(",", "")), int(y.replace(",", ""))


def slide(page, slider, value):
    page.locator(slider).fill(str(value))
    page.wait_for_timeout(300)  # until the next frame has mixed it


def drop(page, data, name):
    page.evaluate(DROP, [base64.b64encode(data).decode(), name])


@LONG
def test_pan_and_zoom(opened, address):
    page = opened(place="#citrus/7/0/0/0")
    settle(page)
    assert page.locator("#seed").input_value() == "7"
    model = load("citrus", "cpu")
    assert_near(tile_pixels(page, "0/0/0"), tile(model, 7, 0, 0, 0), address.levels)

    page.locator("#plane").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
    settle(page)
    x, y = center(page)
    assert x >= 300
    assert y == 0

    page.mouse.move(900, 400)
    page.mouse.down()
    page.mouse.move(700, 300, steps=5)
    page.mouse.up()
    page.wait_for_timeout(800)
    settle(page)
    assert center(page) >= (x + 200, 100)

    page.locator("#zoom-out").click()
    page.wait_for_timeout(600)
    settle(page)
    assert page.locator("#place").inner_text().endswith("1:2")
    assert_near(tile_pixels(page, "1/0/0"), tile(model, 7, 1, 0, 0), address.levels)
    assert page.url.split("#")[1].startswith("citrus/7/")


@LONG
def test_choose_textures_seeds_and_places(opened, address):
    page = opened()
    settle(page)
    page.locator("#textures label", has_text="dead leaves").click()
    page.locator("#seed").fill("-12")
    page.keyboard.press("Enter")
    page.locator("#seed-more").click()
    page.wait_for_timeout(600)
    settle(page)
    assert page.url.endswith("#dead_leaves/-11/0/0/0")
    expected = tile(load("dead_leaves", "cpu"), -11, 0, -1, -1)
    assert_near(tile_pixels(page, "0/-1/-1"), expected, address.levels)

    page.locator("#far").click()
    settle(page)
    assert max(map(abs, center(page))) > 10**6
    page.locator("#seed").fill("a lot")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message.shown", state="visible")
    assert page.locator("#seed").input_value() == "-11"


def test_download_a_tileable_picture(opened, address):
    page = opened(place="#citrus/3/0/0/0")
    settle(page)
    page.locator("#make-tile").click()
    page.locator("#sizes label", has_text="256").click()
    page.wait_for_selector("#repeat.made")
    assert "blob:" in page.locator("#repeat").evaluate("e => e.style.backgroundImage")
    width = page.locator("#repeat").evaluate("e => getComputedStyle(e).backgroundSize")
    assert width.startswith("33.3")
    with page.expect_download() as download:
        page.locator("#save-tile").click()
    assert download.value.suggested_filename == "citrus_3_256.png"
    saved = read_png(download.value.path())
    expected = synthesize(load("citrus", "cpu"), (256, 256), 3, period=(256, 256))
    assert_near(saved, expected, address.levels)
    page.keyboard.press("Escape")
    page.wait_for_selector("#tile", state="hidden")


def test_drop_a_photo(opened, address):
    page = opened()
    settle(page)
    pixels = smooth(150, 210)
    drop(page, png_bytes(pixels), "my.photo.png")
    page.wait_for_selector("#save:enabled")
    models = [load(name, "cpu") for name in shipped()]
    model = next(each for each in models if each.spec.kind == "style")
    painted = painting(page)
    assert_near(painted, stylize(model, pixels), 2 * address.levels)
    slide(page, "#colors", 100)
    assert_near(painting(page), stylize(model, pixels, keep_colors=True), 2 * address.levels + 1)
    slide(page, "#strength", 50)
    half = stylize(model, pixels, strength=0.5, keep_colors=True)
    assert_near(painting(page), half, address.levels + 1)
    slide(page, "#strength", 0)
    assert np.array_equal(painting(page), pixels)
    slide(page, "#strength", 100)
    slide(page, "#colors", 0)
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == f"my.photo_{model.spec.name}.png"
    saved = read_png(download.value.path())
    assert np.array_equal(saved, painted)

    drop(page, b"no photo", "notes.txt")
    page.wait_for_selector("#message.shown")
    assert "notes.txt cannot be read" in page.locator("#message").inner_text()
    assert np.array_equal(painting(page), painted)


def test_a_phone(opened):
    page = opened(PHONE)
    settle(page)
    fits = "() => document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.locator(".segments label", has_text="Photo").tap()
    page.wait_for_selector("#save:enabled")
    assert page.evaluate(fits)
    sheet = page.locator("#panel").bounding_box()
    shown = page.locator("#painting").bounding_box()
    assert shown["y"] + shown["height"] <= sheet["y"]  # nothing hides the picture
