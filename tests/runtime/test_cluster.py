"""Work on a Ray cluster: the same bytes as on one machine, also when a worker is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray", reason="the extra cluster is not installed")
zarr = pytest.importorskip("zarr", reason="the extra cluster is not installed")

from runtime.processes import ENVIRONMENT, TN_RUN
from tn_runtime import load, synthesize
from tn_runtime.cluster.engine import cluster
from tn_runtime.cluster.mosaic import Mosaic, fill
from tn_runtime.cluster.stores import Store
from tn_runtime.errors import PictureError, RequestError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ray on Windows is a beta")


@pytest.fixture
def photos(tmp_path):
    """A folder of photos, one of them broken."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "below/c.jpg", ".hidden.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    (tmp_path / "photos/broken.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def tn_run(folder, *arguments):
    """Run the command line in a folder. Ray's own warnings are no errors."""
    return subprocess.run(
        [sys.executable, "-c", TN_RUN, *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def kill_a_worker():
    """Kill the first process that paints, as soon as there is one."""
    while True:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::MapWorker"):
                    time.sleep(0.3)
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return
            except (FileNotFoundError, ProcessLookupError):
                continue
        time.sleep(0.05)


def test_a_folder_is_painted_with_the_same_bytes_and_gone_on_with(
    tiny_instance_model, photos, tmp_path
):
    words = ("style", tiny_instance_model, "photos", "--provider", "cpu", "-o")
    alone = tn_run(tmp_path, *words, "alone")
    assert alone.returncode == 1
    together = tn_run(tmp_path, *words, "together", "--ray", "auto")
    assert together.returncode == 1, together.stderr
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    assert len(contents(tmp_path / "together")) == 3
    assert "3 photos, 1 failed (photos/broken.png)" in together.stdout
    assert [line for line in together.stderr.splitlines() if line.startswith("error: ")] == [
        line for line in alone.stderr.splitlines() if line.startswith("error: ")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("style", "a.png", "b.png", "-o", "out", "--ray", "auto"), "give one folder, and -o"),
        (("style", "in", "-o", "out", "--ray", "auto", "--threads", "1"), "leave --threads out"),
        (("style", "in", "-o", "out", "--ray", "auto", "--mask", "a=b.png"), "--mask is not for"),
    ],
)
def test_what_it_does_not_do_is_one_line(refused, tiny_instance_model, words, message):
    command, *rest = words
    assert message in refused(command, tiny_instance_model, *rest)


def test_a_huge_picture_is_a_store_of_tiles(refused, tiny_model):
    assert "end its name in .zarr" in refused("texture", tiny_model, "-o", "a.png", "--ray", "auto")


def test_a_store_writes_whole_files_and_says_what_fails(tmp_path):
    store = Store(str(tmp_path / "folder"))
    store.write("below/a.bin", b"abc")
    assert store.names() == ["below/a.bin"]
    assert store.read("below/a.bin") == b"abc"
    with pytest.raises(PictureError, match=r"b.bin cannot be read"):
        store.read("b.bin")
    with pytest.raises(RequestError, match="is on no store that works here"):
        Store("nowhere://bucket").names()
    memory = Store("memory://bucket/folder")
    memory.write("a.bin", b"abc")
    assert (memory.names(), memory.read("a.bin")) == (["a.bin"], b"abc")


def test_no_cluster_at_an_address_is_one_line():
    with (
        pytest.raises(RequestError, match=r"there is no Ray cluster at 127.0.0.1:1 "),
        cluster("127.0.0.1:1"),
    ):
        pass


@pytest.mark.hard
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_tiles_of_a_store_are_windows_and_a_killed_worker_leaves_no_trace(tiny_model, tmp_path):
    model = load(tiny_model, "cpu", 1)
    picture = Mosaic(str(tmp_path / "a.zarr"), (300, 500), 3, (-7, 12), (0, 0), tile=64)
    picture.create({})
    picture.create({})  # again: the same request
    with pytest.raises(RequestError, match="holds another picture"):
        Mosaic(picture.url, (300, 500), 4, (-7, 12), (0, 0)).create({})

    killer = threading.Thread(target=kill_a_worker, daemon=True)
    killer.start()
    with cluster("auto") as workers:
        list(fill(picture, model, workers))
    assert not killer.is_alive()
    assert [picture.missing(level) for level in range(len(picture.levels))] == [[]] * 4
    group = zarr.open_group(picture.url, mode="r")
    whole = synthesize(model, picture.size, 3, picture.origin)
    np.testing.assert_array_equal(group["0"][:].transpose(1, 2, 0), whole)
    half = group["1"][:].transpose(1, 2, 0)
    blocks = whole.reshape(150, 2, 250, 2, 3).astype(int).sum((1, 3))
    np.testing.assert_array_equal(half, (blocks + 2) // 4)


@pytest.mark.hard
def test_photos_are_painted_alike_when_a_worker_is_killed(tiny_instance_model, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(60):
        pixels = rng.integers(0, 256, (300, 300, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
    words = ("style", tiny_instance_model, "photos", "--provider", "cpu", "-o")
    assert tn_run(tmp_path, *words, "alone").returncode == 0
    killer = threading.Thread(target=kill_a_worker, daemon=True)
    killer.start()
    together = tn_run(tmp_path, *words, "together", "--ray", "auto")
    assert together.returncode == 0, together.stderr
    assert not killer.is_alive()
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
