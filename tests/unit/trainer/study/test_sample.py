"""The sample of images depends on their pixels and on nothing else."""

from trainer.study.sample import sample_of

DIGESTS = [f"{number:064x}" for number in range(500)]


def drawn(digests: list[str], count: int) -> list[str]:
    return [digests[place] for place in sample_of(digests, count)]


def test_the_same_images_are_drawn_in_the_same_order_whatever_the_order_of_the_data() -> None:
    assert drawn(DIGESTS, 50) == drawn(DIGESTS[::-1], 50)


def test_no_image_is_drawn_twice_and_a_larger_sample_holds_the_smaller() -> None:
    assert len(set(drawn(DIGESTS, 50))) == 50
    assert drawn(DIGESTS, 80)[:50] == drawn(DIGESTS, 50)


def test_too_many_are_all() -> None:
    assert sorted(drawn(DIGESTS, 9999)) == DIGESTS
