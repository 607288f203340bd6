"""An ONNX Runtime whose installation is broken is one line with a way out."""

import json

import pytest

from runtime.processes import tn_run
from tn_runtime import providers

DLL = "raise ImportError('DLL load failed while importing onnxruntime_pybind11_state')"
MISSING = "raise ModuleNotFoundError('No module named onnxruntime', name='onnxruntime')"

BROKEN = {
    "DLL": (DLL, "does not load (DLL load failed while importing"),
    "one of two wheels removed": ("", "folder is left, but not its files"),
    "a part missing": ("import onnxruntime.capi", "does not load (No module named"),
    "not installed": (MISSING, "is not installed: pip install onnxruntime"),
}


@pytest.fixture(params=BROKEN)
def broken(request, tmp_path):
    """A working directory whose onnxruntime hides the real one, and what is said about it."""
    source, message = BROKEN[request.param]
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(source)
    return tmp_path, message


def install(folder, name):
    (folder / f"{name}-1.0.dist-info").mkdir()
    (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")


def test_a_model_does_not_run_and_says_why(broken, plain_model):
    folder, message = broken
    done = tn_run("texture", plain_model, "-o", "a.png", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ONNX Runtime")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "pip install" in done.stderr


def test_doctor_still_reports(broken):
    folder, message = broken
    done = tn_run("doctor", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert (facts["onnxruntime"], facts["compiled"]) == (None, [])
    assert [each["works"] for each in facts["providers"]] == [False, False]
    assert all(message in each["reason"] for each in facts["providers"])
    assert "ONNX Runtime does not work\ncuda: does not run" in tn_run("doctor", cwd=folder).stdout


def test_two_wheels_over_one_another_are_named(tmp_path, plain_model):
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(DLL)
    install(tmp_path, "onnxruntime")
    install(tmp_path, "onnxruntime_gpu")
    way_out = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    assert way_out in tn_run("texture", plain_model, "-o", "a.png", cwd=tmp_path).stderr
    assert way_out in json.loads(tn_run("doctor", "--json", cwd=tmp_path).stdout)["warnings"][0]


@pytest.mark.parametrize(
    ("gigabytes", "tile"), [(0, 256), (0.5, 256), (1.9, 256), (2, 512), (16, 1280), (80, 2048)]
)
def test_a_tile_on_cuda_fits_the_free_memory(gigabytes, tile):
    assert providers.fitting_tile(int(gigabytes * 2**30)) == tile
    assert tile == 256 or tile**2 * providers.BYTES_PER_PIXEL <= gigabytes * 2**30 / 4


def test_the_memory_of_a_gpu():
    there = providers.cuda_memory()
    if there is None:
        pytest.skip("no CUDA device to ask")
    free, total = there
    assert 0 < free <= total
