"""The endpoints of the page: right pictures, refusals of everything else, bounds."""

import asyncio
import signal
import socket
import sys
import threading
import urllib.request

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx2", reason="httpx2, of the test client, is not installed")

from fastapi import HTTPException, Request
from fastapi.testclient import TestClient

from runtime import contract, style_contract
from runtime.hostile import bombs, mutations, sound_pictures
from runtime.picture_files import png_bytes, smooth
from runtime.processes import start_tn_run, tn_run
from tn_runtime import library, load, stylize, synthesize
from tn_runtime.errors import PictureError
from tn_runtime.pictures import decode
from tn_runtime.serve import uploads
from tn_runtime.serve.app import MAX_UPLOAD, PAGE, create_app
from tn_runtime.serve.cache import Cache
from tn_runtime.serve.work import Gate
from tn_runtime.session import shipped

HERE = "http://localhost"
FAR = 10**12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("own")
    (path / "plain.onnx").write_bytes(contract.model_bytes())
    (path / "painter.onnx").write_bytes(style_contract.model_bytes(style_contract.NORMALIZED))
    (path / "broken.onnx").write_bytes(b"no model")
    return path


@pytest.fixture(scope="module")
def client(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.VARIABLE, str(folder))
        with TestClient(create_app("cpu"), base_url=HERE) as client:
            yield client


def picture(response):
    assert response.status_code == 200, response.text
    return decode(response.content).srgb()


def detail(response, status):
    """Return the one message of a refusal."""
    assert response.status_code == status, response.text
    message = response.json()["detail"]
    assert isinstance(message, str)
    return message


# Models


def test_the_page_is_served(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "<title>Texture Networks</title>" in page.text
    script = client.get("/leaflet/leaflet.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert client.get("/photo.jpg").headers["content-type"] == "image/jpeg"


def test_models_are_listed_but_not_the_damaged(client):
    cards = {each["name"]: each for each in client.get("/models").json()}
    assert list(cards) == [*shipped(), "painter", "plain"]
    wave, loaded = cards["great_wave"], load("great_wave", "cpu")
    for fact in ("kind", "halo", "normalized_channels", "given_at", "statistics_at"):
        assert wave[fact] == getattr(loaded.spec, fact)
    assert (wave["sha256"], wave["bytes"]) == (loaded.sha256, len(loaded.data))
    assert wave["credit"] == loaded.spec.exemplars[0].credit


def test_a_model_file_is_the_file(client, folder):
    assert client.get("/models/plain.onnx").content == (folder / "plain.onnx").read_bytes()


def test_a_swatch_shows_the_model(client):
    assert picture(client.get("/swatches/painter.webp")).shape == (256, 256, 3)
    shown = picture(client.get("/swatches/plain.webp"))
    assert shown.shape == (256, 256, 3)


def test_a_model_that_is_replaced_is_loaded_anew(client, folder):
    path = folder / "changing.onnx"
    path.write_bytes(contract.model_bytes())
    first = client.get("/tiles/changing/0/0/0/0.png")
    path.write_bytes(contract.model_bytes(replace=[("{7919}", "{7907}")]))
    second = client.get("/tiles/changing/3/0/0/0.png")
    again = client.get(
        "/tiles/changing/0/0/0/0.png", headers={"If-None-Match": first.headers["etag"]}
    )
    path.unlink()
    assert picture(second)[0, 0, 0] == 3 * 7907 % 251
    assert again.status_code == 200  # not 304: another file's picture
    assert client.get("/tiles/changing/0/0/0/0.png").status_code == 404


# Tiles


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, -2), (-FAR, FAR)])
def test_a_tile_is_a_window_of_the_plane(client, x, y):
    tile = picture(client.get(f"/tiles/plain/7/0/{x}/{y}.png"))
    assert np.array_equal(tile, contract.expected((256, 256), 7, (256 * y, 256 * x)))


def test_a_tile_of_a_network_is_what_synthesize_makes(client):
    tile = picture(client.get("/tiles/citrus/-5/0/2/-1.png"))
    whole = synthesize(load("citrus", "cpu"), (300, 600), -5, (-256, 500))
    assert np.array_equal(tile[:, : 600 - 12], whole[:256, 12 : 12 + 256])


@pytest.mark.parametrize("z", [1, 2, 3])
def test_zooming_out_averages(client, z):
    side = 256 * 2**z
    tile = picture(client.get(f"/tiles/plain/7/{z}/-1/2.png"))
    plane = contract.expected((side, side), 7, (2 * side, -side)).astype(np.float64)
    means = plane.reshape(256, 2**z, 256, 2**z, 3).mean((1, 3))
    assert np.array_equal(tile, np.floor(means + 0.5))


