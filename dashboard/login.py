"""The way in and out: a page that asks to sign in, a sentence for those who may not, and a button to leave."""

import streamlit as st

from dashboard import access, formats
from dashboard.access import NotAllowedError, NotSignedInError
from dashboard.access_rules import DEFAULT_PROVIDER


def passes() -> bool:
    """Tell whether the visitor may see pages; draw the way in for those who may not."""
    try:
        access.current_user()
    except NotSignedInError:
        _offer()
        return False
    except NotAllowedError as exc:
        st.title("Voice Ledger")
        st.text(str(exc))  # not Markdown, which makes a link of an address
        _offer_to_leave()
        return False
    return True


def show_user() -> None:
    """Draw who is signed in, if somebody is, and the way out."""
    user = access.current_user()
    if user.email:
        st.text(f"{user.email} ({user.grant.role})")
        _offer_to_leave()


def _offer() -> None:
    st.title("Voice Ledger")
    st.write("Sign in to see what your phone agents cost.")
    rules = access.rules()
    for provider in rules.providers if rules else ():
        name = "" if provider == DEFAULT_PROVIDER else f" with {provider.capitalize()}"
        st.button(
            formats.literal(f"Sign in{name}"),
            on_click=st.login,
            args=(provider,),
            type="primary",
            icon=":material/login:",
            key=f"sign in {provider}",
        )


def _offer_to_leave() -> None:
    st.button("Log out", on_click=st.logout, icon=":material/logout:", key="log out")
