"""FER2013 in every form in which people have it, and what is said of data that cannot be trained on."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from shared.dataset_layout import SPLITS, count_images, iterate_csv, kind_of, list_datasets, list_images
from shared.errors import DatasetError
from shared.labels import FER_CSV_LABELS, LABELS

ONE_EACH = {split: dict.fromkeys(LABELS, 1) for split in SPLITS}
COMPLETE = [f"{split}/{label}/0.png" for split in SPLITS for label in LABELS]
PIXELS = "0 128 255 7"


def make_folder(path: Path, names: Iterable[str]) -> Path:
    """Make files of these names; only their names count here."""
    for name in names:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return path


def make_zip(path: Path, names: Iterable[str]) -> Path:
    """Make a zip with members of these names; one that ends in a slash is a folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else b"x")
    return path


def csv_rows() -> list[tuple[int, str]]:
    """Return (emotion number, Usage): one training and one test image of each emotion."""
    return [(number, usage) for usage in ("Training", "PrivateTest") for number in range(7)]


def make_csv(path: Path, rows: Iterable[tuple[object, str]]) -> Path:
    """Write a file like fer2013.csv."""
    lines = [f"{number},{PIXELS},{usage}" for number, usage in rows]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return path


# --- folders and zips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "fer2013/", "a/b/c/"])
def test_a_folder_is_read_at_any_depth(tmp_path: Path, top: str) -> None:
    data = make_folder(tmp_path / "data", [top + name for name in COMPLETE])
    assert count_images(data) == ONE_EACH


@pytest.mark.parametrize("top", ["", "fer2013/", "a/b/c/"])
def test_a_zip_is_read_at_any_depth(tmp_path: Path, top: str) -> None:
    data = make_zip(tmp_path / "data.zip", [f"{top}train/", *(top + name for name in COMPLETE)])
    assert count_images(data) == ONE_EACH


def test_the_entries_of_a_zip_are_sorted_and_name_its_members(tmp_path: Path) -> None:
    data = make_zip(tmp_path / "data.zip", reversed(COMPLETE))
    entries = list_images(data)
    assert [entry.name for entry in entries] == sorted(COMPLETE)
    assert {(entry.split, entry.label) for entry in entries} == {(s, label) for s in SPLITS for label in LABELS}


