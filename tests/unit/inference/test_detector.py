"""YuNet finds drawn faces, large and small, and nothing where nobody is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.draw_faces import draw_portrait, three_faces
from services.inference.detector import (
    MODEL_FILE,
    MODEL_PACKAGE,
    Detection,
    DetectorError,
    YuNetDetector,
    model_file,
)


@pytest.fixture(scope="module")
def detector() -> YuNetDetector:
    """Give the detector in use."""
    return YuNetDetector()


def pixels(image: Image.Image) -> np.ndarray:
    """Return an image as the detector takes it."""
    return np.asarray(image.convert("RGB"))


def centre(found: Detection) -> tuple[float, float]:
    """Return the middle of a face's box."""
    return found.box.x + found.box.width / 2, found.box.y + found.box.height / 2


def test_the_models_file_is_the_known_one() -> None:
    assert model_file().stat().st_size > 200_000


def test_a_file_of_that_name_that_is_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model_file().read_bytes()
    package = tmp_path / MODEL_PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    (package / MODEL_FILE).write_bytes(whole)
    assert model_file() == package / MODEL_FILE
    (package / MODEL_FILE).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DetectorError, match=f"{MODEL_FILE} is missing or altered"):
        model_file()
    (package / MODEL_FILE).unlink()
    with pytest.raises(DetectorError, match=f"{MODEL_FILE} is missing or altered"):
        YuNetDetector()


@pytest.mark.parametrize("size", [160, 512, 2000])
def test_a_portrait_has_one_face_in_the_middle_at_every_size(detector: YuNetDetector, size: int) -> None:
    (found,) = detector.detect(pixels(draw_portrait("happy", 38, size)))

    x, y = centre(found)
    assert 0.4 * size < x < 0.6 * size
    assert 0.4 * size < y < 0.7 * size
    assert 0.3 * size < found.box.height < 0.7 * size
    assert 0.6 <= found.score <= 1


def test_three_people_are_found_the_largest_first(detector: YuNetDetector) -> None:
    found = detector.detect(pixels(three_faces()))

    areas = [each.box.width * each.box.height for each in found]
    assert sorted(int(centre(each)[0] // 320) for each in found) == [0, 1, 2]
    assert areas == sorted(areas, reverse=True)


def test_a_face_that_fills_a_large_picture_is_found(detector: YuNetDetector) -> None:
    portrait = draw_portrait("happy", 38, 3000)

    (found,) = detector.detect(pixels(portrait.crop((780, 700, 2150, 2450))))

    assert 400 < centre(found)[0] < 970
    assert found.box.height > 1000


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (48, 48), (640, 480)])
def test_an_empty_picture_of_any_size_has_no_face(detector: YuNetDetector, size: tuple[int, int]) -> None:
    assert detector.detect(pixels(Image.new("RGB", size, "gray"))) == []


def test_many_threads_find_the_same(detector: YuNetDetector) -> None:
    images = [pixels(draw_portrait("happy", 38, size)) for size in (200, 260, 330, 400)] * 3

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, images))

    assert together == [detector.detect(image) for image in images]
