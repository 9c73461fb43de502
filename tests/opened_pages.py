"""Pages without a browser: an installation and its store, a page as a link opens it, and what it says."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import access
from dashboard.periods import PRESETS, midnight
from sync import api
from sync.bootstrap import shared
from sync.models import SOURCES, RunKind, RunState, Source
from sync.store import Store
from tests.asgi_call import ask
from tests.local_supabase import LocalSupabase
from tests.records import DAY, HOUR, OTHER_NUMBER, OUR_NUMBER, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register

ROOT = Path(__file__).parent.parent
PAGES = {"Workspaces": "workspaces", "Twilio": "twilio", "ElevenLabs": "elevenlabs"}
SECRET = "a-secret-of-the-tests"
REAL_CREDENTIALS = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
    "TWILIO_AUTH_TOKEN": "made-up-token",
    "ELEVENLABS_API_KEY": "made-up-key",
}


def forget_services() -> None:
    """Empty what the process keeps: each test has a store of its own."""
    shared.cache_clear()
    access.rules.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(params=["sqlite", "supabase"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """Give the environment of an installation with both providers, to change before the store is opened."""
    monkeypatch.chdir(tmp_path)  # away from a developer's .env
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # AppTest leaves the page there
    for name in ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL", "TIMEZONE", "DISABLE_ELEVENLABS_HOURLY_SYNC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**REAL_CREDENTIALS, "CRON_SECRET": SECRET, "DATABASE_PATH": "ledger.db"}.items():
        monkeypatch.setenv(name, value)
    if request.param == "supabase":
        project: LocalSupabase = request.getfixturevalue("supabase")
        monkeypatch.setenv("SUPABASE_URL", project.url)
        monkeypatch.setenv("SUPABASE_KEY", project.secret_key)
    forget_services()
    yield monkeypatch
    if shared.cache_info().currsize:
        shared().close()
    forget_services()


@pytest.fixture
def ledger(settings: pytest.MonkeyPatch) -> Store:
    """Give the empty store that the pages read."""
    return shared().store


@pytest.fixture
def filled(ledger: Store) -> Store:
    """Give a store with two clients, usage on three days of which one is older than a week, and open prices."""
    now = datetime.now(UTC).replace(microsecond=0)
    for name, number in (("Acme", OUR_NUMBER), ("Borealis = $1 *bold*", OTHER_NUMBER)):
        register(ledger, make_phone(phone_number=number, workspace_id=add_workspace(ledger, name)))
    numbers = [OUR_NUMBER, OTHER_NUMBER, "+12120000003"]
    days = [now - 20 * DAY, now - 2 * DAY, now - DAY]
    legs = [
        make_leg(sid=f"CA{day}{n}", our_number=number, started_at=start, cost=Decimal("0.0085") * (n + 1))
        for day, start in enumerate(days)
        for n, number in enumerate(numbers)
    ]
    ledger.save_calls([*legs, make_leg(sid="CAopen", started_at=days[-1], cost=None, price_unit=None)])
    talks = [
        make_conversation(
            conversation_id=f"conv_{day}{n}", agent_number=number, started_at=start, dev_discount=n == 0, call_sid=None
        )
        for day, start in enumerate(days)
        for n, number in enumerate(numbers)
    ]
    whole = make_conversation(conversation_id="conv_whole", started_at=days[1], llm_price=None, platform_price=None)
    ledger.save_conversations([*talks, whole])
    for source in SOURCES:
        record_run(ledger, source, RunState.OK)
    return ledger


def record_run(
    store: Store, source: Source, state: RunState, message: str | None = None, age: timedelta = timedelta()
) -> None:
    end = datetime.now(UTC) - age
    window = (end - HOUR, end)
    run = store.begin_run(source, RunKind.HOURLY, window, owner="", now=end, stale_before=end - HOUR)
    if state is not RunState.RUNNING:
        store.finish_run(run.id, state, message, now=end)


def open_page(title: str, **filters: str | list[str]) -> AppTest:
    """Open a page as a link with these filters does. AppTest has no deep links: the first page takes them along."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30)
    for name, value in filters.items():
        app.query_params[name] = value
    app.run()
    if title != "Workspaces":
        app.switch_page(str(ROOT / "pages" / f"{PAGES[title]}.py")).run()
        if "period" in filters:
            app.selectbox(key="period").set_value(filters["period"]).run()
    return app


def metrics_of(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value.replace("\\", "") for metric in app.metric}


def words_of(app: AppTest) -> str:
    """Return what a page says beside its numbers."""
    kinds = (app.caption, app.info, app.warning, app.error, app.markdown)
    return "\n".join(element.value.replace("\\", "") for kind in kinds for element in kind)


def stats(path: str, **query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {SECRET}"}
    answer = ask(api.application(shared()), "GET", f"/api/{path}?{urlencode(query)}", headers)
    assert answer.status_code == httpx.codes.OK, answer.text
    numbers: dict[str, Any] = json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
    return numbers


def last_7_days() -> dict[str, str]:
    first, last = PRESETS["7 days"](datetime.now(UTC).date())
    zone = shared().settings.zone
    return {"since": midnight(first, zone).isoformat(), "until": midnight(last + DAY, zone).isoformat()}
