"""What lies in the data folder and the models folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.model_catalogue import ModelCatalogue
from shared.errors import ModelFolderError
from shared.labels import LABELS
from shared.model_folder import write_active
from shared.model_registry import archive, promote

from .folders import write_small_model, write_zip

NOBODY = 65534


def test_a_missing_data_folder_is_an_empty_list(tmp_path: Path) -> None:
    listed = DatasetCatalogue(tmp_path / "data").all()

    assert (listed.datasets, listed.folder) == ([], "data")


def test_a_data_set_is_counted_by_class_and_split(folder: Path) -> None:
    (only,) = DatasetCatalogue(folder / "data").all().datasets

    assert (only.name, only.kind, only.total, only.problem) == ("faces.zip", "zip", 14, None)
    assert only.counts == {split: dict.fromkeys(LABELS, 1) for split in ("train", "test")}


def test_a_broken_data_set_is_listed_with_its_problem(folder: Path) -> None:
    (folder / "data/broken.zip").write_text("half a download")

    broken, good = DatasetCatalogue(folder / "data").all().datasets

    assert broken.problem == "broken.zip is not a readable zip; download it again."
    assert good.problem is None


@contextmanager
def without_rights() -> Iterator[None]:
    """Be nobody within the block: root may read everything."""
    was = os.geteuid()
    try:
        if was == 0:
            os.seteuid(NOBODY)
        yield
    finally:
        os.seteuid(was)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder as `folder` is, which anybody may look into."""
    with TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "data").mkdir()
        write_zip(path / "data/faces.zip")
        write_small_model(path / "models")
        yield path


def test_what_could_not_be_read_once_is_read_again_though_no_file_changed(open_folder: Path) -> None:
    datasets, models = DatasetCatalogue(open_folder / "data"), ModelCatalogue(open_folder / "models")
    files = (open_folder / "data/faces.zip", open_folder / "models/first/1/model.onnx")
    for file in files:
        file.chmod(0)
    with without_rights():
        problems = [datasets.all().datasets[0].problem, models.all().models[0].problem]
    for file in files:
        file.chmod(0o644)
    with without_rights():
        assert [datasets.all().datasets[0].problem, models.all().models[0].problem] == [None, None]

    assert problems[0] == "faces.zip cannot be read (Permission denied); check the disk and who may read the file."
    assert "cannot be read" in (problems[1] or "")


def test_a_data_set_that_changed_is_counted_again(folder: Path) -> None:
    catalogue = DatasetCatalogue(folder / "data")
    catalogue.all()
    write_zip(folder / "data/faces.zip", labels=LABELS[1:])

    assert "no train images of angry" in (catalogue.all().datasets[0].problem or "")


@pytest.mark.parametrize("is_linked", [False, True])
def test_an_image_that_joins_a_folder_is_counted(folder: Path, is_linked: bool) -> None:
    for split in ("train", "test"):
        for label in LABELS:
            place = folder / "data/own" / split / label
            place.mkdir(parents=True)
            (place / "1.png").touch()
    if is_linked:
        (folder / "data/own/train").rename(folder / "elsewhere")
        (folder / "data/own/train").symlink_to(folder / "elsewhere")
    catalogue = DatasetCatalogue(folder / "data")
    assert catalogue.find("own") is not None
    joined = folder / "data/own/train/happy"
    (joined / "2.png").touch()
    os.utime(joined, ns=(1, 1))  # a clock too coarse to tell the two images apart is no matter here

    own = catalogue.find("own")

    assert own is not None
    assert own.counts["train"]["happy"] == 2


def test_a_model_is_listed_with_what_it_serves(folder: Path) -> None:
    write_active(folder / "models", {"full": "first/1", "any": "first/1"})

    listed = ModelCatalogue(folder / "models").all()

    assert listed.active == {"full": "first/1", "any": "first/1"}
    assert [(model.id, model.serves, model.problem) for model in listed.models] == [("first/1", ["any", "full"], None)]
    assert listed.models[0].metrics == {"accuracy": 0.6}
    assert listed.models[0].size_bytes > 0


def test_archived_versions_are_listed_on_demand_and_slots_tell_since_when(folder: Path) -> None:
    models = folder / "models"
    write_small_model(models, "2")
    write_small_model(models, "3", data={"fingerprint": "abc"})
    for version in ("first/1", "first/2"):
        promote(models, version, ["full"], "ada", lambda card: None)
    archive(models, "first/3", "ada")
    catalogue = ModelCatalogue(models)

    shown, everything = catalogue.all(), catalogue.all(archived=True)

    assert [model.id for model in shown.models] == ["first/1", "first/2"]
    assert shown.previous == {"full": "first/1"}
    newest, _, changed = catalogue.history(3).changes[:3]
    assert (newest.action, changed.slot, shown.models[1].since["full"] >= changed.time) == ("archive", "full", True)
    assert [(model.archived, model.fingerprint) for model in everything.models[1:]] == [(False, None), (True, "abc")]
    assert len(catalogue.history(1).changes) == 1


def test_a_missing_models_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert ModelCatalogue(tmp_path / "models").all().models == []


def test_broken_models_are_listed_with_their_problem_and_no_place_of_the_server(folder: Path) -> None:
    write_small_model(folder / "models", "2")
    (folder / "models/first/1/model.onnx").write_text("altered")
    (folder / "models/first/2/card.json").write_text("{")

    altered, unreadable = ModelCatalogue(folder / "models").all().models

    assert altered.problem is not None
    assert altered.problem.startswith("first/1/model.onnx is not the file that its card describes")
    assert unreadable.problem == "first/2/card.json cannot be read as a card of format 1."


def test_odd_things_in_the_folder_hide_no_model(folder: Path) -> None:
    models = folder / "models"
    for version in "23":
        write_small_model(models, version)
    (models / "first/1/notes").symlink_to("nowhere")
    (models / "first/2").rename(models / "first/copy")
    (models / "first/3/card.json").unlink()
    (models / "first/3/card.json").mkdir()
    (models / "file").touch()

    listed = {model.id: model.problem for model in ModelCatalogue(models).all().models}

    assert listed == {
        "first/1": None,
        "first/3": "first/3/card.json cannot be read as a card of format 1.",
        "first/copy": "first/copy is first/2 by its card, and a version keeps its name: rename it back.",
    }


def test_an_unreadable_list_of_active_models_hides_no_model(folder: Path) -> None:
    (folder / "models/active.json").write_text("{")

    listed = ModelCatalogue(folder / "models").all()

    assert (len(listed.models), listed.active) == (1, {})
    assert (listed.problem or "").startswith("active.json cannot be read")
    with pytest.raises(ModelFolderError, match=r"^active\.json cannot be read"):
        ModelCatalogue(folder / "models").history(9)


def test_a_card_is_found_by_name_and_nothing_outside_the_folder_is(folder: Path) -> None:
    catalogue = ModelCatalogue(folder / "models")

    card = catalogue.card("first/1")

    assert card is not None
    assert card.id == "first/1"
    assert catalogue.card("first/9") is None
    assert catalogue.card("../data") is None
