"""Optimiser, schedule and average do what the settings say."""

import itertools
import math

import pytest
import torch
from torch import nn

from shared.labels import LABELS
from shared.schemas.training import TrainSettings
from trainer.network import build_network
from trainer.optimisation import average_of, build_optimizer, class_weights, distillation, learning_rate


def rates(total: int, **changes: object) -> list[float]:
    """Return the rate of each step and the one after the last."""
    settings = TrainSettings.model_validate({"learning_rate": 0.5, **changes})
    return [learning_rate(step, total, settings) for step in range(total + 1)]


# --- schedule --------------------------------------------------------------------------------------------------------


def test_the_rate_warms_up_in_a_straight_line_to_its_peak() -> None:
    warm = rates(1000, warmup_steps=10)[:11]
    assert warm == pytest.approx([0.05 * (step + 1) for step in range(10)] + [0.5])


def test_after_the_warm_up_the_rate_falls_by_half_a_cosine_to_zero() -> None:
    cooling = rates(1000, warmup_steps=100)[100:]
    assert cooling[0] == pytest.approx(0.5)
    assert cooling[450] == pytest.approx(0.25)
    assert cooling[-1] == pytest.approx(0.0, abs=1e-12)
    assert all(after < before for before, after in itertools.pairwise(cooling))


def test_a_short_run_warms_up_for_a_fifth_at_most() -> None:
    short = rates(50, warmup_steps=300)
    assert short.index(max(short)) in (9, 10)
    assert max(short) == pytest.approx(0.5)


@pytest.mark.parametrize("total", [1, 2, 4])
def test_a_run_of_a_few_steps_has_rates_above_zero(total: int) -> None:
    assert all(0 < rate <= 0.5 for rate in rates(total)[:-1])


def test_no_warm_up_begins_at_the_peak() -> None:
    assert rates(100, warmup_steps=0)[0] == pytest.approx(0.5)


# --- optimiser -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_biases_and_normalisation_are_not_decayed_and_all_else_is(optimizer: str) -> None:
    network = build_network("resnet18")
    settings = TrainSettings.model_validate({"optimizer": optimizer, "weight_decay": 0.03})
    decay = {
        id(parameter): group["weight_decay"]
        for group in build_optimizer(network, settings).param_groups
        for parameter in group["params"]
    }
    for name, parameter in network.named_parameters():
        plain = name.endswith("bias") or "bn" in name or "downsample.1" in name
        assert decay.pop(id(parameter)) == (0.0 if plain else 0.03), name
    assert not decay


def test_sgd_takes_the_rate_and_nesterov_momentum_of_the_settings() -> None:
    settings = TrainSettings(optimizer="sgd", learning_rate=0.2, momentum=0.8)
    optimizer = build_optimizer(nn.Linear(2, 2), settings)
    assert isinstance(optimizer, torch.optim.SGD)
    for group in optimizer.param_groups:
        assert (group["lr"], group["momentum"], group["nesterov"]) == (0.2, 0.8, True)


def test_sgd_without_momentum_is_plain() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), TrainSettings(optimizer="sgd", momentum=0.0))
    assert not any(group["nesterov"] for group in optimizer.param_groups)


def test_the_fused_adamw_takes_the_steps_of_the_plain_one_where_channels_are_last() -> None:
    fused, plain = build_network("resnet18"), build_network("resnet18")
    plain.load_state_dict(fused.state_dict())
    networks = [network.to(memory_format=torch.channels_last).train() for network in (fused, plain)]
    settings = TrainSettings(learning_rate=1e-3)
    optimizers = [build_optimizer(network, settings) for network in networks]
    optimizers[1] = torch.optim.AdamW([{**group, "fused": False} for group in optimizers[1].param_groups])
    before = next(fused.parameters()).detach().clone()
    batch = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = batch.contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        networks[0].zero_grad()
        networks[0](batch).square().mean().backward()
        for own, other in zip(fused.parameters(), plain.parameters(), strict=True):
            other.grad = own.grad
        for optimizer in optimizers:
            optimizer.step()
    for (name, own), other in zip(fused.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own, other, rtol=1e-4, atol=1e-6), name
    assert not torch.equal(next(fused.parameters()), before)


def test_adamw_is_the_usual_optimiser() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), TrainSettings(learning_rate=0.01))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {group["lr"] for group in optimizer.param_groups} == {0.01}


# --- distillation ----------------------------------------------------------------------------------------------------


def test_a_network_that_answers_as_its_teacher_loses_nothing() -> None:
    logits = torch.randn(5, 7)
    assert float(distillation(logits, logits + 3, 2.0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_divergence_from_the_softened_teacher_by_the_square_of_the_temperature(
    temperature: float,
) -> None:
    logits, target = torch.randn(5, 7), torch.randn(5, 7)
    own, taught = (each.div(temperature).softmax(dim=1) for each in (logits, target))
    expected = (taught * (taught / own).log()).sum(dim=1).mean() * temperature**2
    assert float(distillation(logits, target, temperature)) == pytest.approx(float(expected), rel=1e-4)


# --- average of the weights ------------------------------------------------------------------------------------------


def small_network() -> nn.Sequential:
    """Return a network with weights, running statistics and a counter."""
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_follows_its_formula_buffers_included(decay: float) -> None:
    network = small_network()
    average = average_of(network, decay)
    expected: dict[str, torch.Tensor] = {}
    for update in range(30):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.tensor(update))
        average.update_parameters(network)
        kept = min(decay, (1 + update) / (10 + update)) if update else 0.0
        for key, value in network.state_dict().items():
            before = expected.get(key, value)
            mixed = kept * before + (1 - kept) * value if value.is_floating_point() else value
            expected[key] = mixed.clone()
    for key, value in average.module.state_dict().items():
        assert torch.allclose(value, expected[key], atol=1e-6), key


def test_an_average_without_decay_is_the_network() -> None:
    network = small_network()
    average = average_of(network, 0.0)
    for _ in range(3):
        network.state_dict()["0.weight"].normal_()
        average.update_parameters(network)
    assert torch.equal(average.module.state_dict()["0.weight"], network.state_dict()["0.weight"])


def test_the_average_is_a_copy(quick_settings: TrainSettings) -> None:
    network = small_network()
    average = average_of(network, quick_settings.ema_decay)
    before = average.module.state_dict()["0.weight"].clone()
    network.state_dict()["0.weight"].zero_()
    assert torch.equal(average.module.state_dict()["0.weight"], before)


# --- class weights ---------------------------------------------------------------------------------------------------


def test_class_weights_are_the_inverse_root_of_the_counts_with_a_mean_of_one() -> None:
    counts = dict(zip(LABELS, (100, 25, 400, 900, 100, 100, 100), strict=True))
    weights = class_weights(counts, torch.device("cpu"))
    assert weights.dtype == torch.float32
    assert float(weights.mean()) == pytest.approx(1)
    for label, weight in zip(LABELS, weights, strict=True):
        assert float(weight / weights[0]) == pytest.approx(math.sqrt(counts["angry"] / counts[label]))


def test_an_empty_class_has_a_finite_weight() -> None:
    weights = class_weights({**dict.fromkeys(LABELS, 4), "disgust": 0}, torch.device("cpu"))
    assert torch.isfinite(weights).all()
