"""Run every shipped model from an installed wheel, without torch and onnx: `make dist` does."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = Path(sys.executable).parent


def run(command: str, *arguments: str) -> str:
    """Run an installed command; return what it prints."""
    program = [str(COMMANDS / command), *arguments]
    return subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Run the self-test of each model, and make a picture with it."""
    os.environ["TEXTURE_NETWORKS_MODELS"] = str(Path(sys.prefix, "no-models-of-their-own"))
    for module in ("torch", "onnx"):
        assert importlib.util.find_spec(module) is None, f"{module} is installed"
    models = json.loads(run("tn-run", "models", "--json"))
    assert {each["kind"] for each in models} == {"texture", "style"}
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "picture.png")
        for each in sorted(models, key=lambda each: each["kind"] == "style"):
            assert Path(each["path"]).is_relative_to(sys.prefix), each["path"]
            if each["kind"] == "texture":
                run("tn-run", "texture", each["name"], "-o", picture)
            else:
                run("tn-run", "style", each["name"], picture, "-o", f"{folder}/painted.png")
            report = run("tn-run", "doctor", each["name"])
            print(next(line for line in report.splitlines() if line.startswith("cpu:")))  # noqa: T201
    for command in ("tn-train", "tn-export", "tn-bench"):
        run(command, "--help")


main()
