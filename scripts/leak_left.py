"""Measure whether copies that were left in the training, since they are too unlike, helped the study's models.

    python -m scripts.leak_left --data data/fer2013.zip

sorts the test images by how similar the most similar image is that the models did train on, those of which a copy was
left out apart from the clean ones, and prints for each group the specialists' accuracy on their own views beside the
one that its emotions let expect: that of the clean images of each emotion, weighted by how many the group has. Answers
come from `models/study_answers.npz`; no network is asked. Networks that have learnt relatives of test images by heart
read the groups with close ones better than the groups without. Differences have 95 % bootstrap intervals over the test
images. What they are worth, were all of it learnt by heart and nothing from the least similar images, is told last.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.errors import HalffaceError
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import model_path, read_card
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers, image_order, read_answers
from trainer.data import Dataset, load_dataset
from trainer.duplicates import similarity
from trainer.study.answers import split_of
from trainer.study.bootstrap import RESAMPLES, draw

BANDS: Final = (-1.0, 0.8, 0.86, 0.9, 0.93)
"""Where each group begins; the last ends where copies were left out."""
SIZE: Final = 48

Mask = npt.NDArray[np.bool_]


class Group(NamedTuple):
    """Test images with relatives of one closeness in the training; accuracies in per cent, means of five.

    low, high: the 95 % interval of accuracy less expected, in points.
    """

    name: str
    clean: bool
    images: int
    accuracy: float
    expected: float
    low: float
    high: float


def rights(answers: StudyAnswers) -> Iterator[Mask]:
    """Yield, for each specialist on its own view, which images it read as they are labelled, bool (N,)."""
    for view in STUDY_VIEWS:
        given = answers.answers[answers.models.index(view.value), answers.views.index(view.value)]
        yield given == answers.labels


class Surplus(NamedTuple):
    """How much better images were read than their emotions let expect, mean of the five specialists.

    drawn: float64 (1 + B, N), how often each image was drawn: once each in the first row, then by B resamples.
    gains: float64 (1 + B, N), right less expected, -1 to 1, times how often the image was drawn. What the emotions let
        expect is computed anew in each resample.
    """

    drawn: npt.NDArray[np.float64]
    gains: npt.NDArray[np.float64]

    def points(self, chosen: Mask) -> npt.NDArray[np.float64]:
        """Return, for the images and for each resample of them, the mean over the chosen ones in points (1 + B,)."""
        return 100 * _share(self.gains[:, chosen], self.drawn[:, chosen])


def surplus(answers: StudyAnswers, clean: Mask) -> Surplus:
    """Return how much better images were read than the clean images of their emotion; arguments as `groups`."""
    drawn = np.concatenate([np.ones((1, len(clean)), np.float32), draw(len(clean), RESAMPLES)]).astype(np.float64)
    labels = [answers.labels == label for label in range(len(LABELS))]
    gains = np.zeros_like(drawn)
    for right in rights(answers):
        gains += right
        for label in labels:
            gains[:, label] -= _share(drawn[:, right & clean & label], drawn[:, clean & label])[:, None]
    return Surplus(drawn, gains * drawn / len(STUDY_VIEWS))


def rise(found: Surplus, closeness: npt.NDArray[np.float32], clean: Mask) -> tuple[float, float, float]:
    """Return how many points of the whole set's accuracy the groups read better than the least similar ones, and its
    95 % interval; `closeness` and `clean` as for `groups`."""
    total = np.zeros(len(found.drawn))
    for of_clean in (True, False):
        least, others = ((closeness < BANDS[1]) == is_least for is_least in (True, False))
        least, others = least & (clean == of_clean), others & (clean == of_clean)
        total += (found.points(others) - found.points(least)) * found.drawn[:, others].sum(axis=1)
    points = total / found.drawn.sum(axis=1)
    low, high = np.percentile(points[1:], (2.5, 97.5))
    return float(points[0]), float(low), float(high)


def _share(part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the rows' sums, those of `part` as shares of those of `whole`."""
    return np.asarray(part.sum(axis=1) / np.maximum(whole.sum(axis=1), 1))


def groups(answers: StudyAnswers, closeness: npt.NDArray[np.float32], clean: Mask, gained: Surplus) -> list[Group]:
    """Return the groups that hold an image.

    Args:
        answers: of the study.
        closeness: float32 (N,), in the order of the answers.
        clean: bool (N,): of which images no copy was left out.
        gained: see `surplus`.
    """
    found = []
    for low, high in zip(BANDS, (*BANDS[1:], np.inf), strict=True):
        name = f"below {high:g}" if low < 0 else f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} or more"
        for of_clean in (True, False):
            chosen = (closeness >= low) & (closeness < high) & (clean == of_clean)
            if chosen.any():
                accuracy = 100 * float(np.mean([right[chosen].mean() for right in rights(answers)]))
                points = gained.points(chosen)
                ends = np.percentile(points[1:], (2.5, 97.5))
                found.append(Group(name, of_clean, int(chosen.sum()), accuracy, accuracy - points[0], *ends))
    return found


def closeness(data: Dataset, answers: StudyAnswers) -> tuple[npt.NDArray[np.float32], Mask]:
    """Return each test image's similarity to the training image most like it, and which are clean, as `groups` wants.

    Raises:
        HalffaceError: the answers are to other test images.
    """
    if data.test_fingerprint != answers.test_fingerprint:
        raise HalffaceError(f"{data.name} has other test images than those that the study's models answered to.")
    order = image_order(data.test_digests, data.test.labels)
    near = similarity(list(data.test.faces), list(data.train.faces))
    return near[order], data.clean[order]


def table(found: Sequence[Group]) -> str:
    """Return the groups as Markdown, the clean ones first."""
    lines = ["| most similar in the training | copy left out | images | accuracy | expected | difference | 95 % |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for each in sorted(found, key=lambda group: not group.clean):
        gap = each.accuracy - each.expected
        copied = "no" if each.clean else "yes"
        lines.append(
            f"| {each.name} | {copied} | {each.images} | {each.accuracy:.1f} | {each.expected:.1f} | {gap:+.1f} "
            f"| {each.low:+.1f} to {each.high:+.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models folder")
    arguments = parser.parse_args()
    try:
        answers = read_answers(arguments.models / STUDY_ANSWERS_FILE)
        cards = [read_card(model_path(arguments.models, version)) for version in answers.versions]
        data = load_dataset(arguments.data, size=SIZE, **split_of(cards))
        near, clean = closeness(data, answers)
        gained = surplus(answers, clean)
        print(table(groups(answers, near, clean, gained)))
        print(
            "\nAll above the least similar ones: {:.1f} points of the whole set ({:.1f} to {:.1f})".format(
                *rise(gained, near, clean)
            )
        )
    except HalffaceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
