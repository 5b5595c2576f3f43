"""Data sets in every form come out alike, the validation part is sound, and bad data is refused by name."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.dataset_images import FaceImage, pixel_digest
from shared.errors import DatasetError
from shared.labels import LABEL_INDEX, LABELS
from tests.unit.trainer.dataset_files import Picture, pictures, png, write_csv, write_folder, write_zip
from trainer import data as data_module
from trainer.data import Dataset, LeftOut, Part, load_dataset
from trainer.duplicates import similarity

SIZE = 8
FER_HEADER = ("emotion", "pixels", "Usage")
ICML_HEADER = ("emotion", " Usage", " pixels")

FORMS: dict[str, Callable[[Path, list[Picture]], Path]] = {
    "folder": lambda path, images: write_folder(path / "data", images),
    "zip": lambda path, images: write_zip(path / "data.zip", images),
    "fer2013.csv": lambda path, images: write_csv(path / "fer2013.csv", images, FER_HEADER),
    "icml_face_data.csv": lambda path, images: write_csv(path / "icml_face_data.csv", images, ICML_HEADER),
}


def content(part: Part) -> set[tuple[str, int]]:
    """Return what a part holds, whatever its order."""
    return {(pixel_digest(face), int(label)) for face, label in zip(part.faces, part.labels, strict=True)}


def parts_of(data: Dataset) -> dict[str, set[tuple[str, int]]]:
    """Return what each part holds."""
    return {name: content(getattr(data, name)) for name in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def images() -> list[Picture]:
    return pictures(per_class=10, tests_per_class=2, size=SIZE)


@pytest.fixture(scope="module")
def as_folder(images: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_folder(tmp_path_factory.mktemp("data") / "data", images), size=SIZE)


# --- every form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_faces_labels_parts_and_fingerprint(
    form: str, images: list[Picture], as_folder: Dataset, tmp_path: Path
) -> None:
    data = load_dataset(FORMS[form](tmp_path, images), size=SIZE)
    assert parts_of(data) == parts_of(as_folder)
    assert data.fingerprint == as_folder.fingerprint
    expected = {(pixel_digest(image.face), LABEL_INDEX[image.label]) for image in images}
    assert set.union(*parts_of(data).values()) == expected


def test_a_csv_numbers_emotions_differently_and_the_name_counts(tmp_path: Path) -> None:
    shades = {label: 20 + 30 * index for index, label in enumerate(LABELS)}
    images = [
        Picture(split, label, f"{number}", np.full((4, 4), shades[label] + number + 10 * (split == "test"), np.uint8))
        for split in ("train", "test")
        for label in LABELS
        for number in range(4)
    ]
    data = load_dataset(write_csv(tmp_path / "fer2013.csv", images, FER_HEADER), size=4)
    for face, label in zip(data.test.faces, data.test.labels, strict=True):
        assert shades[LABELS[label]] <= face[0, 0] < shades[LABELS[label]] + 30


def test_the_order_of_the_rows_changes_nothing(images: list[Picture], as_folder: Dataset, tmp_path: Path) -> None:
    data = load_dataset(write_csv(tmp_path / "fer2013.csv", images[::-1], FER_HEADER), size=SIZE)
    assert parts_of(data) == parts_of(as_folder)
    assert data.fingerprint == as_folder.fingerprint


def test_one_other_pixel_and_one_other_label_change_the_fingerprint(
    images: list[Picture], as_folder: Dataset, tmp_path: Path
) -> None:
    first = images[0]
    changed = [first._replace(face=255 - first.face), first._replace(label="sad", name="moved")]
    prints = {
        load_dataset(write_zip(tmp_path / f"{number}.zip", [image, *images[1:]])).fingerprint
        for number, image in enumerate(changed)
    }
    assert len(prints | {as_folder.fingerprint}) == 3


def test_pictures_of_any_size_and_colour_become_gray_faces_of_the_size_asked_for(
    images: list[Picture], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "data", images)
    gray = Image.fromarray(np.random.default_rng(5).integers(0, 256, (48, 40), dtype=np.uint8))
    for mode, size, suffix in (("RGB", (100, 100), "jpg"), ("RGBA", (7, 9), "png"), ("P", (48, 48), "bmp")):
        gray.resize(size).convert(mode).save(folder / "test" / "happy" / f"odd-{mode}.{suffix}")
    data = load_dataset(folder, size=24)
    assert data.test.faces.shape == (7 * 2 + 3, 24, 24)
    assert data.test.faces.dtype == np.uint8
    assert data.test.labels.dtype == np.int64
    assert data.test.counts()["happy"] == 2 + 3


def test_colour_becomes_luma(images: list[Picture], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", images)
    Image.new("RGB", (SIZE, SIZE), (255, 0, 0)).save(folder / "test" / "angry" / "zzz-red.png")
    data = load_dataset(folder, size=SIZE)
    (index,) = (index for index, name in enumerate(data.test.names) if name.endswith("zzz-red.png"))
    assert (data.test.faces[index] == 76).all()


def test_the_card_is_told_name_counts_and_fingerprint(as_folder: Dataset) -> None:
    told = as_folder.describe()
    assert told["name"] == "data"
    assert told["counts"]["train"] == dict.fromkeys(LABELS, 9)
    assert told["counts"]["validation"] == dict.fromkeys(LABELS, 1)
    assert told["counts"]["test"] == dict.fromkeys(LABELS, 2)
    assert told["left_out"] == {"equal_to_test": 0, "nearly_test": 0, "repeated": 0}
    assert told["test_images_in_train"] == {"equal": 0, "nearly": 0}
    assert told["fingerprint"] == as_folder.fingerprint


# --- the validation part ---------------------------------------------------------------------------------------------


def test_validation_takes_its_share_of_each_class(tmp_path: Path) -> None:
    images = [image for image in pictures(per_class=20) if image.label != "disgust" or image.name < "disgust-010"]
    counts = load_dataset(write_zip(tmp_path / "data.zip", images), validation_share=0.2).validation.counts()
    assert counts == {**dict.fromkeys(LABELS, 4), "disgust": 2}


def test_validation_never_comes_from_the_test_split(as_folder: Dataset, images: list[Picture]) -> None:
    tests = {(pixel_digest(image.face), LABEL_INDEX[image.label]) for image in images if image.split == "test"}
    parts = parts_of(as_folder)
    assert parts["test"] == tests
    assert not parts["test"] & (parts["train"] | parts["validation"])
    assert not parts["train"] & parts["validation"]


def test_validation_stays_the_same_when_other_classes_grow(
    images: list[Picture], as_folder: Dataset, tmp_path: Path
) -> None:
    more = [image._replace(name=f"more-{image.name}") for image in pictures(seed=9) if image.label == "sad"]
    grown = load_dataset(write_zip(tmp_path / "data.zip", [*images, *more]), size=SIZE)
    sad = LABEL_INDEX["sad"]
    others = {item for item in content(as_folder.validation) if item[1] != sad}
    assert others == {item for item in content(grown.validation) if item[1] != sad}


def test_equal_images_fall_on_one_side_also_with_conflicting_labels(images: list[Picture], tmp_path: Path) -> None:
    copies = [
        image._replace(label=label, name=f"copy-{image.name}")
        for image in images
        if image.split == "train"
        for label in (image.label, LABELS[(LABEL_INDEX[image.label] + 1) % 7])
    ]
    data = load_dataset(write_zip(tmp_path / "data.zip", [*images, *copies]), size=SIZE, validation_share=0.25)
    train, held_out = ({pixel_digest(face) for face in part.faces} for part in (data.train, data.validation))
    assert not train & held_out
    assert data.left_out.repeated == 70
    assert len(data.train) + len(data.validation) == 2 * 70
    assert min(data.validation.counts().values()) >= 1


def test_nothing_held_out_is_nearly_a_training_image_though_photographs_form_chains(tmp_path: Path) -> None:
    rng, chained = np.random.default_rng(0), []
    for chain in range(8):  # each like the next, and unlike the one after that
        u, v = np.linalg.qr(rng.normal(size=(144, 2)))[0].T
        for number in range(6):
            angle = np.radians(13 * number)
            face = (128 + 400 * (np.cos(angle) * u + np.sin(angle) * v)).clip(0, 255).astype(np.uint8)
            chained.append(Picture("train", "happy", f"chain-{chain}-{number}", face.reshape(12, 12)))
    data = load_dataset(write_zip(tmp_path / "data.zip", [*pictures(size=12), *chained]), size=12, validation_share=0.4)
    assert len(data.validation) > 25
    assert similarity(list(data.validation.faces), list(data.train.faces)).max() < 0.96


def test_a_class_of_which_all_would_become_training_images_stays_held_out_whole(tmp_path: Path) -> None:
    one = np.random.default_rng(0).integers(60, 200, (12, 12), dtype=np.uint8)
    alike = [Picture("train", "sad", f"alike-{number}", one + np.uint8(number)) for number in range(10)]
    others = [image for image in pictures(size=12) if image.label != "sad" or image.split == "test"]
    data = load_dataset(write_zip(tmp_path / "data.zip", [*others, *alike]), size=12, validation_share=0.3)
    assert data.validation.counts()["sad"] == 3


def test_what_is_nearly_an_image_that_stays_held_out_stays_too_and_a_class_keeps_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the sad ones all are nearly training images; the happy one is like one of these, the angry are a chain."""
    likes = {"t": {"s1", "s2", "a1"}, "s1": {"h1"}, "a1": {"a2"}}

    class Likeness:
        def of(self, images: list[FaceImage], others: list[FaceImage]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            like = {name for other in others for name in likes.get(other.name, set())}
            return np.array([image.name in like for image in images], np.float32)

    def image(name: str, label: str) -> FaceImage:
        return FaceImage("train", label, name, np.zeros((1, 1), np.uint8), name)

    held_out = [image("s1", "sad"), image("s2", "sad"), image("h1", "happy"), image("h2", "happy")]
    held_out += [image("a1", "angry"), image("a2", "angry")]
    monkeypatch.setattr(data_module, "validation_digests", lambda images, share: {each.digest for each in held_out})
    train, validation = data_module._split([image("t", "fear"), *held_out], 0.5, Likeness(), 0.9)
    assert [each.name for each in train] == ["t", "a1"]
    assert [each.name for each in validation] == ["s1", "s2", "h1", "h2", "a2"]


def test_training_images_that_equal_a_test_image_are_left_out_and_counted(
    images: list[Picture], tmp_path: Path
) -> None:
    tests = [image for image in images if image.split == "test"]
    leaked = [image._replace(split="train", name=f"leak-{image.name}") for image in tests[:5]]
    relabelled = [image._replace(split="train", label="neutral", name="leak") for image in tests[:1]]
    data = load_dataset(write_folder(tmp_path / "data", [*images, *leaked, *relabelled]), size=SIZE)
    assert data.left_out == LeftOut(equal_to_test=6, nearly_test=0, repeated=0)
    assert (data.leaks.equal, int(data.clean.sum())) == (5, 9)
    assert len(data.train) + len(data.validation) == 70
    assert len(data.test) == 14


# --- what is refused -------------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    """Return the sentence with which the data set is refused."""
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    return str(caught.value)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_images_that_cannot_be_read_are_named_and_counted(form: str, images: list[Picture], tmp_path: Path) -> None:
    good = png(images[0].face)
    bad = {"empty": b"", "text": b"no image", "cut": good[: len(good) // 2], "half": good[:20]}
    if form == "folder":
        path = write_folder(tmp_path / "data", images)
        for name, broken in bad.items():
            (path / "train" / "fear" / f"{name}.png").write_bytes(broken)
    else:
        path = write_zip(tmp_path / "data.zip", images)
        with zipfile.ZipFile(path, "a") as archive:
            for name, broken in bad.items():
                archive.writestr(f"fer/train/fear/{name}.png", broken)
    sentence = refusal(path)
    assert "4 images that cannot be read" in sentence
    assert all(f"train/fear/{name}.png" in sentence for name in bad)


def test_of_many_unreadable_images_five_are_named_and_the_rest_counted(images: list[Picture], tmp_path: Path) -> None:
    path = write_folder(tmp_path / "data", images)
    for number in range(9):
        (path / "test" / "sad" / f"broken-{number}.jpg").write_bytes(b"\xff\xd8\xff")
    sentence = refusal(path)
    assert "9 images" in sentence
    assert "and 4 more" in sentence
    assert sentence.count("broken-") == 5


def test_a_zip_member_with_a_wrong_checksum_is_named(images: list[Picture], tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in images:
            archive.writestr(f"{image.split}/{image.label}/{image.name}.png", png(image.face))
        place = archive.getinfo("train/happy/happy-003.png").header_offset
    damaged = bytearray(path.read_bytes())
    damaged[place + 90] ^= 0xFF
    path.write_bytes(damaged)
    assert "1 images that cannot be read: train/happy/happy-003.png" in refusal(path)


def test_an_encrypted_zip_is_refused_by_name(images: list[Picture], tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", images)
    locked = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = locked.find(signature)
        while place >= 0:
            locked[place + offset] |= 1  # the bit that says: encrypted
            place = locked.find(signature, place + 4)
    path.write_bytes(locked)
    assert "84 images that cannot be read" in refusal(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(b"half a download")
    assert "data.zip is not a readable zip" in refusal(path)


def test_an_unknown_label_folder_is_named_with_its_images(images: list[Picture], tmp_path: Path) -> None:
    strangers = [images[0]._replace(label="contempt", name=f"{number}") for number in range(3)]
    sentence = refusal(write_folder(tmp_path / "data", [*images, *strangers]))
    assert "train/contempt (3 images)" in sentence
    assert "surprise" in sentence


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_class_is_named(form: str, images: list[Picture], tmp_path: Path) -> None:
    rest = [image for image in images if (image.split, image.label) != ("train", "disgust")]
    sentence = refusal(FORMS[form](tmp_path, rest))
    assert "no train images of disgust (60 of the others)" in sentence


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_named(form: str, split: str, images: list[Picture], tmp_path: Path) -> None:
    rest = [image for image in images if image.split != split]
    assert f"no {split} images ({len(rest)} others)" in refusal(FORMS[form](tmp_path, rest))


def test_no_such_file_says_where_to_put_it(tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "fer2013.zip")
    assert "There is no data set at" in sentence
    assert "fer2013.zip" in sentence


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.tar"
    path.write_bytes(b"x")
    assert "faces.tar is no data set" in refusal(path)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        ("1 2 three 4", "the pixels are not all numbers"),
        ("1 2 3 4.5", "the pixels are not all numbers"),
        ("1 2 3 99999999999999999999", "the pixels are not all numbers"),
        ("1 2 3", "3 pixels are no square face"),
        ("", "0 pixels are no square face"),
        ("1 2 3 256", "values 0 to 255"),
        ("1 2 3 -1", "values 0 to 255"),
    ],
)
def test_bad_pixels_of_a_csv_are_refused_with_their_line(
    pixels: str, reason: str, images: list[Picture], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "fer2013.csv", images, FER_HEADER)
    with path.open("a") as file:
        file.write(f"3,{pixels},Training\n")
    sentence = refusal(path)
    assert f"fer2013.csv, line {len(images) + 2}" in sentence
    assert reason in sentence


def test_too_few_images_to_hold_any_out_are_refused(images: list[Picture], tmp_path: Path) -> None:
    few = [image for image in images if image.split == "test" or image.name.endswith("000")]
    assert "too few training images" in refusal(write_folder(tmp_path / "data", few))


def test_a_part_cannot_be_changed_by_accident(as_folder: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        as_folder.train.names = []  # type: ignore[misc]


def test_a_class_of_which_only_the_held_out_image_would_be_left_is_refused_by_name(
    images: list[Picture], tmp_path: Path
) -> None:
    few = [image for image in images if (image.split, image.label) != ("train", "fear") or image.name.endswith("000")]
    sentence = refusal(write_folder(tmp_path / "data", few))
    assert "too few training images of fear to" in sentence
