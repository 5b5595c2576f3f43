"""What a version in service is compared with on the page Models, and since when it is said to serve."""

from typing import Any

import pytest

from services.frontend.model_standing import released, since, standing
from shared.schemas.models import ModelChange, ModelInfo, ModelList

from .answers import a_model, measured


def version(number: int, *serves: str, accuracy: float = 0.6, **changes: Any) -> ModelInfo:
    """Return the version first/`number`, which reached this accuracy on every view."""
    update = {"id": f"first/{number}", "metrics": measured(accuracy), "fingerprint": "same", **changes}
    return a_model(serves=serves).model_copy(update=update)


def change(action: str, number: int, before: str | None = None, slot: str | None = "full") -> ModelChange:
    """Return a line of the history: first/`number` came to the slot."""
    return ModelChange.model_validate(
        {
            "time": "2026-11-24T09:00:00+00:00",
            "by": "ada",
            "action": action,
            "slot": slot,
            "model": f"first/{number}",
            "before": before,
        }
    )


def listed(*models: ModelInfo, **previous: str) -> ModelList:
    """Return the list of these versions."""
    active = {slot: model.id for model in models for slot in model.serves}
    return ModelList(models=list(models), active=active, previous=previous)


@pytest.mark.parametrize(
    ("newest_first", "version_id"),
    [
        ([], "first/3"),
        ([change("promote", 3, slot="left")], "first/3"),
        ([change("promote", 3, "first/2"), change("promote", 2, "first/1")], "first/1"),
        ([change("promote", 3, "first/2"), change("release", 2, "first/1"), change("release", 1)], "first/2"),
        ([change("promote", 3)], None),
    ],
)
def test_the_released_version_is_found_in_the_history(newest_first: list[ModelChange], version_id: str | None) -> None:
    assert released("full", listed(version(3, "full")), newest_first) == version_id


def test_a_promoted_version_is_compared_with_the_released_one_even_if_that_is_archived() -> None:
    new, old = version(3, "full", accuracy=0.65), version(1, archived=True)
    history = [change("promote", 3, "first/2"), change("promote", 2, "first/1")]

    found = standing(new, "full", listed(new, version(2, accuracy=0.5), old, full="first/2"), history)

    assert found.difference is not None
    assert found.difference.difference == pytest.approx(0.05)
    assert found.sentence == "compared with first/1, the released version"


def test_a_version_is_compared_with_the_one_before_it_if_the_released_one_is_gone() -> None:
    new = version(3, "full")
    history = [change("promote", 3, "first/2"), change("promote", 2, "first/1")]

    found = standing(new, "full", listed(new, version(2), full="first/2"), history)

    assert found.sentence == "compared with first/2 before it"


def test_a_released_version_is_named_so_and_compared_with_the_one_before_it() -> None:
    new, old = version(2, "full", accuracy=0.65), version(1)

    alone = standing(new, "full", listed(new, old), [])
    newer = standing(new, "full", listed(new, old, full="first/1"), [change("release", 2, "first/1")])

    assert (alone.difference, alone.sentence) == (None, "the released version")
    assert newer.difference is not None
    assert newer.sentence == "the released version, compared with first/1 before it"


def test_versions_measured_on_other_data_are_not_compared() -> None:
    new, old = version(2, "full"), version(1, fingerprint="other")

    found = standing(new, "full", listed(new, old, full="first/1"), [change("promote", 2, "first/1")])

    assert (found.difference, found.sentence) == (None, "no earlier version was measured on the same data")


def test_any_part_is_compared_by_the_mean_over_the_five_views() -> None:
    new, old = version(2, "any", accuracy=0.65), version(1)

    found = standing(new, "any", listed(new, old), [change("promote", 2, "first/1", slot="any")])

    assert found.difference is not None
    assert found.difference.difference == pytest.approx(0.05)


def test_since_when_is_what_was_noted_else_the_release_unless_somebody_changed_the_slot() -> None:
    noted = version(1, since={"full": "2026-11-24T09:00:00+00:00"})
    unnoted = version(1, created="2026-11-23T09:38:26+00:00")

    assert since(noted, "full", [change("promote", 1)]) == "since 2026-11-24 09:00 UTC"
    assert since(unnoted, "full", [change("archive", 4, slot=None)]) == "released 2026-11-23"
    assert since(unnoted, "full", [change("promote", 4)]) == "no date recorded"
    assert since(version(1, created=""), "full", []) == "no date recorded"
