"""Where pages lead to each other. The filters come along by themselves."""

from pathlib import Path

import streamlit as st

from dashboard import access, filters

PAGES = Path(__file__).parent.parent / "pages"


def open_workspace(name: str) -> None:
    """Go to the view of one workspace."""
    st.switch_page(PAGES / "workspace.py", query_params={filters.WORKSPACE: name})


def show_workspace_on(page: str, label: str, workspace: str, *, icon: str) -> None:
    """Draw a button that opens a page filtered to one workspace."""
    if st.button(label, icon=icon, key=f"open {page}"):
        filters.choose_workspace(workspace)
        st.switch_page(PAGES / f"{page}.py", query_params={filters.WORKSPACES: workspace})


def offer_settings() -> None:
    """Draw the way to where it stands which configuration is set."""
    if access.current_user().is_admin:
        st.page_link(PAGES / "settings.py", label="See the configuration", icon=":material/settings:")


def offer_history() -> None:
    """Draw the way to where a historical sync is started."""
    if access.current_user().is_admin:
        st.page_link(PAGES / "sync.py", label="Start a historical sync", icon=":material/history:")


def offer_registration() -> None:
    """Say what Unassigned is, and where that ends."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Unassigned is what no registered number or agent owns.", width="content")
        if access.current_user().is_admin:
            st.page_link(PAGES / "settings.py", label="Register numbers", icon=":material/settings:")
