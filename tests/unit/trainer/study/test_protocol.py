"""How a version was trained, in words, is what its card says."""

from typing import Any

import pytest

from shared.model_folder import Card
from shared.preprocessing import InputSpec
from trainer.study.protocol import evaluation_words, training_words


def card(view: str, counts: dict[str, int] | None = None, base: str | None = None, **settings: Any) -> Card:
    return Card(
        name=view,
        version="2",
        view=view,
        sha256={},
        input=InputSpec(),
        architecture="resnet18",
        training={"request": {"base_model": base, "settings": {"epochs": 44, **settings}}},
        data={"counts": {"train": counts or {"sad": 20_000, "happy": 4_581}}},
        metrics={},
        created="2026-01-01T00:00:00Z",
    )


def test_the_share_of_faces_that_something_else_was_hidden_on_is_told() -> None:
    words = training_words(card("full", other_share=0.15, hide_share=1.0), ())
    assert words == (
        "full/2: resnet18, from random weights, 44 epochs of 24,581 images on whole faces, 15 % of them with any set "
        "of quadrants hidden instead."
    )


def test_a_specialist_that_also_saw_whole_faces_is_told_to_have() -> None:
    words = training_words(card("upper", hide_share=0.9), ())
    assert words.endswith("on upper-hidden faces, 10 % of them shown whole.")


def test_a_specialist_that_also_reads_mirror_images_is_told_to_have_seen_both_halves_hidden() -> None:
    words = training_words(card("left", mirror_average=True), ())
    assert words.endswith("on left-hidden and right-hidden faces alike.")
    assert training_words(card("lower", mirror_average=True), ()).endswith("on lower-hidden faces.")


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("any/1", "from any/1, which is not part of the study, 44"),
        ("full/2", "from full/2, 44"),
        ("imagenet", "from ImageNet weights, 44"),
        (None, "from random weights, 44"),
    ],
)
def test_a_start_that_is_not_among_the_studys_versions_is_told_as_such(base: str | None, words: str) -> None:
    assert words in training_words(card("lower", base=base), {"full/2", "lower/2"})


def test_near_copies_that_were_trained_on_are_told_of() -> None:
    without, with_them = card("full"), card("upper", duplicate_similarity=1.01)
    assert "stand in the test split too, or nearly so, were left out;" in evaluation_words([without])
    assert "stand in the test split too, but not those that nearly do, were left out;" in evaluation_words([with_them])
    assert "too, or for some of the versions nearly so, were left out;" in evaluation_words([without, with_them])


def test_an_epoch_of_some_of_the_images_is_told_as_such() -> None:
    words = training_words(card("left", epochs=1, epoch_faces=10_240), ())
    assert ", 1 epoch of 10,240 of 24,581 images on left-hidden faces." in words


@pytest.mark.parametrize(
    ("mirrored", "sizes", "words"),
    [
        (set(), set(), "left out; no test-time augmentation."),
        ({"any", "left"}, set(), "; each file averages over a face and its mirror image; nothing else"),
        ({"any"}, set(), "; the files of any/2 average over a face and its mirror image; nothing else"),
        ({"any", "left"}, {"any", "left"}, "; each file averages over a face and its mirror image, each at two sizes;"),
        ({"any"}, {"left"}, "of any/2 average over a face and its mirror image; the files of left/2 average over two"),
    ],
)
def test_which_files_average_over_what_is_told(mirrored: set[str], sizes: set[str], words: str) -> None:
    cards = [
        one.model_copy(
            update={
                "training": {**one.training, "mirror_average": one.name in mirrored, "size_average": one.name in sizes}
            }
        )
        for one in (card("any"), card("left"))
    ]
    assert words in evaluation_words(cards)


@pytest.mark.parametrize(
    ("corrected", "words"),
    [
        ({"any", "left"}, "; the class weights of the training are taken out of each file's answers; no test-time"),
        ({"left"}, "; the class weights of the training are taken out of the answers of left/2; no test-time"),
        (set(), "left out; no test-time"),
    ],
)
def test_out_of_whose_answers_class_weights_are_taken_is_told(corrected: set[str], words: str) -> None:
    cards = [
        one.model_copy(update={"training": {**one.training, "prior_correction": one.name in corrected}})
        for one in (card("any"), card("left"))
    ]
    assert words in evaluation_words(cards)


def test_a_card_that_tells_nothing_of_its_training_is_told_as_far_as_it_goes() -> None:
    bare = card("any").model_copy(update={"training": {}, "data": {}})
    assert training_words(bare, ()) == "any/2: resnet18, from random weights on faces with any set of quadrants hidden."


@pytest.mark.parametrize(
    ("teachers", "words"),
    [
        ({}, "images on left-hidden faces."),
        ({"teacher": "full/1"}, ", taught by full/1, which saw the same face whole."),
        (
            {"teacher": "full/1", "settings": {"fixed_teacher": True}},
            ", taught by full/1, which saw the same face whole, once and unchanged, by the file that ships.",
        ),
        ({"teacher": "full/1", "second_teacher": "any/7"}, ", taught by full/1 and any/7, which saw the same face"),
    ],
)
def test_who_taught_is_told(teachers: dict[str, str], words: str) -> None:
    one = card("left")
    one.training["request"].update(teachers)
    assert words in training_words(one, ())
