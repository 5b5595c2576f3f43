"""Kinds of jobs: studies and their parts, starting anew, deletion, and requests that mean the same job."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis import Redis

from services.gateway.job_queue import JobQueue
from services.gateway.run_reader import RunReader
from services.gateway.runs import Runs
from shared.preprocessing import InputSpec
from shared.run_folder import QUEUE_NAMES, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.training import TAUGHT_SHARE, TrainSettings
from shared.web import ApiError

from .folders import write_small_model
from .small_app import make_gateway

ASKED = JobRequest(dataset="faces.zip")
STUDY = JobRequest(kind="study", dataset="faces.zip", name="lab")


def waiting(redis: Redis) -> list[str]:
    """Return the ids in RQ's own lists."""
    return [run.decode() for name in QUEUE_NAMES for run in redis.lrange(f"rq:queue:{name}", 0, -1)]


def a_fine_tuning(base: str, settings: dict[str, Any]) -> JobRequest:
    """Return a request to fine-tune from `base`."""
    return JobRequest(kind="fine-tune", dataset="faces.zip", base_model=base, settings=TrainSettings(**settings))


def end(folder: Path, run_id: str, state: JobState, model: str | None = None) -> None:
    """Leave the run as a worker does that ended it."""
    RunFolder.open(folder / "runs", run_id).set_state(RunState(state=state, model=model))


def test_a_study_has_seven_runs_of_which_the_first_is_queued(runs: Runs, reader: RunReader, redis: Redis) -> None:
    study, _ = runs.start(STUDY)
    parts = reader.show(study.id).parts
    first = parts[0].id

    assert [part.step for part in parts] == ["full", "upper", "lower", "left", "right", "any"]
    assert [part.after for part in parts] == [[]] + [[first]] * 5
    assert study.after == [part.id for part in parts]
    assert {part.study for part in parts} == {study.id}
    assert waiting(redis) == [first]
    assert parts[1].message == f"It waits until {first} has finished."


def test_a_study_whose_settings_weigh_a_teacher_is_made_all_the_same(runs: Runs, reader: RunReader) -> None:
    asked = STUDY.model_copy(update={"settings": TrainSettings(distill_weight=0.5)})
    study, _ = runs.start(asked)
    assert reader.show(study.id).parts[0].request.settings.distill_weight == 0


def test_what_waits_for_a_job_that_stopped_or_is_gone_says_so(runs: Runs, reader: RunReader, folder: Path) -> None:
    study, _ = runs.start(STUDY)
    first, second = reader.show(study.id).parts[:2]
    end(folder, first.id, JobState.FAILED)
    assert "was cancelled or failed; resume that" in (reader.show(second.id).message or "")
    (folder / "runs" / first.id).rename(folder / "elsewhere")
    assert "which was deleted" in (reader.show(second.id).message or "")


def test_a_study_is_cancelled_and_resumed_with_its_parts(runs: Runs, reader: RunReader, redis: Redis) -> None:
    study, _ = runs.start(STUDY)
    runs.cancel(study.id)
    shown = reader.show(study.id)
    assert {job.state for job in (shown, *shown.parts)} == {JobState.CANCELLED}
    assert waiting(redis) == []
    runs.resume(study.id)
    shown = reader.show(study.id)
    assert {job.state for job in (shown, *shown.parts)} == {JobState.QUEUED}
    assert waiting(redis) == [shown.parts[0].id]


def test_a_study_of_which_a_part_was_deleted_is_not_resumed(runs: Runs, reader: RunReader, redis: Redis) -> None:
    study, _ = runs.start(STUDY)
    runs.cancel(study.id)
    runs.delete(study.after[1])
    with pytest.raises(ApiError, match=f"needs job {study.after[1]}, which was deleted; start it anew") as refused:
        runs.resume(study.id)
    assert refused.value.status == 409
    assert {part.state for part in reader.show(study.id).parts} == {JobState.CANCELLED}
    assert waiting(redis) == []


