"""Which settings this installation was given, never their values."""

import pandas as pd
import streamlit as st
from pydantic import AliasChoices

from dashboard import data
from sync.settings import Settings

SET, DEFAULT, MISSING, NOT_NEEDED = "Set", "Default", "Missing", "Not needed"

# What each setting does, by the name of its field, in the order of .env.example.
PURPOSES = {
    "twilio_account_sid": "The Twilio account. Without it there is nothing to sync from Twilio.",
    "twilio_auth_token": "Its token; an API key is better, since it may be allowed to read calls only.",
    "twilio_api_key": "An API key of the account, instead of its token.",
    "twilio_api_secret": "The secret of that API key.",
    "twilio_base_url": "Where Twilio's API is: another region, or a server that speaks the same.",
    "elevenlabs_api_key": "The ElevenLabs key (convai_read). Without it there is nothing to sync from ElevenLabs.",
    "elevenlabs_base_url": "Where ElevenLabs' API is: residency regions have hosts of their own.",
    "supabase_url": "The Supabase project that keeps the data, instead of a file of SQLite.",
    "supabase_key": "The project's secret key.",
    "cron_secret": "What callers of the HTTP API send. Without it every route but /api/health is closed.",
    "allowed_hosts": "The names the dashboard answers to beside localhost, behind a proxy.",
    "allow_open_dashboard": "Lets everybody in who reaches the dashboard, if nobody has to sign in.",
    "disable_elevenlabs_hourly_sync": "Skips the hourly ElevenLabs sync.",
    "database_path_setting": "Where SQLite keeps its file, if Supabase is not set.",
    "timezone": "The zone in which pages cut days, unless a reader chooses another one.",
    "first_sync_days": "How many days back the first sync of an empty database reaches.",
    "demo_port": "Where the simulated providers listen, if no provider is set.",
}
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
        {"Setting": f"**`{_variable(name)}`**  \n{purpose}", "State": f"{ICONS[state]} {state}"}
        for name, purpose in PURPOSES.items()
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


def _variable(name: str) -> str:
    """Return the variable of a setting; the document's older name of it, which is read too, is left out."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0] if isinstance(alias, AliasChoices) else alias or name.upper())
