"""Configuration from `.streamlit/secrets.toml`, the environment or `.env`: the only place that reads any of them."""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from sync.errors import ConfigurationError, NotConfiguredError
from sync.http import LOOPBACK
from sync.logs import LogFormat
from sync.models import Source

NOT_CONFIGURED: dict[Source, str] = {
    "twilio": "Twilio is not configured; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN in .env.",
    "elevenlabs": "ElevenLabs is not configured; set ELEVENLABS_API_KEY in .env.",
}

HOLDS_KEYS = re.compile(r"""^[ \t]*(export )?\w*(key|token|secret)\w*[ \t]*=[ \t]*["']?[^\s"'#]""", re.I | re.M)
SHORTEST_SECRET, FEWEST_CHARACTERS = 16, 5
EXAMPLE = re.compile(
    r"replace[\W_]*(by|with|me|this)|change[\W_]*(me|this)|openssl rand|placeholder|"
    r"(your|insert|put|enter)[\W_]*((own|new|random|long|strong|cron|cookie|api|bearer)[\W_]*)*(secret|token|key|password)|"
    r"(secret|token|key|password)[\W_]*(goes[\W_]*)?here",
    re.IGNORECASE,
)
HOST_NAME = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\]", re.ASCII)


def _web_address(value: str) -> str:
    try:
        address = urlsplit(value)
        scheme, host, _ = address.scheme, address.hostname, address.port  # a wrong port is only found when it is read
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        raise ValueError("must be a web address such as https://api.example.com")
    if scheme == "http" and host not in LOOPBACK:
        raise ValueError("must start with https:// so that the key is not sent in clear text")
    return value.rstrip("/")


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("must be a time zone such as Europe/Madrid")
    return value


