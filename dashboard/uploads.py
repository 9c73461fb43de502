"""Which sessions may upload files: those whose page shows a place to do so.

Streamlit keeps the uploads of every session in memory, also of one that has not signed in, as many as it likes to send.
"""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.runtime.scriptrunner import get_script_run_ctx

UPLOADS = "/_stcore/upload_file/"  # then the session's id

_sessions: set[str] = set()


def expect() -> None:
    """Let the session whose page is being drawn upload files from now on."""
    if context := get_script_run_ctx():
        _sessions.add(context.session_id)


class ExpectedOnly:
    """Refuses uploads to sessions whose page has not asked for any."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_expected(scope["path"]):
            await PlainTextResponse("No file is expected from this session.", status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_expected(path: str) -> bool:
    _, is_upload, rest = path.partition(UPLOADS)
    return not is_upload or rest.partition("/")[0] in _sessions
