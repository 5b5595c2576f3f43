"""The committed `models/` keep what the README promises of them: every slot served, small files, and how they came."""

import pytest

from scripts.released_answers import MODELS
from shared.model_folder import Card, model_path, read_active, read_card
from shared.schemas.wire import SLOTS

LARGEST_BYTES = 200_000_000
"""Of the whole folder: whoever clones the project downloads it."""

ACTIVE = read_active(MODELS)


@pytest.fixture(scope="module", params=sorted(set(ACTIVE.values())))
def card(request: pytest.FixtureRequest) -> Card:
    """Give the card of each version that serves, the digests of its files checked."""
    folder = model_path(MODELS, request.param)
    return read_card(folder).at(folder)


def test_the_five_views_and_any_are_served() -> None:
    assert sorted(ACTIVE) == sorted(SLOTS)


def test_a_version_ships_as_int8_and_says_what_it_is_for(card: Card) -> None:
    assert card.metrics["export"]["shipped"].startswith("int8")
    assert card.metrics["export"]["size_bytes"] == (model_path(MODELS, card.id) / card.file).stat().st_size
    assert card.intended_use.strip()


def test_a_version_has_a_temperature_of_its_own(card: Card) -> None:
    assert card.temperature != 1


def test_what_serves_whole_faces_can_be_fine_tuned() -> None:
    assert read_card(model_path(MODELS, ACTIVE["full"])).has_weights


def test_the_folder_stays_small_enough_to_be_cloned() -> None:
    sizes = {path: path.stat().st_size for path in MODELS.rglob("*") if path.is_file()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:6]
    assert sum(sizes.values()) <= LARGEST_BYTES, [str(path.relative_to(MODELS)) for path in largest]
