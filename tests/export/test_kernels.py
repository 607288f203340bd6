"""The CUDA kernel check: what has no kernel is named, and our own programs have them all."""

import os
import subprocess
import sys

import onnx
import pytest

from tn_export.kernels import bundled, published, uses
from tn_runtime.errors import ModelError, RequestError

EXCERPT = """
## Operators implemented by CPUExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|BitShift|*in* X:**T**<br> *in* Y:**T**<br> *out* Z:**T**|11+|**T** = tensor(uint32)|

<a name="cudaexecutionprovider"/>

## Operators implemented by CUDAExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|Add|*in* A:**T**<br> *in* B:**T**<br> *out* C:**T**|14+|**T** = tensor(float), tensor(int8)|
|||13|**T** = tensor(float)|
|||[7, 12]|**T** = tensor(float)|
|Greater|*in* A:**T**<br> *out* C:**T1**|13+|**T** = tensor(float)<br/> **T1** = tensor(bool)|
|||[9, 12]|**T** = tensor(float)|
|If|*in* cond:**B**|19+|**B** = tensor(bool)<br/> **V** = seq(tensor(float)), tensor(float)|
| |
| |
|**Operator Domain:** *com.microsoft*||||
|Sub|*in* A:**T**<br> *out* C:**T**|1+|**T** = tensor(float)|
| |

<a name="dmlexecutionprovider"/>

## Operators implemented by DmlExecutionProvider

|**Operator Domain:** *ai.onnx*||||
|Mul|*in* A:**T**<br> *out* C:**T**|14+|**T** = tensor(float)|
"""

BITS = "(uint32[N] x, uint32[N] y) => (uint32[N] z) { z = BitShift <direction = 'RIGHT'> (x, y) }"


def parsed(text, opset=20):
    header = f'<ir_version: 10, opset_import: ["": {opset}]> graph '
    return onnx.parser.parse_model(header + text.replace("'", '"'))


def lacks(text, opset=20, listed=None):
    listed = listed or bundled()
    return {str(use): lack for use in uses(parsed(text, opset)) if (lack := listed.lack(use))}


def command(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "tn_export.kernels", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)


def test_our_programs_have_every_kernel(tiny_model):
    done = command(tiny_model)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{tiny_model}: ")
    assert done.stdout.endswith("all have a CUDA kernel\n")


def test_nodes_without_a_kernel_are_named(tmp_path):
    path = tmp_path / "bits.onnx"
    onnx.save(parsed(BITS.replace("}", "w = BitShift <direction = 'LEFT'> (z, y) }")), path)
    done = command(path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "2 x BitShift-11 (uint32, uint32 -> uint32): no kernel of this operator",
        f"{path}: 2 nodes of 1 kinds; 2 have no CUDA kernel and would run on the CPU",
    ]


@pytest.mark.parametrize(
    ("graph", "opset", "expected"),
    [
        (
            "(uint8[N] x, int64[1] r) => (uint8[M] y) { y = Tile (x, r) }",
            20,
            {"Tile-13 (uint8, int64 -> uint8)": "not for these types"},
        ),
        (
            "(int32[N] x, int32 high) => (int32[N] y) { y = Clip (x, , high) }",
            20,
            {"Clip-13 (int32, -, int32 -> int32)": "not for these types"},
        ),
        ("(float[N] x, float high) => (float[N] y) { y = Clip (x, , high) }", 20, {}),
        # What a kernel without a last version does with later ones, ONNX Runtime cannot know.
        ("(float[N] x) => (float[N] y) { y = Round (x) }", 21, {}),
        (
            "(float[N] x) => (float[N] y) { y = Round (x) }",
            22,
            {"Round-22 (float -> float)": "kernels of other versions of the operator only"},
        ),
        ("(float[N] x) => (float[N] y) { y = LeakyRelu (x) }", 13, {}),
        ("(float[N] x) => (uint8[N] y) { y = Cast <to = 2> (x) }", 20, {}),
        (
            "(float[N] x) => (string[N] y) { y = Cast <to = 8> (x) }",
            20,
            {"Cast-19 (float -> string)": "not for these types"},
        ),
        ("() => (int64[1] y) { c = Constant <value_ints = [1]> () y = Neg (c) }", 20, {}),
    ],
)
def test_types_and_versions(graph, opset, expected):
    assert lacks(graph, opset) == expected


def test_branches_are_looked_into():
    graph = """(bool c, float[N] x) => (float[N] y) {
        y = If (c) <
            then_branch = then () => (float[N] a) { a = Add (x, x) },
            else_branch = else () => (float[N] b) { b = Sub (x, x) }
        >
    }"""
    expected = {"Sub-14 (float, float -> float)": "no kernel of this operator"}
    assert lacks(graph, listed=published(EXCERPT)) == expected


def test_a_functions_nodes_are_its_own():
    model = parsed("(uint32[N] x) => (uint32[N] y) { y = ours.half (x) }")
    model.opset_import.add(domain="ours", version=1)
    half = """<domain: "ours", opset_import: ["": 20]> half (a) => (b) {
        one = Constant <value = uint32[1] {1}> ()
        b = BitShift <direction = "RIGHT"> (a, one)
    }"""
    model.functions.add().CopyFrom(onnx.parser.parse_function(half))
    assert [use.operator for use in uses(model)] == ["BitShift"]


def test_the_published_list_is_read():
    listed = published(EXCERPT)
    assert set(listed.kernels) == {"Add", "Greater", "If"}
    newest, bounded, oldest = listed.kernels["Add"]
    assert [(k.first, k.last) for k in (newest, bounded, oldest)] == [(14, 14), (13, 13), (7, 12)]
    assert newest.types == {"T": {"float", "int8"}}
    assert listed.kernels["Greater"][0].types == {"T": {"float"}, "T1": {"bool"}}
    assert listed.kernels["If"][0].types["V"] == {"seq(float)", "float"}


def test_the_copy_says_what_it_left_out():
    with pytest.raises(RequestError, match=r"LSTM .* --list"):
        lacks("(float[1,1,1] x, float[1,4,1] w) => (y) { y = LSTM <hidden_size = 1> (x, w, w) }")


def test_the_list_replaces_the_copy(tmp_path):
    model, listed = tmp_path / "add.onnx", tmp_path / "OperatorKernels.md"
    onnx.save(parsed("(int32[N] x) => (int32[N] y) { y = Add (x, x) }"), model)
    listed.write_text(EXCERPT)
    assert command(model).returncode == 0
    assert command(model, "--list", listed).returncode == 1


@pytest.mark.parametrize(
    "text",
    ["", "# Something else", EXCERPT.replace("14+", "14 and up"), EXCERPT.replace("|14+", "")],
)
def test_bad_lists(text):
    with pytest.raises(RequestError, match="the list has"):
        published(text)


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N] x, int64[N] y) => (float[N] z) { z = Add (x, y) }",
        "(float[N] x) => (float[N] y) { y = Nonsense (x) }",
        "(float[N] x) => (float[N] y) { y = com.microsoft.FastGelu (x) }",
    ],
)
def test_unsound_graphs(graph):
    model = parsed(graph)
    model.opset_import.add(domain="com.microsoft", version=1)
    with pytest.raises(ModelError):
        uses(model)


@pytest.mark.parametrize("content", [None, b"", b"\x08\x0a\x12", b"no model"])
def test_bad_models(content, tmp_path):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    done = command(path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
