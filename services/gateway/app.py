"""The gateway as a web application. gunicorn serves `create_app()`."""

from typing import Final

from apiflask import APIFlask

from services.gateway import datasets, health, jobs, models, predictions, study, upload
from services.gateway.access import require_keys
from services.gateway.cors import allow_origins
from services.gateway.key_store import KeyStore
from services.gateway.openapi import mark_keys, tell_headers
from services.gateway.parts import add_parts
from services.gateway.settings import Settings, load_settings
from shared.openapi import to_openapi_30
from shared.web import configure_json_logs, make_app

DESCRIPTION: Final = """Reads the emotion on a face of which half is hidden, and trains the networks that do.

* **predictions**: images in, faces and emotions out.
* **models**, **datasets**: what there is to predict with and to train on.
* **jobs**: start a training, watch it, cancel it, resume it from its last checkpoint.
* **study**: the figures of the six models on the five views.

Every error has one shape: a stable `code`, a `message` that says what to do, the `field` at fault and the
`request_id`, which is also in the `X-Request-ID` header and in every service's log.

What changes something needs a key, sent as `Authorization: Bearer hf_…`; **Authorize** sends it from this page."""

TAGS: Final = {
    "predictions": "Emotions on faces.",
    "models": "Versions in the models folder.",
    "datasets": "Data sets in the data folder.",
    "jobs": "Training runs.",
    "study": "What each half of the face is worth, in figures.",
    "original": "The interface of the system that this one succeeds.",
    "health": "Whether the service is alive, and whether it can serve.",
}


def create_app(settings: Settings | None = None) -> APIFlask:
    """Return the application.

    Args:
        settings: the environment's if absent.

    Raises:
        SettingsError: the environment lacks a setting, or one is wrong.
    """
    settings = settings or load_settings()
    configure_json_logs("gateway", settings.log_level)
    app = make_app(
        "services.gateway",
        title="Halfface gateway",
        description=DESCRIPTION,
        max_request_bytes=settings.max_request_bytes,
    )
    app.tags = [{"name": name, "description": description} for name, description in TAGS.items()]
    add_parts(app, settings)
    allow_origins(app, settings.cors_origins)
    require_keys(app, KeyStore(settings.keys_path), prediction_key=settings.prediction_key)
    # In place of make_app's, which rewrites the document too: an application has one.
    app.spec_processor(
        lambda document: tell_headers(mark_keys(to_openapi_30(document), prediction_key=settings.prediction_key))
    )
    for resource in (predictions, models, datasets, jobs, study, upload, health):
        app.register_blueprint(resource.blueprint)
    return app
