"""The pages about one provider: compared, late, half broken, and what only they show."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import heatmap
from dashboard.buckets import cut
from dashboard.formats import UNKNOWN
from sync.models import SOURCES, LlmUsage, RunState, TokenUsage
from sync.store import Store
from tests.opened_pages import metrics_of, open_page, record_run, words_of
from tests.records import DAY, make_conversation, make_leg

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PROVIDERS = ("Twilio", "ElevenLabs")


def table_about(app: AppTest, heading: str) -> Any:
    return next(table.value for table in app.dataframe if heading in table.value).set_index(heading)


@pytest.mark.parametrize("title", PROVIDERS)
def test_a_provider_page_is_compared_as_well(ledger: Store, title: str) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for n, days in enumerate((1, 1, 2)):
        ledger.save_calls([make_leg(sid=f"CA{n}", started_at=noon - days * DAY)])
        ledger.save_conversations([make_conversation(conversation_id=f"conv_{n}", started_at=noon - days * DAY)])

    app = open_page(title, period="Yesterday", compare="true")

    assert next(metric.delta for metric in app.metric if metric.label == "Cost") == "+100.0%"
    assert list(table_about(app, "Workspace")["Change"]) == ["+100.0%"] * 2


@pytest.mark.parametrize("title", PROVIDERS)
def test_late_numbers_have_a_strip_on_their_own_page_alone(ledger: Store, title: str) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY)])
    ledger.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY)])
    for source in SOURCES:
        record_run(ledger, source, RunState.OK, age=timedelta(hours=2) if source == title.lower() else timedelta())

    shown = {page: [warning.value for warning in open_page(page).main.warning] for page in PROVIDERS}

    assert [page for page, warnings in shown.items() if warnings] == [title]


@ON_SQLITE
@pytest.mark.parametrize(
    ("title", "column", "part"),
    [
        ("Twilio", "calls.status", "Direction and status"),
        ("ElevenLabs", "elevenlabs_conversations.agent_name", "Agents"),
    ],
)
def test_a_part_that_cannot_be_read_leaves_the_rest(filled: Store, title: str, column: str, part: str) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.execute(f"alter table {column.replace('.', ' rename column ')} to elsewhere")

    app = open_page(title)

    assert not app.exception
    assert any(error.value.startswith(part) for error in app.main.error)
    assert metrics_of(app)["Cost"] != UNKNOWN
    assert "Workspace" in app.dataframe[0].value


@pytest.mark.parametrize("title", PROVIDERS)
def test_no_page_has_more_than_six_charts_and_all_are_described(filled: Store, title: str) -> None:
    charts = open_page(title, period="All").get("plotly_chart")

    assert 1 <= len(charts) <= 6
    assert all(json.loads(chart.proto.spec)["layout"]["title"]["text"].endswith(("UTC", "USD")) for chart in charts)


def test_calls_are_told_by_direction_and_status(ledger: Store) -> None:
    start = datetime.now(UTC) - DAY
    ledger.save_calls(
        [
            make_leg(sid="CA1", started_at=start, cost=Decimal("0.5")),
            make_leg(sid="CA2", started_at=start, direction="outbound-api", cost=Decimal(2)),
            make_leg(sid="CA3", started_at=start, status="busy", duration=0, cost=Decimal(0)),
            make_leg(sid="CA4", started_at=start, cost=None, price_unit=None),
        ]
    )

    app = open_page("Twilio")

    by_direction, by_status = table_about(app, "Direction"), table_about(app, "Status")
    assert dict(by_direction["Cost"]) == {"outbound-api": 2.0, "inbound": 0.5, "Total": 2.5}
    assert dict(by_status["Calls"]) == {"completed": 3, "busy": 1, "Total": 4}
    assert dict(by_status["Awaiting a price"]) == {"completed": 1, "busy": 0, "Total": 1}


def test_the_heatmap_shows_the_clock_of_the_zone() -> None:
    buckets = cut(date(2026, 10, 19), date(2026, 11, 1), ZoneInfo("Asia/Kolkata"))
    start = datetime(2026, 10, 20, 18, 45, tzinfo=UTC)  # Wednesday, 00:15 in India

    cells = heatmap.cells([(start, 3)], buckets, None)

    assert cells[2][0] == 3
    assert sum(number or 0 for row in cells for number in row) == 3


def test_an_hour_that_the_period_has_not_is_a_gap_and_one_without_calls_is_zero() -> None:
    buckets = cut(date(2026, 10, 21), date(2026, 10, 21), ZoneInfo("UTC"))

    cells = heatmap.cells([], buckets, datetime(2026, 10, 21, 10, 30, tzinfo=UTC))

    assert cells[2] == [0] * 11 + [None] * 13
    assert cells[1] == [None] * 24


def test_free_allowances_tell_what_was_paid_and_what_it_would_have_cost(ledger: Store) -> None:
    ledger.save_conversations(
        [
            make_conversation(
                started_at=datetime.now(UTC) - DAY,
                duration=600,
                cost=Decimal("1.5"),
                llm_price=Decimal("0.5"),
                platform_price=Decimal(1),
                free_minutes_consumed=Decimal(2),
                free_llm_dollars_consumed=Decimal("0.2"),
            )
        ]
    )

    app = open_page("ElevenLabs")

    shown = metrics_of(app)
    assert (shown["LLM, paid"], shown["LLM, full price"]) == ("$0.30", "$0.50")
    assert (shown["Voice, as reported"], shown["Voice, estimate"]) == ("$1.00", "$1.25")
    assert "Without that, it would have cost about $1.75" in words_of(app)


def test_the_tokens_own_prices_tell_what_was_free_when_the_reported_price_leaves_it_out(ledger: Store) -> None:
    usage = LlmUsage({"gpt": {"input": TokenUsage(tokens=1000, price=Decimal("0.5"))}})
    free = {"free_llm_dollars_consumed": Decimal("0.2"), "llm_price": Decimal("0.3"), "llm_usage": usage}
    ledger.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY, **free)])

    shown = metrics_of(open_page("ElevenLabs"))

    assert (shown["LLM, paid"], shown["LLM, full price"]) == ("$0.30", "$0.50")


def test_without_free_allowances_the_page_says_so(ledger: Store) -> None:
    nothing = {"free_minutes_consumed": Decimal(0), "free_llm_dollars_consumed": Decimal(0)}
    ledger.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY, **nothing)])

    app = open_page("ElevenLabs")

    assert "what was paid is what it would have cost" in words_of(app)
    assert "LLM, paid" not in metrics_of(app)


def test_an_agent_of_several_workspaces_has_a_row_in_each(filled: Store) -> None:
    agents = table_about(open_page("ElevenLabs", period="All"), "Agent")

    assert set(agents.index) == {
        "Sales · Acme",
        "Sales · Borealis = $1 *bold*",
        "Sales · Unassigned",
        "Total",
    }
    assert agents["Cost"][:-1].sum() == pytest.approx(agents["Cost"]["Total"])
