"""Images to faces to emotions, without a server: real networks, a real detector."""

import time
from copy import copy

import numpy as np
import pytest
from PIL import Image

from scripts.draw_faces import draw_face, draw_portrait, three_faces
from services.inference.cropping import box_inside
from services.inference.decoding import Limits, Picture, decode_text
from services.inference.detector import Detection, FaceBox, YuNetDetector
from services.inference.model_store import ModelStore, Served
from services.inference.network import Network
from services.inference.prediction import (
    NO_FACE,
    NO_FACE_BUT_READ,
    Asked,
    FoundFace,
    ReadImage,
    _worths,
    find_faces,
    hidden_view,
    predict,
    prior_of,
    probabilities,
    worth,
)
from shared.labels import LABELS
from shared.masking import View
from shared.preprocessing import prepare
from shared.probabilities import softmax
from shared.schemas.predictions import Box, Detect
from shared.shapley import hidden_of, shapley_values
from shared.web import ApiError
from tests.unit.inference.small_models import write_five

DETECTOR = YuNetDetector()


class ManyFaces:
    """Guarantees 70 faces of falling size, as a detector gives them."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Return them."""
        return [Detection(FaceBox(n, n, 100 - n, 100 - n), 0.9) for n in range(70)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Give six small networks, one for each slot."""
    models = tmp_path_factory.mktemp("prediction") / "models"
    write_five(models)
    store = ModelStore(models, threads=1)
    store.refresh()
    return store.served()


def test_each_model_sees_what_it_was_trained_on() -> None:
    assert hidden_view("upper", mask=True) == View.UPPER
    assert hidden_view("upper", mask=False) == View.FULL
    assert hidden_view("any", mask=True) == View.FULL


@pytest.mark.parametrize("pictures", [1, 2])
def test_what_nobody_waits_for_any_more_is_given_up_before_the_next_picture_or_batch(
    served: Served, pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, clock = [], time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + 60 * len(decoded))  # to decode one takes a minute

    def decode() -> Picture:
        decoded.append(None)
        return Picture(three_faces())

    for seconds_left, looked_at in ((60, 1), (0.0, 1)):
        with pytest.raises(ApiError) as raised:
            predict([decode] * pictures, Asked(served.choose(["full"])), DETECTOR, 50, seconds_left)
        assert (raised.value.status, raised.value.code) == (503, "took_too_long")
        assert len(decoded) == looked_at


def test_three_faces_are_read_by_each_model(served: Served) -> None:
    asked = Asked(served.choose(["upper", "full"]))

    (image,), timings = predict([lambda: Picture(three_faces())], asked, DETECTOR, max_faces=50)

    assert (image.width, image.height, image.note, len(image.faces)) == (960, 320, None, 3)
    for face in image.faces:
        assert [(each.model, each.version, each.hidden) for each in face.predictions] == [
            ("upper", "upper/1", "upper"),
            ("full", "full/1", "full"),
        ]
        for each in face.predictions:
            assert tuple(each.probabilities) == LABELS
            assert sum(each.probabilities.values()) == pytest.approx(1)
            assert each.confidence == max(each.probabilities.values()) == each.probabilities[each.label]
    assert timings.total_ms >= timings.decode_ms + timings.detect_ms


@pytest.mark.parametrize(
    ("detect", "side", "source", "note"),
    [
        (Detect.AUTO, 128, "whole_image", NO_FACE_BUT_READ),
        (Detect.AUTO, 129, None, NO_FACE),
        (Detect.ALWAYS, 48, None, NO_FACE),
        (Detect.NEVER, 300, "whole_image", None),
    ],
)
def test_without_a_face_the_choice_and_the_size_decide(
    served: Served, detect: Detect, side: int, source: str | None, note: str | None
) -> None:
    asked = Asked(served.choose(["full"]), detect=detect)

    (image,), _ = predict([lambda: Picture(Image.new("L", (side, 20), 90))], asked, DETECTOR, max_faces=50)

    assert [(face.source, face.score) for face in image.faces] == ([(source, None)] if source else [])
    assert image.note == note


def test_at_most_so_many_faces_are_read_and_a_note_says_so(served: Served) -> None:
    picture = Picture(draw_portrait("happy", 38, 200))

    (image,), _ = predict([lambda: picture], Asked(served.choose(["full", "left"])), ManyFaces(), max_faces=40)

    assert len(image.faces) == 40
    assert image.note is not None
    assert image.note.startswith("70 faces were found and the 40 largest read")
    assert image.faces[0].box.width == 100


def test_as_many_faces_as_may_be_are_all_read_and_no_note_is_due(served: Served) -> None:
    picture = Picture(draw_portrait("happy", 38, 200))

    (image,), _ = predict([lambda: picture], Asked(served.choose(["full"])), ManyFaces(), max_faces=70)

    assert len(image.faces) == 70
    assert image.note is None


def test_a_face_is_told_with_the_detectors_score_and_the_place_where_it_was_found(served: Served) -> None:
    picture = Picture(three_faces())
    found = DETECTOR.detect(picture.rgb)

    (image,), _ = predict([lambda: picture], Asked(served.choose(["full"])), DETECTOR, max_faces=50)

    assert [face.score for face in image.faces] == [each.score for each in found]
    assert len({face.score for face in image.faces}) == 3
    assert [face.box for face in image.faces] == [box_inside(each.box, 960, 320) for each in found]
    assert {face.source for face in image.faces} == {"detected"}


def test_many_faces_are_read_as_one_by_one(served: Served) -> None:
    network = served.networks["full"]
    asked = Asked({"full": network})
    faces = find_faces(Picture(draw_portrait("happy", 38, 200)), asked, ManyFaces(), 70).faces

    together, _ = predict([lambda: Picture(draw_portrait("happy", 38, 200))], asked, ManyFaces(), max_faces=70)

    for face, found in zip(together[0].faces, faces, strict=True):
        alone = probabilities(network, [found.sizes[48]], View.FULL)[0]
        np.testing.assert_allclose(list(face.predictions[0].probabilities.values()), alone, rtol=1e-4)


def test_probabilities_are_those_of_the_logits_divided_by_the_temperature_of_the_card(served: Served) -> None:
    network, face = copy(served.networks["full"]), np.asarray(draw_face("happy", 3).convert("L"))
    logits = network.logits(prepare([face], View.FULL, network.card.input))[0].astype(np.float64)
    network.card = network.card.model_copy(update={"temperature": 0.5})

    found = probabilities(network, [face], View.FULL)[0]

    np.testing.assert_allclose(found, np.exp(2 * logits) / np.exp(2 * logits).sum(), rtol=1e-6)
    assert found.max() > probabilities(served.networks["full"], [face], View.FULL)[0].max()


def test_a_crop_is_the_face_as_the_network_reads_it_before_hiding(served: Served) -> None:
    asked = Asked(served.choose(["upper"]), detect=Detect.NEVER, crops=True)
    face = draw_face("happy", 3)

    (image,), _ = predict([lambda: Picture(face)], asked, DETECTOR, max_faces=50)

    crop = image.faces[0].crop
    assert crop is not None
    np.testing.assert_array_equal(decode_text(crop, Limits(10_000, 10_000), "crop").gray, np.asarray(face))


def test_what_the_quarters_of_a_face_are_worth_makes_the_answer_to_the_whole_face(served: Served) -> None:
    network = served.networks["any"]
    asked = Asked(served.choose(["full", "any"]), explain_by=network)

    (image,), _ = predict([lambda: Picture(three_faces())], asked, DETECTOR, max_faces=2)

    assert len(image.faces) == 2
    for face in image.faces:
        told = face.worth
        assert told is not None
        assert told.version == network.card.id
        read = next(each for each in face.predictions if each.model == "any")
        assert told.whole == pytest.approx(read.probabilities, abs=1e-5)
        for label in LABELS:
            added = sum(told.quarters[label].model_dump().values())
            assert told.prior[label] + added == pytest.approx(told.whole[label], abs=1e-6)


def test_the_largest_faces_are_explained_as_long_as_there_is_time(served: Served) -> None:
    asked = Asked(served.choose(["full"]), explain_by=served.networks["any"])

    (image,), _ = predict([lambda: Picture(three_faces())], asked, ManyFaces(), max_faces=12)

    assert [face.worth is not None for face in image.faces] == [True] * 8 + [False] * 4
    late = list(_worths([ReadImage(1, 1, image_faces(3), None)], asked.explain_by, until_s=0.0))
    assert late == [None] * 3


def image_faces(count: int) -> list[FoundFace]:
    """Return so many equal faces."""
    gray = np.asarray(draw_face("happy", 3).convert("L"))
    return [FoundFace(Box(x=0, y=0, width=48, height=48), 0.9, {gray.shape[0]: gray})] * count


def test_a_quarter_is_worth_what_showing_it_adds(served: Served) -> None:
    network = with_counts(served.networks["any"], {label: place + 1 for place, label in enumerate(LABELS)})
    gray = np.asarray(draw_face("happy", 3).convert("L"))

    told = worth(network, gray)

    assert told.prior == pytest.approx({label: (place + 1) / 28 for place, label in enumerate(LABELS)})
    outputs = np.empty((16, 7))
    outputs[0] = [told.prior[label] for label in LABELS]
    for coalition in range(1, 16):
        hidden = hidden_of(coalition)
        logits = network.logits(prepare([gray], [hidden], network.card.input)) / network.card.temperature
        outputs[coalition] = softmax(logits)[0]
    values = shapley_values(outputs)
    for place, name in enumerate(("top_right", "top_left", "bottom_left", "bottom_right")):
        assert [getattr(told.quarters[label], name) for label in LABELS] == pytest.approx(values[place], abs=1e-5)


def test_without_counts_in_its_card_a_network_is_taken_to_have_seen_all_emotions_alike(served: Served) -> None:
    counts = dict.fromkeys(LABELS[:-1], 5)
    assert prior_of(with_counts(served.networks["any"], counts).card) == [1 / 7] * 7


def with_counts(network: Network, counts: dict[str, int]) -> Network:
    """Return the network with a card that tells of so many training images."""
    other = copy(network)
    other.card = network.card.model_copy(update={"data": {"counts": {"train": counts}}, "temperature": 0.7})
    return other
