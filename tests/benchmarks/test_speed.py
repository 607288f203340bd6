"""tn-bench speed measures what it says, on the real engines."""

import dataclasses
import json
import sys

from tn_bench import cli, speed
from tn_bench.config import QUICK

SHORT = dataclasses.replace(QUICK, runs=1, seconds=0.0)


def measured(model, capsys, monkeypatch):
    arguments = ["tn-bench", "speed", str(model), "--sizes", "40", "--rounds", "1", "--json"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--device", "cpu"])
    monkeypatch.setattr(speed, "FULL", SHORT)
    try:
        cli.main()
    except SystemExit as done:
        assert done.code == 0  # noqa: PT017 - the command line ends by SystemExit
    return json.loads(capsys.readouterr().out)


def test_speed(tiny_model, capsys, monkeypatch):
    found = measured(tiny_model, capsys, monkeypatch)
    program, eager = found["timings"]
    assert [(row["size"], row["variant"]) for row in found["timings"]] == [
        (40, "program"),
        (40, "eager"),
    ]
    assert all(row["seconds"] > 0 and row["megabytes"] > 20 for row in found["timings"])
    # ONNX Runtime's process must be free of PyTorch, which alone takes 150 MB.
    assert program["megabytes"] + 50 < eager["megabytes"]
    assert round(found["mac_per_pixel"]) == multiplications_of_tiny()
    assert found["ratios"]["40"][0] == eager["seconds"] / program["seconds"]


def multiplications_of_tiny() -> int:
    """Counted by hand: widths 12, 16, 8, branches of 8; a level has a quarter of the finer's."""
    branch = 9 * 3 * 8 + 9 * 8 * 8 + 8 * 8
    finest = branch + 9 * 24 * 12 + 9 * 12 * 12 + 12 * 12 + 3 * 12
    middle = branch + 9 * 16 * 16 + 9 * 16 * 16 + 16 * 16
    return round(finest + middle / 4 + branch / 16)
