"""Parts of a page that fail by themselves: a sentence stands in their place, and the rest of the page stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import streamlit as st
import structlog

from dashboard import formats
from sync.errors import VoiceLedgerError

T = TypeVar("T")

log = structlog.get_logger()


@contextmanager
def section(name: str, *, height: int | None = None) -> Iterator[None]:
    """Draw a part of a page; `height` in pixels is kept free where reading its numbers takes long."""
    try:
        if height is None:
            yield
        else:
            with st.skeleton(height=height):
                yield
    except VoiceLedgerError as exc:
        _say(f"{name}: {exc}")
    except Exception:  # the edge of a page: its other parts are still right
        log.exception("A part of a page failed", part=name)
        _say(f"{name}: an error in the program; its log has the details.")


def attempt(name: str, read: Callable[[], T]) -> T | None:
    """Return what is read; if that fails, say so on the page and return None."""
    with section(name):
        return read()
    return None


def _say(sentence: str) -> None:
    st.error(formats.literal(sentence), icon=":material/error:")
