"""The script of every session: navigation, sync panel, the notice on demo data, then the page that was asked for."""

from pathlib import Path

import streamlit as st
import structlog

from dashboard import data, filters, formats, sync_panel
from sync.errors import VoiceLedgerError

ROOT = Path(__file__).parent.parent
ICON = ROOT / "dashboard" / "assets" / "icon.svg"
PAGES = ROOT / "pages"

log = structlog.get_logger()


def main() -> None:
    # Before the navigation: a browser would fetch the first page's Material icon for its tab from another host.
    st.set_page_config(page_icon=ICON, layout="wide")
    page = st.navigation(
        [
            st.Page(PAGES / "workspaces.py", title="Workspaces", icon=":material/workspaces:", default=True),
            st.Page(PAGES / "twilio.py", title="Twilio", icon=":material/call:", url_path="twilio"),
            st.Page(PAGES / "elevenlabs.py", title="ElevenLabs", icon=":material/graphic_eq:", url_path="elevenlabs"),
        ]
    )
    st.set_page_config(page_title=f"{page.title} · Voice Ledger")
    st.logo(ICON, size="large")
    try:
        settings = data.services().settings
        with st.sidebar:
            sync_panel.show(filters.current_zone())
        if settings.is_demo:
            _tell_of_demo()
        page.run()
    except VoiceLedgerError as exc:
        st.error(formats.literal(str(exc)), icon=":material/error:")
    except Exception:  # the edge of a page: what was drawn stays, and the reader gets a sentence
        log.exception("A page failed")
        st.error("An error in the program; its log has the details.", icon=":material/error:")


def _tell_of_demo() -> None:
    st.caption(
        ":orange-badge[:material/science: Demo data] Simulated providers, made-up numbers."
        " Set the keys of Twilio and ElevenLabs in .env to see your own."
    )


main()
