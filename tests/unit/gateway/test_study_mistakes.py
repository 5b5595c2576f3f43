"""`/v1/study/mistakes` and `/v1/study/images` at the real application, over drawn faces."""

import io
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from shared.dataset_images import FaceImage, fingerprint, read_images
from shared.labels import LABEL_INDEX, LABELS
from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS, ErrorAnswer
from shared.study import STUDY_FILE, StudyResult, write_study
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers, image_order, write_answers
from shared.study_mistakes import MistakeList
from tests.drawn_zip import write_drawn_zip
from tests.study_example import example_study

from .small_app import make_gateway


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return example_study()


def answers_to(images: list[FaceImage], study: StudyResult) -> StudyAnswers:
    """Return made-up answers: all right on the second view; else each image is read as the next label, by the second
    model as the one after, the later in the order the surer."""
    truth = [LABEL_INDEX[image.label] for image in images]
    order = image_order([image.digest for image in images], truth)
    labels = np.array(truth, np.uint8)[order]
    wrong = np.broadcast_to((labels + 1) % len(LABELS), (len(SLOTS), len(STUDY_VIEWS), len(labels))).copy()
    wrong[1] = (labels + 2) % len(LABELS)
    wrong[:, 1] = labels
    sure = np.broadcast_to(np.arange(len(labels), dtype=np.uint8) + 40, wrong.shape).copy()
    return StudyAnswers(
        fingerprint=study.protocol.fingerprint,
        test_fingerprint=fingerprint(images),
        models=SLOTS,
        versions=tuple(model.version for model in study.models),
        views=tuple(STUDY_VIEWS),
        labels=labels,
        answers=wrong,
        confidences=sure,
    )


@pytest.fixture
def folder(tmp_path: Path, drawn_dataset: Path, study: StudyResult) -> Path:
    """Give a gateway's folder with a study, its answers, and its data as a zip."""
    for name in ("models", "data"):
        (tmp_path / name).mkdir()
    write_study(study, tmp_path / "models" / STUDY_FILE)
    images = list(read_images(drawn_dataset, "test"))
    write_answers(answers_to(images, study), tmp_path / "models" / STUDY_ANSWERS_FILE)
    write_drawn_zip(drawn_dataset, tmp_path / "data" / "faces.zip")
    return tmp_path


def listed(client: FlaskClient, **asked: object) -> MistakeList:
    answer = client.get("/v1/study/mistakes", query_string=asked)
    assert answer.status_code == 200, answer.text
    return MistakeList.model_validate_json(answer.data)


def refused(client: FlaskClient, address: str = "/v1/study/mistakes") -> tuple[int, str]:
    answer = client.get(address)
    return answer.status_code, ErrorAnswer.model_validate_json(answer.data).error.code


def test_what_was_misread_is_listed_the_surest_first_with_names_of_the_users_own_data(folder: Path) -> None:
    found = listed(make_gateway(folder).test_client(), model="any", view="full")

    assert (found.images, found.total, found.pages) == (21, 21, 1)
    assert [each.confidence for each in found.mistakes] == sorted(each.confidence for each in found.mistakes)[::-1]
    for each in found.mistakes:
        assert each.name.split("/")[:2] == ["test", each.label]
        assert LABEL_INDEX[each.answer] == (LABEL_INDEX[each.label] + 1) % 7


def test_each_models_own_mistakes_are_listed(folder: Path) -> None:
    client = make_gateway(folder).test_client()
    for model, off in ((SLOTS[0], 1), (SLOTS[1], 2), (SLOTS[2], 1)):
        found = listed(client, model=model, view="left")
        assert found.total == 21
        assert {(LABEL_INDEX[each.answer] - LABEL_INDEX[each.label]) % 7 for each in found.mistakes} == {off}


def test_the_list_is_narrowed_by_label_and_answer_and_cut_into_pages(folder: Path) -> None:
    client = make_gateway(folder).test_client()
    assert {each.label for each in listed(client, label="happy").mistakes} == {"happy"}
    assert {each.label for each in listed(client, answer="happy").mistakes} == {"fear"}
    assert listed(client, label="happy", answer="sad").total == 0
    assert listed(client, view="upper") == MistakeList(images=21, total=0, page=1, pages=0, mistakes=[])

    parts = [listed(client, size=9, page=page) for page in (1, 2, 3, 4)]
    assert [(part.total, part.pages, len(part.mistakes)) for part in parts] == [
        (21, 3, 9),
        (21, 3, 9),
        (21, 3, 3),
        (21, 3, 0),
    ]
    names = Counter(each.name for part in parts for each in part.mistakes)
    assert len(names) == 21
    assert set(names.values()) == {1}


