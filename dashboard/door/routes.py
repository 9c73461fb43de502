"""What is added to Streamlit's routes for signing in and out: a logout ends the login, and logs quote no visitor."""

from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.door.ended import ended_logins, login_of
from dashboard.door.visitors import claims_of
from sync.pace import Pace

LOGOUT, CALLBACK = "/auth/logout", "/oauth2callback"
OWN_SITE = ("same-origin", "none")  # none: typed in, or a bookmark

# RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6. Anybody may call the address with another text.
REASONS = {
    *("invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope"),
    *("server_error", "temporarily_unavailable", "interaction_required", "login_required"),
    *("account_selection_required", "consent_required", "invalid_request_uri", "invalid_request_object"),
    *("request_not_supported", "request_uri_not_supported", "registration_not_supported"),
}

log = structlog.get_logger("dashboard")


class LoginRoutes:
    """The layer before Streamlit's own routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lines = Pace(burst=10, per_second=0.1)  # what strangers can have written to the log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].rstrip("/") if scope["type"] == "http" else ""
        answer = None
        if path.endswith(LOGOUT):
            answer = self._logout(scope)
        elif path.endswith(CALLBACK):
            answer = self._refused_login(scope)
        await (answer or self._app)(scope, receive, send)

    def _logout(self, scope: Scope) -> PlainTextResponse | None:
        """End the login of the request's cookies, also where they were copied. Other sites may not ask for it."""
        if Headers(scope=scope).get("sec-fetch-site", "none") not in OWN_SITE:
            return PlainTextResponse("Only the dashboard's own pages may log you out.", status_code=403)
        if claims := claims_of(scope):
            ended_logins().add(login_of(claims))
        return None

    def _refused_login(self, scope: Scope) -> RedirectResponse | None:
        """Go back to the way in when the provider let nobody in. Streamlit would quote the reason in the log."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=100)
        if not any(query.get("error", ())):
            return None
        reason = next((each for each in query["error"] if each in REASONS), "another reason")
        if not self._lines.delay():
            log.warning(f"A sign-in came back from the provider without a login: {reason}.")
        return RedirectResponse("./", status_code=302)
