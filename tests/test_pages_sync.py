"""The page Sync: how current, what runs, what ran, what failed, historical syncs, verification; and a broken store."""

import csv
import io
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from dashboard import data
from dashboard.formats import EN_DASH
from dashboard.runs import cards, history
from demo import credentials
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.models import Failure, RunKind, RunState, Source, SyncRun
from sync.store import Store
from tests.opened_pages import REAL_CREDENTIALS, ROOT, words_of
from tests.records import DAY, HOUR, make_conversation, make_leg

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)  # about the page or the file alone
MINUTE = timedelta(minutes=1)
WAIT_AT_MOST = 30  # seconds


def open_page(*, zone: str = "UTC", run: str = "") -> AppTest:
    """Open the page as a link does. AppTest has no deep links: the first page takes the zone along."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30)
    app.query_params["zone"] = zone
    app.run().switch_page(str(ROOT / "pages" / "sync.py"))
    if run:
        app.query_params["run"] = run
    return app.run()


def table(app: AppTest, column: str = "Started") -> pd.DataFrame:
    """Return the first table that has this column."""
    return next(each.value for each in app.dataframe if column in each.value)


def button(app: AppTest, label: str) -> Button:
    return next(each for each in app.main.button if each.label == label)


def labels(app: AppTest) -> list[str]:
    return [each.label for each in app.main.button]


def card(app: AppTest, name: str) -> str:
    """Return the lines of a provider's card."""
    column = next(each for each in app.main.columns if name in each.markdown[0].value)
    return "\n".join(line.value.replace("\\", "") for kind in (column.markdown, column.error) for line in kind)


def record(
    store: Store,
    source: Source,
    state: RunState = RunState.OK,
    message: str | None = None,
    *,
    kind: RunKind = RunKind.HOURLY,
    age: timedelta = timedelta(),
    length: timedelta = HOUR,
    **counts: Any,
) -> SyncRun:
    """Write down a run that began `age` ago, or is still running, over the `length` before."""
    at = datetime.now(UTC) - age
    if state is RunState.SKIPPED:
        return store.record_skipped(source, (at - length, at), message or "", now=at)
    run = store.begin_run(source, kind, (at - length, at), owner="", now=at, stale_before=at - HOUR)
    store.save_progress(replace(run, **counts), now=at)
    if state is not RunState.RUNNING:
        store.finish_run(run.id, state, message, now=at)
    return store.run(run.id) or run


def until(app: AppTest, is_so: Callable[[], bool]) -> AppTest:
    """Look again until it is so, as a timer of the page does."""
    deadline = time.monotonic() + WAIT_AT_MOST
    while not is_so():
        assert time.monotonic() < deadline, words_of(app)
        time.sleep(0.2)
    return app.run()


@pytest.fixture
def provided(settings: pytest.MonkeyPatch) -> Iterator[None]:
    """Give an installation whose providers are simulated, with one day of records."""
    with running(create_app(Fleet(opened_at=datetime.now(UTC), days=1, scale=0.1))) as address:
        settings.setenv("TWILIO_BASE_URL", address)
        settings.setenv("ELEVENLABS_BASE_URL", address)
        settings.setenv("TWILIO_ACCOUNT_SID", credentials.ACCOUNT_SID)
        settings.setenv("TWILIO_AUTH_TOKEN", credentials.AUTH_TOKEN)
        settings.setenv("ELEVENLABS_API_KEY", credentials.ELEVENLABS_API_KEY)
        settings.setenv("FIRST_SYNC_DAYS", "2")
        yield
        until_idle()


def until_idle() -> None:
    deadline = time.monotonic() + WAIT_AT_MOST
    while any(run.state is RunState.RUNNING for run in data.runs(limit=10)) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_before_the_first_sync_nothing_is_claimed(ledger: Store) -> None:
    app = open_page()

    assert not app.exception
    for name in ("Twilio", "ElevenLabs"):
        assert "Never synced" in card(app, name)
        assert "the first sync fetches the records" in card(app, name)
        assert "Gaps" not in card(app, name)
    assert {"Sync both now", "Sync Twilio now", "Sync ElevenLabs now", "Verify now"} <= set(labels(app))
    assert "Nothing has run yet" in words_of(app)


