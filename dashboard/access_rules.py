"""Who may sign in, and as what: the tables [auth] and [access] of `.streamlit/secrets.toml`, checked at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sync.errors import ConfigurationError
from sync.http import LOOPBACK
from sync.settings import is_hard_to_guess

CALLBACK = "/oauth2callback"
DEFAULT_PROVIDER = "default"  # as Streamlit calls the one that stands in [auth] itself
OWN_KEYS = {"client_id", "client_secret", "server_metadata_url"}

# Microsoft sends no `email_verified`. Within one organisation its administrators give out the addresses; of these
# endpoints anybody's organisation may sign in, and call its people what it likes. The number is that of private people.
ANYBODYS_ORGANISATION = {"common", "organizations", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"}

# Where anybody gets an address: as a domain, each of them is everybody.
PUBLIC_DOMAINS = {
    *(
        "gmail.com",
        "googlemail.com",
        "outlook.com",
        "outlook.es",
        "hotmail.com",
        "hotmail.es",
        "hotmail.co.uk",
        "live.com",
    ),
    *("msn.com", "yahoo.com", "yahoo.es", "yahoo.co.uk", "ymail.com", "icloud.com", "me.com", "mac.com", "aol.com"),
    *(
        "proton.me",
        "protonmail.com",
        "pm.me",
        "gmx.com",
        "gmx.de",
        "gmx.net",
        "web.de",
        "mail.com",
        "zoho.com",
        "fastmail.com",
    ),
    *(
        "yandex.com",
        "yandex.ru",
        "mail.ru",
        "qq.com",
        "163.com",
        "126.com",
        "naver.com",
        "tutanota.com",
        "tuta.io",
        "hey.com",
    ),
    *("telefonica.net", "terra.es", "orange.fr", "free.fr", "laposte.net", "libero.it", "t-online.de", "comcast.net"),
}


class Role(StrEnum):
    """What somebody may do."""

    ADMIN = "admin"  # everything
    ANALYST = "analyst"  # read everything, change nothing
    CLIENT = "client"  # read what belongs to its own workspaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role, and the names of the workspaces that it is limited to; None is all of them."""

    role: Role
    workspaces: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """How people sign in, and what an address, or `@domain`, may do."""

    grants: Mapping[str, Grant]
    providers: tuple[str, ...]
    host: str  # under which the dashboard is reached
    is_https: bool

    def grant_for(self, email: str) -> Grant | None:
        """Return what an address may do; itself named it counts before its domain. None is nothing at all."""
        if not email.isascii():  # signs of other alphabets turn into Latin letters when they are made small
            return None
        address = email.strip().lower()
        name, _, domain = address.rpartition("@")
        return self.grants.get(address) or self.grants.get(f"@{domain}") if name and "@" not in name else None


def _address(value: str) -> str:
    address = value.strip().lower()
    name, at, domain = address.rpartition("@")
    if not at or "." not in domain or "@" in name or not address.isascii() or any(map(str.isspace, address)):
        raise ValueError("must be an e-mail address, or @ and a domain")
    return address


def _not_everybody(address: str) -> str:
    if address.startswith("@") and address[1:] in PUBLIC_DOMAINS:
        raise ValueError("must be addresses of people, or @ and a domain of your own: anybody gets an address there")
    return address


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError("must be a web address")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must start with https://")
    return value


def _callback(value: str) -> str:
    if not urlsplit(value).path.endswith(CALLBACK):
        raise ValueError(f"must be the dashboard's address followed by {CALLBACK}")
    return _web_address(value)


def _one_organisation(value: str) -> str:
    if ANYBODYS_ORGANISATION & set(unquote(urlsplit(value).path).lower().split("/")):
        raise ValueError("must name your own organisation, since of this one anybody may sign in with any address")
    return _web_address(value)


def _random(value: str) -> str:
    if any(map(str.isspace, value)) or not is_hard_to_guess(value):  # the example's own text has spaces
        raise ValueError("must be the output of: openssl rand -hex 32")
    return value


Table = TypeVar("Table", bound=BaseModel)
Text = Annotated[str, Field(min_length=1)]
Address = Annotated[str, AfterValidator(_address), AfterValidator(_not_everybody)]


class _Provider(BaseModel):
    client_id: Text
    client_secret: Text
    server_metadata_url: Annotated[str, AfterValidator(_one_organisation)]


class _Auth(BaseModel):
    redirect_uri: Annotated[str, AfterValidator(_callback)]
    cookie_secret: Annotated[str, Field(min_length=32), AfterValidator(_random)]  # who guesses it signs in as anybody


class _Access(BaseModel):
    model_config = ConfigDict(extra="forbid")

    admins: list[Address] = []
    analysts: list[Address] = []
    clients: dict[Address, Annotated[list[Text], Field(min_length=1)]] = {}


def read(secrets: Mapping[str, Any]) -> AccessRules | None:
    """Return the rules; None without [auth]. What is wrong raises ConfigurationError in one line that names it."""
    if "auth" not in secrets:
        if "access" in secrets:
            raise ConfigurationError("[access] has no effect without [auth]; add it in .streamlit/secrets.toml.")
        return None
    auth = _checked(_Auth, secrets["auth"], "auth")
    access = _checked(_Access, secrets.get("access", {}), "access")
    grants = _grants(access)
    if not grants:
        raise ConfigurationError("[auth] lets nobody in; name admins under [access] in .streamlit/secrets.toml.")
    address = urlsplit(auth.redirect_uri)
    return AccessRules(
        grants=grants,
        providers=_providers(secrets["auth"]),
        host=address.hostname or "",
        is_https=address.scheme == "https",
    )


def _grants(access: _Access) -> dict[str, Grant]:
    given = [
        *((address, Grant(role=Role.ADMIN)) for address in access.admins),
        *((address, Grant(role=Role.ANALYST)) for address in access.analysts),
        *((address, Grant(role=Role.CLIENT, workspaces=frozenset(names))) for address, names in access.clients.items()),
    ]
    grants = dict(given)
    if len(grants) < len(given):
        twice = next(address for address in grants if [each for each, _ in given].count(address) > 1)
        raise ConfigurationError(f"[access] names {twice} twice; give it one role in .streamlit/secrets.toml.")
    return grants


def _providers(auth: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names to sign in with: of the tables in [auth], or of the one that is [auth] itself."""
    named = {name: table for name, table in auth.items() if isinstance(table, Mapping) and OWN_KEYS & set(table)}
    if wrong := [name for name in named if "_" in name]:
        raise ConfigurationError(f"[auth.{wrong[0]}] must have a name without an underscore; Streamlit needs it so.")
    for name, table in named.items():
        _checked(_Provider, table, f"auth.{name}")
    if not named or OWN_KEYS & set(auth):
        _checked(_Provider, auth, "auth")
        return (DEFAULT_PROVIDER, *named)
    return tuple(named)


def _checked(model: type[Table], table: object, name: str) -> Table:
    try:
        return model.model_validate(table)
    except ValidationError as exc:
        # The values may be secrets, so only the names and what is wrong are told.
        problems = [_problem(error["loc"], error["msg"]) for error in exc.errors(include_input=False)]
        raise ConfigurationError(f"[{name}] {'; '.join(problems)}. Correct it in .streamlit/secrets.toml.") from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{location[0]} {text[0].lower()}{text[1:]}" if location else f"{text[0].lower()}{text[1:]}"
