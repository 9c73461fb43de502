"""Voice Ledger's dashboard and HTTP API in one process: `streamlit run streamlit_app.py`."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import structlog
from starlette.middleware import Middleware
from streamlit import config

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # the pages run from dashboard/, and import from here

from dashboard import access, streamlit_logs, uploads  # noqa: E402  needs the path above
from dashboard.door import connections, routes, sessions, sockets  # noqa: E402
from sync import api, logs, stopping  # noqa: E402
from sync.background import background_syncs  # noqa: E402
from sync.bootstrap import shared  # noqa: E402
from sync.cli_console import complain  # noqa: E402
from sync.errors import VoiceLedgerError  # noqa: E402
from sync.http import LOOPBACK  # noqa: E402
from sync.settings import SECRETS_FILES, environment_kept, log_format, read_secrets_from, told_origins  # noqa: E402
from sync.web_security import WebSecurity, content_security_policy, refuse_base_path, refuse_open_reach  # noqa: E402

# While a page is put together, everything else in the process waits up to this long for its turn, many times for each
# request. Python's own 5 ms would make requests slow that take 1 ms; benchmarks/load.py shows it.
SECONDS_OF_A_TURN = 0.0005

log = structlog.get_logger("dashboard")

STREAMLITS_PAGE = Path(st.__file__).parent / "static" / "index.html"

sys.setswitchinterval(SECONDS_OF_A_TURN)
streamlit_logs.hand_on()
if config.is_manually_set("secrets.files"):
    read_secrets_from(config.get_option("secrets.files"))
else:  # Streamlit would add the folder of this file, from which nothing else of the program reads
    config.set_option("secrets.files", [os.path.expanduser(file) for file in SECRETS_FILES])
logs.configure(log_format())
try:
    refuse_base_path(st.get_option("server.baseUrlPath"))
    with environment_kept():
        login = access.rules()
    services = shared()
    settings = services.settings
    if not (login or settings.allow_open_dashboard):
        refuse_open_reach(st.get_option("server.address"), settings.allowed_hosts)
except VoiceLedgerError as problem:
    complain(f"Voice Ledger cannot start: {problem}")
    sys.exit(1)

security = WebSecurity(
    content_security_policy(STREAMLITS_PAGE.read_text(encoding="utf-8")),
    [*settings.allowed_hosts, *([login.host] if login else [])],
    is_open=bool(login) or settings.allow_open_dashboard,
    is_https=bool(login and login.is_https),
)
connections.limit()


@asynccontextmanager
async def ending_soon(served: st.App) -> AsyncIterator[None]:
    """Stop the syncs of this process as soon as it is told to end; by itself the server would wait for their ends."""
    syncs = background_syncs(services)
    stopping.stop_beside_server(syncs.stop_all)
    async with sessions.of_known_people(served):
        yield
    syncs.wait(at_most=stopping.GRACE)


app = st.App(
    ROOT / "dashboard" / "main.py",
    lifespan=ending_soon,
    middleware=[
        *security.middleware(),
        Middleware(sockets.PacedSockets),
        Middleware(routes.LoginRoutes),
        Middleware(uploads.ExpectedOnly),
        Middleware(api.PastThePages, answering=api.application(services)),
    ],
    exception_handlers={Exception: security.failure},
)

address = st.get_option("server.address") or "localhost"
url = f"http://{'localhost' if address in LOOPBACK else address}:{st.get_option('server.port')}"
log.info(f"Voice Ledger: dashboard and API on {url}", url=url)
log.info(told_origins())