@ON_SQLITE
def test_a_provider_that_is_not_configured_is_told_and_has_no_card(settings: pytest.MonkeyPatch) -> None:
    settings.delenv("ELEVENLABS_API_KEY")

    app = open_page()

    assert "ElevenLabs is not configured; set ELEVENLABS_API_KEY" in words_of(app)
    assert "Sync ElevenLabs now" not in labels(app)
    assert "Sync both now" not in labels(app)
    assert app.segmented_control(key="backfill source").options == ["Twilio"]
    assert REAL_CREDENTIALS["TWILIO_AUTH_TOKEN"] not in words_of(app)


def test_a_card_says_how_current_the_data_is_and_what_is_missing_in_it(filled: Store) -> None:
    record(filled, "twilio", saved=12)
    filled.save_failures("elevenlabs", [Failure(record_id="conv_x", error="It is down.")], now=datetime.now(UTC))

    app = open_page()

    twilio, elevenlabs = card(app, "Twilio"), card(app, "ElevenLabs")
    assert "Current]" in twilio
    assert "just now" in twilio
    assert "Succeeded]" in twilio
    assert "12 records saved." in twilio
    assert "Gaps:] none" in twilio
    assert "Awaiting a price:] 1 call leg" in twilio
    assert "Failed records:] none" in twilio
    assert "Failed records:] 1, [listed below]" in elevenlabs


@ON_SQLITE
@pytest.mark.parametrize(
    ("age", "colour", "word"),
    [
        (89 * MINUTE, "green", "check_circle: Current"),
        (91 * MINUTE, "orange", "schedule: Late"),
        (3 * HOUR + MINUTE, "red", "error: Out of date"),
    ],
)
def test_old_data_is_told_by_colour_icon_and_word(ledger: Store, age: timedelta, colour: str, word: str) -> None:
    record(ledger, "twilio", age=age)

    assert f":{colour}-badge[:material/{word}]" in card(open_page(), "Twilio")


def test_the_next_run_is_due_at_the_minute_of_the_timetable() -> None:
    at = datetime(2026, 10, 24, 10, 3, tzinfo=UTC)

    assert cards.next_due("twilio", at) == at.replace(hour=11, minute=0)
    assert cards.next_due("elevenlabs", at) == at.replace(minute=5)
    assert cards.next_due("twilio", at.replace(minute=0)) == at.replace(hour=11, minute=0)


@ON_SQLITE
@pytest.mark.parametrize(("age", "is_told"), [(69 * MINUTE, False), (71 * MINUTE, True)])
def test_a_scheduler_that_seems_not_to_run_is_told(ledger: Store, age: timedelta, is_told: bool) -> None:
    record(ledger, "twilio", age=age)

    assert ("no scheduler seems to be running; start `python -m sync scheduler`" in card(open_page(), "Twilio")) is (
        is_told
    )


def test_a_run_from_a_clock_that_was_ahead_is_named_in_the_sidebar_and_nothing_is_current(ledger: Store) -> None:
    record(ledger, "twilio", age=5 * HOUR)
    record(ledger, "twilio", age=-1200 * DAY)

    app = open_page()

    assert "Out of date]" in words_of(app)
    assert any("claims to have ended at" in warning.value for warning in app.sidebar.warning)


def test_gaps_are_told_in_hours(ledger: Store) -> None:
    record(ledger, "twilio", age=5 * HOUR)
    record(ledger, "twilio", RunState.FAILED, "Down.", age=3 * HOUR)
    record(ledger, "twilio")

    app = open_page()

    assert "Gaps:] 4.0 h in 1 gap, " in card(app, "Twilio")
    assert "a historical sync fills them" in card(app, "Twilio")


@ON_SQLITE
def test_a_failed_run_shows_its_sentence_and_a_retry(filled: Store) -> None:
    record(filled, "twilio", RunState.FAILED, "The provider is down ($5 *now*); the next run tries again.")

    app = open_page()

    assert "Failed: The provider is down ($5 *now*); the next run tries again." in card(app, "Twilio")
    assert {"Try Twilio again", "Sync ElevenLabs now"} <= set(labels(app))