def test_a_study_that_waits_is_resumed_where_a_part_failed(runs: Runs, reader: RunReader, folder: Path) -> None:
    study, _ = runs.start(STUDY)
    end(folder, study.after[0], JobState.FAILED)
    assert runs.resume(study.id).state == JobState.QUEUED
    assert reader.show(study.after[0]).state == JobState.QUEUED


def test_a_retry_is_a_new_run_and_leaves_the_old_one(runs: Runs, reader: RunReader) -> None:
    job, _ = runs.start(ASKED)
    with pytest.raises(ApiError, match="cancel it before you start it anew"):
        runs.retry(job.id)
    runs.cancel(job.id)
    again, is_new = runs.retry(job.id, "ada")
    assert is_new
    assert (again.retry_of, again.request, again.by) == (job.id, ASKED, "ada")
    assert reader.show(job.id).state == JobState.CANCELLED


def test_two_retries_are_one_job(runs: Runs, redis: Redis) -> None:
    job, _ = runs.start(ASKED)
    runs.cancel(job.id)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: runs.retry(job.id), range(4)))
    assert sorted(is_new for _, is_new in made) == [False, False, False, True]
    assert waiting(redis) == [made[0][0].id]


@pytest.mark.parametrize("state", [JobState.FINISHED, JobState.FAILED, JobState.CANCELLED])
def test_a_study_that_has_ended_with_all_its_parts_is_not_cancelled(runs: Runs, folder: Path, state: JobState) -> None:
    study, _ = runs.start(STUDY)
    for run_id in (*study.after, study.id):
        end(folder, run_id, state)
    with pytest.raises(ApiError, match=f"Job {study.id} is {state.value} already") as refused:
        runs.cancel(study.id)
    assert refused.value.status == 409


