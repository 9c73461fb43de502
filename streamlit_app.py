"""Voice Ledger's dashboard and HTTP API in one process: `streamlit run streamlit_app.py`."""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # the pages run from dashboard/, and import from here

from sync import api, logs  # noqa: E402  needs the path above
from sync.bootstrap import shared  # noqa: E402
from sync.errors import VoiceLedgerError  # noqa: E402

logs.configure()
st.secrets.load_if_toml_exists()  # its top-level entries become environment variables, which the settings read
try:
    services = shared()
except VoiceLedgerError as problem:
    sys.exit(f"Voice Ledger cannot start: {problem}")

app = st.App(ROOT / "dashboard" / "main.py", routes=api.mount(services))
