"""The networks: torchvision's ResNets with seven outputs and, for small faces, a stem that keeps resolution.

Dropping the stem's max-pool changes no weight's shape, so published weights still load. At 48 x 48 pixels a network
without it sees features of 24 x 24 where the original's are 12 x 12 (deep residual networks: He et al. 2016). The small
stem sees 48 x 48, as that paper's networks for CIFAR do (section 4.2); at half the width it costs as much.
"""

import copy
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from shared.errors import ModelFolderError
from shared.labels import LABELS
from shared.model_folder import WEIGHTS_FILE, Card, model_path, read_card
from shared.schemas.training import IMAGENET, SHAPE, TrainSettings
from trainer.errors import BaseModelError
from trainer.size_average import SizeAverage
from trainer.widening import can_widen, widened


def build_network(
    architecture: str, *, max_pool: bool = False, width: float = 1.0, small_stem: bool = False
) -> nn.Module:
    """Return a network with random weights: float32 (N, 3, S, S) to logits (N, 7).

    Args:
        architecture: resnet18, resnet34, resnet50, resnet101 or resnet152.
        max_pool: keep the stem's max-pool, as for large images.
        width: share of the channels of each layer, in multiples of 8.
        small_stem: begin with a 3 x 3 convolution of stride 1 in place of the 7 x 7 one of stride 2.
    """
    network: nn.Module = get_model(architecture, weights=None, num_classes=len(LABELS), zero_init_residual=True)
    if isinstance(network, ResNet) and (width != 1 or small_stem):
        _reshape(network, width, small_stem)
    if not max_pool:
        network.maxpool = nn.Identity()
    return network


def shape_of(card: Card) -> dict[str, Any]:
    """Return the settings of `SHAPE` that a version was trained with, by name, as far as its card tells them."""
    return {name: card.settings[name] for name in SHAPE if name in card.settings}


def network_of(settings: TrainSettings) -> nn.Module:
    """Return the network that `settings` ask for, with random weights; `build_network` says its shapes."""
    return build_network(settings.architecture, **{name: getattr(settings, name) for name in SHAPE})


def _reshape(network: ResNet, width: float, small_stem: bool) -> None:
    """Give a network other channels and stem, and all weights anew, drawn as torchvision draws them."""
    stages: list[nn.Sequential] = [network.layer1, network.layer2, network.layer3, network.layer4]
    channels = [max(8, round(64 * 2**stage * width / 8) * 8) for stage in range(len(stages))]
    block = Bottleneck if isinstance(network.layer1[0], Bottleneck) else BasicBlock
    kernel, stride = (3, 1) if small_stem else (7, 2)
    network.inplanes = channels[0]
    network.conv1 = nn.Conv2d(3, channels[0], kernel, stride, kernel // 2, bias=False)
    network.bn1 = nn.BatchNorm2d(channels[0])
    for stage, (blocks, planes) in enumerate(zip(stages, channels, strict=True)):
        made = network._make_layer(block, planes, len(blocks), stride=1 if stage == 0 else 2)
        setattr(network, f"layer{stage + 1}", made)
    network.fc = nn.Linear(channels[-1] * block.expansion, len(LABELS))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)


def freeze_statistics(network: nn.Module) -> None:
    """Let batch normalisation use the means and variances that it has, and leave them as they are (until `train()`)."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def between(network: nn.Module, start: Mapping[str, Tensor], share: float) -> nn.Module:
    """Return a copy of `network` with weights between its own and those of `start`.

    Args:
        network: any.
        start: its weights and statistics at another time, by name.
        share: of `start`, 0 to 1.
    """
    mixed = copy.deepcopy(network)
    for key, value in mixed.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[key].to(value), share)
    return mixed


class MirrorAverage(nn.Module):
    """A network that answers with the mean of its logits on a face and on its mirror image.

    Args:
        network: float32 (N, 3, S, S) to logits (N, 7). Its weights are shared, not copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        """Return the logits (N, 7) of `faces`, float32 (N, 3, S, S)."""
        logits: Tensor = self.network(torch.cat([faces, faces.flip(-1)]))
        return logits.reshape(2, -1, logits.shape[1]).mean(dim=0)


class MeanOf(nn.Module):
    """Networks that answer together, with the mean of their logits.

    Args:
        networks: each float32 (N, 3, S, S) to logits (N, 7).
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the logits (N, 7) of `faces`, float32 (N, 3, S, S)."""
        return torch.stack([network(faces) for network in self.networks]).mean(dim=0)


def as_served(network: nn.Module, *, mirror_average: bool, size_average: bool = False) -> nn.Module:
    """Return what answers: the network itself, or its average over a face's mirror image, over two sizes, or both."""
    mirrored = MirrorAverage(network) if mirror_average else network
    return SizeAverage(mirrored) if size_average else mirrored


def load_base(network: nn.Module, architecture: str, base_model: str, models_dir: Path) -> None:
    """Fill `network` with the weights of another model, widened if that is narrower and else of the same shape.

    Args:
        network: as `build_network` returns it.
        architecture: its architecture.
        base_model: `<name>/<version>`, or `imagenet` for torchvision's published weights (downloaded, digest checked).
        models_dir: the folder `models`.

    Raises:
        BaseModelError: there is no such model, it ships no weights, or it does not fit.
    """
    weights = _imagenet(architecture) if base_model == IMAGENET else _version(base_model, architecture, models_dir)
    own = network.state_dict()
    if can_widen(weights, own):
        weights = widened(weights, own)
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    missing = {key for key in own if key not in fitting and not key.startswith("fc.")}
    if missing:
        raise BaseModelError(
            f"{base_model} does not fit this {architecture}: {len(missing)} weights are missing or of another shape. "
            "Ask for the stem (small_stem) that it was trained with, and for its width or a greater one (width)."
        )
    network.load_state_dict(own | {key: value.to(own[key].dtype) for key, value in fitting.items()})


def load_version(models_dir: Path, model_id: str) -> nn.Module:
    """Return the network of a version with its weights, float32, in eval mode, on the CPU.

    Raises:
        BaseModelError: there is no such version, or it ships no weights.
    """
    card = _card_with_weights(models_dir, model_id)
    network = build_network(card.architecture, **shape_of(card))
    load_base(network, card.architecture, model_id, models_dir)
    return network.eval()


def _imagenet(architecture: str) -> Mapping[str, torch.Tensor]:
    try:
        weights = get_model_weights(architecture).DEFAULT
        state: Mapping[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, HTTPException) as error:
        message = "The ImageNet weights could not be downloaded; check the network or start from random weights."
        raise BaseModelError(message) from error
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def _version(model_id: str, architecture: str, models_dir: Path) -> Mapping[str, torch.Tensor]:
    card = _card_with_weights(models_dir, model_id)
    if card.architecture != architecture:
        raise BaseModelError(f"{model_id} is a {card.architecture}; choose that architecture to start from it.")
    try:
        return load_file(model_path(models_dir, model_id) / WEIGHTS_FILE)
    except (SafetensorError, OSError) as error:
        raise BaseModelError(f"The weights of {model_id} cannot be read.") from error


def _card_with_weights(models_dir: Path, model_id: str) -> Card:
    try:
        card = read_card(model_path(models_dir, model_id))
    except ModelFolderError as error:
        raise BaseModelError(f"Cannot start from {model_id}: {error}") from error
    if not card.has_weights:
        raise BaseModelError(f"{model_id} ships no {WEIGHTS_FILE}, which this needs; choose a version that does.")
    return card
