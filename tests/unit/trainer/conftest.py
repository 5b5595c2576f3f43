"""What the trainer's tests share: one thread, drawn faces, settings that are quick."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.draw_faces import write_dataset
from shared.preprocessing import InputSpec
from shared.schemas.training import TrainSettings
from trainer.data import Dataset, load_dataset
from trainer.network import build_network
from trainer.training import Plan, train

SIZE = 24


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Let torch use one thread, so that sums are added in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of drawn faces, 32 to train on and 4 to test on of each emotion."""
    folder = tmp_path_factory.mktemp("drawn") / "drawn"
    write_dataset(folder, train_per_class=32, test_per_class=4, size=SIZE)
    return folder


@pytest.fixture(scope="session")
def drawn_data(drawn_folder: Path) -> Dataset:
    """Return the drawn faces, a quarter of the training split held out."""
    return load_dataset(drawn_folder, size=SIZE, validation_share=0.25)


@pytest.fixture(scope="session")
def spec() -> InputSpec:
    """Return what a network for the drawn faces reads."""
    return InputSpec(size=SIZE)


@pytest.fixture(scope="session")
def quick_settings() -> TrainSettings:
    """Return settings under which a resnet18 learns the drawn faces within seconds."""
    return TrainSettings(
        epochs=6,
        batch_size=28,
        learning_rate=4e-3,
        warmup_steps=4,
        label_smoothing=0.0,
        ema_decay=0.7,
        size=SIZE,
        shift=0.02,
        rotate_degrees=0.0,
        zoom=0.0,
        contrast=0.0,
        erase=0.0,
        validation_share=0.25,
        precision="fp32",
    )


@pytest.fixture(scope="session")
def learnt(
    drawn_data: Dataset, quick_settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, nn.Module]:
    """Return the run's folder and a resnet18 that has learnt the drawn faces; leave it as it is."""
    folder = tmp_path_factory.mktemp("learnt")
    torch.manual_seed(0)
    plan = Plan(quick_settings, "full", len(drawn_data.train))
    return folder, train(plan, drawn_data, build_network("resnet18"), torch.device("cpu"), folder)
