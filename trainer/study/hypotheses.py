"""The study's questions: which comparisons decide them, and what may be said of the answer.

A view is named after what it hides, so the model that reads the *upper* half is `lower` on lower-hidden faces. Each
question is asked three times: of the two specialists (this decides), of `any`, and of `full`, which learnt mostly from
whole faces in the end (its card tells what else it saw: `base_model`, `other_share`). These six tests are one family,
the 42 by emotion another, the gains from training a third.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View
from shared.study import Hypothesis, PairedTest, Subset
from trainer.study.comparisons import ALPHA, Comparison, gap_words, p_words

PRIMARY: Final = "primary"
PER_EMOTION: Final = "per emotion"
TRAINING: Final = "training"

LIMITS: Final = (
    "Each model is one training. The intervals and tests cover which images were tested, not which weights another "
    "seed would have given. Another seed may move an accuracy by some tenths of a point or more.",
    "What is compared is what a network of this kind finds in 48 x 48 gray pixels of a half, cut at the middle of the "
    "picture, not at the middle of the face; not what a person sees in it.",
    "A label of FER2013 says with which emotion's keywords a picture was found on the web, after people who saw the "
    "whole face had thrown out what they thought wrong. An emotion that they judge by the mouth favours the half with "
    "the mouth.",
    "Models that started from one another's weights, or were taught by one another (Protocol, Training), are alike for "
    "that too: the three readings of a question are not three independent pieces of evidence.",
    "Each version was measured on these images when it was registered; the tests take them as seen once.",
    "A test with a p above 0.05 shows no difference; it does not show that there is none. The interval says how large "
    "a difference the images leave possible.",
)

MIRROR_LIMIT: Final = (
    "Training mirrors every second face before it hides a half, so the left and the right specialist learn the same "
    "task. This compares the halves of the test faces, left and right as seen in the picture, and says nothing of the "
    "halves of the brain or of the person's own left and right where pictures were mirrored before they came into "
    "FER2013."
)


@dataclass(frozen=True)
class Question:
    """A question, the half that each reading sees, and the views that leave that half visible."""

    id: Literal["H1", "Q1"]
    text: str
    first: str
    second: str
    first_view: View
    second_view: View


QUESTIONS: Final = (
    Question(
        id="H1",
        text="Is the upper half of the face worth more than the lower?",
        first="upper half",
        second="lower half",
        first_view=View.LOWER,
        second_view=View.UPPER,
    ),
    Question(
        id="Q1",
        text="Is there a difference between the left and the right half of the face?",
        first="left half",
        second="right half",
        first_view=View.RIGHT,
        second_view=View.LEFT,
    ),
)


def declared_comparisons(*, per_emotion: bool) -> list[Comparison]:
    """Return the comparisons, in three families.

    They were declared before the models tested here were measured; first/1's accuracies by view were known, and the
    original study's cells on the same images.

    Args:
        per_emotion: also those by emotion; they are made on the whole test set alone.
    """
    out = []
    for question in QUESTIONS:
        for name, first, second in _readers(question):
            pair = ((first, question.first_view), (second, question.second_view))
            out.append(Comparison(f"{question.id}-{name}", PRIMARY, *pair))
            if per_emotion:
                out += [Comparison(f"{question.id}-{name}", PER_EMOTION, *pair, label) for label in LABELS]
    for view in STUDY_VIEWS:
        if view != View.FULL:
            out.append(Comparison(f"training-{view}-full", TRAINING, (view.value, view), ("full", view)))
        out.append(Comparison(f"training-{view}-any", TRAINING, (view.value, view), ("any", view)))
    return out


def answer(question: Question, tests: Sequence[PairedTest], *, mirrored: bool = True) -> Hypothesis:
    """Return the answer to a question, which the specialists' test on the whole test set decides.

    Args:
        question: one of `QUESTIONS`.
        tests: those of `declared_comparisons` on any parts of the test set.
        mirrored: whether the left and the right specialist were shown mirrored faces in training.
    """
    of_question = {test.id: test for test in tests if test.id.startswith(f"{question.id}-")}
    decisive = of_question[f"{question.id}-specialists-{Subset.ALL}"]
    verdict = _verdict(decisive)
    return Hypothesis(
        id=question.id,
        question=question.text,
        verdict=verdict,
        first=question.first,
        second=question.second,
        answer=_answer_words(question, decisive, verdict, of_question),
        tests=tuple(name for name, test in of_question.items() if test.label is None),
        emotion_tests=tuple(name for name, test in of_question.items() if test.label is not None),
        limits=(*LIMITS, MIRROR_LIMIT) if mirrored and question.id == "Q1" else LIMITS,
    )


def _readers(question: Question) -> list[tuple[str, str, str]]:
    """Return (name, model of the first reading, model of the second)."""
    specialists = (question.first_view.value, question.second_view.value)
    return [("specialists", *specialists), ("any", "any", "any"), ("full", "full", "full")]


def _verdict(test: PairedTest) -> Literal["first", "second", "undecided"]:
    if test.p_corrected >= ALPHA:
        return "undecided"
    return "first" if test.only_first > test.only_second else "second"


def _answer_words(question: Question, decisive: PairedTest, verdict: str, tests: Mapping[str, PairedTest]) -> str:
    figure = f"{gap_words(decisive.difference)}, corrected {p_words(decisive.p_corrected)}, {decisive.n:,} images"
    if verdict == "undecided":
        words = f"No difference shown: the {question.first} less the {question.second} is {figure}."
    else:
        halves = (question.first, question.second)
        more, less = halves if verdict == "first" else halves[::-1]
        words = f"The {more} is worth more than the {less}: {question.first} less {question.second} is {figure}."
    told = {"first": f"{question.first} ahead", "second": f"{question.second} ahead", "undecided": "not shown"}
    for name in ("any", "full"):
        other = tests[f"{question.id}-{name}-{Subset.ALL}"]
        gap = f"{gap_words(other.difference)}, corrected {p_words(other.p_corrected)}"
        words += f" With the model {name}: {told[_verdict(other)]}, {gap}."
    return words
