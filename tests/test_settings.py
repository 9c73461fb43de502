"""Settings: which names count, what is refused with which sentence, and that no secret shows."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from sync.errors import ConfigurationError, NotConfiguredError
from sync.settings import Settings, environment_kept, is_hard_to_guess, load, log_format, origins, told_origins

ROOT = Path(__file__).parent.parent

NAMES = (
    *("SUPABASE_URL", "SUPABASE_KEY", "NEXT_PUBLIC_SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_ANON_KEY"),
    *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_BASE_URL"),
    *("ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL", "CRON_SECRET", "NEXT_PUBLIC_CRON_SECRET"),
    *("DISABLE_ELEVENLABS_HOURLY_SYNC", "DATABASE_PATH", "TIMEZONE", "FIRST_SYNC_DAYS", "DEMO_PORT"),
    *("ALLOWED_HOSTS", "ALLOW_OPEN_DASHBOARD", "LOG_FORMAT"),
)
SECRETS = {
    "SUPABASE_KEY": "supabase-7c21",
    "TWILIO_AUTH_TOKEN": "token-7c21",
    "TWILIO_API_SECRET": "secret-7c21",
    "ELEVENLABS_API_KEY": "eleven-7c21",
    "CRON_SECRET": "cron-7c21-of-the-tests",
}
ACCOUNT, API_KEY = "AC" + "0" * 32, "SK" + "0" * 32


class Environment:
    """The environment and the folder that settings are read from: both empty at first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", str(folder / "home"))
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)

    def write_secrets(self, text: str, *, home: bool = False) -> None:
        file = self.folder / ("home" if home else "") / ".streamlit" / "secrets.toml"
        file.parent.mkdir(parents=True)
        file.write_text(text)

    def load(self, variables: Mapping[str, str] | None = None, **more: str) -> Settings:
        for name, value in {**(variables or {}), **more}.items():
            self._monkeypatch.setenv(name, value)
        return load()

    def refusal(self, variables: Mapping[str, str] | None = None, **more: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.load(variables, **more)
        return str(caught.value)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    return Environment(tmp_path, monkeypatch)


def secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def test_nothing_set_means_demo_data_and_the_providers_own_addresses(environment: Environment) -> None:
    settings = environment.load()

    assert settings.is_demo
    assert settings.twilio_base_url == "https://api.twilio.com"
    assert settings.elevenlabs_base_url == "https://api.elevenlabs.io"
    assert settings.cron_secret is None
    assert settings.disable_elevenlabs_hourly_sync is False
    assert settings.zone == ZoneInfo("UTC")
    assert settings.first_sync_days == 90


def test_every_documented_name_is_read(environment: Environment) -> None:
    settings = environment.load(
        SECRETS,
        SUPABASE_URL="https://x.supabase.co",
        TWILIO_ACCOUNT_SID=ACCOUNT,
        TWILIO_API_KEY=API_KEY,
        TWILIO_BASE_URL="https://api.dublin.ie1.twilio.com",
        ELEVENLABS_BASE_URL="https://api.eu.residency.elevenlabs.io/",
        DISABLE_ELEVENLABS_HOURLY_SYNC="true",
        DATABASE_PATH="/somewhere/else.db",
        TIMEZONE="Europe/Madrid",
        FIRST_SYNC_DAYS="7",
        DEMO_PORT="4000",
        ALLOWED_HOSTS="Ledger.example.com, *.agency.example,[::1],",
        ALLOW_OPEN_DASHBOARD="true",
        LOG_FORMAT="json",
    )

    assert settings.supabase_url == "https://x.supabase.co"
    assert secret(settings.supabase_key) == SECRETS["SUPABASE_KEY"]
    assert secret(settings.twilio_auth_token) == SECRETS["TWILIO_AUTH_TOKEN"]
    assert settings.twilio_api_key == API_KEY
    assert secret(settings.twilio_api_secret) == SECRETS["TWILIO_API_SECRET"]
    assert settings.twilio_base_url == "https://api.dublin.ie1.twilio.com"
    assert secret(settings.elevenlabs_api_key) == SECRETS["ELEVENLABS_API_KEY"]
    assert settings.elevenlabs_base_url == "https://api.eu.residency.elevenlabs.io", "paths are put behind it"
    assert secret(settings.cron_secret) == SECRETS["CRON_SECRET"]
    assert settings.disable_elevenlabs_hourly_sync is True
    assert settings.database_path == Path("/somewhere/else.db")
    assert settings.zone == ZoneInfo("Europe/Madrid")
    assert (settings.first_sync_days, settings.demo_port) == (7, 4000)
    assert settings.allowed_hosts == ("ledger.example.com", "*.agency.example", "[::1]")
    assert settings.allow_open_dashboard is True
    assert settings.log_format == log_format() == "json"


def test_the_documents_names_for_supabase_are_fallbacks(environment: Environment) -> None:
    old = {
        "NEXT_PUBLIC_SUPABASE_URL": "https://old.supabase.co",
        "NEXT_PUBLIC_SUPABASE_ANON_KEY": "old-key",
    }

    fallback = environment.load(old)
    chosen = environment.load(SUPABASE_URL="https://new.supabase.co", SUPABASE_KEY="new-key")

    assert (fallback.supabase_url, secret(fallback.supabase_key)) == ("https://old.supabase.co", "old-key")
    assert (chosen.supabase_url, secret(chosen.supabase_key)) == ("https://new.supabase.co", "new-key")


def test_an_empty_name_does_not_hide_its_fallback(environment: Environment) -> None:
    settings = environment.load(
        SUPABASE_URL="", SUPABASE_KEY="new-key", NEXT_PUBLIC_SUPABASE_URL="https://old.supabase.co"
    )

    assert settings.supabase_url == "https://old.supabase.co"


def test_a_secret_that_reaches_browsers_is_none(environment: Environment) -> None:
    settings = environment.load(NEXT_PUBLIC_CRON_SECRET="public-secret")

    assert settings.cron_secret is None


def test_empty_values_count_as_not_set(environment: Environment) -> None:
    settings = environment.load(dict.fromkeys(NAMES, ""))

    assert settings.is_demo
    assert settings == environment.load(dict.fromkeys(NAMES, "")) == Settings.model_construct()


def test_the_example_file_is_valid_and_means_demo_data(environment: Environment) -> None:
    example = Path(__file__).parent.parent / ".env.example"
    (environment.folder / ".env").write_text(example.read_text())

    assert environment.load().is_demo


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TWILIO_BASE_URL", "api.7c21.example", "must be a web address such as https://api.example.com"),
        ("TWILIO_BASE_URL", "ftp://api.7c21.example", "must be a web address such as https://api.example.com"),
        ("TWILIO_BASE_URL", "https://", "must be a web address such as https://api.example.com"),
        ("TWILIO_BASE_URL", "https://api.twilio.example:7c21", "must be a web address such as https://api.example.com"),
        ("TWILIO_BASE_URL", "https://7c21.example:70000", "must be a web address such as https://api.example.com"),
        ("TWILIO_BASE_URL", "https://[7c21]/", "must be a web address such as https://api.example.com"),
        ("ELEVENLABS_BASE_URL", "http://api.7c21.example", "must start with https:// so that the key is not sent"),
        ("ELEVENLABS_BASE_URL", "http://127.0.0.1.7c21.example", "must start with https:// so that the key is not"),
        ("ELEVENLABS_BASE_URL", "http://127.0.0.1@7c21.example", "must start with https:// so that the key is not"),
        ("SUPABASE_URL", "7c21.example", "must be a web address such as https://api.example.com"),
        ("NEXT_PUBLIC_SUPABASE_URL", "7c21.example", "must be a web address such as https://api.example.com"),
        ("TWILIO_ACCOUNT_SID", "account-7c21", "must start with AC"),
        ("TWILIO_API_KEY", "key-7c21", "must start with SK"),
        ("DISABLE_ELEVENLABS_HOURLY_SYNC", "7c21", "input should be a valid boolean"),
        ("ALLOWED_HOSTS", "https://7c21.example", "must be host names without a port, such as ledger.example.com"),
        ("ALLOWED_HOSTS", "7c21.example:3093", "must be host names without a port, such as ledger.example.com"),
        ("ALLOWED_HOSTS", "7c21.example, *", "must be host names without a port, such as ledger.example.com"),
        ("ALLOW_OPEN_DASHBOARD", "7c21", "input should be a valid boolean"),
        ("CRON_SECRET", "cron-7c21-short", "must be at least 16 characters, 5 of them different, and no example"),
        ("CRON_SECRET", "7c21" * 16, "must be at least 16 characters, 5 of them different, and no example"),
        ("CRON_SECRET", "REPLACE-BY-CRON_SECRET-7c21", "must be at least 16 characters, 5 of them different, and no"),
        ("TIMEZONE", "Middle/7c21", "must be a time zone such as Europe/Madrid"),
        ("TIMEZONE", "../../etc/7c21", "must be a time zone such as Europe/Madrid"),
        ("FIRST_SYNC_DAYS", "7c21", "input should be a valid integer"),
        ("FIRST_SYNC_DAYS", "0", "input should be greater than or equal to 1"),
        ("LOG_FORMAT", "7c21", "input should be 'auto', 'text' or 'json'"),
        ("DEMO_PORT", "99999", "input should be less than or equal to 65535"),
    ],
)
def test_a_malformed_value_stops_the_start_with_one_line_that_names_it(
    environment: Environment, name: str, value: str, problem: str
) -> None:
    message = environment.refusal({name: value})

    assert f"{name} {problem}" in message
    assert message.endswith("Correct it in .env or the environment.")
    assert "7c21" not in message
    assert "\n" not in message


