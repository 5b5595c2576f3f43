"""The life of a version over HTTP: a real gateway, real inference of two processes, two networks by the real exporter.

Speed is not tested: every wait has a generous end.
"""

import io
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.draw_faces import draw_face
from scripts.processes import free_port
from shared.masking import STUDY_VIEWS
from shared.model_folder import list_models, read_active, read_card
from shared.run_folder import RunFolder
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.models import ModelHistory, ModelInfo, ModelList
from shared.schemas.predictions import PredictAnswer
from tests.conftest import TINY
from tests.integration.conftest import ADMIN_KEY, RunningInference, running_inference
from tests.integration.service_process import running_service
from tests.unit.inference.pictures import encode
from tests.unit.inference.small_models import projection, write_projection

FACE = encode(draw_face("happy", 3), "PNG")
VIEWS = [view.value for view in STUDY_VIEWS]
SECONDS_TO_NOTICE = 60
WAIT_S = 120

Reading = tuple[str, dict[str, float]]
"""A version, and its probabilities."""


@dataclass(frozen=True)
class Stack:
    """A gateway before inference of two processes."""

    url: str
    inference: RunningInference
    first: str
    second: str

    def change(self, path: str, body: object = None, key: str = ADMIN_KEY) -> requests.Response:
        """Return the answer to a POST below /v1/models."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return requests.post(f"{self.url}/v1/models/{path}", json=body, headers=headers, timeout=WAIT_S)

    def promote(self, model_id: str, slots: list[str]) -> ModelInfo:
        """Promote a version."""
        answer = self.change(f"{model_id}/promote", {"slots": slots})
        assert answer.status_code == 200, answer.text
        return ModelInfo.model_validate_json(answer.content)

    def listed(self, **query: str) -> ModelList:
        """Return the models."""
        answer = requests.get(f"{self.url}/v1/models", params=query, timeout=WAIT_S)
        return ModelList.model_validate_json(answer.content)

    def read(self) -> dict[str, Reading]:
        """Return view to what is read on the face, over a connection of its own."""
        form = {"detect": "never"}
        files = {"images": ("face.png", FACE)}
        answer = requests.post(f"{self.inference.url}/v1/predict", files=files, data=form, timeout=WAIT_S)
        assert answer.status_code == 200, answer.text
        (face,) = PredictAnswer.model_validate_json(answer.content).images[0].faces
        return {each.model: (each.version, each.probabilities) for each in face.predictions}

    def processes(self) -> dict[int, tuple[int, dict[str, str]]]:
        """Return process id to what it told in the log last: of which `active.json`, by its time, it serves what."""
        whole_lines = self.inference.log.read_text().rpartition("\n")[0].splitlines()
        told = (line for line in map(json.loads, whole_lines) if line["message"] == "models serve")
        return {line["process_id"]: (line["active_json_ns"], line["slots"]) for line in told}

    def wait_for(self, slots: dict[str, str]) -> None:
        """Wait until both processes of inference serve this, by `active.json` as it is now.

        What a process told of an earlier file does not count: it may be loading what a file in between wanted.
        """
        now_ns = (self.inference.models / "active.json").stat().st_mtime_ns
        until(lambda: list(self.processes().values()) == [(now_ns, slots)] * 2)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(SECONDS_TO_NOTICE * 10):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"not so within {SECONDS_TO_NOTICE} s")


@pytest.fixture(scope="module")
def two_models(models_dir: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with two trained versions; the first serves the five views."""
    from trainer.runs import execute
    from trainer.settings import Settings

    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(models_dir, folder / "models")
    settings = Settings(
        data_dir=drawn_dataset.parent, runs_dir=folder / "runs", models_dir=folder / "models", device="cpu"
    )
    asked = TINY.model_copy(update={"seed": 1, "epochs": 1})
    request = JobRequest(dataset=drawn_dataset.name, view="five", name="second", settings=asked)
    end = execute(RunFolder.create(settings.runs_dir, request), settings)
    assert end.state == JobState.FINISHED, end.message
    return folder / "models"


@pytest.fixture
def stack(two_models: Path, tmp_path: Path, queue_url: str) -> Iterator[Stack]:
    """Serve both models' folder by a gateway and by inference of two processes."""
    shutil.copytree(two_models, tmp_path / "models")
    ids = [model_id for model_id, _ in list_models(tmp_path / "models")]
    first = read_active(tmp_path / "models")["full"]
    port = free_port()
    with running_inference(tmp_path, WORKERS="2", THREADS="4") as inference:
        environment = {
            "GATEWAY_PORT": str(port),
            "GATEWAY_INFERENCE_URL": inference.url,
            "GATEWAY_REDIS_URL": queue_url,
            "GATEWAY_ADMIN_KEY": ADMIN_KEY,
            "GATEWAY_WORKERS": "2",
            **{f"GATEWAY_{name.upper()}_DIR": str(tmp_path / name) for name in ("data", "runs", "models")},
        }
        url = f"http://127.0.0.1:{port}"
        with running_service("gateway", environment, url, tmp_path / "gateway.log"):
            running = Stack(url, inference, first, next(each for each in ids if each != first))
            running.wait_for(dict.fromkeys(VIEWS, first))
            yield running


def test_a_finished_job_registers_its_figures_against_what_serves_and_its_self_test(two_models: Path) -> None:
    cards: dict[str, Any] = dict(list_models(two_models))
    first = read_active(two_models)["full"]
    (second,) = (card for model_id, card in cards.items() if model_id != first)

    for view in VIEWS:
        mine, theirs = (card.metrics["test"][view]["accuracy"] for card in (second, cards[first]))
        assert second.metrics["against"][view] == {"model": first, "accuracy": theirs, "difference": mine - theirs}
    assert list(second.self_test) == VIEWS
    assert {len(logits) for logits in second.self_test.values()} == {7}


