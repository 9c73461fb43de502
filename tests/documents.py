"""What is told of the settings, written from the settings themselves: `make documents`."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from sync.settings import Settings, variable

ROOT = Path(__file__).parent.parent
WIDTH = 110

# By the first setting of each group.
HEADINGS = {
    "TWILIO_ACCOUNT_SID": "Twilio",
    "ELEVENLABS_API_KEY": "ElevenLabs",
    "SUPABASE_URL": "Supabase, instead of SQLite",
    "CRON_SECRET": "Access",
    "DISABLE_ELEVENLABS_HOURLY_SYNC": "Syncing and showing",
    "DATABASE_PATH": "This machine",
}

EXAMPLE_HEAD = """\
# Copy it (install -m 600 .env.example .env) and fill in what you have.
# Without any provider key the program runs on demo data.
# Empty values count as not set. A malformed value stops the start with one line that names it.
# Who may sign in to the dashboard stands in .streamlit/secrets.toml; docs/access.md explains it.
"""

PAGE_HEAD = """\
# Environment variables

Read from `.streamlit/secrets.toml`, then from the environment, then from `.env` ([.env.example](../.env.example) is
one to copy): the first that sets a name wins, for the dashboard, the scheduler and every command alike. Both files
are those of the folder where the program starts; of `~/.streamlit/secrets.toml` counts what the folder's does not
set. In these, settings are top-level entries; numbers, `true`, `false` and lists count as their text. `python -m sync
doctor`, and the first lines of dashboard and scheduler, say which setting comes from where. (Streamlit's own option
`secrets.files` is the dashboard's alone.)

None is needed: without any provider's credentials the program runs on demo data. Empty values count as not set. A
malformed value stops the start with one line that names it, and never shows the value. Secrets are never logged,
exported or sent to a browser; the page *Settings* says which of them are set. Files with keys are for their owner
(`chmod 600`), or for one group: `doctor` fails where everybody on the machine may read them. Who may sign in stands
in `.streamlit/secrets.toml`, which [access.md](access.md) explains.

This page is written by `make documents` from `sync/settings.py`.
"""

OLD_NAMES = """
## Names of the former system

`NEXT_PUBLIC_SUPABASE_URL` and `NEXT_PUBLIC_SUPABASE_ANON_KEY` are read where `SUPABASE_URL` and `SUPABASE_KEY` are not
set. `NEXT_PUBLIC_CRON_SECRET` is not read: a secret that reaches browsers is none.
"""


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """Yield each setting under the name that it has in the environment."""
    for name, setting in Settings.model_fields.items():
        yield variable(name), setting


def is_secret(setting: FieldInfo) -> bool:
    return "SecretStr" in str(setting.annotation)  # or in what is annotated with a check


def in_file(value: Any) -> str:
    """Return a default as it is written in .env."""
    return str(value).lower() if isinstance(value, bool) else "" if value in (None, ()) else str(value)


def example() -> str:
    lines = [EXAMPLE_HEAD]
    for name, setting in variables():
        if heading := HEADINGS.get(name):
            lines.append(f"\n# ---- {heading}\n")
        lines += [f"{line}\n" for line in textwrap.wrap(f"# {setting.description}", WIDTH, subsequent_indent="# ")]
        lines.append(f"{name}={in_file(setting.default)}\n")
    return "".join(lines)


def page() -> str:
    parts = [PAGE_HEAD]
    for name, setting in variables():
        if heading := HEADINGS.get(name):
            parts.append(f"\n## {heading}\n\n| variable | without it | what it is |\n|---|---|---|\n")
        default = f"`{in_file(setting.default)}`" if in_file(setting.default) else "not set"
        kind = "**Secret.** " if is_secret(setting) else ""
        parts.append(f"| `{name}` | {default} | {kind}{setting.description} |\n")
    return "".join(parts) + OLD_NAMES


DOCUMENTS = {ROOT / ".env.example": example, ROOT / "docs" / "environment.md": page}

if __name__ == "__main__":
    for path, write in DOCUMENTS.items():
        path.write_text(write(), encoding="utf-8")