def test_two_malformed_values_are_told_together(environment: Environment) -> None:
    message = environment.refusal(TIMEZONE="Middle/Earth", DEMO_PORT="none")

    assert "TIMEZONE must be a time zone" in message
    assert "DEMO_PORT input should be" in message


def test_the_format_of_the_log_is_known_although_other_settings_are_malformed(environment: Environment) -> None:
    environment.refusal(TIMEZONE="Middle/Earth", LOG_FORMAT="json")

    assert log_format() == "json"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_clear_text_is_allowed_on_this_machine_only(environment: Environment, host: str) -> None:
    settings = environment.load(TWILIO_BASE_URL=f"http://{host}:3094")

    assert settings.twilio_base_url == f"http://{host}:3094"


@pytest.mark.parametrize(
    "variables",
    [
        {"TWILIO_ACCOUNT_SID": ACCOUNT},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_KEY": API_KEY},
        {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_SECRET": "secret-7c21"},
    ],
)
def test_an_account_without_a_login_says_what_is_missing(
    environment: Environment, variables: Mapping[str, str]
) -> None:
    message = environment.refusal(variables)

    assert message == (
        "TWILIO_ACCOUNT_SID needs TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET, beside it. "
        "Correct it in .env or the environment."
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"TWILIO_AUTH_TOKEN": "token-7c21"},
        {"TWILIO_API_KEY": API_KEY},
        {"TWILIO_API_SECRET": "secret-7c21"},
        {"TWILIO_API_KEY": API_KEY, "TWILIO_API_SECRET": "secret-7c21"},
    ],
)
def test_a_login_without_its_account_says_what_is_missing(
    environment: Environment, variables: Mapping[str, str]
) -> None:
    message = environment.refusal(variables)

    assert "TWILIO_ACCOUNT_SID is missing" in message
    assert "7c21" not in message


