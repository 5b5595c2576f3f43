"""Random changes of faces: repeatable, in range, nothing at all when asked for nothing; and what is hidden."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from shared.masking import QUADRANTS, STUDY_VIEWS, View, quadrant_slices
from shared.preprocessing import InputSpec, hide_and_normalise
from shared.schemas.training import TrainSettings
from trainer.augmentation import augment, step_rng, view_mix

NOTHING = {"flip": False, "shift": 0, "rotate_degrees": 0, "zoom": 0, "contrast": 0, "erase": 0}
STRONG = {"flip": True, "shift": 0.5, "rotate_degrees": 180, "zoom": 0.5, "contrast": 1, "erase": 1}
ROUNDING = 0.05
"""Gray levels by which resampling at equal size may differ from the face."""


def only(**changes: object) -> TrainSettings:
    """Return settings that change nothing but this."""
    return TrainSettings.model_validate({**NOTHING, **changes})


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """Return 64 faces of random pixels, uint8 (64, 24, 24)."""
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (64, 24, 24), dtype=np.uint8))


# --- augment ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_and_step_draw_the_same_changes(faces: Tensor) -> None:
    first = augment(faces, TrainSettings(), 24, step_rng(3, 17))
    again = augment(faces, TrainSettings(), 24, step_rng(3, 17))
    assert torch.equal(first, again)


@pytest.mark.parametrize(("seed", "step"), [(4, 17), (3, 18)])
def test_another_seed_or_step_draws_other_changes(faces: Tensor, seed: int, step: int) -> None:
    first = augment(faces, TrainSettings(), 24, step_rng(3, 17))
    assert not torch.equal(first, augment(faces, TrainSettings(), 24, step_rng(seed, step)))


def test_the_faces_themselves_are_left_alone(faces: Tensor) -> None:
    before = faces.clone()
    augment(faces, TrainSettings.model_validate(STRONG), 24, step_rng(0, 0))
    assert torch.equal(faces, before)


@pytest.mark.parametrize("size", [16, 24, 33, 48])
@pytest.mark.parametrize("settings", [TrainSettings(), TrainSettings.model_validate(STRONG)], ids=["usual", "strong"])
def test_the_size_is_what_was_asked_for_and_pixels_stay_in_range(
    faces: Tensor, size: int, settings: TrainSettings
) -> None:
    changed = augment(faces, settings, size, step_rng(0, 1))
    assert changed.shape == (64, size, size)
    assert changed.dtype == torch.float32
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255


def test_settings_of_zero_change_nothing(faces: Tensor) -> None:
    assert torch.allclose(augment(faces, only(), 24, step_rng(0, 0)), faces.float(), atol=ROUNDING)


def test_flip_mirrors_about_half_of_the_faces_and_does_nothing_else(faces: Tensor) -> None:
    changed = augment(faces, only(flip=True), 24, step_rng(0, 0))
    same = (changed - faces.float()).abs().amax(dim=(1, 2)) < ROUNDING
    mirrored = (changed - faces.flip(-1).float()).abs().amax(dim=(1, 2)) < ROUNDING
    assert (same ^ mirrored).all()
    assert 16 <= int(mirrored.sum()) <= 48


def test_a_small_shift_moves_the_face_by_no_more_than_that_share() -> None:
    spot = torch.zeros(64, 41, 41, dtype=torch.uint8)
    spot[:, 19:22, 19:22] = 255
    changed = augment(spot, only(shift=0.1), 41, step_rng(0, 0))
    weight = changed / changed.sum(dim=(1, 2), keepdim=True)
    down, across = ((weight.sum(dim=along) * torch.arange(41)).sum(dim=1) - 20 for along in (2, 1))
    for moved in (down, across):
        assert 0.05 * 41 < float(moved.abs().max()) <= 0.1 * 41 + 0.1
        assert float(moved.min()) < -1
        assert float(moved.max()) > 1
    assert abs(float(torch.corrcoef(torch.stack([down, across]))[0, 1])) < 0.5


def test_zoom_changes_the_size_of_things_by_no_more_than_that_share() -> None:
    square = torch.zeros(64, 48, 48, dtype=torch.uint8)
    square[:, 12:36, 12:36] = 255
    side = (augment(square, only(zoom=0.2), 48, step_rng(0, 0)) / 255).sum(dim=(1, 2)).sqrt()
    assert 24 * 0.8 - 0.5 <= float(side.min()) < 22
    assert 26 < float(side.max()) <= 24 * 1.2 + 0.5


def test_a_rotation_keeps_the_centre_and_turns_the_rest() -> None:
    bar = torch.zeros(32, 33, 33, dtype=torch.uint8)
    bar[:, 15:18, :] = 255
    changed = augment(bar, only(rotate_degrees=30), 33, step_rng(0, 0))
    assert float(changed[:, 16, 16].min()) > 250
    assert float(changed[:, 16, 0].min()) < 50


def test_contrast_and_brightness_are_one_straight_line_for_a_face() -> None:
    ramp = torch.arange(100, 156, dtype=torch.uint8).repeat(32, 56, 1)
    changed = augment(ramp, only(contrast=0.2), 56, step_rng(0, 0))
    slopes = changed[:, :, 1:-1].diff(dim=-1)
    assert torch.allclose(slopes, slopes[:, :1, :1].expand_as(slopes), atol=ROUNDING)
    assert 0.79 < float(slopes.min()) < 0.95
    assert 1.05 < float(slopes.max()) < 1.21


def test_erasing_fills_one_rectangle_with_one_gray_on_the_share_asked_for(faces: Tensor) -> None:
    many = faces.repeat(8, 1, 1)
    changed = augment(many, only(erase=0.5), 24, step_rng(0, 0))
    different = (changed - many.float()).abs() > ROUNDING
    touched = different.flatten(1).any(dim=1)
    assert 0.4 < float(touched.float().mean()) < 0.6
    for face, place in zip(changed[touched], different[touched], strict=True):
        rows, columns = place.any(dim=1).nonzero(), place.any(dim=0).nonzero()
        box = face[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert float(box.max() - box.min()) < ROUNDING
        assert box.numel() <= 0.25 * 24 * 24


# --- what is hidden --------------------------------------------------------------------------------------------------


def test_five_hides_the_study_views_alike() -> None:
    drawn = Counter(view_mix("five").draw(5000, step_rng(0, 0)))
    assert set(drawn) == {QUADRANTS[view] for view in STUDY_VIEWS}
    assert all(850 < count < 1150 for count in drawn.values())


def test_any_hides_every_set_of_quadrants_but_never_all_four() -> None:
    drawn = Counter(view_mix("any").draw(5000, step_rng(0, 0)))
    assert len(drawn) == 15
    assert frozenset({1, 2, 3, 4}) not in drawn
    assert 900 < drawn[frozenset()] < 1100
    halves = {view: drawn[QUADRANTS[view]] for view in STUDY_VIEWS if view != View.FULL}
    assert 2350 < sum(halves.values()) < 2650
    assert 800 < max(halves.values()) == halves[View.LOWER] < 1000


@pytest.mark.parametrize("view", list(View))
def test_a_single_view_hides_that_and_nothing_else(view: View) -> None:
    assert set(view_mix(view.value).draw(200, step_rng(0, 0))) == {QUADRANTS[view]}


@pytest.mark.parametrize("train_on", ["upper", "five", "any"])
def test_hide_share_leaves_the_rest_of_the_faces_whole(train_on: str) -> None:
    usual = Counter(view_mix(train_on).draw(4000, step_rng(0, 0)))[frozenset()] / 4000
    whole = Counter(view_mix(train_on, 0.25).draw(4000, step_rng(0, 0)))[frozenset()] / 4000
    assert abs(whole - (0.75 + 0.25 * usual)) < 0.03


@pytest.mark.parametrize("train_on", ["full", "upper", "five", "any"])
def test_nothing_is_hidden_at_a_share_of_zero(train_on: str) -> None:
    assert set(view_mix(train_on, 0.0).draw(100, step_rng(0, 0))) == {frozenset()}


@pytest.mark.parametrize("train_on", ["five", "any"])
def test_the_fixed_sets_of_a_validation_are_the_same_every_time_and_even(train_on: str) -> None:
    mix = view_mix(train_on)
    assert mix.fixed(45) == mix.fixed(45)
    assert mix.fixed(45)[:7] == mix.fixed(7)
    counts = Counter(mix.fixed(45))
    assert set(counts) == set(mix.sets)
    assert len(set(counts.values())) == 1


def test_the_fixed_sets_of_a_single_view_are_that_view() -> None:
    assert view_mix("lower").fixed(3) == [QUADRANTS[View.LOWER]] * 3


def test_hidden_pixels_become_the_normalised_black_and_the_rest_is_kept(faces: Tensor) -> None:
    spec = InputSpec(size=24)
    pixels = augment(faces, TrainSettings(), 24, step_rng(0, 0))
    hidden = view_mix("any").fixed(len(faces))
    batch = hide_and_normalise(pixels, hidden, spec)
    black = torch.tensor([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)])[:, None, None]
    whole = hide_and_normalise(pixels, View.FULL, spec)
    for index, quadrants in enumerate(hidden):
        for number in (1, 2, 3, 4):
            rows, columns = quadrant_slices(number, 24, 24)
            seen = batch[index, :, rows, columns]
            expected = black.expand_as(seen) if number in quadrants else whole[index, :, rows, columns]
            assert torch.allclose(seen, expected, atol=1e-5)
