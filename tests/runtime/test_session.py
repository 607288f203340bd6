"""What is a model, what is none, and what it runs on."""

import base64
import dataclasses
import hashlib
import json
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from runtime import contract
from runtime.contract import METADATA_KEY, SPEC
from tn_runtime import load, providers, session, synthesize
from tn_runtime.commands import doctor
from tn_runtime.errors import ModelError, ProviderError, RequestError
from tn_runtime.session import MAX_BYTES, find, shipped


def test_a_model_is_loaded_with_its_spec(plain_model):
    model = load(plain_model, "cpu", threads=1)
    assert (model.spec, model.path, model.provider) == (SPEC, plain_model, "cpu")
    assert model.sha256 == hashlib.sha256(plain_model.read_bytes()).hexdigest()
    assert model.fallback is None


def test_shipped_models_have_names_and_files_win(tmp_path, monkeypatch, plain_model):
    assert {"citrus", "dead_leaves", "great_wave"} <= set(shipped())
    assert list(shipped()) == sorted(shipped())
    for name, path in shipped().items():
        assert find(name) == path
        assert load(name, "cpu").spec == load(path, "cpu").spec
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dead_leaves").write_bytes(plain_model.read_bytes())
    assert load("dead_leaves", "cpu").spec == SPEC


def test_a_name_makes_the_pixels_of_its_file():
    picture = synthesize(load("dead_leaves", "cpu"), (20, 30), 1)
    np.testing.assert_array_equal(
        picture, synthesize(load(shipped()["dead_leaves"], "cpu"), (20, 30), 1)
    )


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match="'gravel7' is neither a file nor the name") as caught:
        load("gravel7")
    for name in shipped():
        assert name in str(caught.value)


RUN_FAILS = ("along_n = {-1, 1, 1, 1}", "along_n = {-1, 2, 1, 1}")
"""It opens, and cannot reshape one seed when it runs; Mod by zero would end ONNX Runtime 1.24."""


def cut(data):
    return data[: len(data) // 2]


def without_metadata():
    return contract.model_bytes(metadata={})


def with_metadata(**changes):
    return contract.model_bytes(metadata={METADATA_KEY: json.dumps(spec_dict() | changes)})


def with_self_test(**changes):
    return with_metadata(self_test=spec_dict()["self_test"] | changes)


def spec_dict():
    return json.loads(SPEC.to_json())


def with_external_data():
    model = onnx.load_from_string(contract.model_bytes())
    [tensor] = [each for each in model.graph.initializer if each.name == "channel"]
    tensor.ClearField("int64_data")
    tensor.raw_data = np.array([0, 85, 170], np.int64).tobytes()
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    return model.SerializeToString()


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"no model at all", "not an ONNX file; name a model"),
    "truncated": (cut(contract.model_bytes()), "not an ONNX model"),
    "pickle": (pickle.dumps({"weights": [1]}), "tn-export"),
    "foreign": (without_metadata(), "another project"),
    "no JSON": (contract.model_bytes(metadata={METADATA_KEY: "{"}), "not JSON"),
    "no object": (contract.model_bytes(metadata={METADATA_KEY: "[1]"}), "no valid format number"),
    "newer format": (
        with_metadata(format=99),
        "metadata format 99.*pip install --upgrade texture-networks",
    ),
    "older format": (
        with_metadata(format=2),
        "metadata format 2, this version reads 3: export it again .*tn-export",
    ),
    "unknown kind": (with_metadata(kind="sculpture"), "'sculpture'"),
    "wrong stride": (with_metadata(stride=0), "stride 0"),
    "too many channels": (
        with_metadata(kind="style", normalized_channels=10**15),
        "1000000000000000 channels and 1 styles, more than its file can hold",
    ),
    "wrong type": (with_metadata(halo="many"), "'halo'"),
    "a core": (with_metadata(kind="core"), "network alone, .* tn-run runs the program"),
    "self-test without a picture": (
        with_self_test(image=""),
        "self-test .* is not sound: 0 bytes are no picture of size",
    ),
    "self-test that is no base64": (with_self_test(image="\u20ac"), "self-test .* is not sound"),
    "self-test of a huge picture": (
        with_self_test(inputs={"size": [2**40, 2**40]}),
        "self-test .* is not sound: 189 bytes are no picture",
    ),
    "self-test beyond int64": (
        with_self_test(inputs={"size": [9, 7], "seed": [2**70]}),
        "self-test .* is not sound",
    ),
    "other input": (
        contract.model_bytes(replace=[("int64[2] period)", "int64[2] period, float[1] more)")]),
        "inputs are .*more tensor",
    ),
    "other output type": (
        contract.model_bytes(replace=[("uint8[N", "int64[N"), ("<to = 2>", "<to = 7>")]),
        "outputs are image tensor.int64",
    ),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_what_is_no_model_says_why(tmp_path, kind):
    content, message = BAD[kind]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        load(path, "cpu")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checkpoints_folders_and_huge_files_are_refused_unparsed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(ModelError, match="tn-export"):
        load(tmp_path / "a.pt")
    with pytest.raises(ModelError, match="is a folder"):
        load(tmp_path)
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelError, match="256 MiB"):
        load(tmp_path / "huge.onnx")


