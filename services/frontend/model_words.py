"""What the page Models says: figures, differences, times and changes as text. Pure functions."""

from collections.abc import Mapping
from typing import Any, Final, cast

from services.frontend.words import NUMBERS, READS, clock, duration, view_name
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_comparison import Difference, compare, figure
from shared.model_folder import Card
from shared.schemas.models import ModelChange, ModelInfo, ModelList
from shared.schemas.wire import SLOTS, Slot

SHORT_VIEW_NAMES: Final = {
    "full": "Whole face",
    "upper": "Upper hidden",
    "lower": "Lower hidden",
    "left": "Left hidden",
    "right": "Right hidden",
}

ANY: Final = "any"
ANY_PART: Final = "Any part"
"""Above the means over the five views, by which versions compare for the slot `any`."""

CARD_NAMES: Final = {**SHORT_VIEW_NAMES, ANY: ANY_PART}
"""Above the cards of what serves, six side by side."""

LEARNT_FROM: Final = {**SHORT_VIEW_NAMES, "five": "All five views"}
FIGURES: Final = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "weighted_auc": "Weighted AUC",
}
SAME: Final = 0.0005
"""Differences of less than 0.05 points are shown as none."""


def points(difference: float) -> str:
    """Return a difference of two shares in points, signed and coloured, as Markdown."""
    if abs(difference) < SAME:
        return ":gray[±0.0]"
    return f":{'green' if difference > 0 else 'red'}[{difference * 100:+.1f}]".replace("-", "−")


def hundredths(share: float | None) -> str:
    """Return a share of 1 in per cent with one decimal place, without the sign; a dash for none."""
    return "–" if share is None else f"{share * 100:.1f}"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB."""
    return f"{size_bytes / 1e6:.1f} MB"


def in_order(listed: ModelList) -> ModelList:
    """Return the list with the versions that serve first, then the newest."""
    newest = sorted(listed.models, key=lambda model: model.created, reverse=True)
    return listed.model_copy(update={"models": sorted(newest, key=lambda model: -len(model.serves))})


def own_slots(model: ModelInfo) -> list[Slot]:
    """Return the slots that a version was trained for: its view's, or all of the study's if it mixes them."""
    views = [view.value for view in STUDY_VIEWS] if model.view == "five" else [model.view]
    return [cast(Slot, view) for view in views if view in SLOTS]


def differences(model: ModelInfo, listed: ModelList) -> dict[str, Difference]:
    """Return slot to how a version compares with what serves the slot, where both were measured on the same data."""
    infos = {each.id: each for each in listed.models}
    serving = {
        slot: (model_id, infos[model_id].metrics)
        for slot, model_id in listed.active.items()
        if model_id in infos and infos[model_id].fingerprint == model.fingerprint
    }
    return compare(model.metrics, serving)


def version_row(model: ModelInfo, listed: ModelList) -> dict[str, str]:
    """Return a version's line in the table of versions, as Markdown."""
    learnt = ":orange[Cannot be used]" if model.problem else LEARNT_FROM.get(model.view, view_name(model.view))
    made = model.created[:10].replace("-", "\N{NON-BREAKING HYPHEN}")
    row = {"Version": f"**{escaped(model.id)}**", "Learnt from": learnt, "Made": made or "–"}
    against = differences(model, listed)
    columns = {**SHORT_VIEW_NAMES, **({ANY: ANY_PART} if ANY in listed.active else {})}
    return row | {name: _cell(model, slot, against.get(slot)) for slot, name in columns.items()}


def _cell(model: ModelInfo, slot: str, difference: Difference | None) -> str:
    """Return a version's accuracy and, in the line below, its macro F1, each with the difference from what serves."""
    accuracy, macro_f1 = (figure(model.metrics, slot, key) for key in ("accuracy", "macro_f1"))
    if slot in model.serves:
        first, second = f"{hundredths(accuracy)}\N{NO-BREAK SPACE}:primary[●]", f":gray[{hundredths(macro_f1)}]"
    else:
        first = _beside(hundredths(accuracy), difference.difference if difference else None)
        second = _beside(f":gray[{hundredths(macro_f1)}]", difference.macro_f1_difference if difference else None)
    return first if macro_f1 is None else f"{first}  \n{second}"


def _beside(shown: str, difference: float | None) -> str:
    return shown if difference is None else f"{shown}\N{NO-BREAK SPACE}{points(difference)}"


