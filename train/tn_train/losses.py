"""The texture loss: Gram matrices of features compared with the exemplar's (section 2).

TextureLoss         pictures -> {layer: loss}
  Descriptor        pictures -> {layer: features}
  StyleLoss         features -> loss, one for each layer
    gram_matrix
OctavesLoss         pictures -> {octave: loss}, of coarser structure
  TextureLoss
DetailLoss          pictures -> loss, of the finest structure
StylizationLoss     pictures, photos' features -> {layer: loss}, loss
  TextureLoss
  content_loss      features, photos' features -> loss
tone_loss           pictures, photos' tones -> loss
range_penalty       pictures -> penalty
grid_penalty        pictures -> penalty
total_variation     pictures -> penalty
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tn_train.descriptor import Descriptor

LARGEST_WINDOW = 1024
"""Pixels, side of the largest part of an exemplar that is described at once."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B (ITU-R BT.601)."""
TONE_SCALE = 4
"""Pixels of the picture, per side, for a pixel of its tones: larger than most strokes."""
FAINTEST = 0.02
"""Added to the deviation of tones: a flat picture has none."""


def gram_matrix(features: Tensor) -> Tensor:
    """Return G = F F^T / (C H W) of each picture, computed in fp32.

    VGG's activations have Caffe's scale (thousands): their products overflow fp16.

    Args:
        features: (N, C, H, W), any floating type.

    Returns:
        float32 (N, C, C).
    """
    pixels = _pixels(features)
    return pixels.mT @ pixels / features[0].numel()


def _pixels(features: Tensor) -> Tensor:
    """Return float32 (N, H W, C): a view of channels_last fp32, which the descriptor makes."""
    n, c, h, w = features.shape
    return features.permute(0, 2, 3, 1).reshape(n, h * w, c).float()


class _GramDistance(torch.autograd.Function):
    """The relative squared distance of Gram matrices, and its gradient by one matrix product.

    G is symmetric, so both of its factors have the same gradient: autograd would compute it twice.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own
        features: Tensor,
        target: Tensor,
        scale: Tensor,
        strength: float,
        normalize: bool,
    ) -> Tensor:
        difference = gram_matrix(features) - target
        ctx.save_for_backward(features, difference, scale)
        ctx.strength, ctx.normalize = strength, normalize
        distance: Tensor = difference.square().mean() / scale
        return distance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        features, difference, scale = ctx.saved_tensors
        (above,) = gradients
        factor = 4 * above / (difference.numel() * scale * features[0].numel())
        n, c, h, w = features.shape
        product = _pixels(features) @ (factor * ctx.strength * difference)
        gradient = product.view(n, h, w, c).permute(0, 3, 1, 2)
        if ctx.normalize:
            gradient = _normalized(gradient, ctx.strength)
        return gradient.to(features.dtype), None, None, None, None


def _normalized(gradient: Tensor, strength: float) -> Tensor:
    """Return the gradient over its L1 norm, times a strength.

    The authors' TextureLoss:updateGradInput: one norm over the whole batch tensor, plus 1e-8. It is
    not in the paper, and the loss shown is no longer the function descended, but each layer pulls
    equally hard however small its loss has become.
    """
    norm: Tensor = torch.linalg.vector_norm(gradient, 1)
    return gradient * (strength / (norm + 1e-8))


class NormalizeGradient(torch.autograd.Function):
    """Identity forward; backward, the gradient with an L1 norm of a strength."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:  # noqa: ANN401 - torch's own
        """Return x itself."""
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Return the gradient with an L1 norm of `strength`."""
        (gradient,) = gradients
        return _normalized(gradient, ctx.strength), None


def normalize_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """Return x; the gradient that flows back through here gets an L1 norm of `strength`.

    Gradients that reach x from deeper layers are added unchanged.
    """
    return NormalizeGradient.apply(x, strength)  # type: ignore[no-untyped-call, no-any-return]


class StyleLoss(nn.Module):
    """The loss of one layer: mean((G - G0)^2) / mean(G0^2), averaged over the pictures.

    The paper does not divide by mean(G0^2). It makes the loss of each layer a relative error, that
    can be compared between layers and exemplars; normalised gradients do not feel it.
    """

    def __init__(self, target: Tensor, *, normalize_gradients: bool, strength: float = 1.0) -> None:
        """Keep the target, the exemplar's float32 Gram matrix (1, C, C).

        The gradient that flows back into the features is multiplied by `strength`; where gradients
        are normalised, it gets an L1 norm of `strength`. The loss itself stays the same. Gradients
        from deeper layers are added unchanged.
        """
        super().__init__()
        self.target = nn.Buffer(target)
        self.scale = nn.Buffer(target.square().mean())
        self.normalize_gradients = normalize_gradients
        self.strength = strength

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss, a float32 scalar, of features (N, C, H, W) of any floating type."""
        return _GramDistance.apply(  # type: ignore[no-untyped-call, no-any-return]
            features, self.target, self.scale, self.strength, self.normalize_gradients
        )


