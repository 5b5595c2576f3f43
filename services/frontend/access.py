"""Who is asking: the gateway's client with this session's key, and the small form that asks for a key.

Reading needs no key; what changes something does. A page makes a change with `change`, and nothing else is needed:

    if st.button("Cancel"):
        change(lambda gateway: gateway.cancel(job.id))

    if st.button("Start"):
        change(lambda gateway: gateway.start(request), lambda job: open_job(job.id))

If the gateway wants a key, or another one, the page asks for it in a dialog and makes the change once it has it;
closing the dialog leaves everything as it was. After the change the page runs again. Other refusals are raised as ever
(`guard.guarded` shows them). The application calls `ask_where_needed` and `show_key` once for all pages.

A key lives in the session of one tab and nowhere else: a reload forgets it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import streamlit as st

from services.frontend.client import (
    GatewayAwayError,
    GatewayClient,
    GatewayError,
    GatewayRefusedError,
    KeyNeededError,
)
from services.frontend.settings import Settings

KEY: Final = "key"
REQUEST: Final = "key-request"
FAILURE: Final = "key-failure"
MISSING: Final = "The gateway wants a key for this."
WHERE: Final = (
    "Halfface shows its first key once, when it is started for the first time: where `make up` runs, or in "
    "`docker compose logs gateway`. Its owner makes more of them (README.md, Keys). "
    "The key is kept until this tab is reloaded or closed."
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """Why a key is wanted, and what to do once it is there."""

    reason: str
    action: Callable[[GatewayClient], Any] | None = None
    done: Callable[[Any], None] | None = None


@st.cache_resource(show_spinner=False, max_entries=4, on_release=GatewayClient.close)
def _client(url: str, timeout_s: float) -> GatewayClient:
    return GatewayClient(url, timeout_s)


def gateway(key: str | None = None) -> GatewayClient:
    """Return the client of the gateway that the settings name, with `key`, or the session's key if there is one.

    Its connections are shared by the whole process; the key is not.
    """
    settings = Settings()
    return _client(settings.gateway_url, settings.timeout_s).with_key(key or st.session_state.get(KEY))


def change(action: Callable[[GatewayClient], Result], done: Callable[[Result], None] | None = None) -> NoReturn:
    """Make a change, asking for a key where the gateway wants one; then run the page again.

    Args:
        action: makes the change with the client that it is given; called again if a key had to be asked for.
        done: called with what `action` returned, before the page runs again.

    Raises:
        GatewayError: the gateway is away, or refuses for a reason other than the key.
    """
    try:
        result = action(gateway())
    except KeyNeededError as error:
        st.session_state[REQUEST] = Request(_reason(error), action, done)
    else:
        if done:
            done(result)
    st.rerun()


def change_or_say_why(
    action: Callable[[GatewayClient], Result], done: Callable[[Result], None] | None = None
) -> NoReturn:
    """Make a change as `change` does, from a part of a page that refreshes itself: a failure is told at the page's top.

    There it stays until the page runs again, and the part that was pressed is shown as before.
    """
    try:
        change(action, done)
    except (GatewayRefusedError, GatewayAwayError) as error:
        st.session_state[FAILURE] = str(error)
        st.rerun()


def offer_key(error: KeyNeededError, widget_key: str) -> None:
    """Say why a key is needed, beside a button that asks for it: for what a page does on its own, without a press."""
    reason = _reason(error)
    st.warning(reason, icon=":material/key:")
    st.button("Give a key", key=widget_key, icon=":material/key:", on_click=_request, args=(reason,))


def ask_where_needed() -> None:
    """Open the dialog that asks for a key, if one is wanted; say why a change failed that was made from it."""
    if failure := st.session_state.pop(FAILURE, None):
        st.error(failure, icon=":material/error:")
    if REQUEST in st.session_state:
        _dialog()


def show_key() -> None:
    """Show in the sidebar that a key is in use, with a way to forget it; nothing without a key."""
    if key := st.session_state.get(KEY):
        st.caption(f":material/key: This tab uses the key `{_shown(key)}`.")
        st.button("Forget key", icon=":material/key_off:", on_click=_forget_key)


def _request(reason: str) -> None:
    st.session_state[REQUEST] = Request(reason)


def _forget_request() -> None:
    st.session_state.pop(REQUEST, None)


def _forget_key() -> None:
    st.session_state.pop(KEY, None)


@st.dialog("A key, please", icon=":material/key:", on_dismiss=_forget_request)
def _dialog() -> None:
    request: Request = st.session_state[REQUEST]
    st.markdown(request.reason)
    with st.form("give-key", border=False):
        given = st.text_input("Key", type="password", placeholder="hf_…", key="given-key")
        pressed = st.form_submit_button("Go on", type="primary")
    st.caption(WHERE)
    if pressed:
        _go_on(request, (given or "").strip())


def _go_on(request: Request, key: str) -> None:
    """Do with `key` what was asked for; keep the key if the gateway takes it."""
    if not (key.startswith("hf_") and key.isascii() and key.isprintable() and " " not in key):
        st.error("That is no key of Halfface: a key is one word that begins with hf_.")
        return
    try:
        result = request.action(gateway(key)) if request.action else None
    except KeyNeededError as error:
        st.error(_reason(error))
        return
    except GatewayAwayError as error:
        st.error(str(error))
        return
    except GatewayError as error:  # not for the key, at which the gateway looks first
        st.session_state[FAILURE] = str(error)
    else:
        if request.done:
            request.done(result)
    st.session_state[KEY] = key
    _forget_request()
    st.rerun()


def _reason(error: KeyNeededError) -> str:
    """Return why the gateway wants a key: its own sentence, but where that speaks of HTTP headers."""
    return MISSING if error.code == "key_missing" else str(error)


def _shown(key: str) -> str:
    """Return the part of a key that is no secret."""
    return "_".join(key.split("_", 2)[:2]) + "_…"
