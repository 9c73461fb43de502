"""Who is here, and what they may see and do: the one place that decides it. Without a login everybody is admin."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import access_rules
from dashboard.access_rules import AccessRules, Grant, Role
from dashboard.door.ended import ended_logins, login_of
from sync.errors import ConfigurationError, VoiceLedgerError
from sync.models import UNASSIGNED, Workspace

# Of one organisation's people Microsoft does not say that an address is verified: its administrators give them out.
GIVEN_BY_ORGANISATION = "https://login.microsoftonline.com/"


class NotAllowedError(VoiceLedgerError):
    """Somebody asked for what their role does not include."""


class NotSignedInError(NotAllowedError):
    """Nobody is signed in, and somebody has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may be here. `email` is None where nobody signs in."""

    grant: Grant
    email: str | None = None

    @property
    def is_admin(self) -> bool:
        return self.grant.role is Role.ADMIN

    @property
    def is_client(self) -> bool:
        return self.grant.role is Role.CLIENT

    def workspaces(self, existing: Iterable[Workspace]) -> frozenset[int] | None:
        """Return the ids of those of the existing workspaces that this user may see; None is all of them.

        Unassigned may be anybody's, so it is never among those that a client is given.
        """
        names = self.grant.workspaces
        if names is None:
            return None
        return frozenset(each.id for each in existing if each.name in names and each.id != UNASSIGNED)


@cache
def rules() -> AccessRules | None:
    """Return the rules as they were at the start; None where nobody signs in. Raises ConfigurationError.

    They are read once: a file that is gone or broken later does not open the dashboard to everybody.
    """
    try:
        is_there = st.secrets.load_if_toml_exists()
    except UnicodeDecodeError:
        is_there = False
    if is_there:
        return access_rules.read(st.secrets.to_dict())
    if any(Path(path).exists() for path in st.get_option("secrets.files")):  # Streamlit goes on without a broken one
        raise ConfigurationError(".streamlit/secrets.toml cannot be read; correct it, it must be TOML in UTF-8.")
    return None


def current_user() -> User:
    """Return who looks at the page that is being drawn, or raise NotAllowedError with a sentence for them."""
    if rules() is None:
        return User(grant=Grant(role=Role.ADMIN))
    return user_of(st.user.to_dict())


def user_of(claims: Mapping[str, Any]) -> User:
    """Return who has signed in with these claims, or raise NotAllowedError with a sentence for them."""
    known = rules()
    if known is None or claims.get("is_logged_in") is not True:
        raise NotSignedInError("Sign in to see this page.")
    if login_of(claims) in ended_logins():
        raise NotSignedInError("You have logged out; sign in to see this page.")
    email = str(claims.get("email") or "")
    if not email:
        raise NotAllowedError("Your login has no e-mail address, by which people are known here.")
    if not _is_verified(claims):
        raise NotAllowedError(f"{email} is not verified; verify it where you sign in, then sign in again.")
    grant = known.grant_for(email)
    if grant is None:
        raise NotAllowedError(f"{email} has no access to this dashboard; ask its administrator for it.")
    return User(grant=grant, email=email)


def _is_verified(claims: Mapping[str, Any]) -> bool:
    said = claims.get("email_verified")
    if said is None:
        return str(claims.get("iss")).startswith(GIVEN_BY_ORGANISATION)
    return said is True or said == "true"  # some providers write it as text


def require_admin() -> None:
    """Raise NotAllowedError unless an administrator looks at the page."""
    if not current_user().is_admin:
        raise NotAllowedError("Only an administrator may see or do this; ask one.")


def refuse_clients() -> None:
    """Raise NotAllowedError where somebody looks who may see their own workspaces alone."""
    if current_user().is_client:
        raise NotAllowedError("This page is about all workspaces; you have access to your own.")
