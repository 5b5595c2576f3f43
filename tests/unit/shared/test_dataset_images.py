"""Images are read from one split or both, and the fingerprint is that of what was read, in whatever order."""

import errno
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from shared.dataset_images import MAX_FILE_BYTES, fingerprint, pixel_digest, read_images
from shared.errors import DatasetError, UnreadableDatasetError


def test_the_test_split_is_read_without_the_training_images(drawn_dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(drawn_dataset, folder)
    next(folder.glob("train/happy/*")).write_bytes(b"no image")

    images = list(read_images(folder, "test"))

    assert len(images) == 21
    assert {image.split for image in images} == {"test"}
    assert all(image.digest == pixel_digest(image.face) for image in images)
    with pytest.raises(DatasetError, match="1 images that cannot be read"):
        list(read_images(folder))


def test_a_file_that_the_disk_does_not_give_is_not_called_a_damaged_image(drawn_dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(drawn_dataset, folder)
    bad = next(folder.glob("test/happy/*"))
    bad.unlink()
    bad.symlink_to("/proc/self/mem")  # a file whose reading is an input/output error
    with pytest.raises(UnreadableDatasetError, match=rf"{bad.name} cannot be read \(.*error\); check the disk"):
        list(read_images(folder))


def test_so_is_a_zip_that_the_disk_does_not_give(
    drawn_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(archive: zipfile.ZipFile, name: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = shutil.make_archive(str(tmp_path / "drawn"), "zip", drawn_dataset.parent, drawn_dataset.name)
    monkeypatch.setattr(zipfile.ZipFile, "open", fails)
    with pytest.raises(UnreadableDatasetError, match=r"cannot be read \(Input/output error\); check the disk"):
        list(read_images(Path(path)))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_file_too_large_for_an_image_is_named_and_not_read(drawn_dataset: Path, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(drawn_dataset, folder)
    large = next(folder.glob("test/happy/*"))
    with large.open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # an image, and zeros behind it, which a decoder would pass over
    path = folder
    if form == "zip":
        path = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "drawn"))
    with pytest.raises(DatasetError, match=f"has 1 images that cannot be read: drawn/test/happy/{large.name}"):
        list(read_images(path, "test"))


def test_a_zip_that_belittles_a_file_is_not_believed(drawn_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "drawn.zip"
    shutil.make_archive(str(path.with_suffix("")), "zip", drawn_dataset.parent, drawn_dataset.name)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("drawn/test/happy/large.png", bytes(3 * MAX_FILE_BYTES))
    content = bytearray(path.read_bytes())
    size_at = content.rindex(b"PK\x01\x02") + 24  # of the last entry: what it unpacks to
    content[size_at : size_at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)

    tracemalloc.start()
    with pytest.raises(DatasetError, match=r"has 1 images that cannot be read: drawn/test/happy/large\.png"):
        list(read_images(path, "test"))
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_FILE_BYTES
    tracemalloc.stop()


def test_a_zip_of_old_powershells_whose_names_have_backslashes_is_read_as_any_other(
    drawn_dataset: Path, tmp_path: Path
) -> None:
    path = tmp_path / "drawn.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("drawn\\train\\", b"")
        for file in drawn_dataset.rglob("*.png"):
            archive.writestr(str(file.relative_to(drawn_dataset.parent)).replace("/", "\\"), file.read_bytes())
    read, expected = list(read_images(path)), list(read_images(drawn_dataset))
    assert [(image.split, image.label, image.digest) for image in read] == [
        (image.split, image.label, image.digest) for image in expected
    ]


def test_the_fingerprint_knows_no_order_but_every_image(drawn_dataset: Path) -> None:
    images = list(read_images(drawn_dataset))
    assert fingerprint(images) == fingerprint(images[::-1])
    assert fingerprint(images) != fingerprint(images[1:])
    assert fingerprint(images) != fingerprint(image for image in images if image.split == "test")


def test_an_image_that_lies_on_its_side_is_learnt_from_as_it_is_served_upright(
    drawn_dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    shutil.copytree(drawn_dataset, folder)
    path = next(folder.glob("test/happy/*"))
    with Image.open(path) as image:
        upright, exif = image.convert("L"), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(path, "PNG", exif=exif)
    read = {image.name.partition("/")[2]: image.digest for image in read_images(folder, "test")}
    expected = {image.name.partition("/")[2]: image.digest for image in read_images(drawn_dataset, "test")}
    assert read == expected