def _starts_with(prefix: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value.startswith(prefix):
            raise ValueError(f"must start with {prefix}")
        return value

    return check


def _listed(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(HOST_NAME.fullmatch(name) for name in value):
        raise ValueError("must be host names without a port, such as ledger.example.com, with commas between them")
    return tuple(name.lower() for name in value)


def is_hard_to_guess(secret: str) -> bool:
    """Tell whether a secret is long and varied enough, and no example that stands in a document."""
    is_long = len(secret) >= SHORTEST_SECRET and len(set(secret)) >= FEWEST_CHARACTERS
    return is_long and not EXAMPLE.search(secret)


def _secret(value: SecretStr) -> SecretStr:
    if not is_hard_to_guess(value.get_secret_value()):
        raise ValueError(
            f"must be at least {SHORTEST_SECRET} characters, {FEWEST_CHARACTERS} of them different, and no example; "
            "take the output of openssl rand -hex 32"
        )
    return value


def _key(value: SecretStr) -> SecretStr:
    """Refuse what cannot be sent in a header, whose client would repeat it in its error."""
    key = value.get_secret_value()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("holds characters that no key has; copy it once more")
    return value


def _trimmed(value: object) -> object:
    """Files with line ends of Windows leave a carriage return behind the value."""
    return value.strip() if isinstance(value, str) else value


WebAddress = Annotated[str, AfterValidator(_web_address)]
Key = Annotated[SecretStr, AfterValidator(_key)]

ENV_FILE, SECRETS_FILE = ".env", ".streamlit/secrets.toml"
SECRETS_FILES = (f"~/{SECRETS_FILE}", SECRETS_FILE)  # where Streamlit looks; the last that sets a name wins
PROGRAM = Path(__file__).parent.parent


class _FromFiles(BaseSettings):
    """Reads a name from the secrets file, else from the environment, else from `.env`; what is empty is not set."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = EnvSettingsSource(settings_cls)
        secrets.env_vars = {name: value for file in _secrets.files for name, value in _variables_of(file).items()}
        return init_settings, secrets, env_settings, dotenv_settings


@dataclass
class _Secrets:
    files: Sequence[str] = SECRETS_FILES


_secrets = _Secrets()


def read_secrets_from(files: Sequence[str]) -> None:
    """Read these files from now on, where Streamlit was told to read its secrets from others than usual."""
    _secrets.files = files


def _variables_of(file: str) -> dict[str, str]:
    """Return the top-level entries of a secrets file as if they were variables; none if there is no such file."""
    path = os.path.expanduser(file)
    if not os.path.exists(path):
        return {}
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigurationError(f"{file} cannot be read; correct it, it must be TOML in UTF-8.") from None
    for name, value in entries.items():
        if isinstance(value, dict) and name.lower() in Settings.model_fields:
            raise ConfigurationError(f"{name} in {file} is a table; make it a text.")
    written = {name.lower(): _as_variable(value) for name, value in entries.items() if not isinstance(value, dict)}
    return {name: value for name, value in written.items() if value}


def _as_variable(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_variable, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class Settings(_FromFiles):
    """What the program was told. Secrets never show in its repr; use `get_secret_value()` to send them."""

    twilio_account_sid: Annotated[str, AfterValidator(_starts_with("AC"))] | None = Field(
        None, description="The account (AC…). With it goes either the auth token or an API key."
    )
    twilio_auth_token: Key | None = Field(None, description="The account's auth token.")
    twilio_api_key: Annotated[str, AfterValidator(_starts_with("SK"))] | None = Field(
        None,
        description="An API key (SK…) instead of the token; recommended: one that may only read calls and numbers.",
    )
    twilio_api_secret: Key | None = Field(None, description="The API key's secret.")
    twilio_base_url: WebAddress = Field(
        "https://api.twilio.com", description="Only for another region, or a server that speaks the same API."
    )
    elevenlabs_api_key: Key | None = Field(None, description="A key with the permission convai_read.")
    elevenlabs_base_url: WebAddress = Field(
        "https://api.elevenlabs.io", description="Residency regions have hosts and keys of their own."
    )
    supabase_url: WebAddress | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"),
        description="The project's URL, to keep the ledger there instead of in SQLite.",
    )
    supabase_key: Key | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_KEY", "NEXT_PUBLIC_SUPABASE_ANON_KEY"),
        description="The project's secret (service) key. It stays on the server; an anon key may not write.",
    )
    cron_secret: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None,
        description="What callers of the HTTP API send as `Authorization: Bearer …`: at least 16 characters, 5 of them "
        "different, such as the output of `openssl rand -hex 32`. Without it every route but /api/health is closed.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_host_names)] = Field(
        (),
        description="Names that the dashboard answers to beside localhost, with commas between them, when a proxy "
        "stands in front of it.",
    )
    allow_open_dashboard: bool = Field(
        False,
        description="Without a login the dashboard serves this machine alone. true lets everybody in who reaches it, "
        "as administrator.",
    )
    disable_elevenlabs_hourly_sync: bool = Field(
        False,
        description="true skips the hourly ElevenLabs run (recorded as skipped), for example while a historical sync "
        "is going on.",
    )
    first_sync_days: int = Field(
        90, ge=1, le=3650, description="How many days back the very first sync of an empty database reaches."
    )
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "UTC", description="The zone in which pages cut days, such as Europe/Madrid."
    )
    database_path_setting: Path | None = Field(
        None,
        validation_alias="DATABASE_PATH",
        description="Where SQLite keeps its file. Without it: data/voice-ledger.db, or data/demo.db for demo data, in "
        "the folder where the program starts.",
    )
    demo_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Where the simulated providers of the demo listen (`make run` sets it to 3094). Without it a "
        "command starts its own.",
    )
    log_format: LogFormat = Field(
        "auto",
        description="How logs are written to stderr: text for people, json (an object per line) for machines, auto: "
        "text on a terminal.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _without_blanks(cls, value: object) -> object:
        return _trimmed(value)

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> Self:
        has_login = self.twilio_auth_token or (self.twilio_api_key and self.twilio_api_secret)
        if bool(self.supabase_url) != bool(self.supabase_key):
            raise ValueError("SUPABASE_URL and SUPABASE_KEY go together; one of them is missing")
        if self.twilio_account_sid and not has_login:
            raise ValueError(
                "TWILIO_ACCOUNT_SID needs TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET, beside it"
            )
        if not self.twilio_account_sid and (has_login or self.twilio_api_key or self.twilio_api_secret):
            raise ValueError("TWILIO_ACCOUNT_SID is missing beside the other Twilio credentials")
        return self

    @property
    def is_demo(self) -> bool:
        """Whether no provider is configured, so that the simulated ones take their place."""
        return not (self.twilio_account_sid or self.elevenlabs_api_key)

    @property
    def data_name(self) -> str:
        """What a store of these settings is marked with."""
        return "demo" if self.is_demo else "real"

    @property
    def database_path(self) -> Path:
        """Where SQLite keeps its file; demo and real data get files of their own."""
        name = "demo.db" if self.is_demo else "voice-ledger.db"
        return self.database_path_setting or Path("data") / name

    @property
    def chooses_its_store(self) -> bool:
        """Whether it is said where the ledger is, so that it is the same wherever a command starts."""
        return bool(self.supabase_url or self.database_path_setting)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def twilio_login(self) -> tuple[str, tuple[str, str]]:
        """Return the account's SID, and user and password: an API key is preferred to the account's own token."""
        if self.twilio_account_sid and self.twilio_api_key and self.twilio_api_secret:
            return self.twilio_account_sid, (self.twilio_api_key, self.twilio_api_secret.get_secret_value())
        if self.twilio_account_sid and self.twilio_auth_token:
            return self.twilio_account_sid, (self.twilio_account_sid, self.twilio_auth_token.get_secret_value())
        raise NotConfiguredError(NOT_CONFIGURED["twilio"])

    def elevenlabs_login(self) -> str:
        if self.elevenlabs_api_key:
            return self.elevenlabs_api_key.get_secret_value()
        raise NotConfiguredError(NOT_CONFIGURED["elevenlabs"])

    def is_configured(self, source: Source) -> bool:
        return bool(self.twilio_account_sid if source == "twilio" else self.elevenlabs_api_key)


class _LogSettings(_FromFiles):
    """What is needed before the other settings, since what is wrong with these is logged too."""

    log_format: LogFormat = "auto"


def log_format() -> LogFormat:
    """Return how to write logs; as if nothing was set if that is malformed, which `load` will tell."""
    try:
        return _LogSettings().log_format
    except (ConfigurationError, ValidationError, OSError, UnicodeDecodeError):
        return "auto"


def variable(name: str) -> str:
    """Return the name that a setting has in the environment; the older one, which is read too, is left out."""
    return _names(name)[0]


@contextmanager
def environment_kept() -> Iterator[None]:
    """Undo what is done to the environment meanwhile: Streamlit makes variables of its secrets, of empty ones too."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in {*before, *os.environ}:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


def origins() -> dict[str, str]:
    """Return where each variable that is set is read from: a file, or "the environment"."""
    places: list[tuple[str, Mapping[str, str | None]]] = [
        *((file, _variables_of(file)) for file in reversed(_secrets.files)),
        ("the environment", EnvSettingsSource(Settings).env_vars),
        (ENV_FILE, DotEnvSettingsSource(Settings).env_vars),
    ]
    return {
        name: place
        for setting in Settings.model_fields
        for name in _names(setting)
        for place, values in reversed(places)
        if name.lower() in values
    }


def told_origins() -> str:
    """Return in a sentence which settings come from where, without their values."""
    found = origins()
    places = list(dict.fromkeys(found.values()))
    if not places:
        return f"No setting is set: there is neither {ENV_FILE} nor {SECRETS_FILE} in {Path.cwd()} with one."
    parts = [f"{place} ({', '.join(name for name in found if found[name] == place)})" for place in places]
    return f"Settings come from {'; '.join(parts)}."


def elsewhere() -> str | None:
    """Return a sentence if settings and data of another folder count than that of the program, which may surprise."""
    here = Path.cwd()
    if here.samefile(PROGRAM):
        return None
    return (
        f"Settings and data of {here} count, since the command was started there, and not those of {PROGRAM}, where "
        "the program is; start it there, or set DATABASE_PATH."
    )


def load() -> Settings:
    """Read the settings once. A malformed value raises ConfigurationError in one line that names it."""
    try:
        _refuse_broken_lines()
        return Settings()
    except ValidationError as exc:
        # The value itself may be a secret, so only its name and what is wrong with it are told.
        problems = [_problem(error["loc"], error["msg"]) for error in exc.errors(include_input=False)]
        raise ConfigurationError(f"{'; '.join(problems)}. Correct it in {_place_of('; '.join(problems))}.") from None
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(".env cannot be read; save it as plain text in UTF-8.") from None


def _refuse_broken_lines() -> None:
    """Refuse a line of `.env` that cannot be read: the library would leave it out, and with it perhaps a key."""
    if not os.path.isfile(ENV_FILE):
        return
    with open(ENV_FILE, encoding="utf-8") as file:
        broken = [binding.original.line for binding in parse_stream(file) if binding.error]
    if broken:
        raise ConfigurationError(f"{ENV_FILE} cannot be read from line {broken[0]} on; correct its quotes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What can be used of the settings: none if the file cannot be read. `unsure` are the parts that cannot."""

    settings: Settings | None
    problem: str | None = None
    unsure: frozenset[str] = frozenset()


def load_what_is_sound() -> Sound:
    """Read the settings with defaults in place of what is malformed, to look further in spite of it."""
    try:
        return Sound(settings=load())
    except ConfigurationError as exc:
        problem = str(exc)
    replaced: dict[str, Any] = {}
    unsure: set[str] = set()
    for _ in PLACEHOLDERS:  # each time at least one part is left out
        try:
            settings = Settings(**replaced)
        except ValidationError as exc:
            for error in exc.errors(include_input=False):
                unsure |= _leave_out(error["loc"], error["msg"], replaced)
        except (ConfigurationError, OSError, UnicodeDecodeError):
            break
        else:
            return Sound(settings=settings, problem=problem, unsure=frozenset(unsure))
    return Sound(settings=None, problem=problem)


# Of a part whose settings do not fit together: as if it was configured, since it is not the demo that was meant.
PLACEHOLDERS: dict[str, dict[str, Any]] = {
    "twilio": {"twilio_account_sid": "AC", "twilio_auth_token": "unknown", "twilio_api_key": None},
    "elevenlabs": {"elevenlabs_api_key": "unknown"},
    "supabase": {"SUPABASE_URL": None, "SUPABASE_KEY": None},
    "others": {},
}


def _leave_out(location: tuple[int | str, ...], message: str, replaced: dict[str, Any]) -> set[str]:
    """Put defaults in place of what an error is about, and return the parts that cannot be relied on."""
    about = str(location[0]) if location else message.removeprefix("Value error, ").split()[0]
    parts = {part for part in PLACEHOLDERS if part in about.lower()}
    if not location:
        for part in parts:
            replaced |= PLACEHOLDERS[part]
    for name, field in Settings.model_fields.items():
        names = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else [name]
        if location and about in names:
            replaced[str(names[0])] = field.default
    return parts


def files_with_keys() -> list[Path]:
    """Return the files of the configuration that hold keys."""
    places = [ENV_FILE, *map(os.path.expanduser, _secrets.files)]
    found = [Path(place) for place in places if os.path.isfile(place) and os.access(place, os.R_OK)]
    return [path for path in found if HOLDS_KEYS.search(path.read_text(encoding="utf-8", errors="replace"))]


def _place_of(problems: str) -> str:
    places = {place for name, place in origins().items() if name in problems}
    return " and ".join(sorted(places)) if any("secrets" in place for place in places) else ".env or the environment"


def _names(setting: str) -> list[str]:
    """Return the names that a setting has as a variable, the first that counts first."""
    alias = Settings.model_fields[setting].validation_alias
    return list(map(str, alias.choices)) if isinstance(alias, AliasChoices) else [str(alias or setting.upper())]


def _problem(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    name = _variable(str(location[0])) if location else ""
    return f"{name} {text[0].lower()}{text[1:]}" if name else text


def _variable(alias: str) -> str:
    """Return the name of a setting's variable; with its fallback if it has one, since either may hold the value."""
    for field in Settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices) and alias in field.validation_alias.choices:
            return " or ".join(map(str, field.validation_alias.choices))
    return alias.upper()