def test_versions_are_promoted_back_and_forth_under_load_and_no_answer_is_lost_or_mixed(stack: Stack) -> None:
    expected = {stack.first: stack.read()}
    stack.promote(stack.second, VIEWS)
    stack.wait_for(dict.fromkeys(VIEWS, stack.second))
    expected[stack.second] = stack.read()
    assert expected[stack.first]["full"][1] != expected[stack.second]["full"][1]
    done, seen = threading.Event(), list[str]()

    def ask_on_and_on() -> None:
        while not done.is_set():
            reading = stack.read()
            (version,) = {version for version, _ in reading.values()}
            assert reading == expected[version]
            seen.append(version)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask_on_and_on) for _ in range(4)]
        try:
            for version in (stack.first, stack.second) * 3:
                stack.promote(version, VIEWS)
                stack.wait_for(dict.fromkeys(VIEWS, version))
            stack.promote(stack.first, VIEWS)
            stack.promote(stack.second, VIEWS)
            stack.wait_for(dict.fromkeys(VIEWS, stack.second))
        finally:
            done.set()
        for each in asking:
            each.result()

    assert set(seen) == {stack.first, stack.second}
    assert len(stack.processes()) == 2
    assert [stack.read() for _ in range(20)] == [expected[stack.second]] * 20


def test_a_version_is_promoted_rolled_back_archived_restored_and_the_history_tells_who(stack: Stack) -> None:
    serving = stack.promote(stack.second, ["upper", "left"])
    assert (serving.serves, sorted(serving.since)) == (["left", "upper"], ["left", "upper"])
    assert stack.listed().previous == {"upper": stack.first, "left": stack.first}
    refused = stack.change(f"{stack.second}/archive")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_change_refused")

    for slot in ("upper", "left"):
        rolled_back = stack.change("rollback", {"slot": slot})
        assert (rolled_back.status_code, rolled_back.json()["id"]) == (200, stack.first)
    assert stack.change("rollback", {"slot": "upper"}).status_code == 409
    assert stack.change(f"{stack.second}/archive").json()["archived"] is True
    assert [model.id for model in stack.listed().models] == [stack.first]
    assert len(stack.listed(archived="true").models) == 2
    assert stack.change(f"{stack.second}/promote", {"slots": ["upper"]}).status_code == 409
    assert stack.change(f"{stack.second}/restore").json()["archived"] is False

    answer = requests.get(f"{stack.url}/v1/models/history", timeout=WAIT_S)
    newest = requests.get(f"{stack.url}/v1/models/history", params={"limit": 1}, timeout=WAIT_S)
    assert newest.json()["changes"] == answer.json()["changes"][:1]
    told = ModelHistory.model_validate_json(answer.content).changes
    assert {change.by for change in told} == {"owner"}
    assert [(change.action, change.slot) for change in told] == [
        ("restore", None),
        ("archive", None),
        ("roll_back", "left"),
        ("roll_back", "upper"),
        ("promote", "left"),
        ("promote", "upper"),
    ]


def test_nobody_without_a_key_changes_what_serves(stack: Stack) -> None:
    paths: list[tuple[str, object]] = [
        (f"{stack.second}/promote", {"slots": ["full"]}),
        ("rollback", {"slot": "full"}),
        (f"{stack.second}/archive", None),
        (f"{stack.second}/restore", None),
    ]

    assert [stack.change(path, body, key="").status_code for path, body in paths] == [401] * 4
    assert set(stack.listed().active.values()) == {stack.first}


def test_versions_that_must_not_serve_are_refused_and_what_serves_goes_on(stack: Stack) -> None:
    models, before = stack.inference.models, stack.read()
    write_projection(models, "bad/1", projection(1), self_test={"full": (9.0,) * 7})
    write_projection(models, "bad/2", projection(2, outputs=6))
    write_projection(models, "bad/3", projection(3))
    content = (models / "bad/3/model.onnx").read_bytes()
    (models / "bad/3/model.onnx").write_bytes(content[: len(content) // 2])
    asked = [("bad/1", "full"), ("bad/2", "full"), ("bad/3", "full"), ("bad/9", "full"), (stack.second, "sideways")]

    answers = [stack.change(f"{model_id}/promote", {"slots": [slot]}) for model_id, slot in asked]

    errors = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert errors == [
        (409, "self_test_failed"),
        (409, "self_test_failed"),
        (409, "model_broken"),
        (404, "model_not_found"),
        (422, "invalid"),
    ]
    assert stack.read() == before

    active = (models / "active.json").read_text()
    (models / "active.json").write_text("garbage")
    until(
        lambda: "cannot be read" in (requests.get(f"{stack.inference.url}/readyz", timeout=60).json()["reason"] or "")
    )
    assert stack.change(f"{stack.second}/promote", {"slots": ["full"]}).status_code == 409
    assert (stack.listed().problem or "").startswith("active.json cannot be read")
    assert stack.read() == before
    (models / "active.json").write_text(active)


def test_a_version_is_downloaded_as_it_lies_in_the_folder(stack: Stack, tmp_path: Path) -> None:
    answer = requests.get(f"{stack.url}/v1/models/{stack.first}/download", timeout=WAIT_S)
    absent = requests.get(f"{stack.url}/v1/models/first/99/download", timeout=WAIT_S)

    name = stack.first.replace("/", "-")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.zip"'
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert read_card(tmp_path / "unpacked" / stack.first) == read_card(stack.inference.models / stack.first)
    assert absent.status_code == 404
