"""Statistics of a descriptor's features, on layers that training uses and on others.

Training lowers the style losses of its own layers, so these alone can be fooled; the same network's
other layers, and another statistic than Gram matrices, are harder to fool.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tn_bench.measures.wasserstein import sliced_distance
from tn_bench.picture import reduced
from tn_train.descriptor import Descriptor
from tn_train.losses import StyleLoss, gram_matrix

DIRECTIONS = 128
SEED = 2016
AT_REST = 0.1
"""Share of the channels' mean variance: a channel with less than that says little."""


class FeatureDistance:
    """How far the features of pictures are from an exemplar's.

    Style losses compare which features come together (Gram matrices), marginals the distribution
    of feature vectors along random directions: not only their second moments.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        exemplar: Tensor,
        trained: Sequence[str],
        unseen: Sequence[str],
        *,
        half: bool,
    ) -> None:
        """Measure the exemplar.

        Args:
            descriptor: in fp32, with the layers of both kinds.
            exemplar: float32 (3, H, W), RGB in [0, 1].
            trained: the layers that training uses.
            unseen: layers that it does not use.
            half: reduce the pictures to half their size first, which takes pixel noise away and
                brings larger structure before the same layers.
        """
        self.descriptor, self.trained, self.unseen, self.half = descriptor, trained, unseen, half
        features = self._features(exemplar)
        self.losses = {
            name: StyleLoss(gram_matrix(feature), normalize_gradients=False)
            for name, feature in features.items()
        }
        self.scales = {name: _scale(features[name]) for name in unseen}
        self.targets = {name: self._project(name, features[name]) for name in unseen}

    @torch.no_grad()
    def __call__(self, picture: Tensor) -> dict[str, float]:
        """Measure a picture of any size."""
        features = self._features(picture)
        style = {name: loss(features[name]).item() for name, loss in self.losses.items()}
        marginals = {
            name: sliced_distance(self._project(name, features[name]), target)
            for name, target in self.targets.items()
        }
        values = {f"style {name}": value for name, value in style.items()}
        values |= {f"marginals {name}": value for name, value in marginals.items()}
        values["style, trained layers"] = sum(style[name] for name in self.trained)
        values["style, unseen layers"] = sum(style[name] for name in self.unseen)
        values["marginals, unseen layers"] = sum(marginals.values())
        return {f"{name}{' at 1/2' if self.half else ''}": value for name, value in values.items()}

    @torch.no_grad()
    def _features(self, picture: Tensor) -> dict[str, Tensor]:
        picture = reduced(picture) if self.half else picture
        features: dict[str, Tensor] = self.descriptor(picture[None])
        return features

    def _project(self, name: str, features: Tensor) -> Tensor:
        """Return (DIRECTIONS, H W): features (1, C, H, W), each channel of about unit variance."""
        rng = torch.Generator().manual_seed(SEED)
        channels = features.shape[1]
        directions = torch.randn(DIRECTIONS, channels, generator=rng) / channels**0.5
        projections: Tensor = directions / self.scales[name] @ features[0].flatten(1)
        return projections


def _scale(features: Tensor) -> Tensor:
    """Return the standard deviation of each channel, (C,), with a floor for channels at rest."""
    variance = features.var(dim=(0, 2, 3))
    return (variance + AT_REST * variance.mean() + 1e-12).sqrt()
