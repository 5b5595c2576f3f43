"""The training loop: one plain function, for the command line and the queue, that resumes exactly where it stopped.

What is random comes from generators of (seed, step) and (seed, epoch): on a CPU with the same number of threads an
interrupted run ends with the same weights, bit for bit, as one that was never stopped.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.masking import Hidden
from shared.model_folder import write_atomically
from shared.preprocessing import InputSpec, hide_and_normalise
from shared.run_folder import RunFolder
from shared.schemas import JobProgress, MetricRow, TrainSettings
from trainer.augmentation import Blend, ViewMix, augment, step_rng, view_mix
from trainer.checkpoints import Position, load_checkpoint, save_checkpoint, save_weights
from trainer.data import Dataset
from trainer.distributed import ALONE, Group
from trainer.errors import CheckpointError, DivergedError, Stopped
from trainer.evaluation import accuracy, cross_entropy, logits_of, torch_forward
from trainer.optimisation import average_of, build_optimizer, class_weights, learning_rate

log = logging.getLogger(__name__)

EPOCH_STREAM = 1 << 40
"""Added to the epoch to seed its order, so that no step shares its generator."""


@dataclass(frozen=True)
class Plan:
    """What to train: settings, what is hidden, and the sizes that follow from the data."""

    settings: TrainSettings
    train_on: str
    faces: int

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.faces // min(self.settings.batch_size, self.faces))

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def size_at(self, epoch: int) -> int:
        """Return the input size of an epoch: three equal stages from `grow_from` to `size`, in multiples of 8."""
        start, end = self.settings.grow_from or self.settings.size, self.settings.size
        stage = 2 if epoch == self.settings.epochs - 1 else 3 * epoch // self.settings.epochs
        return end if stage == 2 else start + (end - start) * stage // 2 // 8 * 8

    def mix_at(self, step: int) -> ViewMix:
        """Return what is hidden at a step: nothing before `hide_after`, then the view."""
        hidden = step >= self.settings.hide_after * self.steps
        settings = self.settings
        return view_mix(self.train_on, settings.hide_share, settings.other_share) if hidden else view_mix("full")


@dataclass(frozen=True)
class Hooks:
    """How a run speaks to the outside: progress out, the wish to stop in. Called often; both must be quick."""

    progress: Callable[[JobProgress], None] = lambda progress: None
    stop_asked: Callable[[], bool] = lambda: False


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `mps`; auto takes a GPU where there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device multiplies it in hardware (auto) or where it is asked for, else float32."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


class Run:
    """One run's state: network, average, optimiser and position; `train` drives it."""

    def __init__(
        self,
        plan: Plan,
        data: Dataset,
        network: nn.Module,
        device: torch.device,
        folder: Path,
        teacher: nn.Module | None = None,
        group: Group = ALONE,
    ) -> None:
        self.plan, self.data, self.device, self.folder, self.group = plan, data, device, folder, group
        self.dtype = choose_dtype(plan.settings.precision, device)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        decay = plan.settings.ema_decay
        self.average = average_of(self.network, decay)
        self.teacher = teacher.to(device).to(memory_format=torch.channels_last).eval() if teacher else None
        self.optimizer = build_optimizer(self.network, plan.settings)
        self.faces = torch.from_numpy(data.train.faces).to(device)
        self.labels = torch.from_numpy(data.train.labels).to(device)
        weights = class_weights(data.train.counts(), device) if plan.settings.class_weights else None
        self.criterion = nn.CrossEntropyLoss(weight=weights, label_smoothing=plan.settings.label_smoothing)
        self.spec = InputSpec(size=plan.settings.size)
        self.position = self._resume()
        self.trained = group.wrap(self.network)

    def _resume(self) -> Position:
        config = json.dumps([self.plan.train_on, self.plan.settings.model_dump(), self.data.fingerprint])
        position = load_checkpoint(self.folder / "checkpoints", self.network, self.average, self.optimizer)
        if position is None:
            self._forget_rows_after(0)
            return Position(config=config)
        if position.config != config:
            raise CheckpointError("The settings or the data are not those of the run's checkpoint; start a new run.")
        log.info("resumed at epoch %d, step %d", position.epoch, position.step)
        self._forget_rows_after(position.epoch)
        return position

    def _forget_rows_after(self, epoch: int) -> None:
        """Drop the metrics of epochs that a restart does again."""
        if not self.group.leads:
            return
        kept = [row for row in RunFolder(self.folder).metrics() if row.epoch <= epoch]
        lines = "".join(f"{row.model_dump_json()}\n" for row in kept)
        write_atomically(self.folder / "metrics.jsonl", lines)

    def order(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the order of the training faces in an epoch."""
        return step_rng(self.plan.settings.seed, EPOCH_STREAM + epoch).permutation(self.plan.faces)

    def step(self, indices: Tensor) -> float:
        """Take one step on the faces at `indices`, or on this process's part of them; return the loss there."""
        settings, position = self.plan.settings, self.position
        indices = self.group.part(indices)
        rng = step_rng(settings.seed, position.step, self.group.rank)
        pixels = augment(self.faces[indices], settings, self.plan.size_at(position.epoch), rng)
        hidden = self.plan.mix_at(position.step).draw(len(indices), rng)
        batch = self._prepared(pixels, hidden)
        rate = learning_rate(position.step, self.plan.steps, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.trained.train()
        blend = Blend.draw(len(indices), settings.mixup, rng)
        labels = self.labels[indices]
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.trained(blend.apply(batch))
            loss = blend.loss(self.criterion, logits, labels)
            if self.teacher is not None:
                taught = self._distillation(self.teacher, logits, blend.apply(self._prepared(pixels, frozenset())))
                loss = (1 - settings.distill_weight) * loss + settings.distill_weight * taught
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())

    def _prepared(self, pixels: Tensor, hidden: Hidden | list[frozenset[int]]) -> Tensor:
        batch: Tensor = hide_and_normalise(pixels, hidden, self.spec)
        return batch.contiguous(memory_format=torch.channels_last)

    def _distillation(self, teacher: nn.Module, logits: Tensor, whole: Tensor) -> Tensor:
        """Return the loss against what the teacher reads on the same faces, whole (Hinton et al. 2015)."""
        temperature = self.plan.settings.distill_temperature
        with torch.no_grad():
            target = F.log_softmax(teacher(whole).float() / temperature, dim=1)
        own = F.log_softmax(logits.float() / temperature, dim=1)
        return F.kl_div(own, target, reduction="batchmean", log_target=True) * temperature**2

    def validate(self) -> tuple[float, float]:
        """Return (loss, accuracy) of the averaged weights on the validation part, on the view trained for."""
        part = self.data.validation
        hidden = view_mix(self.plan.train_on).fixed(len(part))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = logits_of(torch_forward(self.shown(), self.device), part.faces, hidden, self.spec)
        return cross_entropy(logits, part.labels), accuracy(logits, part.labels)

    def shown(self) -> nn.Module:
        """Return the network that is measured and shipped: the average, or the last weights if there is none."""
        return self.average.module if self.plan.settings.ema_decay else self.network

    def checkpoint(self) -> None:
        """Write a checkpoint; no room on the disk is logged, and the run goes on with the one before."""
        if not self.group.leads:
            return
        try:
            save_checkpoint(self.folder / "checkpoints", self.position, self.network, self.average, self.optimizer)
        except OSError as error:
            log.error("no checkpoint written: %s", error.strerror)


def train(
    plan: Plan,
    data: Dataset,
    network: nn.Module,
    device: torch.device,
    folder: Path,
    hooks: Hooks | None = None,
    teacher: nn.Module | None = None,
    group: Group = ALONE,
) -> nn.Module:
    """Train `network` and return the averaged weights of the epoch that validated best, in eval mode, on the CPU.

    Args:
        plan: settings and what is hidden.
        data: the training and validation parts are used; the test part is not looked at.
        network: its weights at the start, unless `folder` has a checkpoint to go on from.
        device: where to train.
        folder: the run's folder; metrics.jsonl, checkpoints/ and best.safetensors are written there.
        hooks: progress and the wish to stop.
        teacher: a trained network that sees each face whole, and whose answers are learnt too.
        group: the processes that train together.

    Raises:
        Stopped: asked to stop; a checkpoint is written.
        CheckpointError: the run's checkpoints cannot be read.
        DivergedError: the loss is no finite number any more.
    """
    run, hooks = Run(plan, data, network, device, folder, teacher, group), hooks or Hooks()
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    while run.position.epoch < plan.settings.epochs:
        _epoch(run, hooks)
    best = folder / "best.safetensors"
    result = run.shown().cpu()
    result.load_state_dict(load_file(best))
    return result.eval()


def _epoch(run: Run, hooks: Hooks) -> None:
    """Train to the end of the current epoch, validate, write the epoch's row and a checkpoint."""
    plan, position = run.plan, run.position
    order = torch.from_numpy(run.order(position.epoch))
    size = min(plan.settings.batch_size, plan.faces)
    began, saved, first = time.monotonic(), time.monotonic(), position.step_in_epoch
    seconds_before = position.seconds
    while position.step_in_epoch < plan.steps_per_epoch:
        start = position.step_in_epoch * size
        loss = run.step(order[start : start + size].to(run.device))
        stop, diverged = run.group.any(hooks.stop_asked(), not math.isfinite(loss))
        if diverged:
            raise DivergedError(
                f"The loss is no finite number any more in epoch {position.epoch + 1}; choose a lower learning rate."
            )
        position.loss = loss if position.loss is None else 0.98 * position.loss + 0.02 * loss
        position.step += 1
        position.step_in_epoch += 1
        position.seconds = seconds_before + time.monotonic() - began
        rate = (position.step_in_epoch - first) * size / (time.monotonic() - began)
        hooks.progress(_progress(plan, position, rate))
        if stop:
            run.checkpoint()
            raise Stopped(f"Stopped at epoch {position.epoch + 1}, step {position.step}; a checkpoint is written.")
        if time.monotonic() - saved > plan.settings.checkpoint_seconds:
            run.checkpoint()
            saved = time.monotonic()
    _end_of_epoch(run, seconds_before + time.monotonic() - began)


def _progress(plan: Plan, position: Position, images_per_s: float) -> JobProgress:
    left = (plan.steps - position.step) * min(plan.settings.batch_size, plan.faces)
    return JobProgress(
        phase="training",
        epoch=position.epoch + 1,
        epochs=plan.settings.epochs,
        step=position.step,
        steps=plan.steps,
        loss=round(position.loss or 0.0, 4),
        accuracy=position.best_accuracy if position.best_accuracy >= 0 else None,
        images_per_s=round(images_per_s, 1),
        eta_s=round(left / images_per_s, 1),
    )


def _end_of_epoch(run: Run, seconds: float) -> None:
    position = run.position
    if run.group.leads:
        _judge(run, seconds)
    position.epoch, position.step_in_epoch, position.seconds = position.epoch + 1, 0, seconds
    run.checkpoint()
    run.group.wait()


def _judge(run: Run, seconds: float) -> None:
    """Validate, keep the weights if they are the best so far, and write the epoch's row."""
    plan, position = run.plan, run.position
    loss, validation_accuracy = run.validate()
    if validation_accuracy > position.best_accuracy:
        position.best_accuracy = validation_accuracy
        save_weights(run.folder / "best.safetensors", run.shown())
    row = MetricRow(
        epoch=position.epoch + 1,
        step=position.step,
        seconds=round(seconds, 1),
        train_loss=round(position.loss or 0.0, 4),
        validation_loss=round(loss, 4),
        validation_accuracy=round(validation_accuracy, 4),
        learning_rate=learning_rate(position.step, plan.steps, plan.settings),
        size=plan.size_at(position.epoch),
    )
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write(row.model_dump_json() + "\n")
    log.info("epoch %d: loss %.4f, validation accuracy %.4f", row.epoch, row.train_loss, row.validation_accuracy)
