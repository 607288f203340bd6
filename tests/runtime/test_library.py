"""The user's own folder of models: where it is, what has a name, and what a model is called."""

import json
import math
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from runtime import contract
from runtime.processes import ENVIRONMENT, tn_run
from tn_runtime import library, load, synthesize
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pictures import read
from tn_runtime.session import find, named, shipped


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(library.VARIABLE, str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def test_the_folder_is_the_platforms_own_unless_the_variable_names_one(folder, monkeypatch):
    assert library.folder() == folder
    monkeypatch.delenv(library.VARIABLE)
    platforms = platformdirs.user_data_dir("texture-networks", appauthor=False)
    assert library.folder() == Path(platforms, "models")


def test_a_relative_folder_is_refused(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "models")
    with pytest.raises(RequestError, match="TEXTURE_NETWORKS_MODELS is 'models'"):
        library.folder()


def test_no_folder_means_no_model(folder):
    folder.rmdir()
    assert library.own() == {}
    assert named() == shipped()


def test_own_models_have_their_files_names(folder):
    (folder / "gravel.onnx").write_bytes(contract.model_bytes())
    (folder / ".partial-gravel.onnx").write_bytes(b"half a model")
    (folder / "notes.txt").write_bytes(b"no model")
    assert find("gravel") == folder / "gravel.onnx"
    assert list(named()) == [*shipped(), "gravel"]
    assert np.array_equal(synthesize(load("gravel", "cpu"), (9, 8)), contract.expected((9, 8)))
    with pytest.raises(ModelError, match="gravel"):
        find("grovel")


def test_an_own_model_takes_the_place_of_a_shipped_one(folder):
    (folder / "citrus.onnx").write_bytes(contract.model_bytes())
    assert find("citrus") == folder / "citrus.onnx"
    assert list(named()) == list(shipped())


def test_models_lists_them_and_reports_what_does_not_load(folder):
    (folder / "gravel.onnx").write_bytes(contract.model_bytes())
    (folder / "broken.onnx").write_bytes(b"no model")
    done = tn_run("models", "--json", env={**ENVIRONMENT, library.VARIABLE: str(folder)})
    assert done.returncode == 1
    assert [each["name"] for each in json.loads(done.stdout)] == [*shipped(), "gravel"]
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {folder / 'broken.onnx'} is not an ONNX file")


def test_a_sheet_shows_every_model(folder, tmp_path):
    (folder / "gravel.onnx").write_bytes(contract.model_bytes())
    sheet = tmp_path / "sheet.png"
    done = tn_run("models", "--sheet", sheet, env={**ENVIRONMENT, library.VARIABLE: str(folder)})
    assert done.returncode == 0, done.stderr
    pixels = read(sheet).srgb()
    height, width = 256 + 8 + 24, 256
    names = [*shipped(), "gravel"]
    columns = math.ceil(math.sqrt(len(names)))
    rows = math.ceil(len(names) / columns)
    assert pixels.shape == (rows * (height + 8) - 8, columns * (width + 8) - 8, 3)
    cells = {}
    for number, name in enumerate(names):
        y, x = number // columns * (height + 8), number % columns * (width + 8)
        cells[name] = pixels[y : y + 256, x : x + 256]
    assert np.array_equal(cells["citrus"], synthesize(load("citrus", "cpu"), (256, 256)))
    assert np.array_equal(cells["gravel"], contract.expected((256, 256)))
    assert cells["great_wave"].std() > 20  # the photo in the style
    assert (pixels[256 + 8 : height] < 128).any()  # names


def test_a_texture_needs_no_model(tmp_path):
    done = tn_run("texture", "-o", tmp_path / "a.png", "--size", "20x10")
    assert done.returncode == 0
    assert done.stderr.startswith("no model is named: using stone_wall; ")
    expected = synthesize(load("stone_wall", "cpu"), (10, 20))
    assert np.array_equal(read(tmp_path / "a.png").srgb(), expected)
