"""The page Predict: a picture in, what the five models read out."""

import hashlib
from dataclasses import dataclass

import streamlit as st

from services.frontend import prediction_view, worth_view
from services.frontend.client import GatewayRefusedError
from services.frontend.guard import gateway, guarded
from services.frontend.picture_source import Picture, choose_picture
from shared.schemas.predictions import Detect, PredictAnswer


@dataclass(frozen=True)
class Options:
    """What is asked for beside the picture."""

    detect: Detect
    mask: bool


@guarded
def show() -> None:
    """Show the page."""
    st.title("Read a face", anchor=False)
    st.markdown("Five models look at the same face: one sees all of it, the others each miss one half.")
    left, right = st.columns(2, gap="large")
    with left:
        picture = choose_picture()
        options = _options()
    if picture is None:
        prediction_view.forget_picture()
        with right:
            st.info("Give a picture of a face, and what each model reads appears here.", icon=":material/add_a_photo:")
        return
    asked = f"{hashlib.sha256(picture.content).hexdigest()}-{options}"
    with right:
        answer = _answer(picture, options, asked)
    if answer is not None:
        _show_answer(picture, answer, asked, right)


def _options() -> Options:
    whole = st.toggle(
        "The whole image is the face",
        key="whole",
        persist_state="session",
        help="Do not look for faces: the picture is a face and nothing else, such as one of FER2013.",
    )
    covered = st.toggle(
        "The face is already covered",
        key="covered",
        persist_state="session",
        help="Hide nothing, and let each model read the face as it is: for a part that is black already, or "
        "sunglasses. With a mask or a scarf leave this off and read **Lower half hidden**: the models were trained on "
        "halves that are black, and take cloth for a mouth.",
    )
    return Options(Detect.NEVER if whole else Detect.AUTO, mask=not covered)


def _answer(picture: Picture, options: Options, asked: str) -> PredictAnswer | None:
    """Return the gateway's answer, once for each `asked`, picture and options; None if the picture is refused."""
    kept_for, kept = st.session_state.get(prediction_view.ANSWER, (None, None))
    if kept_for != asked:
        kept = _ask(picture, options)
        st.session_state[prediction_view.ANSWER] = (asked, kept)
    if isinstance(kept, PredictAnswer):
        return kept
    st.error(str(kept), icon=":material/broken_image:")
    return None


def _ask(picture: Picture, options: Options) -> PredictAnswer | str:
    """Return the answer, or the sentence with which the picture was refused."""
    with st.spinner("Reading the face…"):
        try:
            return gateway().predict(picture.content, name=picture.name, detect=options.detect, mask=options.mask)
        except GatewayRefusedError as error:
            return str(error)


def _show_answer(picture: Picture, answer: PredictAnswer, asked: str, place: st.delta_generator.DeltaGenerator) -> None:
    image = answer.images[0]
    with place:
        chosen = prediction_view.choose_face(image, asked)
        prediction_view.show_picture(picture.content, image, chosen, asked)
        if not image.faces:
            st.warning(prediction_view.WITHOUT_FACE, icon=":material/face_retouching_off:")
        elif image.note:
            st.caption(image.note)
    if image.faces:
        prediction_view.show_face(image.faces[chosen])
        worth_view.show_worth(image.faces, chosen, asked)
        prediction_view.show_caption(answer, image.faces[chosen])
