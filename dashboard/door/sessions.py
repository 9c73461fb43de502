"""Whose sessions Streamlit keeps for two minutes after their socket closed, so that a reload finds them again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.session_manager import SessionInfo, SessionStorage

from dashboard import access
from dashboard.access import NotAllowedError


class KnownPeopleOnly(SessionStorage):
    """Keeps no session of strangers: each holds three files and what was sent to it."""

    def __init__(self, kept: SessionStorage) -> None:
        self._kept = kept

    def save(self, session_info: SessionInfo) -> None:
        self._kept.save(session_info)
        if _is_strangers(session_info):
            # Later, since Streamlit goes on with the session for a moment.
            asyncio.get_running_loop().call_soon(Runtime.instance().close_session, session_info.session.id)

    def get(self, session_id: str) -> SessionInfo | None:
        return self._kept.get(session_id)

    def delete(self, session_id: str) -> None:
        self._kept.delete(session_id)

    def list(self) -> list[SessionInfo]:
        return self._kept.list()


def _is_strangers(session_info: SessionInfo) -> bool:
    if access.rules() is None:
        return False
    try:
        access.user_of(session_info.session._user_info)
    except NotAllowedError:
        return True
    return False


@asynccontextmanager
async def of_known_people(_: st.App) -> AsyncIterator[None]:
    """Take the place of the server's storage while it runs; Streamlit has no setting for it."""
    manager = Runtime.instance()._session_mgr
    manager._session_storage = KnownPeopleOnly(manager._session_storage)  # type: ignore[attr-defined]
    yield