@pytest.mark.parametrize("variables", [{"SUPABASE_URL": "https://x.supabase.co"}, {"SUPABASE_KEY": "key-7c21"}])
def test_half_of_supabases_settings_is_refused(environment: Environment, variables: Mapping[str, str]) -> None:
    message = environment.refusal(variables)

    assert message.startswith("SUPABASE_URL and SUPABASE_KEY go together; one of them is missing.")
    assert "7c21" not in message


def test_secrets_never_show(environment: Environment) -> None:
    settings = environment.load(
        SECRETS, SUPABASE_URL="https://x.supabase.co", TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_API_KEY=API_KEY
    )

    assert "7c21" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_the_accounts_own_token_logs_in_as_the_account(environment: Environment) -> None:
    settings = environment.load(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN="token")

    assert settings.twilio_login() == (ACCOUNT, (ACCOUNT, "token"))


def test_an_api_key_is_preferred_and_leaves_the_account_in_its_place(environment: Environment) -> None:
    settings = environment.load(
        TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN="token", TWILIO_API_KEY=API_KEY, TWILIO_API_SECRET="secret"
    )

    assert settings.twilio_login() == (ACCOUNT, (API_KEY, "secret"))


def test_one_provider_alone_leaves_the_other_unconfigured(environment: Environment) -> None:
    settings = environment.load(ELEVENLABS_API_KEY="eleven")

    assert not settings.is_demo
    assert settings.elevenlabs_login() == "eleven"
    assert (settings.is_configured("twilio"), settings.is_configured("elevenlabs")) == (False, True)
    with pytest.raises(NotConfiguredError, match=r"^Twilio is not configured; set TWILIO_ACCOUNT_SID"):
        settings.twilio_login()


