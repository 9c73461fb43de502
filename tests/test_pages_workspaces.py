"""The pages about workspaces: filtered, compared, ranked, one by itself, and when half of the data cannot be read."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import colours, data, formats
from dashboard.periods import Period
from dashboard.rankings import MOST_BARS, top
from dashboard.usages import only_twilio
from sync import metrics
from sync.background import background_syncs
from sync.bootstrap import shared
from sync.models import SOURCES, RunKind, RunState, Source
from sync.store import Store
from tests.opened_pages import ROOT, metrics_of, open_page, record_run, words_of
from tests.records import DAY, HOUR, OUR_NUMBER, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
ACME = "Acme"


def open_workspace(name: str | None, **filters: str) -> AppTest:
    """Open the view of a workspace as the link `/workspace?workspace=name` does."""
    app = open_page("Workspaces", **filters)
    if name:
        app.query_params["workspace"] = name
    return app.switch_page(str(ROOT / "pages" / "workspace.py")).run()


@pytest.fixture
def two_weeks(ledger: Store) -> Store:
    """Give a store in which Acme cost $2 yesterday and $1 the day before, and Unassigned $3 yesterday alone."""
    register(ledger, make_phone(workspace_id=add_workspace(ledger, ACME)))
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    ledger.save_calls(
        [
            make_leg(sid="CA1", started_at=noon - DAY, cost=Decimal(2)),
            make_leg(sid="CA2", started_at=noon - 2 * DAY, cost=Decimal(1)),
            make_leg(sid="CA3", started_at=noon - DAY, cost=Decimal(3), our_number="+12120000003"),
        ]
    )
    for source in SOURCES:
        record_run(ledger, source, RunState.OK)
    return ledger


def deltas_of(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.delta for metric in app.metric}


def test_a_comparison_tells_its_dates_and_the_change(two_weeks: Store) -> None:
    app = open_page("Workspaces", period="Yesterday", compare="true")

    before = datetime.now(UTC).date() - 2 * DAY
    assert f"compared with {before:%-d %b %Y}" in words_of(app)
    assert metrics_of(app)["Total cost"] == "$5.00"
    assert deltas_of(app)["Total cost"] == "+400.0%"
    assert deltas_of(app)["Calls"] == "+100.0%"


def test_a_comparison_with_days_before_the_first_record_says_that_it_is_incomplete(two_weeks: Store) -> None:
    whole = words_of(open_page("Workspaces", period="Yesterday", compare="true"))
    cut_short = words_of(open_page("Workspaces", period="7 days", compare="true"))

    first = datetime.now(UTC).date() - 2 * DAY
    assert "comparison is incomplete" not in whole
    assert f"records begin on {first:%-d %b %Y}, so the comparison is incomplete" in cut_short


def test_each_provider_is_compared_as_far_as_its_own_data_reaches(ledger: Store) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY
    for n, days in enumerate(range(14)):
        ledger.save_calls([make_leg(sid=f"CA{n}", started_at=noon - days * DAY, cost=Decimal(1))])
        if days >= 2:  # ElevenLabs is two days behind
            ledger.save_conversations([make_conversation(conversation_id=f"c{n}", started_at=noon - days * DAY)])
    record_run(ledger, "twilio", RunState.OK)
    record_run(ledger, "elevenlabs", RunState.OK, age=datetime.now(UTC) - (noon - 2 * DAY))

    dates = [str((noon - 6 * DAY).date()), str(noon.date())]
    app = open_page("Workspaces", period="Custom", dates=dates, compare="true")

    assert deltas_of(app)["Calls"] == "+0.0%"
    assert deltas_of(app)["Conversations"] == "+0.0%"
    assert deltas_of(app)["Total cost"] == "+0.0%"
    assert "(ElevenLabs until " in words_of(app)


def test_what_was_never_synced_is_told_and_not_taken_for_zero(ledger: Store) -> None:
    now = datetime.now(UTC)
    begin = (now - 3 * DAY).replace(microsecond=0)
    for source in SOURCES:
        for window in ((begin, begin + HOUR), (begin + DAY, now)):
            run = ledger.begin_run(source, RunKind.HOURLY, window, owner="", now=now, stale_before=now - HOUR)
            ledger.finish_run(run.id, RunState.OK, None, now=now)
    ledger.save_calls([make_leg(started_at=now - DAY)])

    week = words_of(open_page("Workspaces", period="7 days"))
    past = words_of(open_page("Workspaces", period="Custom", dates=["2026-01-10", "2026-02-02"]))

    assert f"synced only since {begin:%-d %b %Y}" in week
    assert "not synced from " in week
    assert f"Nothing was synced from before {begin:%-d %b %Y}" in past
    assert "Nothing happened" not in past


def test_a_provider_that_was_never_synced_is_told_above_the_numbers_of_the_other(ledger: Store) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY)])
    record_run(ledger, "twilio", RunState.OK)
    record_run(ledger, "elevenlabs", RunState.FAILED, "ElevenLabs does not accept the key.")

    app = open_page("Workspaces")

    (warning,) = app.main.warning
    assert "ElevenLabs: never synced, so nothing of it is in these numbers. The last sync failed: ElevenLabs does" in (
        warning.value.replace("\\", "")
    )
    assert "Twilio data through " in words_of(app)
    assert "ElevenLabs never synced" in words_of(app)


def test_the_table_counts_what_still_awaits_a_price(filled: Store) -> None:
    table = open_page("Workspaces").dataframe[0].value.set_index("Workspace")

    assert list(table["Awaiting a price"])[-1] == sum(table["Awaiting a price"][:-1]) > 0


def test_more_cost_is_worse_and_more_usage_neither(two_weeks: Store) -> None:
    app = open_page("Workspaces", period="Yesterday", compare="true")

    colour = {metric.label: metric.proto.color for metric in app.metric}
    assert colour["Total cost"] == app.metric[0].proto.MetricColor.Value("RED")
    assert colour["Calls"] == app.metric[0].proto.MetricColor.Value("GRAY")


def test_after_nothing_the_change_is_called_new(two_weeks: Store) -> None:
    table = open_page("Workspaces", period="Yesterday", compare="true").dataframe[0].value

    assert list(table["Workspace"]) == [ACME, "Unassigned", "Total"]
    assert list(table["Before"]) == [1, 0, 1]
    assert list(table["Change"]) == ["+100.0%", "new", "+400.0%"]


def test_without_comparison_there_is_no_change(two_weeks: Store) -> None:
    app = open_page("Workspaces", period="Yesterday")

    assert set(deltas_of(app).values()) == {""}
    assert "Change" not in app.dataframe[0].value
    assert "compared with" not in words_of(app)


def test_all_time_is_compared_with_nothing(two_weeks: Store) -> None:
    app = open_page("Workspaces", period="All", compare="true")

    assert app.toggle[0].disabled
    assert set(deltas_of(app).values()) == {""}


def test_a_workspace_in_the_link_narrows_the_page_and_one_that_does_not_exist_is_ignored(two_weeks: Store) -> None:
    app = open_page("Workspaces", period="Yesterday", workspaces=[ACME, "Nobody"])

    assert app.multiselect[0].value == [ACME]
    assert metrics_of(app)["Total cost"] == "$2.00"
    assert list(app.dataframe[0].value["Workspace"]) == [ACME, "Total"]


def test_the_workspaces_that_were_chosen_come_along_to_the_next_page(two_weeks: Store) -> None:
    app = open_page("Twilio", period="Yesterday", workspaces=[ACME], compare="true")

    assert app.multiselect[0].value == [ACME]
    assert app.toggle[0].value is True
    assert metrics_of(app)["Cost"] == "$2.00"


def test_a_workspace_that_is_filtered_out_says_so_and_resets(filled: Store) -> None:
    add_workspace(filled, "Idle")
    app = open_page("Workspaces", workspaces=["Idle"])
    said = words_of(app)

    app.main.button[0].click().run()

    assert "Idle has nothing in this period; other workspaces do." in said
    assert app.multiselect[0].value == []
    assert app.metric


@pytest.mark.parametrize("source", SOURCES)
def test_numbers_that_are_late_say_since_when_and_why_and_stay(ledger: Store, source: Source) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY)])
    for each in SOURCES:
        record_run(ledger, each, RunState.OK, age=timedelta(hours=5) if each == source else timedelta())

    app = open_page("Workspaces")

    (warning,) = app.main.warning
    said = warning.value.replace("\\", "")
    assert "these numbers end at" in said
    assert "(5 h 0 min ago). No sync has run since" in said
    assert [button.label for button in app.main.button] == ["Try again"]
    assert app.metric


@ON_SQLITE
def test_a_sync_that_could_not_even_begin_says_why_above_the_numbers(ledger: Store) -> None:
    ledger.save_calls([make_leg(started_at=datetime.now(UTC) - DAY)])
    for source in SOURCES:
        record_run(ledger, source, RunState.OK, age=timedelta(hours=5))
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.execute("create trigger full before insert on sync_runs begin select raise(abort, 'no room'); end")
    app = open_page("Twilio")

    next(button for button in app.main.button if button.label == "Try again").click().run()
    wait_until(lambda: not background_syncs(shared()).is_running())
    app.run()

    (warning,) = app.main.warning
    assert "The last sync failed: The database ledger.db refused" in warning.value.replace("\\", "")
    assert set(background_syncs(shared()).problems) == {"twilio"}, "the strip is about one provider"
    assert app.metric


def test_a_failed_sync_says_why_above_the_numbers(filled: Store) -> None:
    record_run(filled, "twilio", RunState.FAILED, "Twilio refused the credentials; check TWILIO_AUTH_TOKEN.")

    app = open_page("Workspaces")

    (warning,) = app.main.warning
    assert "The last sync failed: Twilio refused the credentials" in warning.value.replace("\\", "")
    assert app.metric


@ON_SQLITE
@pytest.mark.parametrize(("broken", "left"), [("twilio", "ElevenLabs cost"), ("elevenlabs", "Twilio cost")])
def test_when_one_provider_cannot_be_read_the_other_one_is_still_shown(filled: Store, broken: str, left: str) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.execute(f"drop table {broken}_snapshots")

    app = open_page("Workspaces")

    assert not app.exception
    assert f"no such table: {broken}_snapshots" in app.main.error[0].value.replace("\\", "")
    assert left in metrics_of(app)
    assert "Total cost" not in metrics_of(app)
    assert list(app.dataframe[0].value["Workspace"])[-2:] == ["Unassigned", "Total"]


def test_a_record_that_could_not_be_read_is_told_of(filled: Store) -> None:
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now)
    run = filled.begin_run("twilio", RunKind.HOURLY, window, owner="", now=now, stale_before=now - DAY)
    filled.save_progress(replace(run, failed=2), now=now)
    filled.finish_run(run.id, RunState.OK, None, now=now)

    assert "2 records could not be read" in words_of(open_page("Workspaces"))


def test_unassigned_usage_leads_to_where_numbers_are_registered(two_weeks: Store) -> None:
    everything = open_page("Workspaces", period="Yesterday")
    acme = open_page("Workspaces", period="Yesterday", workspaces=[ACME])

    assert [link.proto.label for link in everything.main.get("page_link")] == ["Register numbers"]
    assert not acme.main.get("page_link")


def test_a_workspace_has_a_view_of_its_own(filled: Store) -> None:
    app = open_workspace(ACME, period="All")

    assert app.title[0].value == ACME
    assert metrics_of(app)["Calls"] == "4"
    numbers, agents = (table.value for table in app.dataframe)
    assert list(numbers["Number"]) == [formats.masked_number(OUR_NUMBER)]
    assert list(agents["Agent"]) == ["Sales", "Total"]
    assert "of all Twilio cost" in words_of(app)


def test_the_numbers_of_a_workspace_are_masked_until_the_reader_asks_for_them(two_weeks: Store) -> None:
    app = open_workspace(ACME)

    app.toggle(key="full numbers").set_value(True).run()

    [numbers] = [table.value for table in app.dataframe if "Number" in table.value]
    assert list(numbers["Number"]) == [OUR_NUMBER]


def test_the_view_of_a_workspace_has_the_numbers_of_the_table(filled: Store) -> None:
    table = open_page("Workspaces", period="All").dataframe[0].value.set_index("Workspace")

    app = open_workspace("Borealis = $1 *bold*", period="All")

    assert app.title[0].value == formats.literal("Borealis = $1 *bold*")
    cost = table.loc["Borealis = $1 *bold*", "Total cost"]
    assert metrics_of(app)["Total cost"] == formats.money(Decimal(repr(round(float(cost), 8))))


def test_the_view_of_a_workspace_leads_to_its_part_of_each_provider(filled: Store) -> None:
    for label, title in (
        ("Its calls", "Calls"),
        ("Its part of Twilio", "Twilio"),
        ("Its part of ElevenLabs", "ElevenLabs"),
    ):
        app = open_workspace(ACME, period="All")
        next(button for button in app.main.button if button.label == label).click().run()

        assert app.title[0].value == title
        assert app.multiselect[0].value == [ACME]


def test_a_link_to_a_workspace_that_does_not_exist_says_so(filled: Store) -> None:
    app = open_workspace("Nobody")

    assert "There is no workspace Nobody" in words_of(app)
    assert not app.metric
    assert not app.exception


def test_the_view_of_a_workspace_without_usage_still_has_its_numbers(filled: Store) -> None:
    idle = add_workspace(filled, "Idle")
    register(filled, make_phone(phone_number="+34910000077", workspace_id=idle, label="Front desk"))

    app = open_workspace("Idle")

    assert "Idle has nothing in this period" in words_of(app)
    assert [button.label for button in app.main.button] == ["Show all time"]
    assert list(app.dataframe[0].value["Label"]) == ["Front desk"]


def test_a_workspace_keeps_its_colour_whatever_is_filtered(filled: Store) -> None:
    def colour_of_first_bar(app: AppTest) -> str:
        layers = [json.loads(chart.proto.spec)["data"][0] for chart in app.get("plotly_chart")]
        bars = next(layer for layer in layers if layer.get("orientation") == "h")
        names = [name for name, _ in bars["customdata"]]
        return str(bars["marker"]["color"][names.index("Borealis = $1 *bold*")])

    everything = open_page("Workspaces", period="All")
    filtered = open_page("Workspaces", period="All", workspaces=["Borealis = $1 *bold*"])

    assert colour_of_first_bar(everything) == colour_of_first_bar(filtered) == colours.PALETTE[1]


def test_more_workspaces_than_bars_are_added_up_in_one(ledger: Store) -> None:
    for number in range(12):
        phone = f"+3491000{number:04}"
        register(ledger, make_phone(phone_number=phone, workspace_id=add_workspace(ledger, f"W{number}")))
        ledger.save_calls([make_leg(sid=f"CA{number}", our_number=phone, cost=Decimal(number + 1))])
    usage = only_twilio(data.twilio(Period(first=None, last=None, zone=ZoneInfo("UTC"))))

    bars = top(usage, metrics.TOTAL_COST, data.workspaces())

    assert [bar.amount for bar in bars] == [12, 11, 10, 9, 8, 7, 6, 5, 1 + 2 + 3 + 4]
    assert bars[-1].name == "4 others"
    assert len(bars) == MOST_BARS + 1


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
