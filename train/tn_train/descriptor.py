"""The descriptor: features of a VGG network, by the names of its layers (section 2).

Max pooling as in the authors' code (average pooling is an option, for optimising pictures). VGG-16
comes with the package; VGG-19, the paper's, is read from a local file in torchvision's format.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from tn_runtime.errors import RequestError
from tn_train.winograd import WinogradConv

Arithmetic = Literal["fp32", "winograd", "bf16"]
"""How convolutions are computed. `winograd` is fp32 as well, with a relative error of about 5e-6
where direct convolution has 1e-6."""
Pooling = Literal["max", "average"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

PACKAGED = Path(__file__).parent / "data" / "vgg16_features.safetensors"

FEWEST_TO_TRANSFORM = 64
"""Input channels from which on Winograd's algorithm takes less time than direct convolution: with
fewer, the transforms cost more than the multiplications that they save."""

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
                self.stages[stage] = ConvRelu(
                    weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
                )
            if set(self.layers) <= self.stages.keys():
                break
        self.dtype = torch.float32
        self.stages.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped
        self.mean = nn.Buffer(torch.tensor(MEAN).view(3, 1, 1))
        self.std = nn.Buffer(torch.tensor(STD).view(3, 1, 1))
        self.requires_grad_(requires_grad=False)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features of each layer asked for.

        Args:
            pictures: float32 (N, 3, H, W), RGB, nominally in [0, 1]; H and W at least `stride`.

        Returns:
            Layer name to features (N, C, H / 2^p, W / 2^p) after p poolings, float32 or
            bfloat16, in the order of the network.
        """
        x = (pictures - self.mean) / self.std
        x = x.to(dtype=self.dtype, memory_format=torch.channels_last)
        features = {}
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.layers:
                features[name] = x
        return features

    def computing(self, arithmetic: Arithmetic) -> Self:
        """Return a copy of a descriptor in fp32 that computes in this way."""
        other = copy.deepcopy(self)
        if arithmetic == "bf16":
            # The weights themselves are: autocast would convert frozen weights in every step.
            other.dtype = torch.bfloat16
            other.stages.to(other.dtype)
        elif arithmetic == "winograd":
            for name, stage in other.stages.items():
                if isinstance(stage, ConvRelu) and stage.convolution.in_channels >= (
                    FEWEST_TO_TRANSFORM
                ):
                    other.stages[name] = stage.transformed()
        return other

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the deepest layer."""
        return stride(self.name, self.layers)


class ConvRelu(nn.Module):
    """A 3x3 convolution with the border repeated, and ReLU."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Take a kernel (O, I, 3, 3) and a bias (O)."""
        super().__init__()
        out_channels, in_channels, *_ = weight.shape
        self.convolution = nn.Conv2d(
            in_channels, out_channels, 3, padding=1, padding_mode="replicate"
        )
        self.convolution.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, O, H, W) of (N, I, H, W)."""
        return F.relu_(self.convolution(x))

    def transformed(self) -> WinogradConv:
        """Return what computes the same by Winograd's algorithm."""
        bias = self.convolution.bias
        assert bias is not None
        return WinogradConv(self.convolution.weight, bias)


def vgg16(layers: Sequence[str], pooling: Pooling = "max") -> Descriptor:
    """Return the packaged VGG-16 (weights by Simonyan and Zisserman, CC BY 4.0)."""
    return Descriptor("vgg16", load_file(PACKAGED), layers, pooling)


def vgg19(path: Path, layers: Sequence[str], pooling: Pooling = "max") -> Descriptor:
    """Return the VGG-19 in a file of torchvision's format, `.pth` or `.safetensors`.

    Raises:
        RequestError: another kind of file, or another network.
        OSError: the file cannot be read.
    """
    check_layers("vgg19", layers)
    return Descriptor("vgg19", _read_weights(path), layers, pooling)


def fast_arithmetic(device: torch.device) -> Arithmetic:
    """Return how this hardware computes convolutions fastest, for training.

    bf16 where the hardware multiplies it natively. Other CPUs gain by Winograd's algorithm; cuDNN
    chooses it by itself.
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if _cpu_has_bf16() else "winograd"
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
