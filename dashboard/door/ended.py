"""The logins that have ended: a cookie is valid for 30 days, so a copy of it would outlive a logout."""

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from sync.bootstrap import shared
from sync.times import utc_now

FOLDER = "ended-logins"  # beside the database
REMEMBERED = timedelta(days=32)  # Streamlit accepts a cookie for 31 days
FOR_ITS_OWNER = stat.S_IRWXU
NOT_OF_THE_PROVIDER = {"is_logged_in", "origin", "provider", "tokens"}  # what Streamlit adds in one place or another

log = structlog.get_logger("dashboard")


def login_of(claims: Mapping[str, Any]) -> str:
    """Return the name of a login: it is the same in every tab of a browser, and another after the next sign-in."""
    told = {name: value for name, value in claims.items() if name not in NOT_OF_THE_PROVIDER}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


class EndedLogins:
    """A folder with an empty file per login. All processes of the machine see it, and a restart forgets nothing."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._clock = clock
        self._here: set[str] = set()  # counts also where the disk is full

    def __contains__(self, login: str) -> bool:
        return login in self._here or (self._folder / login).exists()

    def add(self, login: str) -> None:
        """End a login. May be repeated."""
        self._here.add(login)
        try:
            self._folder.mkdir(mode=FOR_ITS_OWNER, parents=True, exist_ok=True)
            (self._folder / login).touch()
            self._forget_the_old()
        except OSError as exc:
            log.error(  # noqa: TRY400  the sentence says it all
                f"A logout cannot be written to {self._folder}, so a restart forgets it: {exc.strerror}. "
                "Let the dashboard's user write there."
            )

    def _forget_the_old(self) -> None:
        oldest = self._clock() - REMEMBERED
        for file in self._folder.iterdir():
            if datetime.fromtimestamp(file.stat().st_mtime, UTC) < oldest:
                file.unlink(missing_ok=True)


def ended_logins() -> EndedLogins:
    """Return those of this installation."""
    return _beside(shared().settings.database_path)


@cache
def _beside(database: Path) -> EndedLogins:
    return EndedLogins(database.absolute().parent / FOLDER)
