"""What all floors' tests share: tiny generators, their checkpoints and their model files.

torch is imported by those alone that ask for one of them: the runtime's tests do without.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

# Children inherit deafness to a signal, but not a handler: those of a run under nohup or in the
# background are to hear what the tests send them.
for number in (getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# Nor do the models that somebody keeps change what the tests see.
os.environ["TEXTURE_NETWORKS_MODELS"] = str(Path(tempfile.gettempdir(), "no-models-of-their-own"))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that calls a command line in this process, sparing the import of torch.

    It returns the exit code and what was written to stderr.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}

    def call_it(name: str, main: Callable[[], NoReturn], *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().err

    yield call_it
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def small_disk(tmp_path: Path):
    """Return a function that makes a folder with room for so many bytes, and no more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def make(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if (
            sys.platform != "linux"
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("only root on Linux can make a small disk")
        mounted.append(folder)
        return folder

    yield make
    for each in mounted:
        subprocess.run(["umount", "--lazy", str(each)], check=True)


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
