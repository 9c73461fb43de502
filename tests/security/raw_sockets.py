"""Streamlit's protocol without a browser: a socket that sends what it likes, as somebody who signed in or not."""

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx
import websockets.sync.client
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

PATIENCE = 30.0  # seconds


def signed_in(address: str, cookie_secret: str, email: str, **more: object) -> dict[str, str]:
    """Return the cookies of somebody, as the dashboard makes them after a sign-in."""
    claims = {"email": email, "email_verified": True, "iss": "https://accounts.example.com", "sub": email, "iat": 1}
    payload = claims | {"origin": address, "is_logged_in": True, "provider": "default"} | more
    return {"_streamlit_user": create_signed_value(cookie_secret, "_streamlit_user", json.dumps(payload)).decode()}


class RawSocket:
    """One WebSocket to a dashboard, and all that came back on it."""

    def __init__(self, address: str, cookies: Mapping[str, str] | None = None) -> None:
        with httpx.Client(base_url=address, trust_env=False) as browser:
            browser.get("/_stcore/health")
            jar = {**dict(cookies or {}), "_streamlit_xsrf": browser.cookies["_streamlit_xsrf"]}
        self.received = b""
        self.code: int | None = None
        self._connection = websockets.sync.client.connect(
            address.replace("http", "ws") + "/_stcore/stream",
            origin=Origin(address),
            subprotocols=[Subprotocol("streamlit"), Subprotocol(jar["_streamlit_xsrf"].strip('"'))],
            additional_headers={"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())},
            max_size=None,
            proxy=None,
            close_timeout=1,
        )

    def __enter__(self) -> "RawSocket":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def send(self, data: bytes | str) -> None:
        self._connection.send(data)

    def ask(self, query: str = "", **state: Any) -> None:
        """Ask for a run of the page."""
        self.send(BackMsg(rerun_script=ClientState(query_string=query, **state)).SerializeToString())

    def listen(self, *, until: str = "script_finished", patience: float = PATIENCE) -> list[ForwardMsg]:
        """Return what comes until a message of this type, the end of the socket, or until patience ends."""
        heard: list[ForwardMsg] = []
        deadline = time.monotonic() + patience
        try:
            while (left := deadline - time.monotonic()) > 0:
                data = self._connection.recv(timeout=left, decode=False)
                self.received += data
                heard.append(ForwardMsg.FromString(data))
                if heard[-1].WhichOneof("type") == until:
                    break
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd else 1006
        except TimeoutError:
            pass
        return heard

    def page(self, query: str = "") -> bytes:
        """Return all bytes of a page that is drawn from now on."""
        self.received = b""
        self.ask(query)
        self.listen()
        return self.received
