"""Model files of the runtime's tests."""

import pytest

from runtime import contract


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory):
    """Return the path of a contract-keeping model whose pixels are a plain function."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    path.write_bytes(contract.model_bytes())
    return path
