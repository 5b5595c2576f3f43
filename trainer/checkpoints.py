"""Checkpoints: everything that a run needs to go on exactly, in one safetensors file, written atomically.

The file's header holds the position as JSON; nothing is unpickled. The two newest are kept, and one that is cut off
or altered is passed over for the one before. What is random is drawn from generators of (seed, step), so the position
is all there is to their state.
"""

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from shared.run_folder import CHECKPOINTS
from trainer.errors import CheckpointError

KEPT: Final = 2

UNREADABLE: Final = (
    SafetensorError,
    OSError,
    RuntimeError,  # torch's word for a file that cannot be opened
    ValidationError,
    KeyError,
    json.JSONDecodeError,
    CheckpointError,
)
"""What reading a checkpoint raises that is cut off, altered or out of reach."""


class Position(BaseModel):
    """Where a run is."""

    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    seconds: float = 0.0
    loss: float | None = None
    best_accuracy: float = -1.0
    best_loss: float | None = None
    scaler: dict[str, int | float] = {}
    """Of a run in float16: the loss's scale and what its growth depends on."""
    config: str = ""
    division: str = ""
    """That of the data set, see `trainer.data.Dataset`; older checkpoints do not tell."""
    processes: int = 0
    """That train together: each draws what is random for its part of a batch; older checkpoints do not tell."""

    @property
    def is_validated(self) -> bool:
        """Whether an epoch has just been validated, so that the best weights may be of it."""
        return self.epoch > 0 and self.step_in_epoch == 0

    def judge(self, loss: float, accuracy: float, select: Literal["accuracy", "loss"]) -> bool:
        """Note an epoch's validation; return whether it is the best so far by `select`. Of equals the first is."""
        by_accuracy = accuracy > self.best_accuracy
        by_loss = self.best_loss is None or loss < self.best_loss
        if by_accuracy:
            self.best_accuracy = accuracy
        if by_loss:
            self.best_loss = loss
        return by_loss if select == "loss" else by_accuracy


def save_checkpoint(
    folder: Path, position: Position, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> Path:
    """Write a checkpoint and remove all but the newest two, and what a killed process left half-written.

    The one that knows of a validation has a name of its own beside the one before it, of the same step: a checkpoint
    never changes, so that a copy of it elsewhere is known by its name.

    Raises:
        OSError: no room or no permission; what was there before is untouched.
    """
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    tensors |= _optimizer_tensors(optimizer)
    flat = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    mark = "_validated" if position.is_validated else ""  # sorts behind none
    path = folder / f"step-{position.step:09d}{mark}.safetensors"
    metadata = {"position": position.model_dump_json(), "sha256": _digest(flat)}
    _write(path, flat, metadata)
    cut_off = [path for pattern in (".step-*", ".tmp*") for path in folder.glob(pattern)]  # ours, and safetensors' own
    for old in [*sorted(folder.glob(CHECKPOINTS))[:-KEPT], *cut_off]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(
    folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> Position | None:
    """Fill network, average and optimiser from the newest checkpoint that can be read.

    Returns:
        The position, or None where there is no checkpoint yet.

    Raises:
        CheckpointError: there are checkpoints, and none can be read, or the newest is of another network.
    """
    paths = sorted(folder.glob(CHECKPOINTS), reverse=True)
    for path in paths:
        try:
            position, tensors = _read(path)
        except UNREADABLE:
            continue
        try:
            network.load_state_dict(_below("network.", tensors))
            average.load_state_dict(_below("average.", tensors))
            _restore_optimizer(optimizer, tensors)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"The checkpoint {path.name} belongs to another network; start a new run.") from error
        return position
    if paths:
        raise CheckpointError(f"None of the run's {len(paths)} checkpoints can be read; start the run anew.")
    return None


def save_weights(path: Path, network: nn.Module, *, half: bool = False) -> None:
    """Write a network's weights as safetensors, floats in half precision if asked. Raises OSError as above."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    if half:
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    _write(path, tensors)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a file straight from the tensors' memory; a reader sees the old one or the new one, also after a power cut.

    Raises:
        OSError: no room or no permission; what was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    try:
        save_file(tensors, temporary, metadata)
        with temporary.open("rb+") as file:
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # safetensors tells it in no other way
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> tuple[Position, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        position = Position.model_validate_json(metadata["position"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    if metadata["sha256"] != _digest(tensors):
        raise CheckpointError(f"The checkpoint {path.name} was altered.")
    return position, tensors


def _digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the tensors' names and bytes."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": value
        for index, values in state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for weight, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == weight.shape:  # in the file it is contiguous; see `trainer.optimisation`
                values[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
