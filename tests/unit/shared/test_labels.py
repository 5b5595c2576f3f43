"""The order of the classes: ours, and that of Kaggle's CSV files."""

from shared.labels import FER_CSV_LABELS, LABEL_INDEX, LABELS


def test_classes_are_numbered_in_alphabetical_order() -> None:
    assert LABELS == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    assert tuple(sorted(LABELS)) == LABELS


def test_each_label_has_the_index_of_its_place() -> None:
    assert {LABELS[index]: index for index in range(7)} == LABEL_INDEX


def test_the_csv_numbers_the_same_seven_emotions_in_another_order() -> None:
    assert set(FER_CSV_LABELS) == set(LABELS)
    assert [LABEL_INDEX[label] for label in FER_CSV_LABELS] == [0, 1, 2, 3, 5, 6, 4]