def test_the_entries_of_a_folder_lead_to_its_files(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", COMPLETE)
    assert all((data.parent / entry.name).is_file() for entry in list_images(data))


@pytest.mark.parametrize("linked", ["train", "test", "train/happy"])
def test_folders_that_are_links_are_followed(tmp_path: Path, linked: str) -> None:
    data = make_folder(tmp_path / "data", COMPLETE)
    (data / linked).rename(tmp_path / "elsewhere")
    (data / linked).symlink_to(tmp_path / "elsewhere")
    assert count_images(data) == ONE_EACH
    assert all((data.parent / entry.name).is_file() for entry in list_images(data))


def test_a_link_that_leads_back_and_one_that_leads_nowhere_do_no_harm(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", COMPLETE)
    (data / "train" / "again").symlink_to(data)
    (data / "train" / "happy" / "all").symlink_to("..")
    (data / "test" / "gone").symlink_to("nowhere")
    assert count_images(data) == ONE_EACH


def test_images_to_which_two_ways_lead_count_once(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", [f"pool/{name}" for name in COMPLETE])
    (data / "others").symlink_to("pool")
    assert [entry.name for entry in list_images(data)] == sorted(f"data/others/{name}" for name in COMPLETE)


def test_what_computers_leave_in_zips_is_no_image(tmp_path: Path) -> None:
    litter = [
        "__MACOSX/train/happy/._0.png",
        "__MACOSX/train/happy/1.png",
        "train/happy/.DS_Store",
        "train/happy/.1.png",
        "train/happy/Thumbs.db",
        "train/readme.txt",
        "train/0.png",
        "0.png",
        "validation/happy/0.png",
    ]
    assert count_images(make_zip(tmp_path / "data.zip", COMPLETE + litter)) == ONE_EACH
    assert count_images(make_folder(tmp_path / "data", COMPLETE + litter)) == ONE_EACH


def test_capital_letters_and_every_common_format_are_read(tmp_path: Path) -> None:
    names = [f"{split.title()}/{label.upper()}/0.JPG" for split in SPLITS for label in LABELS]
    more = [f"train/happy/{index}.{suffix}" for index, suffix in enumerate(("jpeg", "bmp", "webp", "PNG"))]
    assert count_images(make_zip(tmp_path / "data.zip", names + more))["train"]["happy"] == 5


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["fer2013/fer2013.csv", "fer2013/README"], ": it holds a CSV; unpack that and give the CSV itself."),
        (["jaffe/KA.AN1.39.tiff", "jaffe/KA.AN2.40.tiff"], ": 2 files end in .tiff; save them as PNG."),
        (["faces/happy/1.jpg"], ": 1 images lie elsewhere; sort them into folders of these names."),
        (["notes.txt"], "."),
    ],
)
def test_a_zip_of_another_layout_is_told_what_it_seems_to_be(tmp_path: Path, names: list[str], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    with pytest.raises(DatasetError, match=re.escape(f"train/<label>/ and test/<label>/{words}") + "$"):
        list_images(tmp_path / "archive.zip")


def test_an_unknown_label_is_named_with_its_number_of_images(tmp_path: Path) -> None:
    more = ["train/contempt/0.png", "train/contempt/1.png", "test/bored/0.png"]
    data = make_zip(tmp_path / "data.zip", COMPLETE + more)
    with pytest.raises(DatasetError, match=r"test/bored \(1 images\), train/contempt \(2 images\)\. Known are angry"):
        list_images(data)


def test_of_many_unknown_labels_five_are_named_and_none_at_any_length(tmp_path: Path) -> None:
    more = [f"train/mood-{number:04d}{'x' * 300}/0.png" for number in range(8000)]
    data = make_zip(tmp_path / "data.zip", COMPLETE + more)
    with pytest.raises(DatasetError, match=r"train/mood-0004x+ \(1 images\) and 7995 more\. Known are") as raised:
        list_images(data)
    assert len(str(raised.value)) < 1500


def test_an_empty_class_is_named_with_its_split(tmp_path: Path) -> None:
    names = [name for name in COMPLETE if name not in ("test/sad/0.png", "test/fear/0.png")]
    with pytest.raises(DatasetError, match=r"no test images of fear, sad \(5 of the others\)"):
        count_images(make_folder(tmp_path / "data", names))


@pytest.mark.parametrize("split", SPLITS)
def test_a_missing_split_is_named(tmp_path: Path, split: str) -> None:
    names = [name for name in COMPLETE if not name.startswith(split)]
    with pytest.raises(DatasetError, match=rf"no {split} images \(7 others\); it needs {split}/<label>/"):
        count_images(make_zip(tmp_path / "data.zip", names))


def test_an_empty_data_set_is_told_what_it_lacks(tmp_path: Path) -> None:
    for data in (make_zip(tmp_path / "data.zip", []), make_folder(tmp_path / "data", ["notes.txt"])):
        with pytest.raises(DatasetError, match=r"holds no images in train/<label>/ and test/<label>/"):
            count_images(data)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_what_is_no_zip_is_refused_with_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"data\.zip is not a readable zip; download it again"):
        count_images(path)


def test_a_zip_that_asks_for_a_newer_reader_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "data.zip", COMPLETE)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # "version needed to extract" of the first entry
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not a readable zip"):
        count_images(path)


def test_a_zip_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "data.zip", COMPLETE)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match="not a readable zip"):
        count_images(path)


# --- Kaggle's CSV files ----------------------------------------------------------------------------------------------


def test_fer2013_csv_is_read_by_the_names_of_the_emotions(tmp_path: Path) -> None:
    data = make_csv(tmp_path / "fer2013.csv", csv_rows())
    rows = list(iterate_csv(data))
    assert [row.label for row in rows] == list(FER_CSV_LABELS) * 2
    assert rows[4].label == "sad"
    assert rows[6].label == "neutral"
    assert (rows[0].line, rows[0].pixels, rows[0].usage, rows[0].split) == (2, PIXELS, "Training", "train")
    assert count_images(data) == ONE_EACH