@pytest.mark.parametrize(
    "path",
    [
        "plain/7/4/0/0",
        "plain/7/-1/0/0",
        "plain/7/0.0/0/0",
        "plain/7/z/0/0",
        "plain/7/0/1.0/0",
        "plain/7/0/0/+1",
        "plain/7/0/01/0",
        "plain/seven/0/0/0",
        f"plain/{2**63}/0/0/0",
        f"plain/7/0/{2**62}/0",
        f"plain/7/0/{10**30}/0",
        "plain/7/0/ 1/0",
        "nothing/7/0/0/0",
        "painter/7/0/0/0",
        "..%2f..%2fplain/7/0/0/0",
        "%2ftmp/7/0/0/0",
        "plain.onnx/7/0/0/0",
    ],
)
def test_anything_else_is_refused(client, path):
    assert 400 <= client.get(f"/tiles/{path}.png").status_code < 500


def test_refusals_say_what_is_wrong(client):
    assert "no model is named 'nothing'" in detail(client.get("/tiles/nothing/7/0/0/0.png"), 404)
    assert "is a style model" in detail(client.get("/tiles/painter/7/0/0/0.png"), 422)
    assert "is out of range" in detail(client.get(f"/tiles/plain/7/0/{2**62}/0.png"), 422)
    assert "broken.onnx" in detail(client.get("/tiles/broken/7/0/0/0.png"), 500)


