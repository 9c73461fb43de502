"""The page about calls: found, summed, masked, downloaded, opened, and what was said fetched on a click alone."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import call_costs, callers, formats
from dashboard.call_costs import MATCHES, Question
from dashboard.formats import UNKNOWN
from demo.refusals import conversation_not_found
from sync.bootstrap import shared
from sync.call_costs import CallFilter, Match, SortKey
from sync.elevenlabs import ElevenLabsClient
from sync.errors import RecordNotFoundError
from sync.store import Store
from tests.opened_pages import ROOT, metrics_of, open_page, words_of
from tests.records import CALLER, DAY, OTHER_NUMBER, OUR_NUMBER, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.scripted_server import Answer, ScriptedServer

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
EVERYTHING = Question(wanted=CallFilter(), order="Newest first", key=SortKey.START, descending=True)
UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def talked(ledger: Store) -> Store:
    """Give a store with a call that was passed on, one without conversation, a busy one, an unpriced one, a widget."""
    start = datetime.now(UTC).replace(microsecond=0) - DAY
    register(ledger, make_phone(phone_number=OUR_NUMBER, workspace_id=add_workspace(ledger, "Acme")))
    ledger.save_calls(
        [
            make_leg(started_at=start, duration=100, cost=Decimal("0.02")),
            make_leg(sid="CA2", parent_call_sid="CA1", started_at=start, cost=Decimal("0.03")),
            make_leg(sid="CA3", started_at=start, our_number=OTHER_NUMBER, to_number=OTHER_NUMBER),
            make_leg(sid="CA4", started_at=start, status="busy", duration=0, cost=Decimal(0)),
            make_leg(sid="CA5", started_at=start, cost=None, price_unit=None),
        ]
    )
    widget = {"call_sid": None, "channel": "widget", "agent_number": None, "external_number": None}
    ledger.save_conversations(
        [
            make_conversation(started_at=start, duration=90, cost=Decimal("0.10"), agent_name="=Sales"),
            make_conversation(conversation_id="conv_2", started_at=start, **widget),
        ]
    )
    return ledger


def open_calls(**filters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30).run()
    app.switch_page(str(ROOT / "pages" / "calls.py"))
    for name, value in filters.items():
        app.query_params[name] = value
    return app.run()


def rows_of(app: AppTest) -> list[dict[str, str]]:
    return app.dataframe[0].value.to_dict("records")


def test_the_list_shows_each_call_once_with_its_sum(talked: Store) -> None:
    rows = rows_of(open_calls())

    assert len(rows) == 5
    [passed_on] = [row for row in rows if row["Match"] == "Matched"]
    assert (passed_on["Twilio"], passed_on["ElevenLabs"], passed_on["Total"]) == ("$0.0500", "$0.1000", "$0.1500")
    assert (passed_on["Legs"], passed_on["Gap"], passed_on["Duration"]) == ("2", "10 s", "1 m 40 s")


def test_the_totals_are_those_of_the_other_pages(talked: Store) -> None:
    calls, both = metrics_of(open_calls()), metrics_of(open_page("Workspaces"))

    assert {label: calls[label] for label in ("Total cost", "Calls", "Conversations")} == {
        label: both[label] for label in ("Total cost", "Calls", "Conversations")
    }


def test_orphans_of_both_sides_are_counted_apart_from_what_never_matches(talked: Store) -> None:
    shown = metrics_of(open_calls())

    matches = (Match.MATCHED, Match.CALL_ONLY, Match.CONVERSATION_ONLY, Match.NO_PHONE)
    names = (*(MATCHES[match] for match in matches), "Match rate")
    assert [shown[name] for name in names] == ["1", "2", "0", "1", "33.3%"]


def test_an_unknown_cost_is_named_and_makes_the_sum_unknown(talked: Store) -> None:
    [unpriced] = [row for row in rows_of(open_calls()) if row["Missing"]]

    assert (unpriced["Twilio"], unpriced["Total"]) == (UNKNOWN, UNKNOWN)
    assert unpriced["Missing"] == "1 leg without a price"


def test_the_filters_stand_in_the_link(talked: Store) -> None:
    app = open_calls(match="Call not answered", direction="Inbound", order="Oldest first")

    assert [row["Status"] for row in rows_of(app)] == ["busy"]
    assert metrics_of(app)["Calls"] == "1"


@pytest.mark.parametrize("searched", ["99999", "JRNGXs63KMVMAqNLaIGy", "SCL_never", "CA404", "conv_never"])
def test_what_nothing_meets_offers_to_reset_the_filters(talked: Store, searched: str) -> None:
    app = open_calls(search=searched)
    assert "No call in this period matches the filters" in words_of(app)

    next(button for button in app.main.button if button.label == "Reset the filters").click().run()

    assert len(rows_of(app)) == 5


def test_a_call_outside_of_the_filters_is_found_by_its_id(talked: Store) -> None:
    app = open_calls(search="CA2", match="Call not answered")

    assert "in the ledger, but outside of the filters" in words_of(app)
    assert [button.label for button in app.main.button] == ["Open it"]


def test_before_the_first_sync_the_page_offers_it(ledger: Store) -> None:
    assert "Nothing has been synced yet" in words_of(open_calls())


def test_numbers_are_masked_until_somebody_asks_for_them(talked: Store) -> None:
    app = open_calls(match="Matched")
    masked = rows_of(app)[0]

    app.toggle(key="full numbers").set_value(True).run()

    assert (masked["From"], masked["To"]) == (formats.masked_number(CALLER), formats.masked_number(OUR_NUMBER))
    assert (rows_of(app)[0]["From"], rows_of(app)[0]["To"]) == (CALLER, OUR_NUMBER)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, UNKNOWN),
        ("client:anna", "client:anna"),
        ("1 (202) 555-0155", "+1 … 0155"),
        ("sip:+1-202-555-0155@pbx.example.com", "+1 … 0155"),
        ("06 12 34 56 78", "… 5678"),
        ("sip:+34600000009@pbx.example.com", "sip:+34 … 0009@pbx.example.com"),
        ("600000009", "… 0009"),
        (CALLER, "+34 … 0009"),
        ("+7378742833", "Restricted"),
        ("+2562533", "Blocked"),
    ],
)
def test_a_number_is_masked_wherever_it_stands_and_a_hidden_one_called_so(text: str | None, shown: str) -> None:
    assert callers.number(text, masked=True) == shown


def downloaded(question: Question = EVERYTHING, *, masked: bool = True) -> tuple[str, list[dict[str, str]]]:
    text = call_costs.csv(question, 5, [("Voice Ledger", "Calls")], UTC_ZONE, masked=masked)().decode("utf-8-sig")
    notes, table = text.split("\r\n\r\n", 1)
    return notes, list(csv.DictReader(io.StringIO(table)))


def test_a_download_has_what_the_filters_select_masked_and_safe(talked: Store) -> None:
    notes, rows = downloaded()

    assert len(rows) == 5
    assert CALLER not in str(rows)
    [passed_on] = [row for row in rows if row["Match"] == "Matched"]
    assert (passed_on["Total (USD)"], passed_on["Twilio (Twilio currency)"]) == ("0.15", "0.05")
    assert passed_on["Agent"] == "'=Sales"  # which a spreadsheet would run
    assert "Numbers,masked" in notes
    assert CALLER[1:] in str(downloaded(masked=False))


def test_a_download_is_read_piece_by_piece_up_to_its_limit(talked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_costs, "CHUNK", 2)
    everything = [row["Call"] or row["Conversation"] for row in downloaded()[1]]
    monkeypatch.setattr(call_costs, "MOST_ROWS", 4)
    notes, rows = downloaded()

    assert sorted(everything) == ["CA1", "CA3", "CA4", "CA5", "conv_2"]
    assert [row["Call"] or row["Conversation"] for row in rows] == everything[:4]
    assert "Rows,4 of 5" in notes


@pytest.mark.parametrize("record_id", ["CA1", "CA2", "conv_1"])
def test_a_link_with_any_of_its_ids_opens_the_call(talked: Store, record_id: str) -> None:
    app = open_calls(call=record_id)

    assert metrics_of(app) == {
        "Total cost": "$0.1500",
        "Twilio": "$0.0500",
        "ElevenLabs": "$0.1000",
        "Duration gap": "10 s",
    }
    costs, legs = app.dataframe[0].value, app.dataframe[1].value
    assert list(costs["Part"])[:2] == ["Twilio leg 1", "Twilio leg 2"]
    assert costs["Cost"].iloc[-1] == "$0.150000"
    assert list(legs["Sid"]) == ["CA1", "CA2"]
    assert "The line was open for 1 m 40 s, the conversation lasted 1 m 30 s" in words_of(app)


def test_a_link_to_a_call_that_is_not_stored_says_so(talked: Store) -> None:
    assert "no stored call leg or conversation with this id" in words_of(open_calls(call="CAnever"))


def test_an_incomplete_call_says_what_its_sum_lacks(talked: Store) -> None:
    app = open_calls(call="CA5")

    assert metrics_of(app)["Total cost"] == UNKNOWN
    assert "There is no total yet. Missing: 1 leg without a price." in words_of(app)


@ON_SQLITE
def test_a_transcript_that_cannot_be_fetched_is_a_sentence(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("ELEVENLABS_BASE_URL", "http://127.0.0.1:9")
    shared().store.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY)])
    app = open_calls(call="conv_1")

    next(button for button in app.main.button if button.label == "Show transcript").click().run()

    assert app.main.error[0].value.replace("\\", "").startswith("The transcript cannot be shown: ")
    assert not app.exception


@ON_SQLITE
def test_a_transcript_is_fetched_on_a_click_and_kept_nowhere(settings: pytest.MonkeyPatch) -> None:
    said = [
        {"role": "agent", "message": "Good morning $5 *sir*", "time_in_call_secs": 0, "tool_calls": []},
        {"role": "user", "message": None, "time_in_call_secs": 61, "tool_calls": [{"tool_name": "lookup"}]},
    ]
    with ScriptedServer() as provider:
        provider.on("/v1/convai/conversations/conv_1", Answer(body={"transcript": said}))
        settings.setenv("ELEVENLABS_BASE_URL", provider.url)
        shared().store.save_conversations([make_conversation(started_at=datetime.now(UTC) - DAY)])
        app = open_calls(call="conv_1")
        assert not provider.requests

        next(button for button in app.main.button if button.label == "Show transcript").click().run()
        words = words_of(app)
        app.run()

    assert "Good morning $5 *sir*" in words
    assert "Caller, 1 m 1 s" in words
    assert "Used lookup" in words
    assert "Good morning" not in words_of(app)
    assert len(provider.requests) == 1
    assert all(b"Good morning" not in path.read_bytes() for path in Path().glob("ledger.db*"))


def test_a_transcript_that_is_gone_says_so() -> None:
    with (
        ScriptedServer() as provider,
        ElevenLabsClient("key", base_url=provider.url) as client,
    ):
        gone = conversation_not_found("conv_1")
        provider.on("/v1/convai/conversations/conv_1", Answer(status=gone.status, body=gone.body))

        with pytest.raises(RecordNotFoundError, match="does not know this record"):
            client.transcript("conv_1")


def test_a_conversation_without_words_has_an_empty_transcript() -> None:
    with ScriptedServer() as provider, ElevenLabsClient("key", base_url=provider.url) as client:
        provider.on("/v1/convai/conversations/conv_1", Answer(body={"transcript": []}))

        assert client.transcript("conv_1") == []
