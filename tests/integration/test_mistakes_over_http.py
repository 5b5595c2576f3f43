"""From drawn faces to pictures over HTTP: the trainer's study of a real network, and what the gateway shows of it."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from scripts.processes import free_port
from services.frontend.client import GatewayClient
from shared.dataset_images import read_images
from shared.labels import LABELS
from shared.masking import View
from shared.model_folder import read_active, write_active
from shared.probabilities import softmax
from shared.schemas.wire import SLOTS
from shared.study_mistakes import MistakesQuery
from tests.drawn_zip import write_drawn_zip
from tests.integration.service_process import running_service
from trainer.evaluation import logits_of
from trainer.settings import Settings
from trainer.study.answers import open_reader
from trainer.study.released import measure_released


@pytest.fixture(scope="module")
def folder(models_dir: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with data and models, and with the study of one network in all six slots."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "data").mkdir()
    data = write_drawn_zip(drawn_dataset, folder / "data" / "faces.zip")
    shutil.copytree(models_dir, folder / "models")
    write_active(folder / "models", dict.fromkeys(SLOTS, read_active(models_dir)["full"]))
    settings = Settings(models_dir=folder / "models", runs_dir=folder / "runs", threads=1)
    measure_released(settings, data, folder / "cache", lambda done, total: None, robustness_images=1)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, queue_url: str) -> Iterator[str]:
    """Serve a gateway over it."""
    port = free_port()
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_INFERENCE_URL": f"http://127.0.0.1:{free_port()}",
        "GATEWAY_REDIS_URL": queue_url,
        **{f"GATEWAY_{name.upper()}_DIR": str(folder / name) for name in ("data", "runs", "models")},
    }
    with running_service("gateway", environment, f"http://127.0.0.1:{port}", folder / "gateway.log"):
        yield f"http://127.0.0.1:{port}"


def test_the_list_is_what_the_network_misread_and_each_picture_is_that_image(folder: Path, url: str) -> None:
    reader = open_reader(folder / "models", "lower", read_active(folder / "models")["lower"], threads=1)
    images = list(read_images(folder / "data" / "faces.zip", "test"))
    shares = softmax(logits_of(reader.forward, [image.face for image in images], View.LEFT, reader.card.input))  # type: ignore[arg-type]
    expected = {
        image.name: (image.label, LABELS[share.argmax()], round(float(share.max()), 2))
        for image, share in zip(images, shares, strict=True)
        if LABELS[share.argmax()] != image.label
    }
    assert 0 < len(expected) < len(images)

    with GatewayClient(url) as client:
        found = client.mistakes(MistakesQuery(model="lower", view="left"))
        assert {each.name: (each.label, each.answer, each.confidence) for each in found.mistakes} == expected
        faces = {image.name: image.face for image in images}
        for each in found.mistakes:
            shown = np.asarray(Image.open(io.BytesIO(client.study_image(each.image))))
            assert (shown == faces[each.name]).all()


def test_without_the_data_the_answer_says_where_to_put_it(folder: Path, url: str) -> None:
    away = (folder / "data" / "faces.zip").rename(folder / "faces.zip")
    try:
        answer = requests.get(f"{url}/v1/study/mistakes", timeout=30)
    finally:
        away.rename(folder / "data" / "faces.zip")
    assert answer.status_code == 404
    assert "put FER2013 into data/" in answer.json()["error"]["message"]
    assert str(folder) not in answer.text
