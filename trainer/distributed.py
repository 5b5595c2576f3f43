"""Several processes in one training, as torchrun starts them: `torchrun --nproc-per-node 2 -m trainer train ...`.

Each process takes its part of every batch and the gradients are averaged (DistributedDataParallel). The first process
leads: it validates, writes the run's folder and registers the model. All read the same run's folder, so several
machines need a folder that they share.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE: Final = timedelta(hours=24)
"""How long a process waits for the others. The leader asks teachers for every face, and validates, while the others
wait: that takes longer than the half hour that PyTorch gives them. One that dies is noticed at once all the same."""


@dataclass(frozen=True)
class Group:
    """The processes of one training; alone, there is one, and nothing here does anything."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """Return this process's own device of that type: each process on a machine has another GPU."""
        if self.size == 1 or device.type != "cuda":
            return device
        return torch.device("cuda", torch.cuda.current_device())

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over the processes; its weights begin as the leader's."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def part(self, indices: Tensor) -> Tensor:
        """Return this process's share of a batch's indices, int64 (N,)."""
        return indices[self.rank :: self.size]

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is true in any process; all processes must ask together."""
        if self.size == 1:
            return list(flags)
        told = torch.tensor([int(flag) for flag in flags])
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return [bool(flag) for flag in told.tolist()]

    def wait(self) -> None:
        """Return once all processes are here."""
        if self.size > 1:
            dist.barrier()

    def is_torn_by(self, error: Exception) -> bool:
        """Return whether an error says that another process of the training has gone; gloo has no class for it."""
        return self.size > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))

    def agree(self, text: str) -> str:
        """Return the leader's text in every process."""
        if self.size == 1:
            return text
        told = [text]
        dist.broadcast_object_list(told, src=0)
        return told[0]


ALONE = Group()


def join() -> Group:
    """Return the group that torchrun started this process in; alone without torchrun."""
    if not dist.is_torchelastic_launched():
        return ALONE
    if torch.cuda.is_available():  # gradients travel between the GPUs, the few words that `Group` says do not
        torch.cuda.set_device(dist.get_node_local_rank() % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    return Group(dist.get_rank(), dist.get_world_size())


def leave(group: Group) -> None:
    """Take leave of the group, at the end."""
    if group.size > 1:
        dist.destroy_process_group()
