"""Which settings this installation was given, never their values."""

import pandas as pd
import streamlit as st

from dashboard import data
from sync.settings import Settings, variable

SET, DEFAULT, MISSING, NOT_NEEDED = "Set", "Default", "Missing", "Not needed"

TWILIO_LOGINS = ({"twilio_auth_token"}, {"twilio_api_key", "twilio_api_secret"})
WITH_SUBSTITUTE = {"supabase_url", "supabase_key", "database_path_setting", "demo_port"}
ICONS = {SET: ":material/check_circle:", DEFAULT: ":material/radio_button_unchecked:"}
ICONS |= {MISSING: ":material/error:", NOT_NEEDED: ":material/remove:"}


def show() -> None:
    """Draw the section."""
    st.subheader("Configuration", anchor="configuration")
    st.caption("Read from the environment or .env when Voice Ledger starts; values are never shown.")
    settings = data.services().settings
    rows = [
        {"Setting": f"**`{variable(name)}`**  \n{setting.description}", "State": f"{ICONS[state]} {state}"}
        for name, setting in Settings.model_fields.items()
        for state in [state_of(name, settings)]
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt="Settings, whether they are set, and why")


def state_of(name: str, settings: Settings) -> str:
    """Tell whether a setting was given, has a default, is missing, or is replaced by another one."""
    if name in settings.model_fields_set:
        return SET
    if Settings.model_fields[name].default is not None or name in WITH_SUBSTITUTE:
        return DEFAULT
    if any(name not in login and login <= settings.model_fields_set for login in TWILIO_LOGINS):
        return NOT_NEEDED if any(name in login for login in TWILIO_LOGINS) else MISSING
    return MISSING