def test_the_other_provider_alone_leaves_elevenlabs_unconfigured(environment: Environment) -> None:
    settings = environment.load(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN="token")

    assert not settings.is_demo
    with pytest.raises(NotConfiguredError, match=r"^ElevenLabs is not configured; set ELEVENLABS_API_KEY"):
        settings.elevenlabs_login()


def test_demo_and_real_data_get_files_of_their_own(environment: Environment) -> None:
    demo = environment.load()
    real = environment.load(ELEVENLABS_API_KEY="eleven")

    assert demo.database_path == Path("data/demo.db")
    assert real.database_path == Path("data/voice-ledger.db")


def test_a_file_in_the_folder_is_read_and_the_environment_wins(environment: Environment) -> None:
    (environment.folder / ".env").write_text(
        'ELEVENLABS_API_KEY="from the file"\nTIMEZONE=Europe/Madrid\nCRON_SECRET=\n# DEMO_PORT=1\nSOMETHING_ELSE=1\n'
    )

    settings = environment.load(TIMEZONE="America/New_York")

    assert settings.elevenlabs_login() == "from the file"
    assert settings.timezone == "America/New_York"
    assert settings.cron_secret is None
    assert settings.demo_port is None


def test_a_malformed_value_in_the_file_is_named_like_any_other(environment: Environment) -> None:
    (environment.folder / ".env").write_text("FIRST_SYNC_DAYS=many\n")

    assert environment.refusal().startswith("FIRST_SYNC_DAYS input should be a valid integer")


def test_a_file_that_is_no_text_stops_the_start_with_one_line(environment: Environment) -> None:
    (environment.folder / ".env").write_bytes(b"CRON_SECRET=caf\xe9-7c21\n")

    message = environment.refusal()

    assert message.startswith(".env ")
    assert "7c21" not in message
    assert "\n" not in message


EXAMPLES = (
    "YOUR_CRON_SECRET",
    "your_secret_here",
    "REPLACE-BY-CRON_SECRET",
    "replace by the output of: openssl rand -hex 32",
)


