"""Input fields for TrainSettings, made from the schema: its defaults, bounds and descriptions."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
import streamlit as st
from pydantic.fields import FieldInfo

from shared.schemas.training import TrainSettings

IN_FRONT: Final = ("architecture", "epochs")
"""Fields that stand in the form itself, not under More settings."""

TEACHING: Final = ("distill_weight", "distill_temperature", "fixed_teacher")
"""Settings that only a job with a teacher reads."""

GROUPS: Final = {
    "Network": (
        "size",
        "grow_from",
        "mixed_sizes",
        "width",
        "small_stem",
        "max_pool",
        "mirror_average",
        "size_average",
        "precision",
    ),
    "Learning": (
        "optimizer",
        "learning_rate",
        "batch_size",
        "warmup_steps",
        "weight_decay",
        "momentum",
        "label_smoothing",
        "class_weights",
        "prior_correction",
        "ema_decay",
        "freeze_statistics",
        "start_share",
    ),
    "Hiding": ("hide_after", "hide_share", "other_share"),
    "Augmentation": ("flip", "shift", "rotate_degrees", "zoom", "contrast", "erase", "mixup"),
    "Teaching": TEACHING,
    "Run": ("epoch_faces", "validation_share", "duplicate_similarity", "select", "seed", "checkpoint_seconds"),
}
NAMES: Final = {
    "ema_decay": "EMA decay",
    "max_pool": "Max-pool",
    "warmup_steps": "Warm-up steps",
    "rotate_degrees": "Rotation (degrees)",
    "select": "Best epoch by",
    "checkpoint_seconds": "Checkpoint every (s)",
}
"""Names of settings for people, where the schema's name does not serve."""

COLUMNS = 3
SWITCH_COLUMNS = 2
"""A switch's name stands beside it, and needs the room."""
SMALLEST = 1e-6


def more_settings(defaults: Mapping[str, Any] | None = None, without: Collection[str] = ()) -> dict[str, Any]:
    """Show a field for every setting that does not stand in front; return name to value.

    Args:
        defaults: what fields begin with, where that is not the schema's default.
        without: settings that are not shown.
    """
    values: dict[str, Any] = {}
    for title, group in grouped_fields().items():
        names = [name for name in group if name not in without]
        if not names:
            continue
        st.markdown(f"**{title}**")
        switches = [name for name in names if TrainSettings.model_fields[name].annotation is bool]
        fields = [name for name in names if name not in switches]
        for shown, across in ((fields, COLUMNS), (switches, SWITCH_COLUMNS)):
            for start in range(0, len(shown), across):
                for name, column in zip(shown[start : start + across], st.columns(across), strict=False):
                    with column:
                        values[name] = setting(name, (defaults or {}).get(name))
    return values


def grouped_fields() -> dict[str, tuple[str, ...]]:
    """Return the groups, with the settings that no group names under "Other"."""
    named = {*IN_FRONT, *(name for names in GROUPS.values() for name in names)}
    rest = tuple(name for name in TrainSettings.model_fields if name not in named)
    return {**GROUPS, "Other": rest} if rest else dict(GROUPS)


def setting(name: str, default: Any = None) -> Any:
    """Show the field of one setting and return its value; it begins with the schema's default, a number with `default`
    where that is given."""
    field = TrainSettings.model_fields[name]
    label = NAMES.get(name, name.replace("_", " ").capitalize())
    key, note = f"setting-{name}", field.description
    if field.annotation is bool:
        return st.toggle(label, value=field.default, key=key, help=note, persist_state="session")
    if get_origin(field.annotation) is Literal:
        choices = list(get_args(field.annotation))
        return st.selectbox(
            label, choices, index=choices.index(field.default), key=key, help=note, persist_state="session"
        )
    return _number(label, field, key, field.default if default is None else default)


def width_from(lowest: float, key: str) -> float:
    """Show the field of the width of a network that starts from one of width `lowest`, and return its value."""
    highest = _bounds(TrainSettings.model_fields["width"], SMALLEST)[1]
    note = (
        "Share of the network's channels. A greater one than the version's widens it: the wider network answers as the "
        "narrower one did until it learns on."
    )
    return st.number_input("Width", lowest, highest, lowest, 0.25, "%g", key=key, help=note, persist_state="session")


def size_from(size: int, key: str) -> int:
    """Show the field of the size that a network which starts from one of this size reads, and return its value."""
    return int(_number("Size", TrainSettings.model_fields["size"], key, size))


def _number(label: str, field: FieldInfo, key: str, value: Any) -> Any:
    if field.annotation is float:
        low, high = _bounds(field, SMALLEST)
        return st.number_input(
            label,
            low,
            high,
            value,
            _step(field.default),
            "%g",
            key=key,
            help=field.description,
            persist_state="session",
        )
    lowest, highest = _bounds(field, 1)
    return st.number_input(
        label, int(lowest), int(highest), value, 1, key=key, help=field.description, persist_state="session"
    )


def _step(default: float) -> float:
    """Return a handy step for a number of this size."""
    return 1.0 if default >= 5 else 0.05 if default >= 0.2 else 0.01 if default >= 0.01 or default == 0 else 1e-4


def _bounds(field: FieldInfo, margin: float) -> tuple[float, float]:
    """Return the lowest and highest value allowed; open bounds are moved inwards by `margin`."""
    low, high = -1e9, 1e9
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = float(rule.ge)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Gt):
            low = float(rule.gt) + margin  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Le):
            high = float(rule.le)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Lt):
            high = float(rule.lt) - margin  # type: ignore[arg-type]
    return low, high
