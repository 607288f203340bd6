"""What all floors' tests share: tiny generators, their checkpoints and their model files.

torch is imported by those alone that ask for one of them: the runtime's tests do without.
"""

import os
import signal
import tempfile
from pathlib import Path

import pytest

# Children inherit deafness to a signal, but not a handler: those of a run under nohup or in the
# background are to hear what the tests send them.
for number in (getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# Nor do the models that somebody keeps change what the tests see.
os.environ["TEXTURE_NETWORKS_MODELS"] = str(Path(tempfile.gettempdir(), "no-models-of-their-own"))


@pytest.fixture(scope="session")
def networks():
    """The module with the generators, where torch is installed."""
    pytest.importorskip("torch")
    import tiny

    return tiny


@pytest.fixture(scope="session")
def tiny_generator(networks):
    return networks.untrained(networks.TINY)


@pytest.fixture(scope="session")
def tiny_style_generator(networks):
    return networks.untrained(networks.TINY_STYLE)


@pytest.fixture(scope="session")
def tiny_instance_generator(networks):
    return networks.untrained(networks.TINY_INSTANCE)


@pytest.fixture(scope="session")
def tiny_checkpoint(networks, tiny_generator, tmp_path_factory) -> Path:
    from tn_train.checkpoint import save

    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    save(networks.checkpoint_of(tiny_generator), path)
    return path


def exported(networks, generator, path: Path) -> Path:
    from tn_export.model import export

    export(networks.checkpoint_of(generator), path)
    return path


@pytest.fixture(scope="session")
def tiny_model(networks, tiny_generator, tmp_path_factory) -> Path:
    return exported(networks, tiny_generator, tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def tiny_model_bytes(tiny_model: Path) -> bytes:
    return tiny_model.read_bytes()


@pytest.fixture(scope="session")
def tiny_style_model(networks, tiny_style_generator, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("style") / "tiny_style.onnx"
    return exported(networks, tiny_style_generator, path)


@pytest.fixture(scope="session")
def tiny_instance_model(networks, tiny_instance_generator, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("instance") / "tiny_instance.onnx"
    return exported(networks, tiny_instance_generator, path)
