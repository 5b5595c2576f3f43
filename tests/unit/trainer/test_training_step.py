"""What one step shows the network and its teacher, what it learns from, and what is measured of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.masking import QUADRANTS, View
from shared.preprocessing import InputSpec
from shared.schemas.training import TrainSettings
from tests.unit.trainer.dataset_files import pictures, write_zip
from trainer.augmentation import ANY_HALVES, Blend
from trainer.data import Dataset, load_dataset
from trainer.evaluation import logits_of, torch_forward
from trainer.network import as_served
from trainer.training import Plan, Run

CPU = torch.device("cpu")
SIZE = 16
HIDDEN = {
    "upper": (slice(0, SIZE // 2), slice(None)),
    "lower": (slice(SIZE // 2, None), slice(None)),
    "left": (slice(None), slice(0, SIZE // 2)),
    "right": (slice(None), slice(SIZE // 2, None)),
}
SEEN = {view: HIDDEN[other] for view, other in zip(HIDDEN, ("lower", "upper", "right", "left"), strict=True)}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return training faces of random pixels, of two classes 30, of the others 10, and a fifth of them held out."""
    path = tmp_path_factory.mktemp("noise") / "noise.zip"
    many = [each for each in pictures(per_class=30, seed=1) if each.label in ("happy", "sad")]
    few = [each for each in pictures(per_class=10) if each.label not in ("happy", "sad")]
    return load_dataset(write_zip(path, [*many, *few]), size=SIZE, validation_share=0.2)


@pytest.fixture
def settings() -> TrainSettings:
    """Return settings without anything random but the order and what is hidden."""
    return TrainSettings(
        epochs=1, batch_size=14, size=SIZE, warmup_steps=0, ema_decay=0.0, precision="fp32", learning_rate=0.01,
        flip=False, shift=0.0, zoom=0.0, rotate_degrees=0.0, contrast=0.0, erase=0.0, validation_share=0.2,
    )  # fmt: skip


