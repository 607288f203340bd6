"""The descriptor: features of a VGG network, by the names of its layers (section 2).

Max pooling as in the authors' code (average pooling is an option, for optimising pictures). VGG-16
comes with the package; VGG-19, the paper's, is read from a local file in torchvision's format.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tn_runtime.errors import RequestError

Precision = Literal["fp32", "bf16"]
Pooling = Literal["max", "average"]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

PACKAGED = Path(__file__).parent / "data" / "vgg16_features.safetensors"

BLOCKS = {
    "vgg16": (2, 2, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions of each block; a pooling follows each. The packaged VGG-16 ends at conv4_3."""


POOLINGS: dict[Pooling, Callable[[int], nn.Module]] = {
    "max": nn.MaxPool2d,
    "average": nn.AvgPool2d,
}


class Descriptor(nn.Module):
    """A frozen VGG up to the deepest layer asked for, its padding the border repeated.

    VGG was trained with zeros, and the authors leave padding out. With zeros, statistics depend on
    the size of what is seen: the Gram matrices of windows of 128 pixels of a picture of 512 are ten
    times as far from those of the whole as with the border repeated (benchmarks/lab/recipe.md), and
    samples smaller than their exemplar strive for what they cannot have. Without padding, small
    samples have hardly any features left.
    """

    def __init__(
        self,
        name: str,
        weights: Mapping[str, Tensor],
        layers: Sequence[str],
        precision: Precision = "fp32",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        check_layers(name, self.layers)
        self.stages = nn.ModuleDict()
        for stage, index in _stages(name):
            if index is None:
                self.stages[stage] = POOLINGS[pooling](2)
            else:
                self.stages[stage] = _convolution(weights, index)
            if set(self.layers) <= self.stages.keys():
                break
        # In bf16 the weights themselves are: autocast would convert frozen weights in every step.
        self.dtype = DTYPES[precision]
        self.stages.to(self.dtype)
        self.stages.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped
        self.mean = nn.Buffer(torch.tensor(MEAN).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(STD).view(3, 1, 1))
        self.requires_grad_(requires_grad=False)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of each layer asked for.

        Args:
            pictures: float32 (N, 3, H, W), RGB, nominally in [0, 1]; H and W at least `stride`.

        Returns:
            Layer name to features (N, C, H / 2^p, W / 2^p) after p poolings, of the descriptor's
            precision, in the order of the network.
        """
        x = (pictures - self.mean) / self.std
        x = x.to(dtype=self.dtype, memory_format=torch.channels_last)
        features = {}
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.layers:
                features[name] = x
        return features

    def cast(self, precision: Precision) -> Self:
        """Return a copy that computes in another precision."""
        other = copy.deepcopy(self)
        other.dtype = DTYPES[precision]
        other.stages.to(other.dtype)
        return other

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the deepest layer."""
        return stride(self.name, self.layers)


def vgg16(
    layers: Sequence[str], precision: Precision = "fp32", pooling: Pooling = "max"
) -> Descriptor:
    """Return the packaged VGG-16 (weights by Simonyan and Zisserman, CC BY 4.0)."""
    return Descriptor("vgg16", load_file(PACKAGED), layers, precision, pooling)


def vgg19(
    path: Path, layers: Sequence[str], precision: Precision = "fp32", pooling: Pooling = "max"
) -> Descriptor:
    """Return the VGG-19 in a file of torchvision's format, `.pth` or `.safetensors`.

    Raises:
        RequestError: another kind of file, or another network.
        OSError: the file cannot be read.
    """
    check_layers("vgg19", layers)
    return Descriptor("vgg19", _read_weights(path), layers, precision, pooling)


def fast_precision(device: torch.device) -> Precision:
    """Return bf16 where the hardware multiplies it natively, else fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and _cpu_has_bf16():
        return "bf16"
    return "fp32"


def check_layers(name: str, layers: Sequence[str]) -> None:
    """Raise RequestError unless all the layers are of that network, and there is one at least."""
    valid = [stage for stage, _ in _stages(name)]
    unknown = [layer for layer in layers if layer not in valid]
    if unknown or not layers:
        raise RequestError(
            f"{name} has no layer {', '.join(unknown) or '(none given)'}; "
            f"its layers are {', '.join(valid)}"
        )


def stride(name: str, layers: Sequence[str]) -> int:
    """Return how many pixels of the picture make one pixel of the deepest of the layers."""
    names = [stage for stage, _ in _stages(name)]
    deepest = max(names.index(layer) for layer in layers)
    return 1 << sum(stage.startswith("pool") for stage in names[: deepest + 1])


def _stages(name: str) -> list[tuple[str, int | None]]:
    """Return (stage, index of its convolution in torchvision's `features`) in order."""
    stages: list[tuple[str, int | None]] = []
    index = 0
    for block, convolutions in enumerate(BLOCKS[name], start=1):
        for convolution in range(1, convolutions + 1):
            stages.append((f"relu{block}_{convolution}", index))
            index += 2
        stages.append((f"pool{block}", None))
        index += 1
    return stages


def _convolution(weights: Mapping[str, Tensor], index: int) -> nn.Module:
    weight, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
    convolution = nn.Conv2d(
        weight.shape[1], weight.shape[0], 3, padding=1, padding_mode="replicate"
    )
    convolution.load_state_dict({"weight": weight, "bias": bias})
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read a VGG-19's weights and check that all its convolutions are there in their shapes."""
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch documents no set of errors for what is not its own
        raise RequestError(f"{path} is not a .pth or .safetensors file of weights") from error
    channels = 3
    for stage, index in _stages("vgg19"):
        if index is None:
            continue
        width = min(64 * 2 ** (int(stage[4]) - 1), 512)
        key = f"features.{index}.weight"
        found = weights.get(key) if isinstance(weights, dict) else None
        if not isinstance(found, Tensor) or found.shape != (width, channels, 3, 3):
            raise RequestError(
                f"{path} is not a VGG-19 in torchvision's format: "
                f"no {key!r} of shape {width}x{channels}x3x3 in it"
            )
        channels = width
    return weights


def _cpu_has_bf16() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # it came with torch 2.10
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
