"""The pages as a reader meets them: with data, without, filtered, after a failure, and on a broken store."""

import base64
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboard import formats
from dashboard.formats import literal
from sync.models import PROVIDER_NAMES, SOURCES, RunState, Source
from sync.sqlite_store import SqliteStore
from sync.store import Store
from tests.opened_pages import PAGES, REAL_CREDENTIALS, last_7_days, metrics_of, open_page, record_run, stats, words_of
from tests.records import DAY, make_conversation, make_leg

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)  # about the file itself


@pytest.mark.parametrize(("period", "asked"), [("All", False), ("7 days", True)])
def test_totals_of_the_pages_equal_those_of_the_api(filled: Store, period: str, asked: bool) -> None:
    query = last_7_days() if asked else {}
    twilio, elevenlabs = stats("twilio-stats", **query), stats("elevenlabs-stats", **query)

    both, lines, agents = (metrics_of(open_page(title, period=period)) for title in PAGES)

    assert both["Total cost"] == formats.money(Decimal(twilio["total_cost"]) + Decimal(elevenlabs["total_cost"]))
    assert both["Calls"] == lines["Calls"] == formats.count(twilio["total_calls"])
    assert lines["Cost"] == formats.money(twilio["total_cost"])
    assert lines["Billed minutes"] == formats.count(twilio["billed_minutes"])
    assert lines["Awaiting a price"] == formats.count(twilio["unpriced_calls"])
    assert agents["Cost"] == formats.money(elevenlabs["total_cost"])
    assert agents["Cost in credits"] == formats.credits_(elevenlabs["total_credits"])
    assert agents["LLM charge"] == formats.credits_(elevenlabs["llm_charge"])
    assert agents["Platform (voice) price"] == formats.money(elevenlabs["platform_price"])
    assert agents["Discounted conversations"] == formats.count(elevenlabs["dev_discount"])


def test_a_filter_in_the_link_narrows_the_numbers(filled: Store) -> None:
    everything, week = (metrics_of(open_page("Twilio", period=period)) for period in ("All", "7 days"))

    assert (everything["Legs"], week["Legs"]) == ("10", "7")


def test_a_filter_that_does_not_exist_falls_back_to_the_usual_one(filled: Store) -> None:
    app = open_page("Workspaces", period="Forever", zone="Mars/Olympus")

    assert app.selectbox(key="period").value == "30 days"
    assert app.selectbox(key="zone").value == "UTC"


def test_every_place_can_be_chosen_as_time_zone_and_the_usual_ones_stand_first(filled: Store) -> None:
    offered = open_page("Workspaces").selectbox(key="zone").options

    assert offered[0] == "UTC"
    assert {"America/New_York", "Asia/Kolkata", "Europe/Madrid"} <= set(offered)
    assert offered[1:] == sorted(offered[1:])


def test_a_link_brings_its_time_zone_along(filled: Store) -> None:
    app = open_page("Workspaces", zone="Asia/Kathmandu")

    assert app.selectbox(key="zone").value == "Asia/Kathmandu"
    assert "Asia/Kathmandu" in words_of(app)


@pytest.mark.parametrize("title", PAGES)
def test_the_header_says_what_the_numbers_are_about(filled: Store, title: str) -> None:
    header = next(caption.value for caption in open_page(title).caption if "provider bills" in caption.value)

    assert "data through" in header
    assert ("1 call leg awaits a price" in header) == (title != "ElevenLabs")


@pytest.mark.parametrize("title", PAGES)
def test_the_table_has_every_workspace_then_unassigned_then_the_total(filled: Store, title: str) -> None:
    table = open_page(title).dataframe[0].value

    assert list(table["Workspace"])[-2:] == ["Unassigned", "Total"]
    assert set(table["Workspace"][:-2]) == {"Acme", "Borealis = $1 *bold*"}
    assert table.iloc[:-1, 1].sum() == pytest.approx(table.iloc[-1, 1])


