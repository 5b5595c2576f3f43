"""Optimiser, learning-rate schedule, what a teacher adds to the loss, and the average of the weights."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from shared.schemas.training import TrainSettings

Tensors = tuple[Tensor, ...] | list[Tensor]


def build_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return AdamW or SGD with Nesterov momentum; biases and normalisation weights are not decayed.

    AdamW is PyTorch's fused one: one pass over the memory, a third of the time of the plain one on a CPU. It goes
    through weight, gradient and state in the order of memory, so all must have one layout. Autograd and the optimiser
    see to that; `trainer.checkpoints` does after a resume.
    """
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(step: int, total_steps: int, settings: TrainSettings) -> float:
    """Return the rate of a step: linear warm-up (at most a fifth of the run), then half a cosine down to 0."""
    warmup = min(settings.warmup_steps, total_steps // 5)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def distillation(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return the loss against what a teacher answers to the same faces (Hinton et al. 2015).

    Args:
        logits: of the network, (N, 7).
        target: the teacher's, (N, 7).
        temperature: softens both alike.
    """
    own, taught = (F.log_softmax(each.float() / temperature, dim=1) for each in (logits, target))
    return F.kl_div(own, taught, reduction="batchmean", log_target=True) * temperature**2


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of `network`, buffers included; the decay grows over the first steps."""

    def average(averages: Tensors, currents: Tensors, updates: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(updates)) / (10 + int(updates)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, weight)
        else:
            torch._foreach_copy_(averages, currents)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def class_weights(counts: dict[str, int], device: torch.device) -> Tensor:
    """Return the inverse square root of the class counts, scaled to a mean of 1: float32 (7,)."""
    weights = torch.tensor([1 / math.sqrt(max(1, count)) for count in counts.values()], device=device)
    return weights / weights.mean()