def test_icml_face_data_csv_with_its_leading_spaces_and_other_column_order_is_read(tmp_path: Path) -> None:
    data = tmp_path / "icml_face_data.csv"
    data.write_text("emotion, Usage, pixels\n" + "".join(f"{n}, {usage}, {PIXELS}\n" for n, usage in csv_rows()))
    assert count_images(data) == ONE_EACH
    assert next(iterate_csv(data)).pixels.split() == PIXELS.split()


def test_both_kinds_of_test_images_are_test_images(tmp_path: Path) -> None:
    data = make_csv(tmp_path / "fer2013.csv", [*csv_rows(), (3, "PublicTest"), (3, "PrivateTest")])
    assert count_images(data)["test"]["happy"] == 3


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    data = make_csv(tmp_path / "fer2013.csv", csv_rows())
    data.write_bytes(b"\xef\xbb\xbf" + data.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert count_images(data) == ONE_EACH


def test_a_cut_row_is_named_by_its_line(tmp_path: Path) -> None:
    data = make_csv(tmp_path / "fer2013.csv", csv_rows())
    data.write_text(data.read_text() + "3,0 1 2")
    with pytest.raises(DatasetError, match=r"fer2013\.csv, line 16: the row is cut off"):
        count_images(data)


def test_an_unknown_usage_is_named_by_its_line(tmp_path: Path) -> None:
    data = make_csv(tmp_path / "fer2013.csv", [(0, "Training"), (1, "Holdout")])
    with pytest.raises(DatasetError, match="line 3: Usage is 'Holdout', but it is Training, PublicTest or PrivateTest"):
        count_images(data)


@pytest.mark.parametrize("number", ["7", "-1", "happy", "", "1.0", "²", "99999999999999999999"])
def test_an_unknown_emotion_is_named_by_its_line(tmp_path: Path, number: str) -> None:
    data = make_csv(tmp_path / "fer2013.csv", [(number, "Training")])
    with pytest.raises(DatasetError, match=r"line 2: the emotion is '.*', but emotions are numbered 0 to 6"):
        count_images(data)


@pytest.mark.parametrize("header", ["emotion,pixels", "a,b,c", "pixels,usage"])
def test_a_missing_column_is_named(tmp_path: Path, header: str) -> None:
    data = tmp_path / "data.csv"
    data.write_text(header + "\n1,2,3\n")
    with pytest.raises(DatasetError, match=r"data\.csv lacks the column .*; it needs emotion,pixels,Usage"):
        count_images(data)


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_csv_is_told_what_it_lacks(tmp_path: Path, content: bytes) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(content)
    with pytest.raises(DatasetError, match="lacks the column emotion, pixels, usage"):
        count_images(data)


def test_a_csv_with_a_header_only_holds_no_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no images"):
        count_images(make_csv(tmp_path / "data.csv", []))


def test_a_csv_without_test_rows_or_with_an_empty_class_is_refused(tmp_path: Path) -> None:
    rows = csv_rows()
    with pytest.raises(DatasetError, match="no test images"):
        count_images(make_csv(tmp_path / "a.csv", rows[:7]))
    with pytest.raises(DatasetError, match="no train images of angry"):
        count_images(make_csv(tmp_path / "b.csv", rows[1:]))


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\xff\xfe", b"emotion,pixels,Usage\n0,\xff,Training\n"])
def test_a_csv_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(content)
    with pytest.raises(DatasetError, match=r"data\.csv is not a readable CSV"):
        count_images(data)


# --- the data folder -------------------------------------------------------------------------------------------------


def test_the_data_folder_lists_what_could_be_a_data_set(tmp_path: Path) -> None:
    make_folder(
        tmp_path, ["b.zip", "a.csv", "C.ZIP", "notes.txt", ".hidden.zip", ".git/config", "faces/train/happy/0.png"]
    )
    assert [path.name for path in list_datasets(tmp_path)] == ["C.ZIP", "a.csv", "b.zip", "faces"]
    assert [kind_of(path) for path in list_datasets(tmp_path)] == ["zip", "csv", "zip", "folder"]


def test_a_missing_data_folder_lists_nothing(tmp_path: Path) -> None:
    assert list_datasets(tmp_path / "none") == []


def test_a_missing_data_set_and_one_of_no_known_kind_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no data set at"):
        count_images(tmp_path / "none.zip")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"notes\.txt is no data set; give a zip, a folder or a CSV"):
        count_images(tmp_path / "notes.txt")
