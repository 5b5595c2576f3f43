"""What stands around every page: the gateway's client, and errors turned into sentences."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from services.frontend.client import GatewayAwayError, GatewayClient
from services.frontend.settings import Settings
from shared.errors import HalffaceError

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")


@st.cache_resource(show_spinner=False, max_entries=4, on_release=GatewayClient.close)
def _client(url: str, timeout_s: float) -> GatewayClient:
    return GatewayClient(url, timeout_s)


def gateway() -> GatewayClient:
    """Return the client of the gateway that the settings name; one for the whole process."""
    settings = Settings()
    return _client(settings.gateway_url, settings.timeout_s)


def guarded(page: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Return `page` with every error shown as a sentence, and a button to try again where that may help."""

    @functools.wraps(page)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except GatewayAwayError as error:
            st.warning(str(error), icon=":material/cloud_off:")
            st.button("Retry", key=f"retry-{page.__name__}", icon=":material/refresh:")
        except HalffaceError as error:
            st.error(str(error), icon=":material/error:")
        except Exception:
            logger.exception("A page failed: %s", page.__name__)
            st.error(
                "This page met a fault of its own. Reload it; the frontend's log says more.", icon=":material/error:"
            )
            st.button("Retry", key=f"retry-{page.__name__}", icon=":material/refresh:")

    return run
