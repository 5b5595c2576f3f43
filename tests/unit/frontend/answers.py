"""Answers of a gateway for the tests, built with the shared schemas."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import Card
from shared.preprocessing import InputSpec
from shared.schemas.datasets import DatasetInfo
from shared.schemas.jobs import Job, JobProgress, JobRequest, JobState, MetricRow
from shared.schemas.models import ModelInfo
from shared.schemas.predictions import (
    Box,
    Face,
    ImageAnswer,
    PredictAnswer,
    Prediction,
    Quarters,
    Timings,
    Worth,
)

FOUR_HAPPY = {"full": "happy", "upper": "happy", "lower": "neutral", "left": "happy", "right": "happy"}


def png(width: int = 48, height: int = 48, colour: int = 120) -> bytes:
    """Return a gray PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def read(labels: Mapping[str, str] = FOUR_HAPPY) -> list[Prediction]:
    """Return a prediction for each model: it reads that label, at 70 %."""
    return [
        Prediction(
            model=slot,
            version="first/1",
            hidden=slot,
            label=label,
            confidence=0.7,
            probabilities={name: 0.7 if name == label else 0.05 for name in LABELS},
        )
        for slot, label in labels.items()
    ]


def a_face(x: int = 4, labels: Mapping[str, str] = FOUR_HAPPY) -> Face:
    """Return a found face with a crop."""
    crop = "data:image/png;base64," + base64.b64encode(png()).decode()
    return Face(
        box=Box(x=x, y=4, width=20, height=20), source="detected", score=0.9, crop=crop, predictions=read(labels)
    )


def a_worth(**happy: float) -> Worth:
    """Return what the quarters of a face add: to `happy` these shares of 1, to all else nothing."""
    none = dict.fromkeys(("top_right", "top_left", "bottom_left", "bottom_right"), 0.0)
    prior = dict.fromkeys(LABELS, 1 / 7)
    return Worth(
        version="any/1",
        prior=prior,
        quarters={label: Quarters(**(none | happy if label == "happy" else none)) for label in LABELS},
        whole=prior | {"happy": 1 / 7 + sum(happy.values())},
    )


def a_prediction(*faces: Face, note: str | None = None, empty: bool = False) -> PredictAnswer:
    """Return an answer with these faces (one if none is given, none if `empty`)."""
    found = [] if empty else list(faces) or [a_face()]
    return PredictAnswer(
        images=[ImageAnswer(width=512, height=512, faces=found, note=note)],
        timings=Timings(decode_ms=1, detect_ms=2, network_ms=3, total_ms=6),
        request_id="request-1",
    )


def a_data_set(name: str = "faces.zip", problem: str | None = None) -> DatasetInfo:
    """Return a data set of 70 images, or one with a problem."""
    counts = {split: dict.fromkeys(LABELS, number) for split, number in (("train", 8), ("test", 2))}
    if problem:
        return DatasetInfo(name=name, kind="zip", counts={}, total=0, problem=problem)
    return DatasetInfo(name=name, kind="zip", counts=counts, total=70)


def a_model(view: str = "five", serves: tuple[str, ...] = tuple(STUDY_VIEWS)) -> ModelInfo:
    """Return the version first/1."""
    return ModelInfo(
        id="first/1",
        name="first",
        version="1",
        view=view,
        architecture="resnet34",
        created="2026-11-23",
        serves=list(serves),
        metrics={},
        size_bytes=1,
        trainable=True,
    )


def measured(accuracy: float, macro_f1: float = 0.5) -> dict[str, Any]:
    """Return a card's metrics: this accuracy and macro F1 on every view, disgust never found."""
    shares = {label: 0.0 if label == "disgust" else accuracy for label in LABELS}
    figures = {
        "accuracy": accuracy,
        "macro_f1": macro_f1,
        "weighted_f1": 0.5,
        "weighted_auc": None,
        "class_accuracy": shares,
    }
    return {"protocol": "Each test face once.", "test": {view.value: figures for view in STUDY_VIEWS}}


def a_card(**changes: Any) -> Card:
    """Return the card of first/1."""
    settings = {"epochs": 20, "batch_size": 128, "optimizer": "adamw", "learning_rate": 0.0015, "seed": 3}
    fields: dict[str, Any] = {
        "name": "first",
        "version": "1",
        "view": "five",
        "sha256": {},
        "input": InputSpec(),
        "architecture": "resnet34",
        "training": {"request": {"settings": settings}, "best_epoch": 17, "seconds": 3600.0, "cores": 2},
        "data": {
            "name": "faces.zip",
            "counts": {part: dict.fromkeys(LABELS, 1500) for part in ("train", "test")},
            "fingerprint": "abc123",
        },
        "metrics": measured(0.6),
        "created": "2026-11-23T09:38:26+00:00",
        "intended_use": "Research only.",
    }
    return Card.model_validate({**fields, **changes})


def a_job(state: JobState = JobState.RUNNING, job_id: str = "job-1", message: str | None = None) -> Job:
    """Return a job in its third of ten epochs; finished, it has made upper/3."""
    progress = JobProgress(
        phase="training", epoch=3, epochs=10, step=30, steps=100, loss=1.234, accuracy=0.41, images_per_s=85, eta_s=700
    )
    return Job(
        id=job_id,
        request=JobRequest(dataset="faces.zip", view="upper"),
        state=state,
        progress=progress,
        message=message,
        model="upper/3" if state == JobState.FINISHED else None,
        created="2026-11-23T09:38:26+00:00",
        started="2026-11-23T09:39:00+00:00",
    )


def epochs(count: int) -> list[MetricRow]:
    """Return the metrics of `count` epochs."""
    return [
        MetricRow(
            epoch=epoch,
            step=epoch * 10,
            seconds=epoch * 5.0,
            train_loss=1.9 - 0.1 * epoch,
            validation_loss=1.95 - 0.08 * epoch,
            validation_accuracy=0.2 + 0.05 * epoch,
            learning_rate=0.001,
            size=48,
        )
        for epoch in range(1, count + 1)
    ]
