"""tn-bench speed measures what it says, on the real engines."""

import json

from tiny import checkpoint_of
from tn_bench import cli
from tn_train.checkpoint import save


def measured(checkpoint, capsys, monkeypatch):
    arguments = ["tn-bench", "speed", str(checkpoint), "--sizes", "40", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--json"])
    monkeypatch.setattr("tn_bench.speed.MIN_SECONDS", 0.0)
    try:
        cli.main()
    except SystemExit as done:
        assert done.code == 0  # noqa: PT017 - the command line ends by SystemExit
    return json.loads(capsys.readouterr().out)


def test_speed(tiny_checkpoint, capsys, monkeypatch):
    found = measured(tiny_checkpoint, capsys, monkeypatch)
    assert [(row["size"], row["engine"]) for row in found["timings"]] == [
        (40, "onnxruntime"),
        (40, "pytorch"),
    ]
    assert all(row["seconds"] > 0 and row["megabytes"] > 20 for row in found["timings"])
    # ONNX Runtime's process must be free of PyTorch, which alone takes 150 MB.
    assert found["timings"][0]["megabytes"] + 50 < found["timings"][1]["megabytes"]
    assert round(found["mac_per_pixel"]) == multiplications_of_tiny()
    assert found["sharing"] is None


def test_speed_of_a_style(tiny_instance_generator, tmp_path, capsys, monkeypatch):
    """Measuring and opening are shown apart: small photos have neither, large ones both."""
    save(checkpoint_of(tiny_instance_generator), tmp_path / "style.pt")
    found = measured(tmp_path / "style.pt", capsys, monkeypatch)
    assert [row["engine"] for row in found["timings"]] == ["onnxruntime", "pytorch"]
    assert found["sharing"]["measuring"] > 0
    assert found["sharing"]["opening"] > 0
    assert found["noise_share"] < 1


def multiplications_of_tiny() -> int:
    """Counted by hand: widths 12, 16, 8, branches of 8; a level has a quarter of the finer's."""
    branch = 9 * 3 * 8 + 9 * 8 * 8 + 8 * 8
    finest = branch + 9 * 24 * 12 + 9 * 12 * 12 + 12 * 12 + 3 * 12
    middle = branch + 9 * 16 * 16 + 9 * 16 * 16 + 16 * 16
    return round(finest + middle / 4 + branch / 16)
