"""What the study's models misread, as lists and pictures. Every refusal is an `ApiError`."""

from typing import Final

import numpy as np

from services.gateway.study_file import StudyDocument, StudyFile
from services.gateway.study_gallery import Galleries, Gallery
from shared.errors import StudyError
from shared.labels import LABEL_INDEX, LABELS
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers
from shared.study_mistakes import Mistake, MistakeList, MistakesQuery
from shared.web import ApiError

NO_STUDY: Final = (
    "There is no study yet: models/study.json is missing. Put FER2013 into data/ and make it with "
    "`python -m trainer study-report --data data/fer2013.zip`."
)
NO_ANSWERS: Final = (
    f"models/{STUDY_ANSWERS_FILE} is missing, which tells what was answered to each image; make it with "
    "`python -m trainer study-report --data data/fer2013.zip`."
)
NO_DATA: Final = (
    "The images themselves are not part of Halfface: put FER2013 into data/, with the test images that the study "
    "measured, and they are shown from there."
)


class StudyMistakes:
    """Lists of misread images, and the images."""

    def __init__(self, study: StudyFile, galleries: Galleries) -> None:
        self._study = study
        self._galleries = galleries

    def document(self) -> StudyDocument:
        """Return the study.

        Raises:
            ApiError: 404 `study_not_found`, 409 `study_broken`.
        """
        try:
            document = self._study.document()
        except StudyError as error:
            raise ApiError(status=409, code="study_broken", message=str(error)) from error
        if document is None:
            raise ApiError(status=404, code="study_not_found", message=NO_STUDY)
        return document

    def list(self, query: MistakesQuery) -> MistakeList:
        """Return a part of a list.

        Raises:
            ApiError: no study, answers or data (404), or files that cannot be read (409).
        """
        answers = self._answers()
        if query.model not in answers.models or query.view not in answers.views:
            message = f"The study did not measure {query.model} on the view {query.view}."
            raise ApiError(status=404, code="study_cell_not_found", message=message)
        return list_mistakes(answers, self._gallery(answers), query)

    def png(self, image_id: str) -> bytes:
        """Return a test image as PNG. Raises as `list`, and ApiError 404 `study_image_not_found`."""
        content = self._gallery(self._answers()).png(image_id)
        if content is None:
            message = "There is no such test image; /v1/study/mistakes lists ids."
            raise ApiError(status=404, code="study_image_not_found", message=message)
        return content

    def _answers(self) -> StudyAnswers:
        try:
            answers = self._study.answers(self.document())
        except StudyError as error:
            raise ApiError(status=409, code="study_answers_broken", message=str(error)) from error
        if answers is None:
            raise ApiError(status=404, code="study_answers_not_found", message=NO_ANSWERS)
        return answers

    def _gallery(self, answers: StudyAnswers) -> Gallery:
        gallery = self._galleries.of(answers)
        if gallery is None:
            raise ApiError(status=404, code="study_data_not_found", message=NO_DATA)
        return gallery


def list_mistakes(answers: StudyAnswers, gallery: Gallery, query: MistakesQuery) -> MistakeList:
    """Return the part of the list that is asked for, those first of which the model was most sure."""
    model, view = answers.models.index(query.model), answers.views.index(query.view)
    given, sure = answers.answers[model, view], answers.confidences[model, view]
    chosen = np.ones(len(answers.labels), np.bool_)
    if query.label:
        chosen &= answers.labels == LABEL_INDEX[query.label]
    images = int(chosen.sum())
    chosen &= given != answers.labels
    if query.answer:
        chosen &= given == LABEL_INDEX[query.answer]
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(-sure[rows].astype(np.int64), kind="stable")]
    shown = rows[(query.page - 1) * query.size : query.page * query.size]
    return MistakeList(
        images=images,
        total=len(rows),
        page=query.page,
        pages=-(-len(rows) // query.size),
        mistakes=[
            Mistake(
                image=gallery.ids[row],
                name=gallery.names[row],
                label=LABELS[answers.labels[row]],
                answer=LABELS[given[row]],
                confidence=float(sure[row]) / 100,
            )
            for row in shown
        ],
    )