def test_external_data_is_out_of_reach_even_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "bad.onnx").write_bytes(with_external_data())
    (tmp_path / "weights.bin").write_bytes(np.array([0, 85, 170], np.int64).tobytes())
    onnxruntime.InferenceSession(tmp_path / "bad.onnx")  # sound, but not one file
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="one file"):
        load("bad.onnx", "cpu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Range(zero, length_0", "Range(one, length_0", "returned shape"),
        (*RUN_FAILS, "failed in ONNX Runtime"),
    ],
)
def test_a_model_that_fails_while_running_says_so(tmp_path, old, new, message):
    path = tmp_path / "bad.onnx"
    path.write_bytes(contract.model_bytes(replace=[(old, new)]))
    with pytest.raises(ModelError, match=message):
        synthesize(load(path, "cpu"), (3, 4))


def test_cuda_runs_or_says_why_not(plain_model):
    obstacle = providers.cuda().obstacle
    auto = load(plain_model)
    if auto.provider == "cuda":
        assert load(plain_model, "cuda").provider == "cuda"
        return
    assert auto.fallback
    with pytest.raises(ProviderError, match=r"CUDA cannot run here: .*--provider cpu") as caught:
        load(plain_model, "cuda")
    assert obstacle is None or obstacle in str(caught.value)


def test_cuda_that_opens_but_does_not_run_is_an_obstacle(tmp_path, monkeypatch):
    """A machine where all looks well: the CPU stands in for the GPU, the failure is real."""
    monkeypatch.setattr(providers, "cuda", lambda: providers.Provider("cuda"))
    monkeypatch.setattr(providers, "entries", lambda _: ["CPUExecutionProvider"])
    monkeypatch.setattr(providers, "used", lambda _: "cuda")
    path = tmp_path / "bad.onnx"
    path.write_bytes(contract.model_bytes(replace=[RUN_FAILS]))
    assert "failed in ONNX Runtime" in load(path).fallback
    with pytest.raises(ProviderError, match=r"CUDA cannot run here: .* failed in ONNX Runtime"):
        load(path, "cuda")
    path.write_bytes(contract.model_bytes())
    assert load(path).fallback is None


def test_unknown_providers_and_thread_counts_are_refused(plain_model):
    with pytest.raises(RequestError, match="auto, cuda, cpu"):
        load(plain_model, "tpu")
    for threads in (0, -1, 1025, 99999999999):
        with pytest.raises(
            RequestError, match=f"threads must be 1 to 1024, or left out, not {threads}"
        ):
            load(plain_model, threads=threads)


