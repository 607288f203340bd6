"""tn-bench speed measures what it says, on the real engines."""

import json

from tn_bench import cli


def test_speed(tiny_checkpoint, capsys, monkeypatch):
    arguments = ["tn-bench", "speed", str(tiny_checkpoint), "--sizes", "40", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--json"])
    monkeypatch.setattr("tn_bench.speed.MIN_SECONDS", 0.0)
    try:
        cli.main()
    except SystemExit as done:
        assert done.code == 0  # noqa: PT017 - the command line ends by SystemExit
    found = json.loads(capsys.readouterr().out)
    assert [(row["size"], row["engine"]) for row in found["timings"]] == [
        (40, "onnxruntime"),
        (40, "pytorch"),
    ]
    assert all(row["seconds"] > 0 and row["megabytes"] > 20 for row in found["timings"])
    # ONNX Runtime's process must be free of PyTorch, which alone takes 150 MB.
    assert found["timings"][0]["megabytes"] + 50 < found["timings"][1]["megabytes"]
    assert round(found["mac_per_pixel"]) == multiplications_of_tiny()


def multiplications_of_tiny() -> int:
    """Of widths 12, 16, 8 with branches of 8, by hand: each level has a quarter of the finer's."""
    branch = 9 * 3 * 8 + 9 * 8 * 8 + 8 * 8
    finest = branch + 9 * 24 * 12 + 9 * 12 * 12 + 12 * 12 + 3 * 12
    middle = branch + 9 * 16 * 16 + 9 * 16 * 16 + 16 * 16
    return round(finest + middle / 4 + branch / 16)