def test_a_part_that_ends_while_its_study_is_cancelled_keeps_no_other_running(
    runs: Runs, reader: RunReader, queue: JobQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = runs.start(STUDY)
    withdraw = queue.withdraw

    def end_the_next(run_id: str) -> bool:
        if run_id == study.after[0]:
            end(folder, study.after[1], JobState.FINISHED)
        return withdraw(run_id)

    monkeypatch.setattr(queue, "withdraw", end_the_next)
    assert runs.cancel(study.id).state == JobState.CANCELLED
    states = [part.state for part in reader.show(study.id).parts]
    assert states == [JobState.CANCELLED, JobState.FINISHED, *[JobState.CANCELLED] * 4]


def test_parts_of_a_study_that_was_never_wholly_made_say_so(runs: Runs, reader: RunReader, redis: Redis) -> None:
    study, _ = runs.start(STUDY)
    redis.flushall()
    (reader.open(study.id).path / "request.json").unlink()
    assert "no worker takes it; cancel it" in (reader.show(study.after[0]).message or "")


def test_a_deletion_that_was_cut_off_is_finished_at_the_next_start(
    runs: Runs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = runs.start(ASKED)
    runs.cancel(job.id)
    with monkeypatch.context() as broken:
        broken.setattr("services.gateway.removal.shutil.rmtree", lambda path, ignore_errors: None)
        runs.delete(job.id)
    with pytest.raises(ApiError, match="There is no job"):
        runs.delete(job.id)
    assert len([path for path in (folder / "runs").iterdir() if path.is_dir()]) == 1
    make_gateway(folder)
    assert [path for path in (folder / "runs").iterdir() if path.is_dir()] == []


def test_a_deletion_says_what_it_frees_and_open_jobs_are_kept(runs: Runs, folder: Path) -> None:
    job, _ = runs.start(ASKED)
    with pytest.raises(ApiError, match="cancel it before you delete it"):
        runs.delete(job.id)
    runs.cancel(job.id)
    (folder / "runs" / job.id / "log.txt").write_bytes(b"x" * 1000)
    assert runs.delete(job.id).freed_bytes > 1000
    assert not (folder / "runs" / job.id).exists()


def test_a_study_is_deleted_with_its_parts_once_all_have_ended(runs: Runs, reader: RunReader, folder: Path) -> None:
    study, _ = runs.start(STUDY)
    runs.cancel(study.id)
    end(folder, study.after[0], JobState.RUNNING)
    with pytest.raises(ApiError, match=f"Job {study.after[0]} is running; cancel it before"):
        runs.delete(study.id)
    end(folder, study.after[0], JobState.FINISHED, "lab-full/1")
    (folder / "runs" / study.after[0] / "log.txt").write_bytes(b"x" * 1000)
    said = reader.show(study.id).size_bytes
    assert runs.delete(study.id).freed_bytes == said > 1000
    assert [path for path in (folder / "runs").iterdir() if path.is_dir()] == []


def test_a_study_whose_part_another_job_needs_is_kept(runs: Runs, folder: Path) -> None:
    study, _ = runs.start(STUDY)
    first = study.after[0]
    runs.start(JobRequest(kind="evaluate", dataset="faces.zip", model=f"run:{first}"))
    runs.cancel(study.id)
    with pytest.raises(ApiError, match=f"waits for job {first}"):
        runs.delete(study.id)
    assert (folder / "runs" / study.id).exists()


def test_a_job_for_which_another_waits_is_kept(runs: Runs, folder: Path) -> None:
    study, _ = runs.start(STUDY)
    end(folder, study.after[0], JobState.FINISHED, "lab-full/1")
    with pytest.raises(ApiError, match="waits for job"):
        runs.delete(study.after[0])


def test_an_equal_request_is_the_open_job_and_a_used_key_another_conflict(runs: Runs) -> None:
    job, is_new = runs.start(ASKED, idempotency_key="mine")
    same, again = runs.start(ASKED)
    assert (is_new, same.id, again) == (True, job.id, False)
    with pytest.raises(ApiError) as refused:
        runs.start(JobRequest(dataset="faces.zip", view="upper"), idempotency_key="mine")
    assert (refused.value.status, refused.value.code) == (409, "idempotency_key")


def test_an_equal_request_is_no_job_that_is_being_cancelled(runs: Runs, folder: Path) -> None:
    job, _ = runs.start(ASKED)
    RunFolder.open(folder / "runs", job.id).ask_to_cancel()
    other, is_new = runs.start(ASKED)
    assert is_new
    assert other.id != job.id


def test_a_repeated_request_is_its_job_whatever_became_of_the_data_set(runs: Runs, folder: Path) -> None:
    job, _ = runs.start(ASKED, idempotency_key="mine")
    (folder / "data" / "faces.zip").unlink()
    for key in ("mine", None):
        same, is_new = runs.start(ASKED, idempotency_key=key)
        assert (same.id, is_new) == (job.id, False)


def test_a_run_in_place_of_a_version_must_exist_and_make_a_model(runs: Runs) -> None:
    def evaluation(run: str) -> JobRequest:
        return JobRequest(kind="evaluate", dataset="faces.zip", model=f"run:{run}")

    training, _ = runs.start(ASKED)
    job, _ = runs.start(evaluation(training.id))
    assert job.after == [training.id]
    for named in ("nowhere", job.id):
        with pytest.raises(ApiError) as refused:
            runs.start(evaluation(named))
        assert (refused.value.status, refused.value.field) == (422, "model")


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_run_that_has_stopped_is_no_base(runs: Runs, folder: Path, state: JobState) -> None:
    training, _ = runs.start(ASKED)
    end(folder, training.id, state)
    with pytest.raises(ApiError, match="resume it first") as refused:
        runs.start(JobRequest(kind="fine-tune", dataset="faces.zip", base_model=f"run:{training.id}"))
    assert (refused.value.status, refused.value.field) == (422, "base_model")


def test_a_base_that_an_export_or_a_finished_run_makes_has_the_architecture_of_its_model(
    runs: Runs, folder: Path
) -> None:
    write_small_model(folder / "models", "3", architecture="resnet50")
    export, _ = runs.start(JobRequest(kind="export", dataset="faces.zip", model="first/3"))
    for finished in (False, True):
        if finished:
            end(folder, export.id, JobState.FINISHED, "first/3")
        with pytest.raises(ApiError, match="has the architecture resnet50; choose that") as refused:
            runs.start(a_fine_tuning(f"run:{export.id}", {"architecture": "resnet18"}))
        assert refused.value.field == "settings.architecture"
        job, _ = runs.start(a_fine_tuning(f"run:{export.id}", {"architecture": "resnet50"}))
        runs.cancel(job.id)


def test_a_fine_tuning_may_not_ask_for_less_width_or_another_stem_than_its_starts(runs: Runs, folder: Path) -> None:
    shape = {"width": 0.5, "small_stem": True, "max_pool": True}
    write_small_model(folder / "models", "3", training={"request": {"settings": shape}})
    training, _ = runs.start(ASKED.model_copy(update={"settings": TrainSettings(**shape)}))
    for base in ("first/3", f"run:{training.id}"):
        others = ({"width": 0.25}, "width"), ({"small_stem": False}, "small_stem"), ({"max_pool": False}, "max_pool")
        for settings, field in others:
            with pytest.raises(ApiError, match="choose that to start from it") as refused:
                runs.start(a_fine_tuning(base, settings))
            assert (refused.value.status, refused.value.field) == (422, f"settings.{field}")
        assert runs.start(a_fine_tuning(base, shape))[1]


def test_a_fine_tuning_takes_shape_and_split_of_its_start_unless_it_says_otherwise(runs: Runs, folder: Path) -> None:
    split = {"validation_share": 0.06, "duplicate_similarity": 0.95}
    split |= {"width": 0.5, "small_stem": True, "max_pool": True, "size": 64}
    write_small_model(folder / "models", "3", input=InputSpec(size=64), training={"request": {"settings": split}})
    training, _ = runs.start(ASKED.model_copy(update={"settings": TrainSettings(**split)}))
    export, _ = runs.start(JobRequest(kind="export", dataset="faces.zip", model="first/3"))
    for base in ("first/3", f"run:{training.id}", f"run:{export.id}"):
        job, _ = runs.start(a_fine_tuning(base, {}))
        assert job.request.settings.model_dump(include=set(split)) == split
        assert runs.start(a_fine_tuning(base, {})) == (job, False)
        other, _ = runs.start(a_fine_tuning(base, {"validation_share": 0.03}))
        assert (other.request.settings.validation_share, other.request.settings.duplicate_similarity) == (0.03, 0.95)
        assert runs.start(a_fine_tuning(base, {"size": 96}))[0].request.settings.size == 96


def test_a_fine_tuning_may_not_begin_above_the_size_of_its_start(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", input=InputSpec(size=32))
    with pytest.raises(ApiError, match="must be at most size, which is 32") as refused:
        runs.start(a_fine_tuning("first/3", {"grow_from": 40}))
    assert (refused.value.status, refused.value.field) == (422, "settings.grow_from")
    assert runs.start(a_fine_tuning("first/3", {"grow_from": 40, "size": 48}))[1]


def test_a_key_is_its_jobs_whatever_became_of_the_version_that_completed_its_request(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", training={"request": {"settings": {"validation_share": 0.06}}})
    asked = a_fine_tuning("first/3", {"epochs": 3})
    job, _ = runs.start(asked, idempotency_key="mine")
    assert job.request.settings.validation_share == 0.06
    shutil.rmtree(folder / "models" / "first" / "3")
    same, is_new = runs.start(asked, idempotency_key="mine")
    assert (same.id, is_new) == (job.id, False)
    for other in ({"epochs": 4}, {"epochs": 3, "validation_share": 0.1}):
        with pytest.raises(ApiError, match="asks for something else"):
            runs.start(a_fine_tuning("first/3", other), idempotency_key="mine")


@pytest.mark.parametrize("kind", ["train", "study"])
def test_a_key_of_a_training_that_starts_from_nothing_is_for_its_settings_alone(runs: Runs, kind: str) -> None:
    asked = {"kind": kind, "dataset": "faces.zip"}
    told = {**asked, "settings": {"validation_share": 0.2, "duplicate_similarity": 1.01}}
    runs.start(JobRequest.model_validate(told), idempotency_key="mine")
    with pytest.raises(ApiError, match="asks for something else"):
        runs.start(JobRequest.model_validate(asked), idempotency_key="mine")


def test_a_teacher_teaches_unless_its_share_of_the_loss_is_given() -> None:
    asked: dict[str, Any] = {"dataset": "faces.zip", "base_model": "first/1", "teacher": "first/1"}
    assert JobRequest.model_validate(asked).settings.distill_weight == TAUGHT_SHARE > 0
    for share in (0.0, 0.3):
        told = JobRequest.model_validate({**asked, "settings": {"distill_weight": share}})
        assert told.settings.distill_weight == share
    assert JobRequest.model_validate({**asked, "teacher": None}).settings.distill_weight == 0


def test_a_fine_tuning_may_be_wider_than_what_it_starts_from_if_it_says_so(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", training={"request": {"settings": {"width": 0.5, "small_stem": True}}})
    assert runs.start(a_fine_tuning("first/3", {"width": 0.75, "small_stem": True}))[1]
    with pytest.raises(ApiError, match=r"has the width 0\.5; choose that .* or give a greater one") as refused:
        runs.start(a_fine_tuning("first/3", {"width": 0.25, "small_stem": True}))
    assert refused.value.field == "settings.width"


def test_a_finished_run_whose_model_is_gone_is_no_base(runs: Runs, folder: Path) -> None:
    training, _ = runs.start(ASKED)
    end(folder, training.id, JobState.FINISHED, "full/gone")
    with pytest.raises(ApiError, match="There is no model 'full/gone'") as refused:
        runs.start(JobRequest(kind="evaluate", dataset="faces.zip", model=f"run:{training.id}"))
    assert refused.value.field == "model"


def test_an_evaluation_needs_no_weights_and_an_export_does(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", weights=False)
    assert runs.start(JobRequest(kind="evaluate", dataset="faces.zip", model="first/3"))[1]
    with pytest.raises(ApiError, match="no weights") as refused:
        runs.start(JobRequest(kind="export", dataset="faces.zip", model="first/3"))
    assert refused.value.field == "model"


def test_a_second_teacher_needs_weights_and_a_first(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", weights=False)
    asked: dict[str, Any] = {"kind": "train", "dataset": "faces.zip", "second_teacher": "first/3"}
    with pytest.raises(ValidationError) as alone:
        JobRequest.model_validate(asked)
    assert [error["ctx"]["field"] for error in alone.value.errors()] == ["teacher"]
    with pytest.raises(ApiError, match="first/3 ships no weights") as refused:
        runs.start(JobRequest.model_validate({**asked, "teacher": "first/1"}))
    assert refused.value.field == "second_teacher"
    once = {**asked, "teacher": "first/3", "second_teacher": "first/1", "settings": {"fixed_teacher": True}}
    assert runs.start(JobRequest.model_validate(once))[1]


def test_a_teacher_reads_faces_of_the_students_size_unless_it_is_asked_at_its_own(runs: Runs) -> None:
    asked: dict[str, Any] = {"kind": "train", "dataset": "faces.zip", "teacher": "first/1", "settings": {"size": 96}}
    with pytest.raises(ApiError, match="first/1 reads faces of 48 pixels") as refused:
        runs.start(JobRequest.model_validate(asked))
    assert refused.value.field == "settings.size"
    asked["settings"]["fixed_teacher"] = True
    assert runs.start(JobRequest.model_validate(asked))
    own, _ = runs.start(JobRequest(kind="train", dataset="faces.zip", settings=TrainSettings(size=64)))
    waits = {**asked, "teacher": f"run:{own.id}", "settings": {"size": 48}}
    with pytest.raises(ApiError, match="reads faces of 64 pixels"):
        runs.start(JobRequest.model_validate(waits))


def test_an_ensemble_needs_another_version_with_or_without_weights_and_two_sizes(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", weights=False)
    asked: dict[str, Any] = {"kind": "export", "dataset": "faces.zip", "model": "first/1", "ensemble_with": "first/3"}
    assert runs.start(JobRequest.model_validate(asked))[1]
    with pytest.raises(ApiError, match="no model 'first/4'") as refused:
        runs.start(JobRequest.model_validate({**asked, "ensemble_with": "first/4"}))
    assert refused.value.field == "ensemble_with"
    with pytest.raises(ValidationError, match="two sizes"):
        JobRequest.model_validate({**asked, "size_average": False})


def test_what_a_version_without_weights_cannot_become_is_refused_before_the_job_begins(
    runs: Runs, folder: Path
) -> None:
    weighed = {"request": {"settings": {"class_weights": True}}}
    write_small_model(folder / "models", "3", weights=False, training=weighed)
    write_small_model(folder / "models", "4", training=weighed)
    asked: dict[str, Any] = {"kind": "export", "dataset": "faces.zip", "model": "first/3"}
    for more, why in (
        ({}, "ships no weights"),
        ({"prior_correction": True, "precision": "float32"}, "its arithmetic and its averages"),
        ({"prior_correction": True, "model": "first/1"}, "trained without class weights"),
    ):
        with pytest.raises(ApiError, match=why) as refused:
            runs.start(JobRequest.model_validate({**asked, **more}))
        assert refused.value.field == "model"
    assert runs.start(JobRequest.model_validate({**asked, "prior_correction": True}))[1]
    with pytest.raises(ApiError, match="first/1 was trained without them") as refused:
        runs.start(JobRequest.model_validate({**asked, "prior_correction": True, "ensemble_with": "first/1"}))
    assert refused.value.field == "ensemble_with"
    assert runs.start(JobRequest.model_validate({**asked, "ensemble_with": "first/4"}))[1]
    with pytest.raises(ValidationError, match="set class_weights"):
        JobRequest.model_validate({"dataset": "faces.zip", "settings": {"prior_correction": True}})


def test_versions_that_cannot_answer_together_are_refused_before_the_job_begins(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", input=InputSpec(size=32))
    write_small_model(folder / "models", "4", training={"ensemble_with": {"id": "first/1"}})
    write_small_model(folder / "models", "5", training={"mirror_average": True})
    asked: dict[str, Any] = {"kind": "export", "dataset": "faces.zip", "model": "first/1"}
    for other, why in (
        ("first/3", "prepared in another way"),
        ("first/4", "the smaller size, first/1, or"),
        ("first/5", "one of them averages over mirror images"),
    ):
        with pytest.raises(ApiError, match=why) as refused:
            runs.start(JobRequest.model_validate({**asked, "ensemble_with": other}))
        assert refused.value.field == "ensemble_with"
    mirrored = {**asked, "ensemble_with": "first/5", "mirror_average": True}
    assert runs.start(JobRequest.model_validate(mirrored))[1]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("train", "model", "first/1"),
        ("evaluate", "view", "upper"),
        ("export", "views", ["full"]),
        ("study", "teacher", "a/1"),
        ("evaluate", "ensemble_with", "a/1"),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(kind: str, field: str, value: object) -> None:
    asked = {"model": "first/1"} if kind in ("evaluate", "export") else {}
    with pytest.raises(ValidationError) as refused:
        JobRequest.model_validate({"kind": kind, "dataset": "faces.zip", **asked, field: value})
    assert [error["ctx"]["field"] for error in refused.value.errors()] == [field]