def test_a_retry_syncs_that_provider_alone(provided: None) -> None:
    store = data.services().store
    record(store, "twilio", RunState.FAILED, "The provider is down.")
    app = open_page()

    button(app, "Try Twilio again").click().run()
    until(app, lambda: data.runs("twilio", limit=1)[0].state is RunState.OK)

    assert "Succeeded]" in card(app, "Twilio")
    assert "Sync Twilio now" in labels(app)
    assert data.runs("elevenlabs", limit=5) == []


def test_sync_both_now_syncs_each_provider(provided: None) -> None:
    app = open_page()

    button(app, "Sync both now").click().run()
    until(app, lambda: [run.state for run in data.runs(limit=5)] == [RunState.OK, RunState.OK])

    assert all("Current]" in card(app, name) for name in ("Twilio", "ElevenLabs"))


def test_both_lanes_of_a_source_show_their_progress(filled: Store) -> None:
    record(filled, "elevenlabs", RunState.RUNNING, age=3 * timedelta(seconds=1), done=30, total=120)
    halfway = datetime.now(UTC) - 5 * DAY
    lane: dict[str, Any] = {"kind": RunKind.BACKFILL, "length": 10 * DAY}
    record(filled, "elevenlabs", RunState.RUNNING, done=2000, total=2400, position=halfway, **lane)

    app = open_page()

    bars = {bar.proto.text.replace("\\", ""): bar.proto.value for bar in app.main.get("progress")}
    assert sorted(bars.values()) == [25, 50]
    assert any(text.startswith("30 of 120 records") for text in bars)
    assert any(text.startswith("2,000 of 2,400 listed so far") and "50% of the period" in text for text in bars)
    assert "ElevenLabs, hourly" in words_of(app)
    assert "ElevenLabs, historical" in words_of(app)
    assert button(app, "Syncing ElevenLabs…").disabled
    assert not button(app, "Sync Twilio now").disabled
    assert button(app, "Stop")


@ON_SQLITE
def test_a_historical_sync_leaves_room_for_a_sync(filled: Store) -> None:
    record(filled, "twilio", RunState.RUNNING, kind=RunKind.BACKFILL)

    app = open_page()

    assert not button(app, "Sync Twilio now").disabled
    assert not button(app, "Sync both now").disabled
    assert [each.disabled for each in app.sidebar.button] == [False]


@ON_SQLITE
def test_the_time_left_of_a_historical_sync_goes_by_how_fast_it_walks(filled: Store) -> None:
    run = record(filled, "twilio", RunState.RUNNING, kind=RunKind.BACKFILL, length=100 * DAY, age=30 * MINUTE)
    before, now = datetime.now(UTC) - MINUTE / 2, datetime.now(UTC)
    filled.save_progress(replace(run, done=100, position=run.window_end - 40 * DAY), now=before)
    app = open_page()  # one that went on where another had stopped: its first 40 days took no time

    filled.save_progress(replace(run, done=200, position=run.window_end - 50 * DAY), now=now)
    app.run()

    assert "about 2 m 30 s left" in app.main.get("progress")[0].proto.text.replace("\\", "")


@ON_SQLITE
def test_a_run_whose_process_is_gone_is_not_shown_as_running(filled: Store) -> None:
    record(filled, "twilio", RunState.RUNNING, age=5 * MINUTE)

    app = open_page()

    assert "Running now" not in [each.value for each in app.subheader]
    assert "Cut off" in table(app)["State"][0]


@ON_SQLITE
def test_a_stopped_historical_sync_is_no_failure_of_the_data(filled: Store) -> None:
    record(filled, "twilio", RunState.INTERRUPTED, "The run was stopped.", kind=RunKind.BACKFILL)

    app = open_page()

    assert "Sync Twilio now" in labels(app)
    assert not app.sidebar.error
    assert "Current]" in card(app, "Twilio")


@ON_SQLITE
def test_a_run_that_was_started_elsewhere_says_where_to_stop_it(filled: Store) -> None:
    record(filled, "twilio", RunState.RUNNING, kind=RunKind.BACKFILL)
    app = open_page()

    button(app, "Stop").click().run()

    assert "stop it where it was started" in words_of(app)
    assert filled.runs("twilio", limit=1)[0].state is RunState.RUNNING