def test_parts_of_the_cost_add_up_to_it_also_where_elevenlabs_gives_none(filled: Store) -> None:
    table = open_page("Workspaces").dataframe[0].value

    parts = table[["Twilio cost", "Voice", "LLM", "Not itemised"]].sum(axis="columns")
    assert list(parts) == pytest.approx(list(table["Total cost"]))


def test_the_bars_add_up_to_the_total(filled: Store) -> None:
    app = open_page("Workspaces", period="All")

    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    bars = sum(amount for layer in figure["data"] for amount in amounts_of(layer) if amount)
    assert formats.money(Decimal(repr(bars))) == metrics_of(app)["Total cost"]


def amounts_of(layer: dict[str, Any]) -> list[float | None]:
    return layer["y"] if isinstance(layer["y"], list) else unpacked(layer["y"])


def unpacked(packed: dict[str, str]) -> list[float | None]:
    """Return what plotly packed: base64 of little-endian numbers."""
    return [float(number) for number in np.frombuffer(base64.b64decode(packed["bdata"]), dtype=packed["dtype"])]


def test_every_model_is_listed_with_its_price_per_million_tokens(filled: Store) -> None:
    models = open_page("ElevenLabs").dataframe[1].value

    assert list(models["Model"]) == ["gemini-flash", "Total"]
    assert models["Price per million tokens"][0] == pytest.approx(0.00041565 / 1200 * 1e6)


def test_money_in_another_currency_is_never_added_to_dollars(ledger: Store) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY, price_unit="EUR")])
    ledger.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY)])

    app = open_page("Workspaces")

    shown = metrics_of(app)
    assert (shown["Twilio cost"], shown["ElevenLabs cost"]) == ("0.01 EUR", "$0.10")
    assert not {"Total cost", "Cost per minute"} & (set(shown) | set(app.dataframe[0].value))


def test_a_cost_that_is_not_known_is_never_shown_as_nothing(ledger: Store) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY, cost=None, price_unit=None)])

    app = open_page("Twilio")

    assert metrics_of(app)["Cost"] == formats.UNKNOWN
    assert app.dataframe[0].value["Cost"].isna()[0]


@pytest.mark.parametrize("title", PAGES)
def test_before_the_first_sync_a_page_offers_it(ledger: Store, title: str) -> None:
    app = open_page(title)

    assert "No data available" in words_of(app)
    assert "Nothing has been synced yet" in words_of(app)
    assert [button.label for button in app.main.button] == ["Sync now"]


@pytest.mark.parametrize("title", PAGES)
def test_a_period_without_activity_names_the_last_active_day_and_widens(ledger: Store, title: str) -> None:
    start = datetime.now(UTC) - 200 * DAY
    ledger.save_calls([make_leg(started_at=start)])
    ledger.save_conversations([make_conversation(started_at=start)])
    app = open_page(title)
    said = words_of(app)

    app.main.button[0].click().run()

    assert f"No data available.** Nothing happened in this period. The last active day is {start:%-d %b %Y}" in said
    assert app.selectbox(key="period").value == "All"
    assert app.metric


@pytest.mark.parametrize(
    ("title", "variable"), [("Twilio", "TWILIO_ACCOUNT_SID"), ("ElevenLabs", "ELEVENLABS_API_KEY")]
)
def test_a_provider_that_is_not_configured_says_what_to_set(
    settings: pytest.MonkeyPatch, title: str, variable: str
) -> None:
    for name in REAL_CREDENTIALS:
        if name.startswith(title.upper()):
            settings.delenv(name)

    app = open_page(title)

    assert "No data available" in words_of(app)
    assert f"{title} is not configured; set {variable}" in words_of(app)
    assert [link.proto.label for link in app.main.get("page_link")] == ["See the configuration"]
    assert not app.main.button


def test_demo_data_is_called_so_on_every_page(settings: pytest.MonkeyPatch) -> None:
    for name in REAL_CREDENTIALS:
        settings.delenv(name)

    assert all("Demo data" in words_of(open_page(title)) for title in PAGES)


