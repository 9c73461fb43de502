"""The script of every session: navigation, sync panel, the notice on demo data, then the page that was asked for."""

from pathlib import Path

import streamlit as st
import structlog
from streamlit.navigation.page import StreamlitPage

from dashboard import access, data, filters, formats, login, sync_panel, turns
from dashboard.access import User
from dashboard.links import PAGES
from sync.errors import VoiceLedgerError

ROOT = Path(__file__).parent.parent
ICON, LOGO = (ROOT / "dashboard" / "assets" / f"{name}.svg" for name in ("icon", "logo"))

log = structlog.get_logger()


def main() -> None:
    # Before the navigation: a browser would fetch the first page's Material icon for its tab from another host.
    st.set_page_config(page_icon=ICON, layout="wide")
    if not login.passes():
        return
    page = st.navigation(_pages(access.current_user()))
    st.set_page_config(page_title=f"{page.title} · Voice Ledger")
    st.logo(LOGO, size="large", icon_image=ICON)
    try:
        settings = data.services().settings
        with st.sidebar:
            login.show_user()
            sync_panel.show(filters.current_zone(), beside_history=page.url_path == "sync")
        if settings.is_demo:
            _tell_of_demo()
        with turns.one_of_few():
            page.run()
    except VoiceLedgerError as exc:
        st.error(formats.literal(str(exc)), icon=":material/error:")
    except Exception:  # the edge of a page: what was drawn stays, and the reader gets a sentence
        log.exception("A page failed")
        st.error("An error in the program; its log has the details.", icon=":material/error:")


def _pages(user: User) -> list[StreamlitPage]:
    """Return the pages of the navigation; one that is not for this user's role is a sentence in its place."""
    return [
        st.Page(PAGES / "workspaces.py", title="Workspaces", icon=":material/workspaces:", default=True),
        st.Page(PAGES / "twilio.py", title="Twilio", icon=":material/call:", url_path="twilio"),
        st.Page(PAGES / "elevenlabs.py", title="ElevenLabs", icon=":material/graphic_eq:", url_path="elevenlabs"),
        st.Page(PAGES / "calls.py", title="Calls", icon=":material/receipt_long:", url_path="calls"),
        st.Page(PAGES / "sync.py", title="Sync", icon=":material/sync:", url_path="sync")
        if not user.is_client
        else st.Page(access.refuse_clients, title="Sync", url_path="sync", visibility="hidden"),
        st.Page(PAGES / "settings.py", title="Settings", icon=":material/settings:", url_path="settings")
        if user.is_admin
        else st.Page(access.require_admin, title="Settings", url_path="settings", visibility="hidden"),
        st.Page(PAGES / "workspace.py", title="Workspace", icon=":material/workspaces:", visibility="hidden"),
    ]


def _tell_of_demo() -> None:
    st.markdown(
        ":orange-badge[:material/science: Demo data] :small[Simulated providers, made-up numbers."
        " Set the keys of Twilio and ElevenLabs in .env to see your own.]"
    )


main()
