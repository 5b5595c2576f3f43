"""How an answer is shown: the found faces on the picture, and what each model sees and reads of one face."""

import html
from collections.abc import Sequence
from typing import Final

import streamlit as st

from services.frontend import charts, pictures, words
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.schemas.predictions import Face, ImageAnswer, PredictAnswer, Prediction

ANSWER: Final = "prediction"
"""Where a session keeps the last answer, with what was asked."""

SHOWN: Final = "shown-picture"
"""Where it keeps that answer's picture, as small as it is shown."""

WITHOUT_FACE: Final = (
    "No face was found in this picture. Choose one in which a face is larger, better lit and looks to the camera, or "
    "turn on **The whole image is the face** if the picture shows nothing else."
)
COVERED: Final = "Nothing is hidden here: the names say which half each model was trained without."


def forget_answer() -> None:
    """Have the last picture read anew, since other models may serve now."""
    st.session_state.pop(ANSWER, None)


def forget_picture() -> None:
    """Keep nothing of the last picture."""
    forget_answer()
    st.session_state.pop(SHOWN, None)


def choose_face(image: ImageAnswer, asked: str) -> int:
    """Return the index of the face to show; asks where there are several, anew for each `asked`, a text."""
    if len(image.faces) < 2:
        return 0
    chosen = st.segmented_control(
        f"{words.number(len(image.faces)).capitalize()} faces found",
        range(len(image.faces)),
        format_func=lambda index: f"Face {index + 1}",
        default=0,
        required=True,
        key=f"face-{asked}",
    )
    return min(chosen or 0, len(image.faces) - 1)


def show_picture(content: bytes, image: ImageAnswer, chosen: int, asked: str) -> None:
    """Show the upright picture with its faces in numbered boxes; it is decoded once for each `asked`."""
    kept_for, small = st.session_state.get(SHOWN, (None, None))
    if small is None or kept_for != asked:
        small = pictures.reduced(pictures.upright(content))
        st.session_state[SHOWN] = (asked, small)
    scale = small.width / image.width
    shown = pictures.with_boxes(small, [face.box for face in image.faces], chosen, scale)
    st.image(pictures.png(shown), width="stretch", alt="The picture, with a box around each face")


def show_face(face: Face) -> None:
    """Show the agreement, the face under each view with what is read there, and all probabilities."""
    predictions = study_predictions(face.predictions)
    st.subheader(words.agreement(predictions), anchor=False)
    if words.is_covered(predictions):
        st.caption(COVERED)
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
    with st.expander("The same as a table", icon=":material/table:"):
        st.table([_row(prediction) for prediction in predictions], border="horizontal", hide_index=True)


def _row(prediction: Prediction) -> dict[str, str]:
    shares = {label: words.percent(prediction.probabilities.get(label, 0.0)) for label in LABELS}
    return {"Model": words.view_name(prediction.model)} | {label.capitalize(): text for label, text in shares.items()}


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
    shown = dict.fromkeys(prediction.version for prediction in study_predictions(face.predictions))
    versions = f"{'Model' if len(shown) == 1 else 'Models'} {', '.join(shown) or 'none'}"
    times = answer.timings
    st.caption(
        f"{versions} · {times.total_ms:.0f} ms: {times.decode_ms:.0f} to decode, {times.detect_ms:.0f} to find "
        f"faces, {times.network_ms:.0f} in the networks · request {answer.request_id}"
    )