def test_one_model_serves_many_threads(plain_model):
    model = load(plain_model, "cpu")
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda seed: synthesize(model, (30, 40), seed), range(40)))
    for seed, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture, contract.expected((30, 40), seed))


def wrong_by(levels):
    """The contract's model with all pixels brighter than in its self-test."""
    return contract.model_bytes(
        replace=[("{0, 85, 170}", f"{{{levels}, {85 + levels}, {170 + levels}}}")]
    )


def test_a_model_passes_its_self_test_within_a_level(plain_model, tmp_path):
    assert load(plain_model, "cpu").prove() == 0
    image = bytearray(base64.b64decode(SPEC.self_test.image))
    image[5] ^= 1
    nearly = dataclasses.replace(SPEC.self_test, image=base64.b64encode(image).decode())
    path = tmp_path / "nearly.onnx"
    path.write_bytes(contract.model_bytes(contract.changed(self_test=nearly)))
    assert load(path, "cpu").prove() == 1 / len(image)


def test_wrong_pixels_fail_the_self_test(tmp_path):
    path = tmp_path / "wrong.onnx"
    path.write_bytes(wrong_by(7))
    model = load(path, "cpu")
    with pytest.raises(ModelError, match=r"wrong pixels on CPU: 100% of .*allowed: 1"):
        model.prove()


def test_cuda_that_makes_wrong_pixels_is_an_obstacle(tmp_path, monkeypatch):
    """The CPU stands in for the GPU."""
    monkeypatch.setattr(providers, "cuda", lambda: providers.Provider("cuda"))
    monkeypatch.setattr(providers, "entries", lambda _: ["CPUExecutionProvider"])
    monkeypatch.setattr(providers, "used", lambda _: "cuda")
    path = tmp_path / "wrong.onnx"
    path.write_bytes(wrong_by(7))
    assert "makes wrong pixels on CUDA" in load(path).fallback


@pytest.mark.parametrize("name", list(shipped()))
def test_shipped_models_pass_their_self_tests(name):
    assert load(name, "cpu", threads=1).prove() < 0.01


def test_doctor_tells_what_runs():
    report = doctor.examine()
    assert {each.name: each.works for each in report.providers}["cpu"]
    assert "CPUExecutionProvider" in report.compiled
    assert all(each.reason for each in report.providers)


def test_doctor_runs_what_it_says_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "MODELS", tmp_path)
    (tmp_path / "broken.onnx").write_bytes(contract.model_bytes(replace=[RUN_FAILS]))
    cpu = doctor.examine().providers[1]
    assert (cpu.name, cpu.works) == ("cpu", False)
    assert "failed in ONNX Runtime" in cpu.reason


def test_doctor_without_a_model_has_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "MODELS", tmp_path)
    cuda, cpu = doctor.examine().providers
    assert cpu == doctor.ProviderReport("cpu", None, "no model is shipped to try it with")
    obstacle = providers.cuda().obstacle
    assert cuda.works is (None if obstacle is None else False)
    assert cuda.reason == (obstacle or cpu.reason)


def test_doctor_takes_shipped_models_not_files_of_their_name(tmp_path, monkeypatch):
    for name in shipped():
        (tmp_path / name).write_bytes(b"no model")
    monkeypatch.chdir(tmp_path)
    assert doctor.examine().providers[1].works


def test_a_model_can_be_pickled_and_used_in_a_spawned_process(plain_model):
    import multiprocessing
    import pickle

    model = load(plain_model, "cpu", threads=1)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.spec, copy.sha256, copy.threads) == (model.spec, model.sha256, 1)
    expected = synthesize(model, (9, 7), 3)
    np.testing.assert_array_equal(synthesize(copy, (9, 7), 3), expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        made = pool.apply(synthesize, (model, (9, 7), 3))
    np.testing.assert_array_equal(made, expected)
