"""The form that starts a training job: data set, view, base model and settings; returns the request it stands for."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import streamlit as st
from pydantic import ValidationError

from services.frontend import charts, words
from services.frontend.settings_fields import more_settings, setting
from shared.errors import HalffaceError
from shared.schemas import (
    IMAGENET,
    Architecture,
    DatasetInfo,
    DatasetList,
    JobRequest,
    ModelInfo,
    TrainOn,
    TrainSettings,
)

EMPTY_FOLDER = """
**There is no data set yet.** Put FER2013 into the folder `{folder}`, in any of the three forms in which people have it:

- `fer2013.zip` with `train/<label>/` and `test/<label>/` in it, as Kaggle gives it;
- the same zip unpacked: a folder with `train/` and `test/`;
- the file `fer2013.csv` or `icml_face_data.csv` of the original challenge.

It is on Kaggle as
[msambare/fer2013](https://www.kaggle.com/datasets/msambare/fer2013) (the zip) and on the page of the
[Facial Expression Recognition Challenge](https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge/data)
(the CSV). Any other folder of that layout works too. Then press Look again.
"""
RANDOM = "Random weights"
IMAGENET_WEIGHTS = "ImageNet weights (downloaded)"


class SettingsError(HalffaceError):
    """Settings in the form that no training can have; the text names them."""


def show_form(datasets: DatasetList, models: Sequence[ModelInfo]) -> JobRequest | None:
    """Show the form; return what to start, when Start is pressed.

    Raises:
        SettingsError: a value that the settings do not allow.
    """
    if not datasets.datasets:
        st.info(EMPTY_FOLDER.format(folder=datasets.folder), icon=":material/folder_open:")
        st.button("Look again", icon=":material/refresh:")
        return None
    left, right = st.columns([3, 2], gap="large")
    with left:
        dataset = st.selectbox("Data set", datasets.datasets, format_func=lambda found: found.name, key="dataset")
    with right:
        _show_counts(dataset)
    if dataset.problem:
        left.error(dataset.problem, icon=":material/folder_off:")
        return None
    with left, st.form("training", border=False):
        return _fields(dataset, [model for model in models if model.trainable and not model.problem])


def _show_counts(dataset: DatasetInfo) -> None:
    if dataset.counts:
        st.caption(f"{dataset.total:,} images in {dataset.name}")
        st.altair_chart(charts.class_counts(dataset.counts), width="stretch", alt="Images of each class")


def _fields(dataset: DatasetInfo, models: list[ModelInfo]) -> JobRequest | None:
    first, second = st.columns(2)
    view = first.selectbox(
        "What is hidden while it learns",
        get_args(TrainOn),
        format_func=lambda view: words.HIDDEN_PARTS.get(view, view),
        key="view",
        help="The network learns from faces of which this part is black.",
    )
    base = second.selectbox(
        "Start from",
        [None, *models, IMAGENET],
        format_func=_base_name,
        key="base",
        help="A model to go on from; it keeps that model's network. Random weights take longer.",
    )
    values: dict[str, Any] = {}
    with first:
        values["epochs"] = setting("epochs")
    with second:
        values["architecture"] = setting("architecture")
    with st.expander("More settings", icon=":material/tune:"):
        values |= more_settings()
    if not st.form_submit_button("Start training", type="primary", icon=":material/play_arrow:"):
        return None
    if isinstance(base, ModelInfo) and base.architecture in get_args(Architecture):
        values["architecture"] = base.architecture
    base_model = base.id if isinstance(base, ModelInfo) else base
    return JobRequest(dataset=dataset.name, view=view, base_model=base_model, settings=checked_settings(values))


def _base_name(base: ModelInfo | Literal["imagenet"] | None) -> str:
    """Return in words what a training starts from."""
    if base is None:
        return RANDOM
    if base == IMAGENET:
        return IMAGENET_WEIGHTS
    return f"{base.id} ({words.view_name(base.view).lower()})"


def checked_settings(values: dict[str, Any]) -> TrainSettings:
    """Return the settings of these values.

    Raises:
        SettingsError: a value that is not allowed; the text names the settings at fault.
    """
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        names = sorted({str(problem["loc"][0]).replace("_", " ") for problem in error.errors() if problem["loc"]})
        raise SettingsError(
            f"Correct these settings, then start again: {', '.join(names) or 'see the form'}."
        ) from error
