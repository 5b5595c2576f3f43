"""What the processes of one training agree on; here there is one, in a real group."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist

from scripts.processes import free_port
from trainer.distributed import PATIENCE, Group, join


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    """Join as torchrun has a process join."""
    place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**place, "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": "test"}.items():
        monkeypatch.setenv(name, value)
    yield join()
    dist.destroy_process_group()


def test_a_process_waits_for_one_that_asks_teachers_or_validates_for_hours(group: Group) -> None:
    assert group == Group(rank=0, size=1)
    waits = dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu")).options._timeout
    assert waits == PATIENCE