def test_real_data_is_not_called_demo(filled: Store) -> None:
    assert "Demo data" not in words_of(open_page("Workspaces"))


@pytest.mark.parametrize("source", SOURCES)
def test_a_failed_run_is_told_in_one_sentence_with_a_retry(filled: Store, source: Source) -> None:
    record_run(filled, source, RunState.FAILED, "The provider is down ($5 *now*); the next run tries again.")

    app = open_page("Workspaces")

    assert [error.value for error in app.sidebar.error] == [
        literal(f"{PROVIDER_NAMES[source]} sync failed: The provider is down ($5 *now*); the next run tries again.")
    ]
    assert "Try again" in [button.label for button in app.sidebar.button]
    assert app.metric  # the old numbers stay


def test_a_run_of_another_process_shows_its_progress_and_holds_the_button(filled: Store) -> None:
    record_run(filled, "elevenlabs", RunState.RUNNING)
    run = filled.runs("elevenlabs", limit=1)[0]
    filled.save_progress(replace(run, done=30, total=120), now=datetime.now(UTC))

    app = open_page("Twilio")

    assert app.get("progress")[0].proto.value == 25
    assert app.get("progress")[0].proto.text == "ElevenLabs: 30 of 120 records"
    assert [button.disabled for button in app.sidebar.button] == [True]


def test_a_run_without_a_sign_of_life_does_not_hold_the_button(filled: Store) -> None:
    record_run(filled, "twilio", RunState.RUNNING, age=timedelta(minutes=5))

    assert not open_page("Workspaces").sidebar.button[0].disabled


@pytest.mark.parametrize(
    ("age", "word"),
    [(timedelta(minutes=5), "Current"), (timedelta(minutes=100), "Late"), (timedelta(hours=4), "Out of date")],
)
def test_freshness_is_told_in_words(ledger: Store, age: timedelta, word: str) -> None:
    record_run(ledger, "twilio", RunState.OK, age=age)

    assert f"{word}]" in next(line.value for line in open_page("Twilio").sidebar.markdown if "Twilio" in line.value)


@ON_SQLITE
@pytest.mark.parametrize("title", PAGES)
def test_a_broken_table_gives_a_sentence_and_leaves_the_rest(filled: Store, title: str) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.executescript("drop table twilio_snapshots; drop table elevenlabs_snapshots;")

    app = open_page(title)

    assert not app.exception
    of_twilio, of_elevenlabs = (
        f"The database ledger.db refused: no such table: {table}."
        for table in ("twilio_snapshots", "elevenlabs_snapshots")
    )
    said = {
        "Workspaces": [f"Twilio: {of_twilio}", f"ElevenLabs: {of_elevenlabs}"],
        "Twilio": [of_twilio],
        "ElevenLabs": [of_elevenlabs],
    }
    assert [error.value.replace("\\", "") for error in app.main.error] == said[title]
    assert app.title[0].value == title
    assert app.sidebar.button  # how current the data is can still be told


@ON_SQLITE
def test_a_file_that_is_no_database_gives_a_sentence(settings: pytest.MonkeyPatch) -> None:
    Path("ledger.db").write_bytes(b"not a database" * 1000)

    app = open_page("Workspaces")

    assert not app.exception
    assert "ledger.db is not a sound SQLite database; restore a backup" in app.error[0].value.replace("\\", "")


@ON_SQLITE
def test_a_locked_file_gives_a_sentence(settings: pytest.MonkeyPatch) -> None:
    settings.setitem(SqliteStore.__init__.__kwdefaults__, "lock_timeout", 0.1)  # a test does not wait half a minute
    with closing(sqlite3.connect("ledger.db")) as other:
        other.execute("create table held (held)")
        other.execute("begin exclusive")

        app = open_page("Workspaces")

    assert not app.exception
    assert "ledger.db is locked by another program; close that program" in app.error[0].value.replace("\\", "")