class TextureLoss(nn.Module):
    """How far pictures are from an exemplar, layer by layer of a descriptor."""

    def __init__(
        self,
        descriptor: Descriptor,
        exemplar: Tensor,
        *,
        normalize_gradients: bool,
        weights: Mapping[str, float] = MappingProxyType({}),
        layers: Sequence[str] = (),
    ) -> None:
        """Measure the exemplar.

        Args:
            descriptor: with the layers to compare.
            exemplar: float32 (1, 3, H, W), RGB in [0, 1].
            normalize_gradients: of each layer.
            weights: strengths of the gradients, by name of a layer; 1 if not given.
            layers: those of the descriptor to compare; all if not given.
        """
        super().__init__()
        self.descriptor = descriptor
        targets = _targets(descriptor, exemplar)
        self.layers = nn.ModuleDict(
            {
                name: StyleLoss(
                    target,
                    normalize_gradients=normalize_gradients,
                    strength=weights.get(name, 1.0),
                )
                for name, target in targets.items()
                if name in (layers or targets)
            }
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the loss of each layer, of pictures float32 (N, 3, H, W) of any size, [0, 1]."""
        return self.compare(self.descriptor(pictures))

    def compare(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of each layer, from features of the descriptor."""
        return {name: layer(features[name]) for name, layer in self.layers.items()}


@torch.no_grad()
def _targets(descriptor: Descriptor, exemplar: Tensor) -> dict[str, Tensor]:
    """Return the exemplar's Gram matrix (1, C, C) of each layer, averaged over its windows."""
    targets: dict[str, Tensor] = {}
    for window, share in _windows(exemplar):
        for name, feature in descriptor(window).items():
            targets[name] = targets.get(name, 0) + share * gram_matrix(feature)
    return targets


def _windows(picture: Tensor) -> list[tuple[Tensor, float]]:
    """Cut a picture (1, 3, H, W) into windows that fit memory; return each with its share of it."""
    down, across = (math.ceil(side / LARGEST_WINDOW) for side in picture.shape[-2:])
    rows = picture.tensor_split(down, dim=-2)
    parts = [part for row in rows for part in row.tensor_split(across, dim=-1)]
    return [(part, part.numel() / picture.numel()) for part in parts]


class OctavesLoss(nn.Module):
    """The texture loss of pictures reduced to 1/2, 1/4 ... of their size, all layers added up.

    A departure: the descriptor sees twice as far in each (Snelgrove 2017, "High-Resolution
    Multi-Scale Neural Texture Synthesis").
    """

    def __init__(
        self,
        descriptor: Descriptor,
        exemplar: Tensor,
        octaves: int,
        *,
        normalize_gradients: bool,
        weights: Mapping[str, float] = MappingProxyType({}),
        layers: Sequence[str] = (),
    ) -> None:
        """Measure the exemplar, at as many octaves below its own as asked for, and as it has."""
        super().__init__()
        scales = [2**octave for octave in range(1, octaves)]
        self.scales = [
            scale for scale in scales if min(exemplar.shape[-2:]) >= scale * descriptor.stride
        ]
        self.losses = nn.ModuleList(
            TextureLoss(
                descriptor,
                F.avg_pool2d(exemplar, scale),
                normalize_gradients=normalize_gradients,
                weights=weights,
                layers=layers,
            )
            for scale in self.scales
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the loss of each octave, `at 1/2` and so on, of pictures (N, 3, H, W), [0, 1]."""
        return {
            f"at 1/{scale}": sum(loss(F.avg_pool2d(pictures, scale)).values())
            for scale, loss in zip(self.scales, self.losses, strict=True)
        }


class DetailLoss(nn.Module):
    """How far the finest structure of pictures is from an exemplar's: mean((G - G0)^2).

    A departure: VGG hardly sees hatching and pixel noise, and generators fill what it does not see
    with them. G is the Gram matrix over pixels of 2x2 Haar differences (vertical, horizontal,
    diagonal; each colour; neighbours 1 and 2 pixels apart), each divided by its root mean square in
    the exemplar, so that the faint ones count as much as the strong. Its gradient is normalised.
    """

    SPACINGS = (1, 2)
    """Pixels."""
    FLOOR = 1e-4
    """Added to the root mean squares, of colours in [0, 1]: exemplars may be flat."""

    def __init__(self, exemplar: Tensor, strength: float = 1.0) -> None:
        """Measure the exemplar, float32 (1, 3, H, W), RGB in [0, 1]; strength is the gradient's."""
        super().__init__()
        self.strength = strength
        parts = [(self._differences(window), share) for window, share in _windows(exemplar)]
        squares = [share * part.square().mean((0, 2, 3), keepdim=True) for part, share in parts]
        scale = torch.stack(squares).sum(0).sqrt() + self.FLOOR
        self.scale = nn.Buffer(scale)
        correlations = [share * _correlations(part / scale) for part, share in parts]
        self.target = nn.Buffer(torch.stack(correlations).sum(0))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the loss, a float32 scalar, of pictures float32 (N, 3, H, W) of any size."""
        scaled = self._differences(pictures) / self.scale
        differences = normalize_gradient(scaled, self.strength)
        return (_correlations(differences) - self.target).square().mean()

    def _differences(self, pictures: Tensor) -> Tensor:
        """Return (N, 18, H - 2, W - 2)."""
        largest = max(self.SPACINGS)
        height, width = (side - largest for side in pictures.shape[-2:])
        found = []
        for spacing in self.SPACINGS:
            above, below = pictures[..., :height, :], pictures[..., spacing : spacing + height, :]
            mean, step = (above + below) / 4, (above - below) / 4
            for half in (mean, step):
                left, right = half[..., :width], half[..., spacing : spacing + width]
                found += [left - right] if half is mean else [left + right, left - right]
        return torch.cat(found, dim=1)


def _correlations(channels: Tensor) -> Tensor:
    """Return F F^T / (H W), float32 (N, C, C), of float32 (N, C, H, W)."""
    return gram_matrix(channels) * channels.shape[1]


class StylizationLoss(nn.Module):
    """How far pictures are from a painting's style and their photos' content (section 2.2)."""

    def __init__(
        self,
        descriptor: Descriptor,
        painting: Tensor,
        layers: Sequence[str],
        content: str,
        *,
        normalize_gradients: bool,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Measure the painting.

        Args:
            descriptor: with the layers of the style and the content's.
            painting: float32 (1, 3, H, W), RGB in [0, 1].
            layers: those of the style.
            content: the layer of the content loss; it may be one of the style's.
            normalize_gradients: of the style; the content's is left alone, as in the authors' code.
            weights: as for `TextureLoss`.
        """
        super().__init__()
        self.descriptor = descriptor
        self.content = content
        self.style = TextureLoss(
            descriptor,
            painting,
            normalize_gradients=normalize_gradients,
            weights=weights,
            layers=layers,
        )

    @torch.no_grad()
    def target(self, photos: Tensor) -> Tensor:
        """Return the features that pictures of photos (N, 3, H, W), RGB in [0, 1], must keep."""
        return self.descriptor(photos)[self.content]  # type: ignore[no-any-return]  # untyped

    def forward(self, pictures: Tensor, target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss of each style layer, and that of the content.

        Args:
            pictures: float32 (N, 3, H, W), RGB in [0, 1].
            target: features of the photos that they show.
        """
        features = self.descriptor(pictures)
        return self.style.compare(features), content_loss(features[self.content], target)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return mean((F - F0)^2) / mean(F0^2), position by position, averaged over pictures.

    The division, which Gatys et al. (2016) do not do, makes it a relative error like StyleLoss.

    Args:
        features: (N, C, H, W), any floating type.
        target: the photos' features, the same shape or (1, C, H, W).

    Returns:
        float32 scalar.
    """
    target = target.float()
    return (features.float() - target).square().mean() / target.square().mean()


def tones(pictures: Tensor) -> Tensor:
    """Return what is light and what is dark: luma at a quarter of the size, mean 0, deviation 1.

    Args:
        pictures: float32 (N, 3, H, W), RGB in [0, 1]; H and W are at least `TONE_SCALE`.

    Returns:
        float32 (N, 1, H / 4, W / 4).
    """
    weights = torch.tensor(LUMA, device=pictures.device).view(1, 3, 1, 1)
    luma = (F.avg_pool2d(pictures, TONE_SCALE) * weights).sum(dim=1, keepdim=True)
    deviation, mean = torch.std_mean(luma, dim=(2, 3), keepdim=True)
    return (luma - mean) / (deviation + FAINTEST)


def tone_loss(pictures: Tensor, target: Tensor) -> Tensor:
    """Return mean((T - T0)^2) / 2 of the tones T of pictures and those of their photos, T0.

    A departure. It is about 1 - c, where c is the correlation of the two: painting and photo may
    differ in colours, brightness and contrast, but what is light stays light. The content loss at
    relu3_3 hardly sees it, and a style likes to fill a dark part with light strokes.

    Args:
        pictures: float32 (N, 3, H, W), RGB in [0, 1].
        target: tones of the photos, float32 (N, 1, H / 4, W / 4).
    """
    return (tones(pictures) - target).square().mean() / 2


def range_penalty(pictures: Tensor) -> Tensor:
    """Return mean((x - clamp(x, 0, 1))^2) of pictures of any shape.

    A departure: neither the paper nor the authors' code has it. VGG hardly minds colours beyond the
    range, but a file clamps them.
    """
    return (pictures - pictures.clamp(0, 1)).square().mean()


def grid_penalty(pictures: Tensor) -> Tensor:
    """Return how much the finest structure depends on the place of a pixel in blocks of 2x2.

    A departure: a level sees the coarser result as blocks, and fills all of them with one pattern
    before it learns to make fine structure from its noise. Gram matrices and `DetailLoss` do not
    see such a grid, because they average over all places.

    Args:
        pictures: float32 (N, 3, H, W), RGB in [0, 1]; H and W are even.

    Returns:
        A scalar, the sum of two variances over the four places: that of the mean colour, relative
        to the contrast of the finest structure, and that of the relative energy of the finest
        structure.
    """
    smooth = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    n, channels, height, width = pictures.shape
    finest = F.pixel_unshuffle(pictures - smooth, 2).view(n, channels, 4, height // 2, width // 2)
    mean, energy = finest.mean(dim=(0, 3, 4)), finest.square().mean(dim=(0, 3, 4))
    of_all = energy.mean(dim=1, keepdim=True)
    contrast = of_all + 1e-6
    penalty: Tensor = (mean.square() / contrast + ((energy - of_all) / contrast).square()).mean()
    return penalty


def total_variation(pictures: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, vertical plus horizontal.

    Squared as in neural-style's TVLoss, so that it is smooth everywhere; pictures (N, C, H, W).
    """
    vertical = pictures[..., 1:, :] - pictures[..., :-1, :]
    horizontal = pictures[..., 1:] - pictures[..., :-1]
    return vertical.square().mean() + horizontal.square().mean()
