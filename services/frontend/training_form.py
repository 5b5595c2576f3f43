"""The form that starts a job: its kind, its data set and the fields of the kind; returns the request it stands for."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

import streamlit as st
from pydantic import BaseModel, ValidationError

from services.frontend import charts, words
from services.frontend.kind_fields import FIELDS
from shared.errors import HalffaceError
from shared.schemas.datasets import DatasetInfo, DatasetList
from shared.schemas.jobs import JobKind, JobRequest
from shared.schemas.models import ModelInfo
from shared.schemas.training import TrainSettings

Content = TypeVar("Content", bound=BaseModel)

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
    kind: JobKind = st.radio(
        "What should be done?",
        get_args(JobKind),
        format_func=words.KIND_NAMES.__getitem__,
        captions=[words.KIND_SENTENCES[each] for each in get_args(JobKind)],
        key="kind",
        persist_state="session",
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        found = {each.name: each for each in datasets.datasets}
        name = st.selectbox("Data set", list(found), key="dataset", persist_state="session")
        dataset = found.get(name, datasets.datasets[0])
    with right:
        _show_counts(dataset)
    if dataset.problem:
        left.error(dataset.problem, icon=":material/folder_off:")
        return None
    with left:
        fields = FIELDS[kind](models)
    if fields is None or not left.button(words.START_KIND[kind], type="primary", icon=":material/play_arrow:"):
        return None
    if "settings" in fields:
        fields["settings"] = checked_settings(fields["settings"])
    return _checked(JobRequest, {"kind": kind, "dataset": dataset.name, **fields})


def _show_counts(dataset: DatasetInfo) -> None:
    if dataset.counts:
        st.caption(f"{dataset.total:,} images in {dataset.name}")
        st.altair_chart(charts.class_counts(dataset.counts), width="stretch", alt="Images of each class")


def checked_settings(values: dict[str, Any]) -> TrainSettings:
    """Return the settings of these values.

    Raises:
        SettingsError: a value that is not allowed; the text names the settings at fault.
    """
    return _checked(TrainSettings, values)


def _checked(kind: type[Content], values: dict[str, Any]) -> Content:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [problem.get("ctx", {}).get("field") or (problem["loc"] or ("",))[0] for problem in error.errors()]
        names = sorted({str(fault).replace("_", " ") for fault in faults} - {""})
        raise SettingsError(f"Correct these fields, then start again: {', '.join(names) or 'see the form'}.") from error
