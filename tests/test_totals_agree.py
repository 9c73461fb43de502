"""One source of numbers: pages, downloads and API give the same totals, and parts add up to their whole."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import data, units
from dashboard.periods import Period, midnight
from sync import elevenlabs_metrics, metrics
from sync.metrics import Metric
from sync.store import Store
from tests.opened_pages import ROOT, last_7_days, metrics_of, open_page, stats
from tests.records import AGENTS, DAY, NUMBERS, add_workspaces, make_conversation, make_leg, make_phone
from tests.registering import register

ZONES = ("UTC", "Europe/Madrid", "America/New_York", "Asia/Kolkata")

# Some days around each change of the clocks in Europe and in America.
RANGES = [
    (date(2025, 3, 8), date(2025, 3, 10)),
    (date(2025, 3, 29), date(2025, 3, 31)),
    (date(2025, 10, 25), date(2025, 10, 27)),
    (date(2025, 11, 1), date(2025, 11, 3)),
]

Csv = dict[str, dict[str, str]]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """Give what the pages offer to download, by the key of the button."""
    offered: dict[str, Callable[[], bytes]] = {}
    button = st.download_button

    def remember(*args: Any, **options: Any) -> object:
        offered[options["key"]] = options["data"]
        return button(*args, **options)

    monkeypatch.setattr(st, "download_button", remember)
    return offered


def rows_of(download: bytes) -> Csv:
    """Return the cells of a download by row and column, without notes and units."""
    lines = list(csv.reader(io.StringIO(download.decode("utf-8-sig"))))
    headings, *rows = lines[lines.index([]) + 1 :]
    keys = [heading.split(" (")[0] for heading in headings]
    return {row[0]: dict(zip(keys, row, strict=True)) for row in rows}


def assert_equal(row: dict[str, str], numbers: dict[str, Any], shown: list[Metric[Any]]) -> None:
    for metric in shown:
        assert row[metric.key] != "", metric.key
        assert Decimal(row[metric.key]) == numbers[metric.key], metric.key


@pytest.mark.parametrize(("period", "asked"), [("All", False), ("7 days", True)])
@pytest.mark.parametrize(
    ("title", "path", "shown"),
    [
        ("Twilio", "twilio-stats", metrics.twilio("USD")),
        ("ElevenLabs", "elevenlabs-stats", elevenlabs_metrics.elevenlabs()),
    ],
)
def test_page_download_and_api_agree_on_every_metric_of_a_provider(
    filled: Store,
    downloads: dict[str, Callable[[], bytes]],
    period: str,
    asked: bool,
    title: str,
    path: str,
    shown: list[Metric[Any]],
) -> None:
    answer = stats(path, **(last_7_days() if asked else {}))

    cards = metrics_of(open_page(title, period=period))

    rows = rows_of(downloads[f"download {title} usage and cost by workspace"]())
    assert_equal(rows["Total"], answer, shown)
    for metric in shown:
        assert cards[metric.label] == units.of(metric).text(answer[metric.key])
    by_workspace = {each["workspace"]: each for each in answer["workspaces"]}
    assert set(rows) == {"Total", *by_workspace}
    for name, numbers in by_workspace.items():
        for metric in shown:
            amount = metric.value(_totals(title, period, name))
            assert rows[name][metric.key] == ("" if amount is None else f"{Decimal(amount).normalize():f}")
            if amount is not None:
                assert Decimal(amount) == numbers[metric.key]


def _totals(title: str, preset: str, workspace: str) -> Any:
    """Return the totals of a workspace as the door to the store gives them."""
    zone = ZoneInfo("UTC")
    today = datetime.now(UTC).date()
    period = Period(first=today - 6 * DAY, last=today, zone=zone)
    if preset == "All":
        period = Period(first=None, last=None, zone=zone)
    usage = data.twilio(period) if title == "Twilio" else data.elevenlabs(period)
    return usage.of(next(each.id for each in data.workspaces() if each.name == workspace))


def test_the_page_of_workspaces_its_download_and_the_api_agree(
    filled: Store, downloads: dict[str, Callable[[], bytes]]
) -> None:
    cards = metrics_of(open_page("Workspaces", period="All"))

    rows = rows_of(downloads["download Usage and cost by workspace"]())
    shown = metrics.combined("USD")
    for each in stats("workspaces")["workspaces"]:
        assert_equal(rows[each["name"]], each, shown)
    calls, talks = stats("twilio-stats"), stats("elevenlabs-stats")
    total = calls["total_cost"] + talks["total_cost"]
    assert Decimal(rows["Total"]["total_cost"]) == total
    assert cards["Total cost"] == units.of(metrics.TOTAL_COST).text(total)
    assert Decimal(rows["Total"]["cost_per_minute"]) == round(total * 60 / calls["total_duration"], 8)


@pytest.mark.parametrize("title", ["Workspaces", "Twilio", "ElevenLabs"])
def test_workspaces_and_unassigned_add_up_to_the_total(
    filled: Store, downloads: dict[str, Callable[[], bytes]], title: str
) -> None:
    open_page(title, period="All")

    name = {"Workspaces": "Usage and cost by workspace"}.get(title, f"{title} usage and cost by workspace")
    rows = rows_of(downloads[f"download {name}"]())
    total = rows.pop("Total")
    sums = [key for key in total if key.startswith(("total_", "unpriced", "llm_", "elevenlabs_")) or "minutes" in key]
    for key in set(sums) & {key for key in total if not key.startswith("cost_per")}:
        assert sum(Decimal(row[key] or 0) for row in rows.values()) == Decimal(total[key]), key


@pytest.mark.parametrize("title", ["Workspaces", "Twilio", "ElevenLabs"])
def test_a_filtered_page_has_exactly_the_numbers_of_its_workspace(
    filled: Store, downloads: dict[str, Callable[[], bytes]], title: str
) -> None:
    name = {"Workspaces": "Usage and cost by workspace"}.get(title, f"{title} usage and cost by workspace")
    open_page(title, period="All")
    everything = rows_of(downloads[f"download {name}"]())

    open_page(title, period="All", workspaces=["Acme"])

    filtered = rows_of(downloads[f"download {name}"]())
    assert set(filtered) == {"Acme", "Total"}
    assert filtered["Acme"] == everything["Acme"]
    assert list(filtered["Total"].values())[1:] == list(everything["Acme"].values())[1:]


@pytest.mark.parametrize("workspaces", [None, ["Acme"]])
def test_every_breakdown_adds_up_to_its_page(
    filled: Store, downloads: dict[str, Callable[[], bytes]], workspaces: list[str] | None
) -> None:
    filters: dict[str, Any] = {"period": "All"} | ({"workspaces": workspaces} if workspaces else {})

    lines = open_page("Twilio", **filters)
    open_page("ElevenLabs", **filters)

    tables = {key: rows_of(download())["Total"] for key, download in downloads.items()}
    calls = tables["download Twilio usage and cost by workspace"]
    for kind in ("direction", "status"):
        of_kind = tables[f"download Twilio usage and cost by {kind}"]
        assert all(of_kind[key] == calls[key] for key in set(of_kind) & set(calls))
    talks = tables["download ElevenLabs usage and cost by workspace"]
    of_agents = tables["download ElevenLabs usage and cost by agent"]
    assert all(of_agents[key] == talks[key] for key in set(of_agents) & set(talks))
    assert sum_of_heatmap(lines) == int(calls["total_calls"])


def sum_of_heatmap(app: AppTest) -> int:
    layers = [json.loads(chart.proto.spec)["data"][0] for chart in app.get("plotly_chart")]
    heatmap = next(layer for layer in layers if layer["type"] == "heatmap")
    return sum(number or 0 for row in heatmap["z"] for number in row)


@pytest.fixture
def clock_changes(ledger: Store) -> Store:
    """Give a store with a call and a conversation about every forty minutes around the changes of the clocks."""
    add_workspaces(ledger)
    register(ledger, make_phone(phone_number=NUMBERS[0], workspace_id=1))
    starts = [start for first, last in RANGES for start in _moments(first - DAY, last + 2 * DAY)]
    ledger.save_calls(
        [
            make_leg(sid=f"CA{n}", started_at=start, our_number=NUMBERS[n % 3], cost=Decimal(n + 1).scaleb(-4))
            for n, start in enumerate(starts)
        ]
    )
    ledger.save_conversations(
        [
            make_conversation(
                conversation_id=f"conv_{n}", started_at=start, agent_id=AGENTS[n % 2], agent_number=NUMBERS[n % 3]
            )
            for n, start in enumerate(starts)
        ]
    )
    return ledger


def _moments(first: date, last: date) -> Iterator[datetime]:
    moment, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (first, last))
    while moment < end:
        yield moment
        moment += timedelta(minutes=37, seconds=11)


@pytest.mark.parametrize("zone_name", ZONES)
def test_days_sum_to_their_range_also_when_clocks_change(clock_changes: Store, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    starts = [start for first, last in RANGES for start in _moments(first - DAY, last + 2 * DAY)]
    costs = {start: Decimal(n + 1).scaleb(-4) for n, start in enumerate(starts)}
    for first, last in RANGES:
        period = Period(first=first, last=last, zone=zone)
        buckets = data.buckets(period)

        calls, talks = data.twilio(period, buckets), data.elevenlabs(period, buckets)

        days = [first + n * DAY for n in range((last - first).days + 1)]
        of_days = [[start for start in starts if start.astimezone(zone).date() == day] for day in days]
        assert [at.total_calls for at in calls.totals_over_time] == [len(day) for day in of_days]
        assert [at.total_cost for at in calls.totals_over_time] == [sum(costs[s] for s in day) for day in of_days]
        assert [at.total_conversations for at in talks.totals_over_time] == [len(day) for day in of_days]
        assert sum((at.total_cost for at in calls.totals_over_time), Decimal(0)) == calls.total.total_cost
        assert sum((at.total_cost for at in talks.totals_over_time), Decimal(0)) == talks.total.total_cost
        assert sum(each.total_calls for each in calls.by_workspace.values()) == calls.total.total_calls


@pytest.mark.parametrize(
    ("zone_name", "place"),
    [
        *(("UTC", 0), ("UTC", 2)),
        *(("Europe/Madrid", 1), ("Europe/Madrid", 2)),
        *(("America/New_York", 0), ("America/New_York", 3)),
        *(("Asia/Kolkata", 1), ("Asia/Kolkata", 3)),
    ],
)
def test_all_pages_downloads_and_the_api_agree_on_the_days_of_a_zone_when_clocks_change(
    clock_changes: Store,
    downloads: dict[str, Callable[[], bytes]],
    zone_name: str,
    place: int,
) -> None:
    (first, last), zone = RANGES[place], ZoneInfo(zone_name)
    asked = {"since": midnight(first, zone).isoformat(), "until": midnight(last + DAY, zone).isoformat()}
    calls, talks = stats("twilio-stats", **asked), stats("elevenlabs-stats", **asked)

    cards = {
        page: metrics_of(open_days(page, first, last, zone_name))
        for page in ("workspaces", "twilio", "elevenlabs", "calls")
    }

    both, count = units.money("USD").text, units.COUNT.text
    assert cards["twilio"]["Cost"] == cards["calls"]["Twilio cost"] == both(calls["total_cost"])
    assert cards["elevenlabs"]["Cost"] == cards["calls"]["ElevenLabs cost"] == both(talks["total_cost"])
    total = both(calls["total_cost"] + talks["total_cost"])
    assert cards["workspaces"]["Total cost"] == cards["calls"]["Total cost"] == total
    for page in ("workspaces", "twilio", "calls"):
        assert cards[page]["Calls"] == count(calls["total_calls"])
    for page in ("workspaces", "elevenlabs", "calls"):
        assert cards[page]["Conversations"] == count(talks["total_conversations"])
    for key, answer in (("Twilio usage and cost", calls), ("ElevenLabs usage and cost", talks)):
        rows = rows_of(downloads[f"download {key} by workspace"]())
        whole = Decimal(rows.pop("Total")["total_cost"])
        assert whole == answer["total_cost"] == sum(Decimal(row["total_cost"]) for row in rows.values())


def open_days(page: str, first: date, last: date, zone: str) -> AppTest:
    """Open a page as a link with these days does; the first page takes the filters along."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30)
    for name, value in {"period": "Custom", "dates": [str(first), str(last)], "zone": zone}.items():
        app.query_params[name] = value
    app.run()
    if page != "workspaces":
        app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    assert app.date_input(key="dates").value == (first, last)
    assert app.selectbox(key="zone").value == zone
    return app
