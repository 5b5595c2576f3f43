"""How an answer is shown: the found faces on the picture, and what each model sees and reads of one face."""

import html
from collections.abc import Sequence

import streamlit as st

from services.frontend import charts, pictures, words
from shared.masking import STUDY_VIEWS
from shared.schemas.predictions import Face, ImageAnswer, PredictAnswer, Prediction

WITHOUT_FACE = (
    "Choose a picture in which a face is larger and looks to the camera, or turn on **The whole image is the face** if "
    "the picture shows nothing else."
)


def choose_face(image: ImageAnswer) -> int:
    """Return the index of the face to show; asks where there are several."""
    if len(image.faces) < 2:
        return 0
    chosen = st.segmented_control(
        f"{words.number(len(image.faces)).capitalize()} faces found",
        range(len(image.faces)),
        format_func=lambda index: f"Face {index + 1}",
        default=0,
        required=True,
        key="face",
    )
    return min(chosen or 0, len(image.faces) - 1)


def show_picture(content: bytes, image: ImageAnswer, chosen: int) -> None:
    """Show the upright picture with its faces in numbered boxes."""
    shown = pictures.with_boxes(pictures.upright(content), [face.box for face in image.faces], chosen)
    st.image(pictures.png(shown), width="stretch", alt="The picture, with a box around each face")


def show_face(face: Face) -> None:
    """Show the agreement, the face under each view with what is read there, and all probabilities."""
    predictions = study_predictions(face.predictions)
    st.subheader(words.agreement(predictions), anchor=False)
    crop = pictures.decode_crop(face.crop) if face.crop else None
    columns = st.columns(max(len(predictions), 1), gap="small", wrap=False)
    for prediction, column in zip(predictions, columns, strict=False):
        with column:
            if crop is not None:
                seen = pictures.enlarged(crop, prediction.hidden)
                st.image(pictures.png(seen), width="stretch", alt=f"The face: {words.view_name(prediction.hidden)}")
            _reading(prediction)
    _legend()
    st.altair_chart(charts.probabilities(predictions), width="stretch", alt="Probability of each emotion, by model")


def study_predictions(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the five views' predictions in the study's order; others only where there are none of these."""
    order = [view.value for view in STUDY_VIEWS]
    known = [prediction for prediction in predictions if prediction.model in order]
    return sorted(known, key=lambda prediction: order.index(prediction.model)) or list(predictions)


def _reading(prediction: Prediction) -> None:
    colour = charts.EMOTION_COLOURS.get(prediction.label, "#8b95a1")
    st.markdown(
        f'<div style="line-height:1.35;margin-bottom:1rem"><span style="font-size:0.85rem;opacity:0.75">'
        f"{html.escape(words.view_name(prediction.model))}</span><br>"
        f'<span style="color:{colour}">■</span> '
        f"<strong>{html.escape(prediction.label.capitalize())}</strong> {words.percent(prediction.confidence)}</div>",
        unsafe_allow_html=True,
    )


def _legend() -> None:
    """Name the colours of the emotions; unlike a chart's own legend it wraps on a narrow screen."""
    names = "".join(
        f'<span><span style="color:{colour}">■</span> {label}</span>'
        for label, colour in charts.EMOTION_COLOURS.items()
    )
    st.markdown(
        f'<div style="display:flex;flex-wrap:wrap;gap:0 1rem;margin:0.5rem 0;font-size:0.9rem">{names}</div>',
        unsafe_allow_html=True,
    )


def show_caption(answer: PredictAnswer, face: Face) -> None:
    """Say which models answered and how long it took."""
    versions = ", ".join(dict.fromkeys(prediction.version for prediction in face.predictions)) or "none"
    times = answer.timings
    st.caption(
        f"Model {versions} · {times.total_ms:.0f} ms: {times.decode_ms:.0f} to decode, {times.detect_ms:.0f} to find "
        f"faces, {times.network_ms:.0f} in the networks · request {answer.request_id}"
    )