def test_a_client_that_has_a_tile_is_not_sent_it_again(client):
    first = client.get("/tiles/plain/7/0/0/0.png")
    tag = {"If-None-Match": first.headers["etag"]}
    again = client.get("/tiles/plain/7/0/0/0.png", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/tiles/plain/8/0/0/0.png", headers=tag).status_code == 200


def test_a_tileable_picture_repeats(client):
    tile = picture(client.get("/tileable/plain/7.png?size=128"))
    assert np.array_equal(tile, contract.expected((128, 128), 7, period=(128, 128)))
    shifted = synthesize(load("citrus", "cpu"), (64, 64), 7, (-16, -16), (64, 64))
    tile = picture(client.get("/tileable/citrus/7.png?size=64"))
    assert np.array_equal(np.roll(tile, (16, 16), (0, 1)), shifted)


@pytest.mark.parametrize("size", ["63", "4096", "130", "-128", "1e3", "", "128.0"])
def test_other_sizes_are_refused(client, size):
    assert client.get(f"/tileable/plain/7.png?size={size}").status_code == 422


# Photos


def test_a_photo_comes_back_in_the_style(client, folder):
    photo, model = smooth(40, 60), load(folder / "painter.onnx", "cpu")
    for query, options in (
        ("", {}),
        ("?strength=0", {"strength": 0}),
        ("?strength=0.5&keep_colors=true", {"strength": 0.5, "keep_colors": True}),
    ):
        painted = picture(client.post(f"/photos/painter{query}", content=png_bytes(photo)))
        assert np.array_equal(painted, stylize(model, photo, **options))


def test_a_photo_with_alpha_keeps_it(client):
    photo = np.concatenate([smooth(40, 60), np.full((40, 60, 1), 77, np.uint8)], axis=2)
    response = client.post("/photos/painter", content=png_bytes(photo))
    assert (decode(response.content).alpha() == 77).all()


def test_a_large_photo_is_reduced(client):
    response = client.post("/photos/painter?strength=0", content=png_bytes(smooth(30, 2100)))
    assert picture(response).shape == (29, 2048, 3)


@pytest.mark.parametrize("strength", ["-0.1", "1.1", "nan", "inf", "much"])
def test_other_strengths_are_refused(client, strength):
    url = f"/photos/painter?strength={strength}"
    assert client.post(url, content=png_bytes(smooth())).status_code == 422


def test_a_photo_needs_a_style(client):
    assert "is a texture model" in detail(client.post("/photos/plain", content=b"x"), 422)
    assert "no model" in detail(client.post("/photos/nothing", content=b"x"), 404)


def test_a_body_too_large_is_refused(client):
    assert "40 MB" in detail(client.post("/photos/painter", content=bytes(MAX_UPLOAD + 1)), 413)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0"])
def test_what_is_no_photo_is_refused(client, data):
    assert "photo" in detail(client.post("/photos/painter", content=data), 422)


def test_bombs_harm_nobody(client):
    for data in bombs():
        response = client.post("/photos/painter?strength=0", content=data)
        assert response.status_code in {200, 422}, data[:60]
    assert client.get("/tiles/plain/7/0/0/0.png").status_code == 200


def test_broken_photos_harm_nobody(client):
    rng = np.random.default_rng(0)
    for name, data in sound_pictures().items():
        for broken in mutations(data, rng, 1):
            response = client.post("/photos/painter?strength=0", content=broken)
            assert response.status_code in {200, 422}, name
    assert client.get("/tiles/plain/7/0/0/0.png").status_code == 200


def test_a_decoder_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(uploads, "SECONDS", 0.001)
    with pytest.raises(PictureError, match=r"more than 0\.001 s to decode"):
        uploads.decoded(png_bytes(smooth()))


@pytest.mark.skipif(sys.platform == "win32", reason="a script with signals")
def test_a_decoder_that_crashes_is_alone(monkeypatch, tmp_path):
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(PictureError, match="damaged, or too large"):
        uploads.decoded(png_bytes(smooth()))


# Bounds


def request(*messages):
    """Return a request whose client sends these, and then waits."""
    waiting = list(messages)

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    return Request({"type": "http", "method": "GET", "headers": []}, receive)


def test_so_many_work_so_many_wait_and_the_rest_is_sent_away():
    working, most, go = 0, 0, threading.Event()

    def work():
        nonlocal working, most
        working += 1
        most = max(most, working)
        go.wait(60)
        working -= 1
        return "done"

    async def crowd():
        gate = Gate(at_once=2, waiting=3)
        asyncio.get_running_loop().call_later(0.2, go.set)
        return await asyncio.gather(
            *(gate.run(request(), work) for _ in range(9)), return_exceptions=True
        )

    results = asyncio.run(crowd())
    assert results.count("done") == 5
    refused = [each for each in results if isinstance(each, HTTPException)]
    assert [each.status_code for each in refused] == [503] * 4
    assert refused[0].headers == {"Retry-After": "1"}
    assert most == 2


def test_nothing_is_made_for_a_client_that_is_gone():
    done = []

    async def late():
        await Gate(1, 1).run(request({"type": "http.disconnect"}), done.append, 1)

    with pytest.raises(HTTPException):
        asyncio.run(late())
    assert done == []


def test_the_cache_drops_what_is_least_used():
    cache = Cache(10)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a") == b"1234"
    cache.put("c", b"1234")
    assert [cache.get(tag) for tag in "abc"] == [b"1234", None, b"1234"]
    cache.put("c", b"12345678901")  # larger than all that is kept
    assert [cache.get(tag) for tag in "abc"] == [None, None, None]


# The command


@pytest.fixture
def command():
    """Yield a running `tn-run serve` and the address that it printed."""
    process = start_tn_run("serve", "--port", "0", "--no-browser", "--provider", "cpu")
    address = process.stdout.readline().split(" ")[0]
    yield process, address
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_command_serves_until_it_is_interrupted(command):
    process, address = command
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}tiles/citrus/7/0/0/0.png", timeout=60) as answer:
        tile = decode(answer.read()).srgb()
    assert np.array_equal(tile, synthesize(load("citrus", "cpu"), (256, 256), 7))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = tn_run("serve", "--port", port, "--no-browser")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: 127.0.0.1, port {port} cannot be listened on: ")
    assert line.endswith("--port 0 takes a free port")


# Around


def test_other_sites_names_are_not_answered(client):
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example"):
        assert client.get("/models", headers={"Host": host}).status_code == 400
    assert client.get("/models", headers={"Host": "127.0.0.1:8000"}).status_code == 200


def test_every_endpoint_is_described(client):
    described = client.get("/openapi.json").json()
    paths = {path: next(iter(methods.values())) for path, methods in described["paths"].items()}
    assert list(paths) == [
        "/models",
        "/models/{model}.onnx",
        "/swatches/{model}.webp",
        "/photo.jpg",
        "/tiles/{model}/{seed}/{z}/{x}/{y}.png",
        "/tileable/{model}/{seed}.png",
        "/photos/{model}",
    ]
    assert all(each["description"] for each in paths.values())
    zoom = next(
        each
        for each in paths["/tiles/{model}/{seed}/{z}/{x}/{y}.png"]["parameters"]
        if each["name"] == "z"
    )
    assert (zoom["schema"]["minimum"], zoom["schema"]["maximum"]) == (0, 3)
    assert "image/*" in paths["/photos/{model}"]["requestBody"]["content"]
    assert client.get("/docs").status_code == 404  # FastAPI's page loads scripts from elsewhere


def test_the_page_asks_nobody_else():
    for path in PAGE.iterdir():
        if path.suffix in {".html", ".js", ".css", ".svg"}:
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text, path
            assert "https:" not in text, path
            assert "//cdn" not in text, path
