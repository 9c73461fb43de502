"""Files are taken from sessions whose page asks for one, and from no others: over Streamlit's own protocol."""

from collections.abc import Iterator

import httpx
import pytest
import websockets.sync.client
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection

from tests.browser.conftest import dashboard, environment

NOWHERE = "http://127.0.0.1:9"  # nothing is synced here
COOKIE = "_streamlit_xsrf"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dashboard(environment(tmp_path_factory.mktemp("uploads"), NOWHERE)) as address:
        yield address


@pytest.fixture
def page(address: str) -> Iterator[ClientConnection]:
    url = address.replace("http", "ws") + "/_stcore/stream"
    with websockets.sync.client.connect(url, subprotocols=["streamlit"], proxy=None, max_size=None) as connection:
        yield connection


def open_page(connection: ClientConnection, name: str) -> str:
    """Run a page to its end and return the id of its session."""
    connection.send(BackMsg(rerun_script=ClientState(page_name=name)).SerializeToString())
    session = ""
    while True:
        message = ForwardMsg.FromString(connection.recv(timeout=30, decode=False))
        session = message.new_session.initialize.session_id or session
        if message.HasField("script_finished"):
            return session


def upload(address: str, session: str, name: str) -> int:
    with httpx.Client(base_url=address, trust_env=False) as browser:
        browser.get("/_stcore/health")
        answer = browser.put(
            f"/_stcore/upload_file/{session}/{name}",
            files={"file": ("numbers.csv", b"workspace,phone_number\n")},
            headers={"X-Xsrftoken": browser.cookies[COOKIE]},
        )
    return answer.status_code


def test_a_session_sends_files_only_once_its_page_asks_for_one(address: str, page: ClientConnection) -> None:
    session = open_page(page, "")
    before = upload(address, session, "early")

    open_page(page, "settings")
    after = upload(address, session, "asked-for")

    assert (before, after) == (httpx.codes.FORBIDDEN, httpx.codes.NO_CONTENT)


@pytest.mark.parametrize("session", ["somebody", "", "..", "%2e%2e", "x/y"])
def test_an_unknown_session_sends_none(address: str, session: str) -> None:
    assert upload(address, session, "1") in (
        httpx.codes.FORBIDDEN,
        httpx.codes.NOT_FOUND,
        httpx.codes.METHOD_NOT_ALLOWED,
    )
