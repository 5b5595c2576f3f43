"""The training loop: one plain function, for the command line and the queue, that resumes exactly where it stopped.

What is random comes from generators of (seed, step) and (seed, epoch): on a CPU with the same number of threads an
interrupted run ends with the same weights, bit for bit, as one that was never stopped.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.files import write_atomically
from shared.masking import Hidden
from shared.preprocessing import InputSpec, hide_and_normalise
from shared.probabilities import Logits
from shared.run_folder import BEST_FILE, CHECKPOINTS_DIR, METRICS_FILE, RunFolder
from shared.schemas.jobs import JobProgress, MetricRow
from shared.schemas.training import TrainSettings
from trainer.advice import resume_command
from trainer.augmentation import Blend, augment, resized, step_rng, view_mix
from trainer.checkpoints import Position, load_checkpoint, save_checkpoint, save_weights
from trainer.data import Dataset
from trainer.devices import choose_arithmetic
from trainer.distributed import ALONE, Group
from trainer.errors import CheckpointError, DivergedError, Stopped
from trainer.evaluation import accuracy, cross_entropy, logits_of, torch_forward
from trainer.network import as_served, between, freeze_statistics
from trainer.optimisation import average_of, build_optimizer, class_weights, distillation, learning_rate
from trainer.plan import Plan
from trainer.stopping import stoppable

__all__ = ["Hooks", "Plan", "Run", "train"]

log = logging.getLogger(__name__)

EPOCH_STREAM = 1 << 40
"""Added to the epoch to seed its order, so that no step shares its generator."""

UNSAVED_SHARE = 0.25
"""What may be trained since the last checkpoint when a validation begins, as a share of the time between two: one that
is killed repeats that and the validation."""

NOT_SAVED = "no checkpoint could be written, so what came after the last one is done again"


@dataclass(frozen=True)
class Hooks:
    """How a run speaks to the outside: progress out, the wish to stop in. Called often; all must be quick."""

    progress: Callable[[JobProgress], None] = lambda progress: None
    stop_asked: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    """Seconds, for what is told of speed and for the time between checkpoints."""
    saved: Callable[[bool], None] = lambda saved: None
    """Told after each checkpoint whether it could be written."""


class Run:
    """One run's state: network, average, optimiser and position; `train` drives it."""

    def __init__(
        self,
        plan: Plan,
        data: Dataset,
        network: nn.Module,
        device: torch.device,
        folder: Path,
        teacher: nn.Module | Logits | None = None,
        group: Group = ALONE,
    ) -> None:
        self.plan, self.data, self.device, self.folder, self.group = plan, data, device, folder, group
        self.arithmetic = choose_arithmetic(plan.settings.precision, device)
        self.scaler = self.arithmetic.scaler()
        self.network = self.arithmetic.place(network)
        kept = self.network.state_dict() if plan.settings.start_share else {}
        self.start = {key: value.clone() for key, value in kept.items()}
        self.average = average_of(self.network, plan.settings.ema_decay)
        self.teacher = self.arithmetic.place(teacher).eval() if isinstance(teacher, nn.Module) else None
        self.answers = torch.from_numpy(teacher).to(device) if isinstance(teacher, np.ndarray) else None
        self.optimizer = build_optimizer(self.network, plan.settings)
        self.faces = torch.from_numpy(data.train.faces).to(device)
        self.labels = torch.from_numpy(data.train.labels).to(device)
        weights = class_weights(data.train.counts(), device) if plan.settings.class_weights else None
        self.criterion = nn.CrossEntropyLoss(weight=weights, label_smoothing=plan.settings.label_smoothing)
        self.spec = InputSpec(size=plan.settings.size)
        self.unwritten_best: nn.Module | None = None
        self.unwritten_rows: list[MetricRow] = []
        self.position = self._resume()
        self.trained = group.wrap(self.network)

    def _resume(self) -> Position:
        position = load_checkpoint(self.folder / CHECKPOINTS_DIR, self.network, self.average, self.optimizer)
        if position is None:
            self._forget_rows_after(0)
            config = [self.plan.train_on, self.plan.settings.model_dump(), self.data.fingerprint]
            return Position(config=json.dumps(config), division=self.data.division, processes=self.group.size)
        if not self._is_of_this_run(position.config):
            raise CheckpointError("The settings or the data are not those of the run's checkpoint; start a new run.")
        if position.division not in ("", self.data.division):
            raise CheckpointError(
                "The data set is divided into training and validation, or ordered, in another way than for the run's "
                "checkpoint; go on with the version of Halfface and the files that it began with, or start a new run."
            )
        position.division = self.data.division
        if position.processes not in (0, self.group.size):
            raise CheckpointError(
                f"What is random depends on the number of processes, which is {position.processes} for this run; "
                f"resume it with as many: {resume_command(self.folder.name, position.processes)}"
            )
        position.processes = self.group.size
        if position.scaler:
            self.scaler.load_state_dict(position.scaler)
        log.info("resumed at epoch %d, step %d", position.epoch, position.step)
        self._forget_rows_after(position.epoch)
        return position

    def _is_of_this_run(self, config: str) -> bool:
        """Compare; a setting that is newer than the checkpoint had its default when that was written."""
        try:
            train_on, settings, fingerprint = json.loads(config)
            then = TrainSettings.model_validate(settings)
        except (ValueError, TypeError):
            return False
        return (train_on, then, fingerprint) == (self.plan.train_on, self.plan.settings, self.data.fingerprint)

    def _forget_rows_after(self, epoch: int) -> None:
        """Drop the metrics of epochs that a restart does again."""
        if not self.group.leads:
            return
        kept = [row for row in RunFolder(self.folder).metrics() if row.epoch <= epoch]
        lines = "".join(f"{row.model_dump_json()}\n" for row in kept)
        write_atomically(self.folder / METRICS_FILE, lines)

    def order(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the order of the training faces in an epoch."""
        return step_rng(self.plan.settings.seed, EPOCH_STREAM + epoch).permutation(self.plan.faces)

    def step(self, indices: Tensor) -> float:
        """Take one step on the faces at `indices`, or on this process's part of them; return the loss there."""
        settings, position = self.plan.settings, self.position
        indices = self.group.part(indices)
        rng = step_rng(settings.seed, position.step, self.group.rank)
        size = self.plan.size_of_step(position.epoch, rng)
        pixels = augment(self.faces[indices], settings, size if self.teacher is None else settings.size, rng)
        hidden = self.plan.mix_at(position.step).draw(len(indices), rng)
        batch = self._prepared(resized(pixels, size), hidden)
        rate = learning_rate(position.step, self.plan.steps, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.trained.train()
        if settings.freeze_statistics:
            freeze_statistics(self.network)
        blend = Blend.draw(len(indices), settings.mixup, rng)
        labels = self.labels[indices]
        with self.arithmetic.autocast():
            logits = self.trained(blend.apply(batch))
            loss = blend.loss(self.criterion, logits, labels)
            taught = self._taught(logits, indices, pixels, blend)
            if taught is not None:
                loss = (1 - settings.distill_weight) * loss + settings.distill_weight * taught
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.network)
        return float(loss.detach())

    def _taught(self, logits: Tensor, indices: Tensor, pixels: Tensor, blend: Blend) -> Tensor | None:
        """Return the loss of `logits` against what the teacher answers to the same faces, whole; None without one."""
        against = partial(distillation, temperature=self.plan.settings.distill_temperature)
        if self.answers is not None:
            return blend.loss(against, logits, self.answers[indices])
        if self.teacher is None:
            return None
        with torch.no_grad():
            target = self.teacher(blend.apply(self._prepared(pixels, frozenset())))
        return against(logits, target)

    def _prepared(self, pixels: Tensor, hidden: Hidden | list[frozenset[int]]) -> Tensor:
        batch: Tensor = hide_and_normalise(pixels, hidden, self.spec)
        return batch.contiguous(memory_format=self.arithmetic.layout)

    def validate(self) -> tuple[float, float]:
        """Return (loss, accuracy) of the averaged weights on the validation part, on the view trained for.

        Batches are as large as in training: larger ones take memory from the system anew at each layer, and on a CPU
        that takes longer.
        """
        part, size = self.data.validation, self.plan.settings.batch_size
        hidden = view_mix(self.plan.train_on).fixed(len(part))
        with self.arithmetic.autocast():
            settings = self.plan.settings
            served = as_served(self.shown(), mirror_average=settings.mirror_average, size_average=settings.size_average)
            forward = torch_forward(served, self.device)
            logits = logits_of(forward, part.faces, hidden, self.spec, batch_size=size)
        return cross_entropy(logits, part.labels), accuracy(logits, part.labels)

    def shown(self) -> nn.Module:
        """Return the network that is measured and shipped: the average, or the last weights if there is none.

        With a `start_share`, a copy whose weights lie between these and those at the start (Wortsman et al. 2022).
        """
        settings = self.plan.settings
        network = self.average.module if settings.ema_decay else self.network
        return between(network, self.start, settings.start_share) if settings.start_share else network

    def write_judged(self) -> None:
        """Write what validations have told since it could be written last: the best weights, the epochs' rows.

        Raises:
            OSError: no room or no permission; what is not written yet is kept.
        """
        if self.unwritten_best is not None:
            save_weights(self.folder / BEST_FILE, self.unwritten_best)
            self.unwritten_best = None
        while self.unwritten_rows:
            RunFolder(self.folder).add_metrics(self.unwritten_rows[0])
            del self.unwritten_rows[0]

    def checkpoint(self, hooks: Hooks) -> bool:
        """Write a checkpoint, after what it knows of validations, and return whether that could be done.

        If not, the run goes on with the one before.
        """
        if not self.group.leads:
            return True
        self.position.scaler = self.scaler.state_dict()
        try:
            self.write_judged()
            save_checkpoint(self.folder / CHECKPOINTS_DIR, self.position, self.network, self.average, self.optimizer)
        except OSError as error:
            log.error("no checkpoint written: %s", error.strerror)
            hooks.saved(False)
            return False
        hooks.saved(True)
        return True


def train(
    plan: Plan,
    data: Dataset,
    network: nn.Module,
    device: torch.device,
    folder: Path,
    hooks: Hooks | None = None,
    teacher: nn.Module | Logits | None = None,
    group: Group = ALONE,
) -> nn.Module:
    """Train `network` and return the averaged weights of the best epoch, by `select`, in eval mode, on the CPU.

    Args:
        plan: settings and what is hidden.
        data: the training and validation parts are used; the test part is not looked at.
        network: its weights at the start, unless `folder` has a checkpoint to go on from.
        device: where to train.
        folder: the run's folder; metrics.jsonl, checkpoints/ and best.safetensors are written there.
        hooks: progress and the wish to stop.
        teacher: whose answers are learnt too: a trained network that sees each face whole, changed as the network that
            learns is shown it, and at `size`, also while that one sees it smaller; or what one has answered to the
            training part, float32 (N, 7).
        group: the processes that train together.

    Raises:
        Stopped: asked to stop; a checkpoint is written, or the sentence says that it could not be.
        CheckpointError: the run's checkpoints cannot be read, or are of another run or number of processes.
        DivergedError: the loss, in training or in validation, is no finite number any more.
        OSError: there was no room for the best weights to the end.
    """
    run, hooks = Run(plan, data, network, device, folder, teacher, group), hooks or Hooks()
    (folder / CHECKPOINTS_DIR).mkdir(parents=True, exist_ok=True)
    log.info("training with %s", ", ".join(f"{key} {value}" for key, value in run.arithmetic.describe().items()))
    while run.position.epoch < plan.settings.epochs:
        _epoch(run, hooks)
    result = run.shown().cpu()
    result.load_state_dict(load_file(folder / BEST_FILE))
    return result.eval()


def _epoch(run: Run, hooks: Hooks) -> None:
    """Train to the end of the current epoch, validate, write the epoch's row and a checkpoint."""
    plan, position = run.plan, run.position
    order = torch.from_numpy(run.order(position.epoch))
    size = min(plan.settings.batch_size, plan.faces)
    began, saved, first = hooks.clock(), hooks.clock(), position.step_in_epoch
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
        position.seconds = seconds_before + hooks.clock() - began
        rate = (position.step_in_epoch - first) * size / (hooks.clock() - began)
        hooks.progress(_progress(plan, position, rate))
        if stop:
            kept = "a checkpoint is written" if run.checkpoint(hooks) else NOT_SAVED
            raise Stopped(f"Stopped at epoch {position.epoch + 1}, step {position.step}; {kept}.")
        if hooks.clock() - saved > plan.settings.checkpoint_seconds:
            run.checkpoint(hooks)
            saved = hooks.clock()
    now = hooks.clock()
    if now - saved > UNSAVED_SHARE * plan.settings.checkpoint_seconds:
        run.checkpoint(hooks)  # a second one, of the same step, will know of the validation
    _end_of_epoch(run, seconds_before + now - began, hooks)


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


def _end_of_epoch(run: Run, seconds: float, hooks: Hooks) -> None:
    position = run.position
    if run.group.leads:
        _judge(run, seconds, hooks)
    position.epoch, position.step_in_epoch, position.seconds = position.epoch + 1, 0, seconds
    run.checkpoint(hooks)
    if position.epoch == run.plan.settings.epochs:
        run.write_judged()
    run.group.wait()


def _validate(run: Run, hooks: Hooks) -> tuple[float, float]:
    """Return (loss, accuracy); a process that trains alone may be stopped meanwhile. Raises Stopped."""
    stop_asked = hooks.stop_asked if run.group.size == 1 else lambda: False
    try:
        with stoppable(stop_asked, "validating"):
            return run.validate()
    except Stopped:
        if not run.checkpoint(hooks):
            raise Stopped(f"Stopped while validating; {NOT_SAVED}.") from None
        raise


def _judge(run: Run, seconds: float, hooks: Hooks) -> None:
    """Validate, and note for the next checkpoint the weights, if they are the best so far, and the epoch's row.

    Raises:
        DivergedError: the averaged weights do not answer with numbers.
    """
    plan, position, began = run.plan, run.position, hooks.clock()
    loss, validation_accuracy = _validate(run, hooks)
    if not math.isfinite(loss):
        raise DivergedError(
            f"The validation loss is no finite number in epoch {position.epoch + 1}; choose a lower learning rate."
        )
    validation_seconds = hooks.clock() - began
    if position.judge(loss, validation_accuracy, plan.settings.select):
        run.unwritten_best = copy.deepcopy(run.shown()).cpu()
    row = MetricRow(
        epoch=position.epoch + 1,
        step=position.step,
        seconds=round(seconds, 1),
        train_loss=round(position.loss or 0.0, 4),
        validation_loss=round(loss, 6),
        validation_accuracy=round(validation_accuracy, 4),
        validation_seconds=round(validation_seconds, 3),
        learning_rate=learning_rate(position.step, plan.steps, plan.settings),
        size=plan.size_at(position.epoch),
    )
    run.unwritten_rows.append(row)
    log.info("epoch %d: loss %.4f, validation accuracy %.4f", row.epoch, row.train_loss, row.validation_accuracy)
