"""What the views work with, made once for each application."""

from dataclasses import dataclass
from typing import Final, cast

import cv2
from apiflask import APIFlask
from flask import current_app

from services.inference.decoding import Limits
from services.inference.detector import FaceDetector, YuNetDetector
from services.inference.model_store import ModelStore
from services.inference.settings import Settings

KEY: Final = "halfface.inference"


@dataclass(frozen=True)
class Parts:
    """The service's own objects; each is safe to use from many threads."""

    models: ModelStore
    detector: FaceDetector
    limits: Limits
    max_images: int
    max_faces: int


def add_parts(app: APIFlask, settings: Settings) -> None:
    """Load the detector and the networks, and leave them with the application.

    Raises:
        DetectorError: the detector's model is missing.
    """
    cv2.setNumThreads(settings.network_threads)
    models = ModelStore(settings.models_dir, settings.network_threads)
    models.follow()
    app.extensions[KEY] = Parts(
        models=models,
        detector=YuNetDetector(),
        limits=Limits(image_bytes=settings.max_image_bytes, pixels=settings.max_pixels),
        max_images=settings.max_images,
        max_faces=settings.max_faces,
    )


def parts() -> Parts:
    """Return the parts of the application that is answering."""
    return cast(Parts, current_app.extensions[KEY])
