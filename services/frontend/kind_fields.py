"""The fields of each kind of job, beside its data set; each function returns the fields of its JobRequest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import streamlit as st

from services.frontend import words
from services.frontend.settings_fields import TEACHING, more_settings, setting, size_from, width_from
from shared.masking import STUDY_VIEWS, View
from shared.schemas.jobs import JobKind, Precision
from shared.schemas.models import ModelInfo
from shared.schemas.training import FIXED_BY_WEIGHTS, FROM_BASE, IMAGENET, Architecture, TrainOn
from shared.study_plan import FINE_TUNING

SOURCES: Final = {None: "Random weights", IMAGENET: "ImageNet weights (downloaded)"}
MIRROR_AVERAGES: Final = {
    None: "As the version does",
    True: "Average over a face and its mirror image",
    False: "No average",
}
SIZE_AVERAGES: Final = {None: "As the version does", True: "Average over two sizes of a face", False: "No average"}
PRIOR_CORRECTIONS: Final = {
    None: "As the version does",
    True: "Take them out of the answers",
    False: "Leave them in the answers",
}
NO_TEACHER: Final = "No teacher"
ALONE: Final = "As the version does"
NONE_TRAINABLE: Final = "No version ships its weights, which this needs. Train one first."

Fields = dict[str, Any]


def _train(models: Sequence[ModelInfo]) -> Fields:
    first, second = st.columns(2)
    view = _view(first)
    base = second.selectbox(
        "Start from", list(SOURCES), format_func=SOURCES.__getitem__, key="base", persist_state="session"
    )
    return {"view": view, "base_model": base, "settings": _settings(without=TEACHING)}


def _fine_tune(models: Sequence[ModelInfo]) -> Fields | None:
    trainable = _trainable(models)
    if not trainable:
        return None
    first, second = st.columns(2)
    base = _model("Start from", trainable, key="base-model", place=second)
    view = _view(first)
    fits = base.view == View.FULL and view != View.FULL
    key = f"teacher-{base.id}-{view}"
    what = "A model that sees the whole face; the new one also learns from what it answers."
    usable = [model for model in models if not model.problem]  # a teacher that is asked once needs no weights
    teacher = _model_or("Teacher", NO_TEACHER, usable, key=key, what=what, chosen=base.id if fits else None)
    others = [model for model in usable if model != teacher]
    what = "Another model that teaches: what both answer is averaged. Ideally its mistakes are others than the first's."
    helper = (
        _model_or("Second teacher", NO_TEACHER, others, key=f"second-{key}", what=what) if teacher and others else None
    )
    defaults = {"distill_weight": FINE_TUNING["distill_weight"]} if teacher else {}
    settings = _settings(defaults, without=(*FROM_BASE, *(() if teacher else TEACHING)), base=base)
    teaching = {"teacher": teacher and teacher.id, "second_teacher": helper and helper.id}
    return {"view": view, "base_model": base.id, **teaching, "settings": settings}


def _evaluate(models: Sequence[ModelInfo]) -> Fields | None:
    model = _version(models)
    views = st.multiselect(
        "Views",
        list(STUDY_VIEWS),
        default=list(STUDY_VIEWS),
        format_func=words.view_name,
        key="views",
        persist_state="session",
    )
    if not views:
        st.warning("Choose at least one view.")
        return None
    return {"model": model.id, "views": views} if model else None


def _export(models: Sequence[ModelInfo]) -> Fields | None:
    model = _version(models)
    precision, mirrored, sizes = None, None, None
    if model and model.trainable:
        precision = st.segmented_control(
            "Precision", get_args(Precision), default="int8", required=True, key="precision", persist_state="session"
        )
        mirrored = _choice("Mirror average", MIRROR_AVERAGES, "mirror-average")
        sizes = _choice("Size average", SIZE_AVERAGES, "size-average")
    elif model:
        st.caption("Without its weights, a version keeps its arithmetic and its averages.")
    corrected = _choice("Class weights", PRIOR_CORRECTIONS, "prior-correction")
    other = _model_or(
        "Together with",
        ALONE,
        [each for each in models if each != model],
        key=f"ensemble-{model.id if model else ''}",
        what="Another model: the file answers with the mean of both, each of which reads one of two sizes of a face. "
        "That takes no longer than one model which reads both sizes.",
        disabled=sizes is False,
    )
    ensemble = other.id if other and sizes is not False else None
    asked = {
        **({"precision": precision} if precision else {}),
        "mirror_average": mirrored,
        "size_average": sizes,
        "ensemble_with": ensemble,
        "prior_correction": corrected,
    }
    return {"model": model.id, **asked} if model else None


def _study(models: Sequence[ModelInfo]) -> Fields:
    what = "What the names of its six models begin with."
    name = st.text_input("Name", key="name", placeholder="lab", help=what, persist_state="session")
    return {"name": name.strip() or None, "settings": _settings(without=TEACHING)}


FIELDS: Final[Mapping[JobKind, Callable[[Sequence[ModelInfo]], Fields | None]]] = {
    "train": _train,
    "fine-tune": _fine_tune,
    "evaluate": _evaluate,
    "export": _export,
    "study": _study,
}
"""Shows the fields of a kind; None where something that the kind needs is missing, which the page then says."""


def _view(place: Any) -> str:
    return str(
        place.selectbox(
            "What is hidden while it learns",
            get_args(TrainOn),
            format_func=lambda view: words.HIDDEN_PARTS.get(view, view),
            key="view",
            persist_state="session",
            help="The network learns from faces of which this part is black.",
        )
    )


def _model(label: str, models: Sequence[ModelInfo], *, key: str, place: Any = st) -> ModelInfo:
    """Return the model that is chosen of these, one or more.

    Ids are chosen from, here and in `_model_or`: what a model serves may change while the page is open, and it would be
    another option then.
    """
    names = {model.id: model for model in models}
    chosen = place.selectbox(
        label, list(names), format_func=lambda each: _model_name(names, each), key=key, persist_state="session"
    )
    return names.get(chosen, models[0])


def _model_or(
    label: str,
    none: str,
    models: Sequence[ModelInfo],
    *,
    key: str,
    what: str,
    chosen: str | None = None,
    disabled: bool = False,
) -> ModelInfo | None:
    """Return the model that is chosen of these, or None, which is called `none`; before a choice, the one `chosen`."""
    names = {model.id: model for model in models}
    options = [None, *names]
    found = st.selectbox(
        label,
        options,
        index=options.index(chosen),
        format_func=lambda each: _model_name(names, each) if each else none,
        key=key,
        help=what,
        disabled=disabled,
        persist_state="session",
    )
    return names.get(found) if found else None


def _choice(label: str, words_of: Mapping[bool | None, str], key: str) -> bool | None:
    """Return whether the exported file is to do something; None is as the version does."""
    return st.selectbox(label, list(words_of), format_func=words_of.__getitem__, key=key, persist_state="session")


def _settings(
    defaults: Mapping[str, Any] | None = None, *, without: Sequence[str] = (), base: ModelInfo | None = None
) -> Fields:
    """Return the settings that are asked for; what the weights of `base` fix is taken from it, its size is offered."""
    values: Fields = {name: getattr(base, name) for name in FIXED_BY_WEIGHTS} if base else {}
    first, second, *third = st.columns(3 if base else 2)
    with first:
        values["epochs"] = setting("epochs")
    with second:
        if base:
            values["width"] = width_from(base.width, f"width-{base.id}")
        else:
            values["architecture"] = setting("architecture")
    if base:
        with third[0]:
            values["size"] = size_from(base.size, f"size-{base.id}")
    with st.expander("More settings", icon=":material/tune:"):
        return values | more_settings(defaults or {}, without)


def _trainable(models: Sequence[ModelInfo]) -> list[ModelInfo]:
    known = get_args(Architecture)
    found = [model for model in models if model.trainable and not model.problem and model.architecture in known]
    if not found:
        st.info(NONE_TRAINABLE)
    return found


def _version(models: Sequence[ModelInfo]) -> ModelInfo | None:
    usable = [model for model in models if not model.problem]
    if not usable:
        st.info("There is no version yet. Train one first.")
        return None
    return _model("Version", usable, key="model")


def _model_name(models: Mapping[str, ModelInfo], model_id: str) -> str:
    """Return the name of a model that is chosen from; a stale choice, which is gone, by its id."""
    model = models.get(model_id)
    return f"{model_id} ({words.view_name(model.view).lower()})" if model else model_id