@pytest.mark.parametrize(
    "secret",
    [
        *EXAMPLES,
        "your-cron-secret-here",
        "changeme-changeme",
        "CHANGE_THIS_SECRET",
        "insert_your_own_token",
        "<your secret here>",
    ],
)
def test_a_secret_that_stands_in_a_document_is_none(environment: Environment, secret: str) -> None:
    with pytest.raises(
        ConfigurationError, match="CRON_SECRET must be at least 16 characters, 5 of them different, and no"
    ):
        environment.load(CRON_SECRET=secret)


@pytest.mark.parametrize(
    "secret", ["a-secret-of-the-tests", "0123456789abcdef", "s3cret-of-production", "9f86d081884c7d659a2feaa0c55ad015"]
)
def test_a_secret_of_ones_own_is_taken(environment: Environment, secret: str) -> None:
    settings = environment.load(CRON_SECRET=secret)

    assert settings.cron_secret
    assert settings.cron_secret.get_secret_value() == secret


def test_no_document_shows_a_secret_that_would_be_taken() -> None:
    documents = [
        ROOT / "README.md",
        ROOT / ".env.example",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy").rglob("*.conf"),
    ]
    shown = re.findall(
        r"""(?:CRON_SECRET|cookie_secret|Bearer)["']?\s*[=: ]\s*["']?([\w-]{16,})""",
        "\n".join(each.read_text(encoding="utf-8") for each in documents),
    )

    assert [secret for secret in shown if is_hard_to_guess(secret)] == []
    assert shown


def test_streamlits_secrets_come_before_the_environment_and_that_before_the_file(environment: Environment) -> None:
    environment.write_secrets('TIMEZONE = "Europe/Madrid"\n')
    (environment.folder / ".env").write_text("TIMEZONE=Asia/Kolkata\nCRON_SECRET=of-the-file\nFIRST_SYNC_DAYS=3\n")

    settings = environment.load(TIMEZONE="America/New_York", CRON_SECRET="of-the-environment")

    assert settings.timezone == "Europe/Madrid"
    assert secret(settings.cron_secret) == "of-the-environment"
    assert settings.first_sync_days == 3
    assert origins() == {
        "TIMEZONE": ".streamlit/secrets.toml",
        "CRON_SECRET": "the environment",
        "FIRST_SYNC_DAYS": ".env",
    }
    assert told_origins() == (
        "Settings come from the environment (CRON_SECRET); .env (FIRST_SYNC_DAYS); .streamlit/secrets.toml (TIMEZONE)."
    )


def test_keys_that_stand_in_streamlits_secrets_alone_are_no_demo(environment: Environment) -> None:
    environment.write_secrets(f'TWILIO_ACCOUNT_SID = "{ACCOUNT}"\nTWILIO_AUTH_TOKEN = "token"\n')

    assert not environment.load().is_demo


def test_of_the_two_files_of_streamlit_the_projects_wins(environment: Environment) -> None:
    environment.write_secrets('TIMEZONE = "Asia/Kolkata"\nFIRST_SYNC_DAYS = 5\n', home=True)
    environment.write_secrets('TIMEZONE = "Europe/Madrid"\n')

    settings = environment.load()

    assert (settings.timezone, settings.first_sync_days) == ("Europe/Madrid", 5)
    assert origins() == {"TIMEZONE": ".streamlit/secrets.toml", "FIRST_SYNC_DAYS": "~/.streamlit/secrets.toml"}


def test_numbers_truths_and_lists_of_streamlits_secrets_count_as_their_text(environment: Environment) -> None:
    environment.write_secrets(
        "FIRST_SYNC_DAYS = 7\nALLOW_OPEN_DASHBOARD = true\nDISABLE_ELEVENLABS_HOURLY_SYNC = false\n"
        'ALLOWED_HOSTS = ["a.example", "b.example"]\ncron_secret = 1234567890123456\n[auth]\nTIMEZONE = "Mars"\n'
    )

    settings = environment.load(DISABLE_ELEVENLABS_HOURLY_SYNC="true")

    assert settings.first_sync_days == 7
    assert settings.allow_open_dashboard is True
    assert settings.disable_elevenlabs_hourly_sync is False
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert secret(settings.cron_secret) == "1234567890123456"
    assert settings.timezone == "UTC", "a table is none of ours"


