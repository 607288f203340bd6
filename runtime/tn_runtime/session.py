"""A loaded model: an ONNX Runtime session, checked against the contract, and its spec."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tn_runtime import blending, folding, library, providers, self_test
from tn_runtime.errors import ModelError, ProviderError, RequestError
from tn_runtime.pixels import Pixels
from tn_runtime.providers import ProviderChoice
from tn_runtime.spec import METADATA_KEY, ModelSpec

MODELS = Path(__file__).parent / "models"
"""The shipped models, which can be named without a path: NAME.onnx."""

MAX_BYTES = 256 * 2**20
"""Limit for a model file; the models of this project have less than a megabyte."""

Ports = dict[str, tuple[str, int]]
"""Name: (ONNX Runtime's name of the type, number of dimensions)."""

INPUTS: dict[str, Ports] = {
    "texture": {
        "seed": ("tensor(int64)", 1),
        "origin": ("tensor(int64)", 1),
        "size": ("tensor(int64)", 1),
        "period": ("tensor(int64)", 1),
    },
    "style": {
        "content": ("tensor(uint8)", 4),
        "window": ("tensor(int64)", 1),
        "origin": ("tensor(int64)", 1),
    },
}
SEED: Ports = {"seed": ("tensor(int64)", 1)}
"""One more input of a style with noise."""
STYLE: Ports = {"style": ("tensor(float)", 2)}
"""One more input of a file with several styles."""
OUTPUTS: Ports = {"image": ("tensor(uint8)", 4)}
MEASURED: Ports = {"measured": ("tensor(float)", 3)}
"""One more output of a model with normalised channels."""

NO_FOLDER = str(MODELS / "no-external-data")
"""A folder that does not exist, for data outside the model file to be looked for in."""

MAX_THREADS = 1024
"""More threads gain nothing; with far more, ONNX Runtime fails without a clear message."""

PICKLE = b"\x80"
ZIP = b"PK\x03\x04"
ONNX = b"\x08"
"""What every writer of ONNX puts first: the tag of the IR version."""


@dataclass(frozen=True)
class Model:
    """A model ready to run; it can be shared by any number of threads."""

    spec: ModelSpec
    path: Path
    sha256: str
    """Hash of the file: names repeat, this does not."""
    provider: Literal["cuda", "cpu"]
    """The device that it really runs on."""
    fallback: str | None
    """Why `auto` did not take CUDA."""
    session: Any = field(repr=False)
    """The `onnxruntime.InferenceSession`."""
    data: bytes = field(repr=False)
    """The file as it was read."""
    threads: int | None
    """CPU threads; None lets ONNX Runtime choose."""
    tile: int
    """Pixels, side of the largest part of a picture that one run makes; see `providers.tile`."""
    blend: NDArray[np.float32] = field(repr=False)
    """(S,), the share of each style, the first alone if nothing else was asked for; see `blended`.
    """
    statistics: NDArray[np.float32] | None = field(default=None, repr=False)
    """(C, 2), by which every picture is normalised; None: each by its own."""

    @property
    def shares(self) -> dict[str, float]:
        """The styles in the blend, and their shares, in no more digits than float32 has."""
        pairs = zip(self.spec.styles, self.blend, strict=True)
        return {style: float(str(share)) for style, share in pairs if share}

    def run(self, **inputs: NDArray[np.generic]) -> Pixels:
        """Run the model once; see the contract for its inputs. Without `style`, it is the blend.

        Returns:
            `image`, uint8 (N, h, w, 3), RGB.

        Raises:
            ModelError: ONNX Runtime failed.
        """
        return np.asarray(self._fetch("image", inputs), np.uint8)

    def measure(self, **inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        """Run a model with normalised channels once, for what it measured of one picture.

        Returns:
            `measured`, float32 (normalized_channels, 2), mean and variance.

        Raises:
            ModelError: ONNX Runtime failed, or the model returned another shape.
        """
        measured = np.asarray(self._fetch("measured", inputs), np.float32)
        expected = (1, self.spec.normalized_channels, 2)
        if measured.shape != expected:
            raise ModelError(f"{self.path} returned statistics {measured.shape}, not {expected}")
        return measured[0]  # type: ignore[no-any-return]  # numpy's indexing is untyped

    def blended(self, shares: Mapping[str, float]) -> "Model":
        """Return the model with another blend of its styles.

        Args:
            shares: of some styles, by name; only their ratios count.

        Raises:
            RequestError: an unknown name, shares that cannot be, or a model with given statistics:
                they are of its blend.
        """
        if self.statistics is not None:
            raise RequestError(
                f"{self.path} has given statistics, which are of its blend; blend it before"
            )
        return dataclasses.replace(self, blend=blending.blend(self.spec.styles, shares))

    def given(self, statistics: NDArray[np.float32]) -> "Model":
        """Return the model with a session of its own: these statistics and its blend are constants.

        Such a session measures nothing, and is about twice as fast.

        Args:
            statistics: float32 (normalized_channels, 2), mean and variance, as from `measure`.

        Raises:
            RequestError: statistics of another shape.
            ModelError: ONNX Runtime failed.
        """
        spec = self.spec
        if statistics.shape != (spec.normalized_channels, 2):
            raise RequestError(
                f"statistics of shape {statistics.shape} do not fit {self.path}; "
                f"give {(spec.normalized_channels, 2)}"
            )
        data = folding.with_constants(self.data, spec.offsets, statistics, self.blend)
        session = _session(data, self.path, self.provider, self.threads)
        return dataclasses.replace(self, session=session, statistics=statistics)

    def _fetch(self, output: str, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.generic]:
        if self.spec.takes_style and "style" not in inputs:
            inputs["style"] = np.tile(self.blend, (len(inputs["content"]), 1))
        try:
            # No IO binding: it saves copies between runs that use each other's results on the GPU.
            # Here a few integers or a photo go there, and pixels that the caller wants come back.
            [value] = self.session.run([output], inputs)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            raise ModelError(
                f"{self.path} failed in ONNX Runtime: {_first_line(str(error))}"
            ) from error
        return value  # type: ignore[no-any-return]  # untyped package

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the file and what was asked for: another process opens its own session."""
        source = self.data, self.path, self.provider, self.threads
        return _restored, (*source, self.fallback, self.blend, self.statistics)

    def prove(self) -> float:
        """Run the self-test: a session that opens may fail to run, or make wrong pixels.

        Returns:
            The share of samples that differ from those of the file by one level.

        Raises:
            ModelError: it failed, or a sample differs by more.
        """
        inputs, expected = self_test.request(self.spec.self_test)
        image = self.run(**inputs)
        if image.shape != expected.shape:
            raise ModelError(
                f"{self.path} returned shape {image.shape} in its self-test, not {expected.shape}"
            )
        differences = np.abs(image.astype(np.int16) - expected)
        share = float((differences > 0).mean())
        if differences.max() > self_test.MAX_DIFFERENCE:
            raise ModelError(
                f"{self.path} makes wrong pixels on {self.provider.upper()}: {share:.0%} of the "
                f"samples of its self-test differ, by up to {differences.max()} levels of 255 "
                f"(allowed: {self_test.MAX_DIFFERENCE})"
            )
        return share


def load(
    model: str | os.PathLike[str],
    provider: ProviderChoice = "auto",
    threads: int | None = None,
) -> Model:
    """Load a model file, or a model by its name.

    Args:
        model: a path, or a name out of `named()`; a file of that name wins.
        provider: "cuda" and "cpu" insist; "auto" takes CUDA where it works and the CPU elsewhere.
        threads: of the CPU; None lets ONNX Runtime choose. The pixels do not depend on it.

    Raises:
        ModelError: no such file or name, or not a sound model of this project.
        ProviderError: CUDA was insisted on and cannot run here, or ONNX Runtime does not work.
        RequestError: an unknown provider, or a number of threads that cannot be.
    """
    providers.check_choice(provider)
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise RequestError(f"threads must be 1 to {MAX_THREADS}, or left out, not {threads}")
    path = find(model)
    return _start(_read(path), path, provider, threads)


def _restored(
    data: bytes,
    path: Path,
    provider: ProviderChoice,
    threads: int | None,
    fallback: str | None,
    blend: NDArray[np.float32],
    statistics: NDArray[np.float32] | None,
) -> Model:
    started = _start(data, path, provider, threads)
    model = dataclasses.replace(started, fallback=fallback, blend=blend)
    return model if statistics is None else model.given(statistics)


def shipped() -> dict[str, Path]:
    """Return the models inside this package, by name."""
    return {path.stem: path for path in sorted(MODELS.glob("*.onnx"))}


def named() -> dict[str, Path]:
    """Return the models that have a name: the shipped ones, and the user's own.

    A model of the user's own takes the place of a shipped one of the same name.
    """
    return shipped() | library.own()


def find(model: str | os.PathLike[str]) -> Path:
    """Return the path of a model given by path or name.

    Raises:
        ModelError: neither a file nor the name of a model.
    """
    path, known = Path(model), named()
    by_name = known.get(str(model))
    if path.exists() and not (by_name and path.is_dir()):
        return path
    if by_name:
        return by_name
    names = f"the models with a name are: {', '.join(known)}" if known else "no model has a name"
    raise ModelError(f"{str(model)!r} is neither a file nor the name of a model; {names}")


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name a .onnx file")
    try:
        # One byte more than allowed tells too much from enough, for pipes and devices too.
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ModelError(f"{path} is empty; export or copy the model again")
    if len(data) > MAX_BYTES:
        raise ModelError(
            f"{path} has more than {MAX_BYTES // 2**20} MiB; models of this project are smaller"
        )
    if data.startswith((PICKLE, ZIP)) or data[8:9] == b"{":  # torch.save, old and new; safetensors
        raise ModelError(
            f"{path} is a checkpoint, not an ONNX file; export it first: "
            f"tn-export {path} -o NAME.onnx"
        )
    if not data.startswith(ONNX):
        raise ModelError(f"{path} is not an ONNX file; name a model that tn-export wrote")
    return data


def _start(data: bytes, path: Path, provider: ProviderChoice, threads: int | None) -> Model:
    obstacle = None
    if provider != "cpu":
        model, obstacle = _start_cuda(data, path, threads)
        if model is not None:
            return model
    model = _open(data, path, "cpu", threads)  # an unsound model fails here, on any machine
    if provider == "cuda":
        raise ProviderError(f"CUDA cannot run here: {obstacle}; use --provider cpu")
    return dataclasses.replace(model, fallback=obstacle)


def _start_cuda(data: bytes, path: Path, threads: int | None) -> tuple[Model | None, str | None]:
    """Return a model that runs on CUDA, or None and the reason."""
    obstacle = providers.cuda().obstacle
    if obstacle is not None:
        return None, obstacle
    try:
        model = _open(data, path, "cuda", threads)
        if model.provider != "cuda":
            return None, "ONNX Runtime could not load its CUDA or cuDNN libraries"
        model.prove()  # kernels for another GPU, full memory, wrong pixels show only here
    except ModelError as error:
        return None, str(error)
    return model, None


def _open(data: bytes, path: Path, provider: Literal["cuda", "cpu"], threads: int | None) -> Model:
    session = _session(data, path, provider, threads)
    try:
        spec = _spec(session, path, data)
    except UnicodeDecodeError as error:  # wherever ONNX Runtime hands out a text
        raise ModelError(f"{path} is damaged: a text in it is not UTF-8") from error
    used = providers.used(session)
    return Model(
        spec=spec,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        provider=used,
        fallback=None,
        session=session,
        data=data,
        threads=threads,
        tile=providers.tile(used),
        blend=folding.default_blend(len(spec.styles)),
    )


def _session(data: bytes, path: Path, provider: Literal["cuda", "cpu"], threads: int | None) -> Any:  # noqa: ANN401 - untyped package
    ort = providers.onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = providers.FATAL_ONLY
    # Under ENABLE_ALL the pixels are the same for any number of threads, batch and tile; under
    # ENABLE_EXTENDED some differ by one level.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A model given as bytes still reaches data files in the working directory; here it cannot.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", NO_FOLDER
    )
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(data, options, providers=providers.entries(provider))
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this
        raise ModelError(f"{path} {_refusal(str(error))}") from error


def _refusal(message: str) -> str:
    # ONNX Runtime 1.22 names the file that it misses, and says no more.
    if "external data" in message.lower() or Path(NO_FOLDER).name in message:
        return "keeps data in other files; a model of this project is one file: export it again"
    return f"is not an ONNX model that can run, or is damaged: {_first_line(message)}"


def _spec(session: Any, path: Path, data: bytes) -> ModelSpec:  # noqa: ANN401 - untyped package
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"{path} is an ONNX file of another project: it has no {METADATA_KEY!r} metadata; "
            "tn-export writes files that have it"
        )
    try:
        spec = ModelSpec.from_json(text)
        self_test.request(spec.self_test)  # raises unless it is sound
        found = folding.offsets(data, spec.normalized_channels, len(spec.styles))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if found != spec.offsets:
        raise ModelError(
            f"{path} was rewritten by another tool: its constants are not where its metadata say; "
            "export it again"
        )
    seed = SEED if spec.takes_seed else {}
    style = STYLE if spec.takes_style else {}
    measured = MEASURED if spec.normalized_channels else {}
    _check_ports(path, "inputs", INPUTS[spec.kind] | seed | style, session.get_inputs())
    _check_ports(path, "outputs", OUTPUTS | measured, session.get_outputs())
    return spec


def _check_ports(path: Path, which: str, expected: Ports, ports: list[Any]) -> None:
    found = {port.name: (port.type, len(port.shape)) for port in ports}
    if found != expected:
        raise ModelError(
            f"{path} breaks the contract of its kind: its {which} are {_describe(found)}, "
            f"not {_describe(expected)}; export it again"
        )


def _describe(ports: Ports) -> str:
    return ", ".join(f"{name} {kind} of rank {rank}" for name, (kind, rank) in ports.items())


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:300]
