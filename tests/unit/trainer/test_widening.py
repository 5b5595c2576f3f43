"""A wider network that begins with a narrower one's weights answers as it does, and then learns more than it could."""

import pytest
import torch
from torch import nn

from trainer.network import build_network
from trainer.widening import can_widen, widened


@pytest.fixture
def narrow() -> nn.Module:
    """Return a network whose batch normalisation has statistics of its own, so that no channel is like another."""
    torch.manual_seed(0)
    network = build_network("resnet18", width=0.25, small_stem=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    network.train()
    for _ in range(3):
        network(torch.randn(16, 3, 24, 24))
    return network.eval()


@pytest.mark.parametrize("width", [0.25, 0.375, 0.5, 0.625])
def test_the_wider_network_gives_the_same_logits(narrow: nn.Module, width: float) -> None:
    wide = build_network("resnet18", width=width, small_stem=True)
    wide.load_state_dict(widened(narrow.state_dict(), wide.state_dict()))
    faces = torch.randn(4, 3, 24, 24)
    with torch.no_grad():
        expected = narrow(faces)
        assert torch.allclose(wide.eval()(faces), expected, atol=1e-5)
    assert expected.abs().max() > 0.1


def test_the_copies_of_a_channel_are_moved_apart_by_the_first_step(narrow: nn.Module) -> None:
    wide = build_network("resnet18", width=0.5, small_stem=True)
    wide.load_state_dict(widened(narrow.state_dict(), wide.state_dict()))
    weight = wide.layer1[0].conv1.weight
    first, second = weight[:16].sum(1), weight[16:].sum(1)
    assert torch.allclose(first, second, atol=1e-6), "both take the same from what is before them"
    nn.functional.cross_entropy(wide.eval()(torch.randn(8, 3, 24, 24)), torch.arange(8) % 7).backward()
    assert weight.grad is not None
    assert (weight.grad[:16] - weight.grad[16:]).abs().max() > 1e-3 * weight.grad.abs().max()


def test_the_shares_are_the_same_in_every_call(narrow: nn.Module) -> None:
    wide = build_network("resnet18", width=0.5, small_stem=True).state_dict()
    once, again = widened(narrow.state_dict(), wide), widened(narrow.state_dict(), wide)
    assert all(torch.equal(value, again[key]) for key, value in once.items())


def test_only_a_network_with_fewer_channels_and_the_same_classes_can_be_widened(narrow: nn.Module) -> None:
    weights = narrow.state_dict()
    assert can_widen(weights, build_network("resnet18", width=0.5, small_stem=True).state_dict())
    assert not can_widen(weights, build_network("resnet18", width=0.125, small_stem=True).state_dict())
    assert not can_widen(weights, build_network("resnet18", width=0.5).state_dict()), "another stem"
    assert not can_widen(weights, build_network("resnet34", width=0.5, small_stem=True).state_dict())
    fewer = {key: value[:5] if key.startswith("fc.") else value for key, value in weights.items()}
    assert not can_widen(fewer, build_network("resnet18", width=0.5, small_stem=True).state_dict())
