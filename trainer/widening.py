"""Makes weights fit a wider network, which answers as the narrower one does (Net2WiderNet, Chen et al. 2016)."""

from collections.abc import Mapping

import torch
from torch import Tensor

UNEVENNESS = 0.5
"""How far the shares of a channel's copies lie from even ones, 0 to 1. Even ones would keep copies equal for ever."""


def can_widen(weights: Mapping[str, Tensor], wider: Mapping[str, Tensor]) -> bool:
    """Tell whether `weights` are those of a ResNet like `wider` but for fewer channels in its layers."""
    return weights.keys() == wider.keys() and all(
        _fits(narrow.shape, wider[key].shape, classes=key.startswith("fc.")) for key, narrow in weights.items()
    )


def widened(weights: Mapping[str, Tensor], wider: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights for the wider network, with which it gives the same logits.

    New channels are copies of the first ones, in their order; what a layer takes from a channel, it takes from its
    copies in uneven shares, so that they learn different things. The shares are the same in every call.

    Args:
        weights: of the narrower network, by name: (out, in, ...) for layers with an input, (channels,) for the others.
        wider: those of the wider one, for their shapes; `can_widen` must hold.
    """
    generator = torch.Generator().manual_seed(0)
    return {key: _widened(weights[key].float(), wider[key].shape, generator) for key in weights}


def _fits(narrow: torch.Size, wide: torch.Size, *, classes: bool) -> bool:
    if len(narrow) != len(wide) or narrow[2:] != wide[2:] or (classes and narrow[0] != wide[0]):
        return False
    return all(few <= many for few, many in zip(narrow, wide, strict=True))


def _widened(weight: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if not shape:
        return weight
    wide = weight[torch.arange(shape[0]) % len(weight)]
    if len(shape) == 1:
        return wide
    sources = torch.arange(shape[1]) % weight.shape[1]
    parts = 1 + UNEVENNESS * (2 * torch.rand(shape[0], shape[1], generator=generator) - 1)
    sums = torch.zeros(shape[0], weight.shape[1]).index_add_(1, sources, parts)
    shares = parts / sums[:, sources]
    return wide[:, sources] * shares.reshape(*shares.shape, *[1] * (len(shape) - 2))
