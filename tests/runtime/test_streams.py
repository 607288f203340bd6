"""Closed streams change nothing but what is said on them; pictures have theirs to themselves."""

import io
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from runtime import contract, style_contract
from runtime.processes import CLOSED, ENVIRONMENT, TN_RUN
from tn_runtime.pictures import decode, read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="redirections of POSIX")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plain.onnx").write_bytes(contract.model_bytes())
    (tmp_path / "style.onnx").write_bytes(style_contract.model_bytes())
    Image.new("RGB", (20, 10), (9, 99, 199)).save(tmp_path / "photo.png")
    return tmp_path


def run(folder, redirection, *arguments, before="", **options):
    command = ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, "-W", "error", "-c"]
    return subprocess.run(
        [*command, before + TN_RUN, *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["models", "--json"],
        ["info", "plain.onnx"],
        ["doctor"],
        ["texture", "plain.onnx", "-o", "a.png", "--size", "300x20"],
        ["style", "style.onnx", "photo.png", "-o", "a.png"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_closed_stream_is_no_reason_to_fail(folder, closed, arguments):
    done = run(folder, closed, *arguments)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    if "a.png" in arguments:
        size = (20, 300, 3) if arguments[0] == "texture" else (10, 20, 3)
        assert read(folder / "a.png").srgb().shape == size


@pytest.mark.hard
@pytest.mark.parametrize("closed", CLOSED)
def test_a_sheet_of_models_needs_no_stream(folder, closed):
    done = run(folder, closed, "models", "--sheet", "a.png")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert read(folder / "a.png").srgb().std() > 5


@pytest.mark.hard
@pytest.mark.parametrize("closed", CLOSED)
def test_a_server_needs_no_stream(folder, closed):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ("serve", "--port", str(port), "--no-browser", "--provider", "cpu")
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", TN_RUN, *words]
    with subprocess.Popen(
        shell, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        answer = wait_for(f"http://127.0.0.1:{port}/models", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert b"citrus" in answer
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


def wait_for(address, process):
    """Return what a server answers once it listens."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return answer.read()
        except OSError:
            assert process.poll() is None
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.mark.parametrize("closed", CLOSED)
def test_errors_have_their_exit_code_without_a_place_to_say_them(folder, closed):
    done = run(folder, closed, "texture", "none.onnx", "-o", "a.png")
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_a_picture_needs_its_stream(folder):
    done = run(folder, ">&-", "texture", "plain.onnx", "-o", "-")
    assert (done.returncode, b"stdout, which is closed" in done.stderr) == (2, True)
    done = run(folder, "<&-", "style", "style.onnx", "-", "-o", "a.png")
    assert (done.returncode, b"stdin, which is closed" in done.stderr) == (2, True)


def test_nothing_but_the_picture_goes_into_its_stream(folder):
    """Whatever a library prints, by Python or beneath it."""
    noise = (
        "import os, sys, onnxruntime\n"
        "session = onnxruntime.InferenceSession\n"
        "def noisy(*arguments, **options):\n"
        "    print('noise'); os.write(1, b'more noise'); os.system('echo most noise')\n"
        "    return session(*arguments, **options)\n"
        "onnxruntime.InferenceSession = noisy\n"
    )
    done = run(folder, "", "texture", "plain.onnx", "-o", "-", "--size", "30", before=noise)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(decode(done.stdout).srgb(), contract.expected((30, 30)))
    assert b"most noise" in done.stderr
    photo = (folder / "photo.png").read_bytes()
    done = run(folder, "", "style", "style.onnx", "-", "-o", "-", before=noise, input=photo)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert image.size == (20, 10)
    assert done.stdout.endswith(b"IEND\xaeB`\x82")