def test_an_empty_entry_of_streamlits_secrets_hides_nothing(environment: Environment) -> None:
    environment.write_secrets('CRON_SECRET = ""\nALLOWED_HOSTS = []\n')

    settings = environment.load(CRON_SECRET="of-the-environment", ALLOWED_HOSTS="a.example")

    assert secret(settings.cron_secret) == "of-the-environment"
    assert settings.allowed_hosts == ("a.example",)


@pytest.mark.parametrize("content", [b"[auth\n", b"TIMEZONE = Madrid-7c21\n", b"# caf\xe9-7c21\n"])
def test_streamlits_secrets_that_are_no_toml_are_one_sentence(environment: Environment, content: bytes) -> None:
    environment.write_secrets("")
    (environment.folder / ".streamlit" / "secrets.toml").write_bytes(content)

    assert environment.refusal() == (".streamlit/secrets.toml cannot be read; correct it, it must be TOML in UTF-8.")
    assert log_format() == "auto"


def test_what_is_malformed_in_streamlits_secrets_is_to_be_corrected_there(environment: Environment) -> None:
    environment.write_secrets('TIMEZONE = "Middle/7c21"\n')

    message = environment.refusal(FIRST_SYNC_DAYS="0")

    assert message.endswith("Correct it in .streamlit/secrets.toml and the environment.")
    assert "7c21" not in message


def test_what_streamlit_makes_of_its_secrets_leaves_the_environment_as_it_was(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRON_SECRET", "of-the-environment")

    with environment_kept():
        monkeypatch.setenv("CRON_SECRET", "")
        monkeypatch.setenv("TIMEZONE", "Europe/Madrid")

    assert environment.load().timezone == "UTC"
    assert secret(environment.load().cron_secret) == "of-the-environment"


@pytest.mark.parametrize("name", ["ELEVENLABS_API_KEY", "TWILIO_AUTH_TOKEN", "SUPABASE_KEY"])
@pytest.mark.parametrize("key", ["sk-7c21\r\nx", "sk-7c21\u00e9", "sk\x007c21"])
def test_a_key_with_characters_that_no_key_has_is_refused_without_it(
    environment: Environment, name: str, key: str
) -> None:
    environment.write_secrets(f"{name} = {json.dumps(key)}\n")

    message = environment.refusal(TWILIO_ACCOUNT_SID=ACCOUNT, SUPABASE_URL="https://acme.supabase.co")

    assert f"{name}" in message
    assert "holds characters that no key has; copy it once more" in message
    assert "7c21" not in message


def test_line_ends_of_windows_are_no_part_of_a_value(environment: Environment) -> None:
    settings = environment.load(ELEVENLABS_API_KEY="sk-7c21\r", TIMEZONE="Europe/Madrid\r\n")

    assert settings.elevenlabs_login() == "sk-7c21"
    assert settings.timezone == "Europe/Madrid"


def test_a_quote_that_nobody_closes_stops_the_start(environment: Environment) -> None:
    (environment.folder / ".env").write_text('TIMEZONE=UTC\nELEVENLABS_API_KEY="sk-7c21\nFIRST_SYNC_DAYS=3\n')

    assert environment.refusal() == ".env cannot be read from line 2 on; correct its quotes."


def test_a_table_in_the_place_of_a_key_stops_the_start(environment: Environment) -> None:
    environment.write_secrets("ELEVENLABS_API_KEY = {key = 1}\n")

    assert environment.refusal() == "ELEVENLABS_API_KEY in .streamlit/secrets.toml is a table; make it a text."
