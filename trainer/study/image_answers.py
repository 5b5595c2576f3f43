"""What each model answered to each test image, made small: for people who browse what was misread."""

from collections.abc import Sequence

import numpy as np

from shared.masking import STUDY_VIEWS
from shared.probabilities import softmax
from shared.study_answers import StudyAnswers, image_order
from trainer.data import Dataset
from trainer.study.answers import Answers, Reader
from trainer.study.runner import read_views


def image_answers(readers: Sequence[Reader], data: Dataset, answers: Answers) -> StudyAnswers:
    """Return the models' answers under the study's views, as `shared.study_answers` keeps them."""
    order = image_order(data.test_digests, data.test.labels)
    logits = read_views(readers, data, answers)
    shares = np.stack(
        [
            [softmax(logits[reader.slot, view][order], reader.card.temperature) for view in STUDY_VIEWS]
            for reader in readers
        ]
    )
    return StudyAnswers(
        fingerprint=data.fingerprint,
        test_fingerprint=data.test_fingerprint,
        models=tuple(reader.slot for reader in readers),
        versions=tuple(reader.card.id for reader in readers),
        views=tuple(view.value for view in STUDY_VIEWS),
        labels=data.test.labels[order].astype(np.uint8),
        answers=shares.argmax(axis=-1).astype(np.uint8),
        confidences=(shares.max(axis=-1) * 100).round().astype(np.uint8),
    )
