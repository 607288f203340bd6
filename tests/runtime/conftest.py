"""Model files of the runtime's tests, and its command line in this process."""

import pytest

from runtime import contract
from tn_runtime.cli import main


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory):
    """Return the path of a contract-keeping model whose pixels are a plain function."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    path.write_bytes(contract.model_bytes())
    return path


@pytest.fixture
def refused(in_process, tmp_path, monkeypatch):
    """Return a function that calls tn-run, in an empty folder, and returns its one error line.

    A picture for stdout is not for this process: the command takes the stream for itself.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code, stderr = in_process("tn-run", main, *arguments)
        assert code == 2
        [line] = stderr.splitlines()
        assert line.startswith("error: ")
        return line

    return call
