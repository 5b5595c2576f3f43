"""Checkpoints give everything back exactly, survive a cut-off file, and hold nothing that is unpickled."""

import errno
import json
import struct
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from shared.schemas.training import TrainSettings
from tests.unit.trainer.full_disk import no_file_larger_than
from trainer.checkpoints import KEPT, Position, load_checkpoint, save_checkpoint, save_weights
from trainer.errors import CheckpointError
from trainer.optimisation import average_of, build_optimizer

Parts = tuple[nn.Module, AveragedModel, torch.optim.Optimizer]

POSITION = Position(
    epoch=2,
    step=30,
    step_in_epoch=4,
    seconds=0.1 + 0.2,
    loss=1 / 3,
    best_accuracy=2 / 3,
    best_loss=4 / 3,
    scaler={"scale": 65536.0, "growth_interval": 2000},
    config='["é"]',
)


def make_parts(optimizer: str = "adamw", width: int = 4) -> Parts:
    """Return a small network with convolution, normalisation and a linear layer, its average and optimiser."""
    layers = (nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 36, 7))
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    settings = TrainSettings.model_validate({"optimizer": optimizer})
    return network, average_of(network, 0.9), build_optimizer(network, settings)


def take_steps(parts: Parts, count: int, seed: int = 0) -> None:
    """Train on noise."""
    network, average, optimizer = parts
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        batch = torch.randn(5, 3, 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()
        average.update_parameters(network)


def everything(parts: Parts) -> dict[str, torch.Tensor]:
    """Return every tensor of network, average and optimiser."""
    network, average, optimizer = parts
    state = optimizer.state_dict()["state"]
    return {
        **{f"network {key}": value for key, value in network.state_dict().items()},
        **{f"average {key}": value for key, value in average.state_dict().items()},
        **{f"{index} {key}": value for index, values in state.items() for key, value in values.items()},
    }


def assert_same(first: Parts, second: Parts) -> None:
    """Compare bit for bit."""
    one, two = everything(first), everything(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in one.items())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("steps", [0, 3])
def test_network_average_optimiser_and_position_come_back_exactly(optimizer: str, steps: int, tmp_path: Path) -> None:
    saved, loaded = make_parts(optimizer), make_parts(optimizer)
    take_steps(saved, steps)
    save_checkpoint(tmp_path, POSITION, *saved)
    assert load_checkpoint(tmp_path, *loaded) == POSITION
    assert_same(saved, loaded)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(optimizer: str, tmp_path: Path) -> None:
    whole, resumed = make_parts(optimizer), make_parts(optimizer)
    take_steps(whole, 3)
    save_checkpoint(tmp_path, POSITION, *whole)
    take_steps(whole, 5, seed=1)
    load_checkpoint(tmp_path, *resumed)
    take_steps(resumed, 5, seed=1)
    assert_same(whole, resumed)


def test_what_the_optimiser_keeps_lies_in_memory_as_its_weight_does_also_after_a_resume(tmp_path: Path) -> None:
    saved, loaded = make_parts(), make_parts()
    take_steps(saved, 1)
    save_checkpoint(tmp_path, POSITION, *saved)
    load_checkpoint(tmp_path, *loaded)
    state = loaded[2].state
    (convolution,) = (weight for weight in state if weight.ndim == 4)
    assert not convolution.is_contiguous()
    for weight, values in state.items():
        assert {values[key].stride() for key in ("exp_avg", "exp_avg_sq")} == {weight.stride()}


def test_a_loss_that_is_no_number_does_not_spoil_the_checkpoint(tmp_path: Path) -> None:
    parts = make_parts()
    save_checkpoint(tmp_path, POSITION.model_copy(update={"loss": float("nan")}), *parts)
    assert load_checkpoint(tmp_path, *parts) == POSITION.model_copy(update={"loss": None})


def test_no_checkpoint_yet_is_no_position(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoints", *make_parts()) is None


def test_only_the_two_newest_are_kept_and_no_temporary_file(tmp_path: Path) -> None:
    parts = make_parts()
    for step in (5, 50, 500, 99_999, 100_000):
        save_checkpoint(tmp_path, Position(step=step), *parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000099999.safetensors",
        "step-000100000.safetensors",
    ]
    assert KEPT == 2


def test_a_checkpoint_that_knows_of_a_validation_is_newer_and_replaces_none(tmp_path: Path) -> None:
    parts = make_parts()
    before = save_checkpoint(tmp_path, Position(epoch=1, step=50, step_in_epoch=5), *parts)
    written = before.stat().st_ino
    save_checkpoint(tmp_path, Position(epoch=2, step=50, best_accuracy=0.5), *parts)
    assert before.stat().st_ino == written
    assert load_checkpoint(tmp_path, *parts) == Position(epoch=2, step=50, best_accuracy=0.5)
    save_checkpoint(tmp_path, Position(epoch=2, step=51, step_in_epoch=1), *parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000050_validated.safetensors",
        "step-000000051.safetensors",
    ]


def two_checkpoints(folder: Path) -> tuple[Parts, Path, Path]:
    """Write checkpoints of steps 1 and 2; return the parts as of step 1, and both files."""
    parts = make_parts()
    take_steps(parts, 1)
    older = save_checkpoint(folder, Position(step=1), *parts)
    later = make_parts()
    take_steps(later, 2)
    return parts, older, save_checkpoint(folder, Position(step=2), *later)


@pytest.mark.parametrize("kept_bytes", [0, 4, 100, -1])
def test_a_newest_file_that_is_cut_off_is_passed_over(kept_bytes: int, tmp_path: Path) -> None:
    parts, _, newest = two_checkpoints(tmp_path)
    newest.write_bytes(newest.read_bytes()[:kept_bytes])
    loaded = make_parts()
    assert load_checkpoint(tmp_path, *loaded) == Position(step=1)
    assert_same(parts, loaded)


def test_a_newest_file_without_a_position_is_passed_over(tmp_path: Path) -> None:
    parts, _, newest = two_checkpoints(tmp_path)
    save_weights(newest, parts[0])
    assert load_checkpoint(tmp_path, *make_parts()) == Position(step=1)


def test_where_no_file_can_be_read_a_sentence_says_so(tmp_path: Path) -> None:
    for path in two_checkpoints(tmp_path)[1:]:
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"None of the run's 2 checkpoints can be read; start the run anew"):
        load_checkpoint(tmp_path, *make_parts())


def test_a_checkpoint_of_another_network_is_refused_with_a_sentence(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, POSITION, *make_parts())
    with pytest.raises(CheckpointError, match="another network"):
        load_checkpoint(tmp_path, *make_parts(width=8))


def test_nothing_is_written_where_there_is_no_room_for_it(tmp_path: Path) -> None:
    in_the_way = tmp_path / "checkpoints"
    in_the_way.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"exists|directory"):
        save_checkpoint(in_the_way, POSITION, *make_parts())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_a_file_that_does_not_fit_is_an_error_of_the_system_and_leaves_what_was_there(tmp_path: Path) -> None:
    parts = make_parts()
    save_checkpoint(tmp_path, Position(step=1), *parts)
    save_weights(tmp_path / "w.safetensors", parts[0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with no_file_larger_than(1000):
        with pytest.raises(OSError, match="File too large") as refused:
            save_checkpoint(tmp_path, Position(step=2), *parts)
        with pytest.raises(OSError, match="File too large"):
            save_weights(tmp_path / "w.safetensors", make_parts()[0])
    assert refused.value.errno == errno.EFBIG
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_process_left_half_written_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    (tmp_path / ".step-000000003.safetensors").write_bytes(b"ours")
    (tmp_path / ".tmpAbCdEf").write_bytes(b"of safetensors")
    written = save_checkpoint(tmp_path, Position(step=4), *make_parts())
    assert list(tmp_path.iterdir()) == [written]
    assert written.stat().st_mode & 0o777 == 0o644


def test_a_checkpoint_is_tensors_and_json_and_holds_no_pickle(tmp_path: Path) -> None:
    parts = make_parts()
    take_steps(parts, 1)
    content = save_checkpoint(tmp_path, POSITION, *parts).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert Position.model_validate_json(header.pop("__metadata__")["position"]) == POSITION
    assert {entry["dtype"] for entry in header.values()} == {"F32", "I64"}
    ends = [entry["data_offsets"][1] for entry in header.values()]
    assert 8 + length + max(ends) == len(content)


# --- the best epoch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("select", "best"), [("accuracy", [True, False, True, False, False]), ("loss", [True, True, False, False, True])]
)
def test_an_epoch_is_the_best_by_accuracy_or_by_loss_and_of_equals_the_first_is(
    select: Literal["accuracy", "loss"], best: list[bool]
) -> None:
    position = Position()
    epochs = [(1.5, 0.5), (1.2, 0.4), (1.4, 0.6), (1.2, 0.6), (1.1, 0.2)]
    judged = [position.judge(loss, accuracy, select) for loss, accuracy in epochs]
    assert judged == best
    assert (position.best_loss, position.best_accuracy) == (1.1, 0.6)


# --- weights alone ---------------------------------------------------------------------------------------------------


def test_weights_come_back_exactly(tmp_path: Path) -> None:
    network = make_parts()[0]
    save_weights(tmp_path / "w.safetensors", network)
    loaded = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())


def test_half_weights_are_half_and_counters_stay_whole_numbers(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", make_parts()[0], half=True)
    kinds = {key: value.dtype for key, value in load_file(tmp_path / "w.safetensors").items()}
    assert kinds.pop("1.num_batches_tracked") == torch.int64
    assert set(kinds.values()) == {torch.float16}


def test_an_altered_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    parts = make_parts()
    save_checkpoint(tmp_path, Position(step=1), *parts)
    newest = save_checkpoint(tmp_path, Position(step=2), *parts)
    content = bytearray(newest.read_bytes())
    content[-5] ^= 0xFF
    newest.write_bytes(content)

    position = load_checkpoint(tmp_path, *make_parts())

    assert position is not None
    assert position.step == 1