def figure_rows(model: ModelInfo, listed: ModelList) -> list[dict[str, str]]:
    """Return a line for each slot: a version's figures, and how accuracy and macro F1 compare with what serves."""
    against = differences(model, listed)
    rows = []
    for slot in (*SHORT_VIEW_NAMES, *([ANY] if ANY in listed.active else [])):
        beside = None if slot in model.serves else against.get(slot)
        row = {"View": view_name(slot)}
        row |= {name: hundredths(figure(model.metrics, slot, key)) for key, name in FIGURES.items()}
        if beside:
            row["Accuracy"] = _beside(row["Accuracy"], beside.difference)
            row["Macro F1"] = _beside(row["Macro F1"], beside.macro_f1_difference)
        serves = ":primary[●] in service" if slot in model.serves else "–"
        row["Against"] = escaped(beside.model) if beside else serves
        rows.append(row)
    return rows


def class_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a line for each emotion: the share of its test faces that were named right, by view; none if not told."""
    test = metrics.get("test")
    shares = {
        view: figures.get("class_accuracy")
        for view, figures in (test.items() if isinstance(test, Mapping) else ())
        if view in SHORT_VIEW_NAMES and isinstance(figures, Mapping)
    }
    shares = {view: each for view, each in shares.items() if isinstance(each, Mapping)}
    if not shares:
        return []
    return [
        {"Emotion": label.capitalize()}
        | {SHORT_VIEW_NAMES[view]: hundredths(_number(_mapping(each).get(label))) for view, each in shares.items()}
        for label in LABELS
    ]


def change_row(change: ModelChange) -> dict[str, str]:
    """Return a change's line in the history, as Markdown."""
    return {"When": clock(change.time), "Who": escaped(change.by), "What": _change(change)}


def _change(change: ModelChange) -> str:
    where = READS.get(change.slot or "", "")
    before = f", in place of {change.before}" if change.before not in (None, change.model) else ""
    match change.action:
        case "promote":
            return f"Promoted **{change.model}** for {where}{before}"
        case "roll_back":
            return f"Rolled back to **{change.model}** for {where}{before}"
        case "release":
            return f"The release brought **{change.model}** for {where}{before}"
        case "archive":
            return f"Archived **{change.model}**"
        case "restore":
            return f"Restored **{change.model}**"


def training_facts(card: Card) -> dict[str, str]:
    """Return what a card tells of the training, name to value; what it does not tell is left out."""
    told = card.training
    request = _mapping(told.get("request"))
    settings = _mapping(request.get("settings"))
    size = f"{card.input.size} x {card.input.size} pixels, {NUMBERS[card.input.channels]} channels"
    facts: dict[str, Any] = {
        "Network": f"{card.architecture}, reads {size}",
        "Started from": request.get("base_model") or ("random weights" if request else None),
        "Hidden while training": view_name(card.view),
        "Epochs": _epochs(told, settings),
        "Batch": settings.get("batch_size"),
        "Optimiser": _optimiser(settings),
        "Time": duration(seconds) if (seconds := _number(told.get("seconds"))) else None,
        "Machine": _machine(told),
        "Seed": settings.get("seed"),
        "Code": told.get("revision"),
        "Run": told.get("run"),
    }
    return {name: escaped(str(value)) for name, value in facts.items() if value is not None}


def _epochs(told: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    if "epochs" not in settings:
        return None
    best = told.get("best_epoch")
    return f"{settings['epochs']}, best after {best}" if best is not None else str(settings["epochs"])


def _optimiser(settings: Mapping[str, Any]) -> str | None:
    if "optimizer" not in settings:
        return None
    return f"{settings['optimizer']}, learning rate {settings.get('learning_rate')}"


def _machine(told: Mapping[str, Any]) -> str | None:
    parts = [told.get("device"), told.get("machine"), f"{told['cores']} cores" if told.get("cores") else None]
    return ", ".join(str(part) for part in parts if part) or None


def count_rows(card: Card) -> list[dict[str, str]]:
    """Return a line for each emotion: how many images of it each part of the data has; none if not told."""
    counts = {part: _mapping(each) for part, each in _mapping(card.data.get("counts")).items()}
    rows = [
        {"Emotion": label.capitalize()}
        | {part.capitalize(): f"{_number(each.get(label)) or 0:,.0f}" for part, each in counts.items()}
        for label in LABELS
    ]
    return rows if counts else []


def data_facts(card: Card) -> dict[str, str]:
    """Return what a card tells of the data beside the counts, name to value."""
    told = {name: value for name, value in card.data.items() if name != "counts"}
    facts = {name: _fact(value) for name, value in told.items() if isinstance(value, str | int | float | Mapping)}
    return {name.replace("_", " ").capitalize(): escaped(value) for name, value in facts.items()}


def _fact(value: object) -> str:
    """Return a value as text; of several, each with its name."""
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{str(name).replace('_', ' ')}: {each}" for name, each in value.items())


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{char}" if char in r"\`*_[]<>#$|~:" else char for char in text)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