def test_the_flag_is_told_and_holds_the_hourly_sync_of_elevenlabs(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("DISABLE_ELEVENLABS_HOURLY_SYNC", "true")

    app = open_page()

    assert "DISABLE_ELEVENLABS_HOURLY_SYNC is set; remove it to sync ElevenLabs" in app.warning[0].value.replace(
        "\\", ""
    )
    assert button(app, "Sync ElevenLabs now").disabled
    assert not button(app, "Sync Twilio now").disabled
    assert "skipped while the setting" in card(app, "ElevenLabs")


def test_a_historical_sync_starts_from_the_form_and_tells_how_it_ended(provided: None) -> None:
    app = open_page()
    started_at = datetime.now(UTC)

    button(app, "Start historical sync").click().run()
    until(app, lambda: data.runs("twilio", limit=1)[0].state is RunState.OK)

    run = data.runs("twilio", kind=RunKind.BACKFILL, limit=1)[0]
    assert 390 < (started_at - run.window_start).days < 400  # 13 months
    assert run.window_end >= started_at
    assert run.saved > 0
    assert "Last one: :green-badge[:material/check_circle: Succeeded]" in words_of(app)
    assert not app.main.error


@ON_SQLITE
def test_a_historical_sync_is_cut_at_days_of_the_zone(provided: None) -> None:
    app = open_page(zone="Asia/Kathmandu")
    day = datetime.now(ZoneInfo("Asia/Kathmandu")).date() - 3 * DAY

    app.date_input(key="backfill from").set_value(day)
    app.date_input(key="backfill until").set_value(day)
    button(app, "Start historical sync").click().run()
    until(app, lambda: data.runs("twilio", limit=1)[0].state is RunState.OK)

    run = data.runs("twilio", limit=1)[0]
    assert run.window_start.astimezone(ZoneInfo("Asia/Kathmandu")).isoformat() == f"{day}T00:00:00+05:45"
    assert run.window_end - run.window_start == DAY


@ON_SQLITE
def test_days_in_the_wrong_order_are_refused_in_a_sentence(ledger: Store) -> None:
    app = open_page()
    today = datetime.now(UTC).date()

    app.date_input(key="backfill from").set_value(today)
    app.date_input(key="backfill until").set_value(today - DAY)
    button(app, "Start historical sync").click().run()

    assert "The first day must not come after the last day" in words_of(app)
    assert ledger.runs() == []


@ON_SQLITE
def test_a_historical_sync_that_runs_already_cannot_be_started_again(ledger: Store) -> None:
    app = open_page()
    record(ledger, "twilio", RunState.RUNNING, kind=RunKind.BACKFILL)

    button(app, "Start historical sync").click().run()

    assert len(ledger.runs()) == 1
    assert button(app, "Twilio history is running…").disabled
    app.segmented_control(key="backfill source").set_value("elevenlabs").run()
    assert not button(app, "Start historical sync").disabled


@ON_SQLITE
def test_a_historical_sync_that_another_one_forestalls_is_refused_in_a_sentence(
    ledger: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins between the look at the store and the start."""
    app = open_page()
    start = data.start_backfill

    def start_late(source: Source, since: datetime, end: datetime | None) -> SyncRun:
        record(ledger, "twilio", RunState.RUNNING, kind=RunKind.BACKFILL)
        return start(source, since, end)

    monkeypatch.setattr(data, "start_backfill", start_late)
    button(app, "Start historical sync").click().run()

    assert not app.exception
    assert "is still running; wait for it to finish" in words_of(app)


def test_a_historical_sync_that_was_stopped_goes_on(provided: None) -> None:
    run = record(
        data.services().store,
        "twilio",
        RunState.INTERRUPTED,
        "The run was stopped.",
        kind=RunKind.BACKFILL,
        length=20 * DAY,
        position=datetime.now(UTC) - 10 * DAY,
    )
    app = open_page()
    assert "It had got through 50% of the period" in words_of(app)

    button(app, "Go on").click().run()
    until(app, lambda: data.runs("twilio", limit=1)[0].state is RunState.OK)

    latest = data.runs("twilio", limit=1)[0]
    assert (latest.window_start, latest.window_end) == (run.window_start, run.window_end)
    assert "Go on" not in labels(app)


def test_the_history_is_filtered_by_provider_kind_and_state(ledger: Store) -> None:
    record(ledger, "twilio", RunState.FAILED, "Twilio is down.", age=3 * HOUR)
    record(ledger, "twilio", age=2 * HOUR)
    record(ledger, "elevenlabs", RunState.SKIPPED, "The flag is set.", age=HOUR)
    record(ledger, "elevenlabs", kind=RunKind.SWEEP)
    app = open_page()

    def shown(**chosen: object) -> list[str]:
        for key in ("runs_of", "runs_kind", "runs_state"):
            app.selectbox(key=key).set_value(chosen.get(key))
        return list(table(app.run())["State"])

    assert shown() == ["✓ Succeeded", f"{EN_DASH} Skipped", "✓ Succeeded", "✗ Failed"]
    assert shown(runs_of="twilio") == ["✓ Succeeded", "✗ Failed"]
    assert shown(runs_kind=RunKind.SWEEP) == ["✓ Succeeded"]
    assert shown(runs_state=RunState.SKIPPED) == [f"{EN_DASH} Skipped"]
    assert list(table(app)["Message"]) == ["The flag is set."]
    app.selectbox(key="runs_of").set_value("twilio").run()
    assert "No run matches these filters" in words_of(app)


@ON_SQLITE
def test_older_runs_come_on_a_click_and_no_more_than_are_there(ledger: Store) -> None:
    for number in range(60):
        record(ledger, "twilio", age=(60 - number) * HOUR)
    app = open_page()
    first = table(app)

    button(app, "Older").click().run()

    assert (len(first), len(table(app))) == (history.PAGE, 60)
    assert list(first["Started"]) == sorted(first["Started"], reverse=True)
    assert button(app, "Older").disabled


@ON_SQLITE
def test_times_are_in_the_chosen_zone(filled: Store) -> None:
    run = record(filled, "twilio")
    here = run.started_at.astimezone(ZoneInfo("Asia/Kathmandu"))

    app = open_page(zone="Asia/Kathmandu")

    assert table(app)["Started"][0].isoformat() == here.isoformat()
    assert f"**{here:%H:%M}**" in card(app, "Twilio")
    assert "Times are in Asia/Kathmandu" in words_of(app)


@ON_SQLITE
def test_a_download_has_every_count_and_no_formula(ledger: Store) -> None:
    run = record(ledger, "twilio", RunState.FAILED, "=1+1 is down.", done=1200, total=None, saved=1190, failed=10)

    rows = list(csv.reader(io.StringIO(history.csv([run], ZoneInfo("UTC")).decode("utf-8-sig"))))

    row = dict(zip(rows[-2], rows[-1], strict=True))
    counts = ("Fetched (count)", "Total (count)", "Saved (count)", "Failed (count)")
    assert [row[name] for name in counts] == ["1200", "", "1190", "10"]
    assert (row["State"], row["Message"]) == ("Failed", "'=1+1 is down.")
    assert row["Started"] == run.started_at.isoformat(timespec="seconds")


def test_a_link_to_a_run_shows_its_details_with_what_failed_in_it(ledger: Store) -> None:
    run = record(ledger, "elevenlabs", done=12, saved=10, failed=2, age=HOUR)
    lost = [Failure(record_id="conv_lost", error="It cannot be read.")]
    ledger.save_failures("elevenlabs", lost, now=run.started_at)
    other = [Failure(record_id="conv_other", error="It failed later.")]
    ledger.save_failures("elevenlabs", other, now=datetime.now(UTC))

    app = open_page(run=str(run.id))

    assert f"Run {run.id}: ElevenLabs, hourly" in words_of(app)
    assert "12 records fetched, 10 saved, 2 failed" in words_of(app)
    assert "(429)" not in words_of(app)
    assert list(table(app, "Record")["Record"]) == ["conv_lost"]


@ON_SQLITE
@pytest.mark.parametrize(("refused", "told"), [(1, "1 request met"), (1200, "1,200 requests met")])
def test_the_details_say_how_often_a_run_met_the_providers_limit(ledger: Store, refused: int, told: str) -> None:
    run = record(ledger, "twilio", saved=10, refused=refused)

    assert f"{told} the provider's limit (429) and " in words_of(open_page(run=str(run.id)))


@ON_SQLITE
def test_the_details_of_a_running_run_say_that_they_are_not_the_last_word(ledger: Store) -> None:
    run = record(ledger, "twilio", RunState.RUNNING, done=40, saved=38, kind=RunKind.BACKFILL)

    said = words_of(open_page(run=str(run.id)))

    assert "took 0.0 s so far" in said
    assert "38 records saved." in said


@ON_SQLITE
@pytest.mark.parametrize(("named", "is_told"), [("999", True), ("x", False), ("9" * 40, False), ("²", False)])
def test_a_link_to_a_run_that_does_not_exist_is_harmless(filled: Store, named: str, is_told: bool) -> None:
    app = open_page(run=named)

    assert not app.exception
    assert ("There is no run 999" in words_of(app)) is is_told


def test_failed_records_are_listed_and_say_when_they_are_tried_again(filled: Store) -> None:
    now = datetime.now(UTC)
    for days in (0, 3, 8):
        failures = [Failure(record_id=f"CA{days}", error="Twilio answered 500.")]
        filled.save_failures("twilio", failures, now=now - days * DAY)
    filled.save_failures("twilio", [Failure(record_id="CA3", error="Twilio answered 502.")], now=now - DAY)

    app = open_page()

    rows = table(app, "Record").set_index("Record")
    assert dict(rows["Tried again"]) == {"CA0": "with each sync", "CA3": "once a day", "CA8": "by a historical sync"}
    assert (rows["Attempts"]["CA3"], rows["Message"]["CA3"]) == (2, "Twilio answered 502.")
    assert rows["First failed"]["CA3"] < rows["Last failed"]["CA3"]
    assert "tries them again by itself" in words_of(app)


def test_verification_is_green_when_all_is_well_and_stays_shown(ledger: Store) -> None:
    ledger.save_calls([make_leg()])
    ledger.save_conversations([make_conversation()])
    app = open_page()
    assert "check_circle: Good" not in words_of(app)

    button(app, "Verify now").click().run()
    app.run()

    said = words_of(app)
    assert "Twilio: every balance equals the sum of its records." in said
    assert "error: Wrong" not in said
    assert "warning: To do" in said  # its number is not registered
    assert "Nothing is wrong; 1 check found something to do." in said


@ON_SQLITE
def test_verification_is_red_when_a_balance_is_wrong(filled: Store) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.execute("update twilio_snapshots set total_calls = total_calls + 1")
    app = open_page()

    button(app, "Verify now").click().run()

    said = words_of(app)
    assert "1 of 11 checks found something wrong." in said
    wrong = next(line.value for line in app.markdown if "error: Wrong" in line.value)
    assert "balances are not the sum of their records" in wrong


@ON_SQLITE
def test_verification_goes_on_past_a_check_that_cannot_be_made(filled: Store) -> None:
    app = open_page()
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.executescript("alter table elevenlabs_conversations rename column cost to price;")

    button(app, "Verify now").click().run()

    said = words_of(app)
    assert not app.exception
    assert "conversations is changed; restore a backup, or run" in said
    assert "The database ledger.db refused: no such column" in said
    assert "Twilio: every balance equals the sum of its records." in said


@ON_SQLITE
def test_a_broken_history_gives_sentences_and_no_traceback(filled: Store) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.executescript("drop table sync_runs;")

    app = open_page()

    assert not app.exception
    assert "Runs: The database ledger.db refused: no such table: sync_runs." in words_of(app)


@ON_SQLITE
def test_a_broken_table_leaves_the_rest_of_the_page(filled: Store) -> None:
    app = open_page()
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.executescript("drop table sync_failures;")
    record(filled, "twilio")  # what was read before is forgotten

    app.run()

    assert not app.exception
    assert "Failed records: The database ledger.db refused: no such table: sync_failures." in words_of(app)
    assert len(table(app)) == 3
    assert button(app, "Verify now")


@ON_SQLITE
def test_a_file_that_is_no_database_gives_a_sentence(settings: pytest.MonkeyPatch) -> None:
    Path("ledger.db").write_bytes(b"not a database" * 1000)

    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30).run()

    assert not app.exception
    assert "ledger.db is not a sound SQLite database" in words_of(app)
