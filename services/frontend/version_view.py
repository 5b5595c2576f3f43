"""How one version is shown: what can be done with it, and its card as a person reads it."""

from collections.abc import Mapping, Sequence
from typing import cast

import streamlit as st

from services.frontend import model_words, words
from services.frontend.guard import gateway
from services.frontend.model_view import make
from services.frontend.settings import Settings
from shared.model_folder import Card
from shared.schemas.models import ModelInfo, ModelList
from shared.schemas.wire import SLOTS, Slot


def show_version(model: ModelInfo, listed: ModelList) -> None:
    """Show a version: its state, what can be done with it, and its card.

    Raises:
        GatewayError: the gateway is away, or has no such card.
    """
    _heading(model)
    if model.problem:
        st.error(model.problem, icon=":material/broken_image:")
        _put_away(model)
        return
    _actions(model)
    _card(gateway().model(model.id), model, listed)


def _heading(model: ModelInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(model.id, anchor=False, width="content")
        for slot in model.serves:
            st.badge(words.view_name(slot), color="green", icon=":material/check:")
        if model.archived:
            st.badge("Archived", color="gray", icon=":material/inventory_2:")
    made = f"made {words.clock(model.created)} · " if model.created else ""
    weights = "can be fine-tuned" if model.trainable else "without weights to fine-tune from"
    if not model.problem:
        st.caption(f"{model.architecture} · {made}{model_words.megabytes(model.size_bytes)} · {weights}")


def _actions(model: ModelInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if not model.archived:
            _promote(model)
        _put_away(model)
        address = f"{Settings().shown_gateway_url}/v1/models/{model.id}/download"
        st.link_button("Download", address, icon=":material/download:", help="A zip of the version's folder.")


def _promote(model: ModelInfo) -> None:
    slots = st.multiselect(
        "Let it serve",
        [cast(Slot, slot) for slot in SLOTS],
        default=[slot for slot in model_words.own_slots(model) if slot not in model.serves],
        format_func=words.view_name,
        key=f"slots-{model.id}",
        placeholder="Choose views",
        width=340,
    )
    pressed = st.button(
        "Promote",
        type="primary",
        icon=":material/rocket_launch:",
        key="promote",
        disabled=not slots,
        help="It is tried first. Requests under way end on the version that they began with.",
    )
    if pressed:
        names = words.listed([words.view_name(slot).lower() for slot in slots])
        make(lambda gateway: gateway.promote(model.id, slots), f"{model.id} serves now: {names}.")


def _put_away(model: ModelInfo) -> None:
    if model.archived:
        if st.button("Restore", icon=":material/unarchive:", key="restore"):
            make(lambda gateway: gateway.restore(model.id), f"{model.id} is back.")
        return
    pressed = st.button(
        "Archive",
        icon=":material/inventory_2:",
        key="archive",
        disabled=bool(model.serves),
        help="It serves: promote another version first." if model.serves else "Keep it, but out of sight.",
    )
    if pressed:
        make(lambda gateway: gateway.archive(model.id), f"{model.id} is archived.")


def _card(card: Card, model: ModelInfo, listed: ModelList) -> None:
    figures, training, data, use = st.tabs(["Figures", "Training", "Data", "Intended use"])
    with figures:
        _table(model_words.figure_rows(model, listed), "The card has no figures.")
        classes = model_words.class_rows(card.metrics)
        if classes:
            st.markdown("**Accuracy by emotion, in per cent**")
            _table(classes, "")
        if protocol := card.metrics.get("protocol"):
            st.caption(f"How it was measured: {model_words.escaped(str(protocol))}")
    with training:
        _facts(model_words.training_facts(card))
    with data:
        _table(model_words.count_rows(card), "The card does not count the images.")
        _facts(model_words.data_facts(card))
    use.markdown(model_words.escaped(card.intended_use) or "The card does not say.")
    with st.expander("The whole card, as JSON", icon=":material/data_object:"):
        st.json(card.model_dump(mode="json"), expanded=1)


def _table(rows: Sequence[Mapping[str, str]], otherwise: str) -> None:
    if rows:
        st.table([dict(row) for row in rows], border="horizontal", hide_index=True)
    else:
        st.caption(otherwise)


def _facts(facts: Mapping[str, str]) -> None:
    rows = [{"": f":gray[{name}]", " ": value} for name, value in facts.items()]
    if rows:
        st.table(rows, border=False, hide_index=True, hide_header=True, width="content")
    else:
        st.caption("The card does not say more.")
