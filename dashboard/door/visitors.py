"""Who sends a request: the login that its cookies carry, read as Streamlit reads them for a WebSocket."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from dashboard import access
from dashboard.access import NotAllowedError
from dashboard.door.ended import login_of

EVERYBODY = "everybody"  # the name of the login where nobody signs in


def claims_of(scope: Scope) -> Mapping[str, Any]:
    """Return what the provider said about the person, from a cookie with our signature that is not too old."""
    cookies = HTTPConnection(scope).cookies

    def signed(name: str) -> bytes | None:
        value = cookies.get(name)
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1")) if value else None

    try:
        claims = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"{}")
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def known_login(scope: Scope) -> str | None:
    """Return the name of the login that a request belongs to, or None if it is a stranger's.

    A stranger is also somebody who signed in and has no role here: at Google, for example, anybody can.
    """
    if access.rules() is None:
        return EVERYBODY
    claims = claims_of(scope)
    try:
        access.user_of(claims)
    except NotAllowedError:
        return None
    return login_of(claims)
