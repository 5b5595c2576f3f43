"""The frontend's entry: `python -m services.frontend` runs it with Streamlit. Navigation, logo and sidebar."""

from pathlib import Path

import streamlit as st

from services.frontend.access import ask_where_needed, show_key
from services.frontend.guard import gateway, guarded
from services.frontend.screens import guide, models, predict, study, train

FOLDER = Path(__file__).parent
GUIDE = (
    "Halfface reads the emotion on a face when half of it is hidden. Give it a picture on **Predict** and compare what "
    "five models read; on **Train** make a model of your own and watch it learn; on **Models** let it serve; **Study** "
    "says what each half of the face is worth."
)


@st.fragment(run_every=20)
@guarded
def gateway_state() -> None:
    """Say whether the gateway can serve, and why not."""
    health = gateway().health()
    if health.status == "ok":
        st.badge("Ready", icon=":material/check_circle:", color="green")
        if health.reason:
            st.caption(health.reason)
    else:
        st.badge("Not ready", icon=":material/cloud_off:", color="orange")
        st.caption(health.reason or "The gateway is starting.")


def main() -> None:
    """Build the frame of the page and run the page that was chosen."""
    start = st.Page(predict.show, title="Predict", default=True)
    # The first page's address is "/". Whoever types the name that the others suggest is sent there.
    start_by_name = st.Page(lambda: st.switch_page(start), title="Predict", url_path="predict")
    pages = {
        start: ":material/face:",
        st.Page(train.show, title="Train", url_path="train"): ":material/model_training:",
        st.Page(models.show, title="Models", url_path="models"): ":material/deployed_code:",
        st.Page(study.show, title="Study", url_path="study"): ":material/bar_chart:",
        st.Page(guide.show, title="Guide", url_path="guide"): ":material/menu_book:",
    }
    # Icons stand on links of our own: a page's icon becomes the tab's, which the browser fetches from a font server.
    page = st.navigation([*pages, start_by_name], position="hidden")
    title = f"{page.title} · Halfface"
    st.set_page_config(page_title=title, page_icon=str(FOLDER / "icon.svg"), layout="wide")
    st.logo(str(FOLDER / "logo.svg"), size="large", icon_image=str(FOLDER / "icon.svg"))
    with st.sidebar:
        for link, icon in pages.items():
            st.page_link(link, icon=icon, width="stretch")
        st.divider()
        st.markdown(GUIDE)
        gateway_state()
        show_key()
    ask_where_needed()
    page.run()


main()