def test_the_image_of_an_entry_is_the_one_of_its_name(folder: Path) -> None:
    client = make_gateway(folder).test_client()
    known = {image.name: image for image in read_images(folder / "data" / "faces.zip", "test")}
    mistakes = listed(client).mistakes
    assert len(mistakes) == 21
    for each in mistakes:
        answer = client.get(f"/v1/study/images/{each.image}")
        assert answer.mimetype == "image/png"
        assert (np.asarray(Image.open(io.BytesIO(answer.data))) == known[each.name].face).all()
        assert known[each.name].label == each.label


def test_the_same_images_in_another_form_give_the_same_list(folder: Path, drawn_dataset: Path) -> None:
    from_zip = listed(make_gateway(folder).test_client())
    (folder / "data" / "faces.zip").unlink()
    shutil.copytree(drawn_dataset, folder / "data" / "as a folder")
    from_folder = listed(make_gateway(folder).test_client())

    assert [(each.image, each.confidence) for each in from_folder.mistakes] == [
        (each.image, each.confidence) for each in from_zip.mistakes
    ]
    assert {each.name for each in from_folder.mistakes}.isdisjoint(each.name for each in from_zip.mistakes)


def test_other_data_sets_are_not_taken_for_the_studys(folder: Path, drawn_dataset: Path) -> None:
    (folder / "data" / "faces.zip").unlink()
    client = make_gateway(folder).test_client()
    assert refused(client) == (404, "study_data_not_found")
    assert "put FER2013 into data/" in client.get("/v1/study/mistakes").text

    other = folder / "data" / "other"
    shutil.copytree(drawn_dataset, other)
    first = next((other / "test" / "happy").iterdir())
    Image.new("L", (48, 48), 7).save(first)  # as many images, but not the same
    assert refused(client) == (404, "study_data_not_found")
    first.write_bytes(b"broken")
    assert refused(client, "/v1/study/images/0123456789abcdef") == (404, "study_data_not_found")
    shutil.rmtree(other)
    shutil.copytree(drawn_dataset, other)
    first.rename(other.parent / "aside")
    first.symlink_to("/proc/self/mem")  # a disk that fails
    assert refused(client) == (404, "study_data_not_found")
    first.unlink()
    (other.parent / "aside").rename(first)  # and that is back: the folder looks as it did
    assert listed(client).total == 21
    shutil.rmtree(other)

    write_drawn_zip(drawn_dataset, folder / "data" / "late.zip")  # found without a restart
    assert listed(client).total == 21


def test_answers_that_are_missing_broken_or_of_another_study_are_told_apart(folder: Path, study: StudyResult) -> None:
    client = make_gateway(folder).test_client()
    path = folder / "models" / STUDY_ANSWERS_FILE
    sound = path.read_bytes()
    path.write_bytes(b"broken")
    assert refused(client) == (409, "study_answers_broken")
    path.unlink()
    assert refused(client) == (404, "study_answers_not_found")

    path.write_bytes(sound)
    newer = study.models[0].model_copy(update={"version": "full/2"})
    write_study(study.model_copy(update={"models": (newer, *study.models[1:])}), folder / "models" / STUDY_FILE)
    assert refused(client) == (409, "study_answers_broken")
    (folder / "models" / STUDY_FILE).unlink()
    assert refused(client) == (404, "study_not_found")


@pytest.mark.parametrize("image_id", ["0123456789abcdef", "..%2F..%2Fkeys.json", "%00"])
def test_an_id_of_no_image_is_told(folder: Path, image_id: str) -> None:
    answer = make_gateway(folder).test_client().get(f"/v1/study/images/{image_id}")
    assert answer.status_code == 404


@pytest.mark.parametrize("asked", ["label=joy", "view=diagonal", "page=0", "size=1000", "model=mine", "what=1"])
def test_what_cannot_be_asked_is_refused_with_the_field(folder: Path, asked: str) -> None:
    answer = make_gateway(folder).test_client().get(f"/v1/study/mistakes?{asked}")
    assert answer.status_code == 422
    assert asked.split("=")[0] in (ErrorAnswer.model_validate_json(answer.data).error.field or "")


def test_a_model_that_the_answers_lack_is_told(folder: Path, study: StudyResult) -> None:
    five = study.model_copy(update={"models": study.models[:5]})
    write_study(five, folder / "models" / STUDY_FILE)
    path = folder / "models" / STUDY_ANSWERS_FILE
    images = list(read_images(folder / "data" / "faces.zip", "test"))
    six = answers_to(images, study)
    write_answers(
        replace(
            six,
            models=six.models[:5],
            versions=six.versions[:5],
            answers=six.answers[:5],
            confidences=six.confidences[:5],
        ),
        path,
    )
    client = make_gateway(folder).test_client()
    assert refused(client, "/v1/study/mistakes?model=any") == (404, "study_cell_not_found")
    assert listed(client, model="right").total == 21