class Watched(nn.Module):
    """A small network for faces of any size that remembers what it was shown."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
            nn.Linear(72, 7),
        )  # fmt: skip
        self.shown: list[Tensor] = []

    def forward(self, faces: Tensor) -> Tensor:
        self.shown.append(faces.detach().clone())
        logits: Tensor = self.layers(faces)
        return logits


def run_of(
    noise: Dataset, folder: Path, settings: TrainSettings, train_on: str, teacher: nn.Module | None = None
) -> tuple[Run, Watched]:
    """Return a run that has not begun and its network."""
    network = Watched()
    return Run(Plan(settings, train_on, len(noise.train)), noise, network, CPU, folder, teacher), network


def take_steps(run: Run, count: int, each: Callable[[], None] = lambda: None) -> None:
    """Take steps of 14 faces."""
    for number in range(count):
        run.step(torch.arange(14 * number, 14 * (number + 1)))
        run.position.step += 1
        each()


def black() -> Tensor:
    """Return the value of a hidden pixel in each channel, (3, 1, 1)."""
    spec = InputSpec(size=SIZE)
    return torch.tensor([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)])[:, None, None]


def is_black(pixels: Tensor) -> Tensor:
    """Return for each face whether all of its pixels (N, 3, H, W) are hidden."""
    return torch.isclose(pixels, black().expand_as(pixels), atol=1e-5).flatten(1).all(dim=1)


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", list(HIDDEN))
def test_a_specialist_is_shown_faces_with_its_half_hidden(
    view: str, noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    run, network = run_of(noise, tmp_path, settings, view)
    take_steps(run, 2)
    assert [len(batch) for batch in network.shown] == [14, 14]
    for batch in network.shown:
        assert is_black(batch[:, :, *HIDDEN[view]]).all()
        assert not is_black(batch[:, :, *SEEN[view]]).any()


def test_its_teacher_is_shown_the_same_faces_whole(noise: Dataset, settings: TrainSettings, tmp_path: Path) -> None:
    teacher = Watched(seed=1)
    run, network = run_of(noise, tmp_path, settings, "left", teacher)
    take_steps(run, 1)
    (taught,), (shown,) = teacher.shown, network.shown
    assert not is_black(taught[:, :, *HIDDEN["left"]]).any()
    assert torch.equal(taught[:, :, *SEEN["left"]], shown[:, :, *SEEN["left"]])


def test_shares_of_whole_and_otherwise_hidden_faces_reach_the_step(settings: TrainSettings) -> None:
    half = settings.model_copy(update={"hide_share": 0.5})
    mix = Plan(half, "lower", 100).mix_at(0)
    assert dict(zip(mix.sets, mix.weights, strict=True)) == {frozenset(): 0.5, QUADRANTS[View.LOWER]: 0.5}

    other = settings.model_copy(update={"other_share": 0.3})
    mix = Plan(other, "lower", 100).mix_at(0)
    share = dict.fromkeys(mix.sets, 0.0)
    for hidden, weight in zip(mix.sets, mix.weights, strict=True):
        share[hidden] += weight
    assert len(share) == 15
    assert share[QUADRANTS[View.LOWER]] == pytest.approx(0.7 + 0.3 * ANY_HALVES[View.LOWER])
    assert share[QUADRANTS[View.LEFT]] == pytest.approx(0.3 * ANY_HALVES[View.LEFT])


# --- what is learnt from ---------------------------------------------------------------------------------------------


def test_faces_are_blended_by_their_shares_and_so_is_the_loss() -> None:
    blend = Blend(share=0.8, partners=torch.tensor([1, 0]))
    faces = torch.stack([torch.full((3, 2, 2), 10.0), torch.full((3, 2, 2), 20.0)])
    assert torch.allclose(blend.apply(faces)[:, 0, 0, 0], torch.tensor([12.0, 18.0]))

    logits, labels = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2])
    log_sums = [np.log(np.exp(2) + 2), np.log(np.exp(1) + 2)]
    own = ((log_sums[0] - 2) + (log_sums[1] - 0)) / 2  # the labels 0 and 2
    others = ((log_sums[0] - 0) + (log_sums[1] - 0)) / 2  # the labels 2 and 0
    loss = blend.loss(nn.CrossEntropyLoss(), logits, labels)
    assert float(loss) == pytest.approx(0.8 * own + 0.2 * others, rel=1e-5)


def test_rare_classes_weigh_more_where_that_is_set_and_labels_are_smoothed(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    weighted = settings.model_copy(update={"class_weights": True, "label_smoothing": 0.25})
    run, _ = run_of(noise, tmp_path / "weighted", weighted, "full")
    weights = run.criterion.weight
    assert weights is not None
    labels = list(noise.train.counts())
    rare, frequent = labels.index("disgust"), labels.index("happy")
    assert float(weights[rare] / weights[frequent]) == pytest.approx(np.sqrt(24 / 8))
    assert run.criterion.label_smoothing == 0.25
    plain, _ = run_of(noise, tmp_path / "plain", settings.model_copy(update={"class_weights": False}), "full")
    assert plain.criterion.weight is None


# --- what is measured and shipped ------------------------------------------------------------------------------------


def test_the_averaged_weights_are_what_is_measured_and_shipped(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    run, network = run_of(noise, tmp_path, settings.model_copy(update={"ema_decay": 0.2}), "full")
    after: list[dict[str, Tensor]] = []
    take_steps(
        run, 4, lambda: after.append({name: value.clone() for name, value in network.layers.state_dict().items()})
    )
    shown = run.shown().state_dict()
    floating = [name for name, value in after[0].items() if value.is_floating_point()]
    assert len(floating) == 8
    for name in floating:
        expected = after[0][name]
        for number, weights in enumerate(after[1:], start=1):
            kept = min(0.2, (1 + number) / (10 + number))
            expected = kept * expected + (1 - kept) * weights[name]
        assert torch.allclose(shown[f"layers.{name}"], expected, atol=1e-6)
        assert not torch.equal(shown[f"layers.{name}"], after[-1][name])


@pytest.mark.parametrize("averages", [{}, {"mirror_average": True}, {"size_average": True}])
def test_a_specialist_is_validated_on_its_own_view_as_it_will_be_asked(
    averages: dict[str, bool], noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    run, network = run_of(noise, tmp_path, settings.model_copy(update=averages), "upper")
    take_steps(run, 3)
    faces, labels = noise.validation.faces.copy(), noise.validation.labels
    faces[:, : SIZE // 2] = 0
    served = as_served(
        network,
        mirror_average=averages.get("mirror_average", False),
        size_average=averages.get("size_average", False),
    )
    logits = logits_of(torch_forward(served, CPU), faces, frozenset(), InputSpec(size=SIZE)).astype(np.float64)
    log_sums = np.log(np.exp(logits).sum(axis=1))
    loss = float((log_sums - logits[np.arange(len(labels)), labels]).mean())
    assert run.validate() == (pytest.approx(loss, rel=1e-4), pytest.approx((logits.argmax(axis=1) == labels).mean()))
