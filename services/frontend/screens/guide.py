"""The page Guide: what the views mean, how to call the gateway, and what Halfface must not be used for."""

import streamlit as st

from services.frontend import pictures, words
from services.frontend.guard import guarded
from services.frontend.picture_source import sample_files
from services.frontend.settings import Settings
from shared.masking import STUDY_VIEWS
from shared.preprocessing import resize, to_gray

VIEWS = """
A **view** says which part of a face is hidden. Halfface asks five models, one for each view: *Upper half hidden* reads
without eyes and brows, *Lower half hidden* without a mouth. Left and right are as you see them in the picture. A face
is found, cut out, made gray and 48 pixels wide; then the view's half is made black. That is all a network reads.

Below them stands **what each quarter says**: how much each quarter of the face adds to an emotion's probability, by the
answers of a sixth network, which knows any quarters hidden. It tells what moved that network's answer.

Where the five agree, every half of the face leads to the same answer, which may still be wrong. Where one differs, the
half that it misses may carry what the others see; or that network errs, since they are five networks.
"""
EMOTIONS = """
Angry, disgust, fear, happy, neutral, sad and surprise: the seven classes of FER2013, the photographs that the models
learnt from. People who were asked gave the same answer as the label for about two of three of them (65 ± 5 %,
Goodfellow et al., 2013), and the best published networks do for about three of four. How often those that serve here do
is on the page Study: more than two of three whole faces, and fewer with a half hidden. A probability is the model's
belief, not a measurement of what somebody feels; on faces like FER2013's, of the answers given with 70 %, some 70 % are
the label.
"""
LIMITS = """
- **Not for judging people.** Do not use it for hiring, schooling, policing, lie detection, health or insurance, nor on
  anyone who has not agreed. In the European Union, reading emotions at work and in schools is against the law
  (AI Act, Article 5).
- **An expression is not a feeling.** People smile when sad; cultures, ages and faces differ, and the training
  photographs do not show all of them alike.
- **Upright faces only.** One that lies on its side or upside down is misread, mostly without a word.
- **Small and old data.** FER2013 is 48 pixels wide and its labels are noisy; disgust is rare in it.
"""
CURL = """# every face of a picture, read by all models
curl -F images=@face.jpg {gateway}/v1/predictions

# one model, the whole picture is the face
curl -F images=@face.jpg -F models=upper -F detect=never {gateway}/v1/predictions

# and what each quarter of the face adds to each emotion
curl -F images=@face.jpg -F explain=true {gateway}/v1/predictions

# which models serve, and how the training jobs are
curl {gateway}/v1/models
curl {gateway}/v1/jobs
"""


@guarded
def show() -> None:
    """Show the page."""
    st.title("Guide", anchor=False)
    st.header("What the views mean", anchor=False)
    st.markdown(VIEWS)
    _example()
    st.header("What the emotions mean", anchor=False)
    st.markdown(EMOTIONS)
    st.header("What it must not be used for", anchor=False)
    st.markdown(LIMITS)
    st.header("From a program", anchor=False)
    address = Settings().shown_gateway_url
    st.markdown(
        f"The gateway answers at `{address}`. Every call is described, and can be tried, on "
        f"[its own page]({address}/docs)."
    )
    st.code(CURL.format(gateway=address), language="bash")


def _example() -> None:
    """Show a sample picture under the five views, as large pixels."""
    files = list(sample_files().values())
    if not files:
        return
    photo = pictures.upright(files[0].read_bytes())
    side, middle = min(photo.size), photo.width // 2
    face = photo.crop((middle - side // 3, side // 8, middle + side // 3, side // 8 + 2 * side // 3))
    for view, column in zip(STUDY_VIEWS, st.columns(len(STUDY_VIEWS), gap="small", wrap=False), strict=True):
        seen = pictures.enlarged(resize(to_gray(face), 48), view)
        column.image(
            pictures.png(seen),
            caption=words.view_name(view),
            width="stretch",
            alt=f"A face: {words.view_name(view).lower()}",
        )
