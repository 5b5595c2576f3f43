"""What stands around every page: the gateway's client (of `access`), and errors turned into sentences."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from services.frontend.access import gateway, offer_key
from services.frontend.client import GatewayAwayError, KeyNeededError
from shared.errors import HalffaceError

__all__ = ["gateway", "guarded"]

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")


def guarded(page: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Return `page` with every error shown as a sentence, and a button to try again where that may help."""

    @functools.wraps(page)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except GatewayAwayError as error:
            st.warning(str(error), icon=":material/cloud_off:")
            st.button("Retry", key=f"retry-{page.__name__}", icon=":material/refresh:")
        except KeyNeededError as error:
            offer_key(error, f"give-key-{page.__name__}")
        except HalffaceError as error:
            st.error(str(error), icon=":material/error:")
        except Exception:
            logger.exception("A page failed: %s", page.__name__)
            st.error(
                "This page met a fault of its own. Reload it; the frontend's log says more.", icon=":material/error:"
            )
            st.button("Retry", key=f"retry-{page.__name__}", icon=":material/refresh:")

    return run
