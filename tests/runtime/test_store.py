"""Large pictures lie in a temporary file, and are the same there; nothing else is touched."""

import contextlib
import io
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from runtime.picture_files import png_bytes, smooth, some
from runtime.processes import ENVIRONMENT, python
from tn_runtime.errors import PictureError
from tn_runtime.pictures import Picture, decode, store
from tn_runtime.pictures.store import Store, turned


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 4])
def test_rows_come_upright_from_memory_and_from_a_file(monkeypatch, orientation, channels):
    array = some(70, 50, channels, np.uint16)
    for limit in (0, 2**26):
        monkeypatch.setattr(store, "IN_MEMORY", limit)
        stored = Store.of_size(70, 50, channels, np.uint16, orientation)
        for top in range(0, 70, 16):
            stored.put(top, array[top : top + 16])
        expected = turned(array, orientation)
        assert (stored.height, stored.width) == expected.shape[:2]
        np.testing.assert_array_equal(stored.rows(0, stored.height), expected)
        np.testing.assert_array_equal(stored.rows(13, 31), expected[13:31])


def test_a_picture_in_a_file_is_the_picture_in_memory(monkeypatch):
    data = png_bytes(some(60, 70, 4, np.uint16))
    in_memory = decode(data)
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    in_file = decode(data)
    for part in ("colors", "alpha", "srgb"):
        np.testing.assert_array_equal(getattr(in_file, part)(), getattr(in_memory, part)())


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_temporary_folder_without_room_is_one_line():
    def small_files():
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    script = (
        "from tn_runtime.pictures import store\n"
        "from tn_runtime.errors import PictureError\n"
        "store.IN_MEMORY = 0\n"
        "try: store.Store.of_size(100, 100, 3, 'u1')\n"
        "except PictureError as error: print(error)\n"
    )
    done = python(script, preexec_fn=small_files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("needs 0 MB in the folder for temporary files (")
    assert "TMPDIR" in done.stdout


def test_nothing_is_left_in_the_temporary_folder(tmp_path):
    script = (
        "from tn_runtime.pictures import store\n"
        "import os, signal\n"
        "store.IN_MEMORY = 0\n"
        "kept = store.Store.of_size(100, 100, 3, 'u1')\n"
        "print(os.listdir(os.environ['TMPDIR']), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, 'SIGKILL') else signal.SIGTERM)\n"
    )
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []
    if sys.platform == "linux":
        assert done.stdout == "[]\n"


def test_reading_changes_nothing_of_the_process(monkeypatch):
    """Two reads at a time left `warnings` on ignore for good, and Pillow without its limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    stream = io.BytesIO()
    Image.fromarray(smooth()).save(stream, "TIFF")
    files = [png_bytes(smooth()), stream.getvalue(), b"no picture", stream.getvalue()[:100]]
    filters, seen = list(warnings.filters), set()

    def work(data):
        for _ in range(10):
            with contextlib.suppress(PictureError):
                decode(data)
            seen.add((Image.MAX_IMAGE_PIXELS, tuple(warnings.filters) == tuple(filters)))

    threads = [threading.Thread(target=work, args=(data,)) for data in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {(1000, True)}


def test_threads_share_a_picture(monkeypatch):
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    array = some(200, 50, 3)
    picture = decode(png_bytes(array))
    wrong = []

    def work(start):
        tops = range(start, 190, 7)
        wrong.extend(t for t in tops if (picture.colors(t, t + 10) != array[t : t + 10]).any())

    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_arrays_are_not_copied():
    array = some(8, 9, 3)
    assert np.shares_memory(Picture.from_array(array).colors(2, 5), array)
