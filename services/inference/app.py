"""The inference service as a web application. gunicorn calls `create_app()` in each worker, after the fork."""

import logging
from typing import Final

from apiflask import APIFlask

from services.inference import health, models, original, predict, self_test
from services.inference.parts import add_parts
from services.inference.settings import Settings, load_settings
from shared.web import configure_json_logs, make_app

DESCRIPTION: Final = """Finds faces and reads the emotion on each, with half of the face hidden from the networks that
were trained so. Meant for the gateway; people and programs outside use the gateway's interface.

Every error has one shape: a stable `code`, a `message` that says what to do, the `field` at fault and the
`request_id`, which is also in the `X-Request-ID` header and in the service's log."""

TAGS: Final = {
    "predictions": "Emotions on faces.",
    "models": "What answers now.",
    "original": "The interface of the system that this one succeeds.",
    "health": "Whether the service is alive, and whether it can serve.",
}


def create_app(settings: Settings | None = None) -> APIFlask:
    """Return the application, with the networks loaded that the models folder names now.

    Args:
        settings: the environment's if absent.

    Raises:
        SettingsError: a setting is wrong.
        DetectorError: the face detector's model is missing.
    """
    settings = settings or load_settings()
    configure_json_logs("inference", settings.log_level)
    logging.captureWarnings(True)  # Pillow warns of damaged EXIF data: into the log, as one line of JSON
    app = make_app(
        "services.inference",
        title="Halfface inference",
        description=DESCRIPTION,
        max_request_bytes=settings.max_request_bytes,
    )
    app.tags = [{"name": name, "description": description} for name, description in TAGS.items()]
    add_parts(app, settings)
    for resource in (predict, original, models, self_test, health):
        app.register_blueprint(resource.blueprint)
    return app
