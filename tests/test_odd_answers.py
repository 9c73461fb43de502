"""Odd answers of a provider, through client, job and store: nothing is lost without a word, no record stops another."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import simplejson

from sync import jobs
from sync.backfill import backfill_elevenlabs, backfill_twilio
from sync.elevenlabs import ElevenLabsClient
from sync.elevenlabs_metrics import of_models
from sync.errors import ProviderError, RejectedRequestError, UnexpectedAnswerError
from sync.fanout import fetch_each
from sync.http import RetryPolicy
from sync.jobs import GENERATIONS, failed_before
from sync.models import CallLeg, Conversation, Failure, RunState, SyncRun
from sync.runs import Conditions
from sync.store import Store
from sync.twilio import UNFINISHED, TwilioClient
from sync.verify import numbers
from tests.records import OUR_NUMBER, Sql, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.scripted_server import Answer, ScriptedServer
from tests.test_jobs import DAY, HOUR, MINUTE, NOW, Clock, FakeElevenLabs, FakeTwilio, make_detail

ACCOUNT = "AC" + "0" * 32
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
TALKS = "/v1/convai/conversations"
HALF = "a\ud83d\0b"  # an emoji that was cut in the middle, and a NUL
CLEAN = "a\ufffdb"
WINDOW = (NOW - 2 * DAY, NOW)
QUICK = RetryPolicy(
    budget=timedelta(seconds=0.1), first_pause=timedelta(milliseconds=5), longest_pause=timedelta(milliseconds=5)
)


class Providers:
    """Serves what it is given as Twilio and ElevenLabs, and syncs it into a store, hour after hour."""

    def __init__(self, server: ScriptedServer, store: Store) -> None:
        self.server, self.store, self.clock = server, store, Clock()
        self._twilio = TwilioClient(ACCOUNT, (ACCOUNT, "x"), base_url=server.url, retries=QUICK, clock=self.clock)
        self._elevenlabs = ElevenLabsClient("key", base_url=server.url, retries=QUICK, clock=self.clock)

    def close(self) -> None:
        self._twilio.__exit__()
        self._elevenlabs.__exit__()

    def calls(self, *calls: object, **envelope: object) -> None:
        """Answer so from now on. Calls that have not ended are in Twilio's lists by status too."""
        page = {"calls": list(calls), "next_page_uri": None} | envelope
        self.server.from_now_on(f"{CALLS}.json", Answer(body=page))
        for status in UNFINISHED:
            of_status = [each for each in calls if isinstance(each, dict) and each.get("status") == status]
            self.server.from_now_on(
                f"{CALLS}.json?Status={status}&PageSize=1000", Answer(body={"calls": of_status, "next_page_uri": None})
            )
        for each in calls:
            if isinstance(each, dict):
                self.server.from_now_on(f"{CALLS}/{each.get('sid')}.json", Answer(body=each))

    def talks(self, *talks: dict[str, Any], **envelope: object) -> None:
        listed = [{**talk, **talk["metadata"], "metadata": None} for talk in talks]
        self.server.from_now_on(TALKS, Answer(body={"conversations": listed, "has_more": False} | envelope))
        for each in talks:
            self.server.from_now_on(f"{TALKS}/{each['conversation_id']}", Answer(body=each))

    def sync_twilio(self) -> SyncRun:
        return jobs.sync_twilio(self._twilio, self.store, self._conditions())

    def sync_elevenlabs(self) -> SyncRun:
        return jobs.sync_elevenlabs(self._elevenlabs, self.store, self._conditions())

    def backfill_twilio(self) -> SyncRun:
        return backfill_twilio(self._twilio, self.store, WINDOW, self._conditions())

    def backfill_elevenlabs(self) -> SyncRun:
        return backfill_elevenlabs(self._elevenlabs, self.store, WINDOW, self._conditions())

    def _conditions(self) -> Conditions:
        self.clock.now += MINUTE
        return Conditions(first_sync=DAY, clock=self.clock)


@pytest.fixture
def providers(store: Store) -> Iterator[Providers]:
    with ScriptedServer() as server:
        providers = Providers(server, store)
        yield providers
        providers.close()


def call(sid: object, **changes: Any) -> dict[str, Any]:
    at = format_datetime(NOW - HOUR)
    plain = {
        "sid": sid,
        "status": "completed",
        "direction": "inbound",
        "date_created": at,
        "start_time": at,
        "end_time": at,
        "duration": "60",
        "price": "-0.01",
        "price_unit": "USD",
        "from": "+34600000009",
        "to": OUR_NUMBER,
    }
    return plain | changes


def talk(name: object, **metadata: Any) -> dict[str, Any]:
    detail = make_detail(str(name), int((NOW - HOUR).timestamp()))
    return detail | {"conversation_id": name, "metadata": detail["metadata"] | metadata}


# Texts

TEXTS_OF_A_CALL = ("status", "direction", "price_unit", "from", "to")


@pytest.mark.parametrize("name", TEXTS_OF_A_CALL)
def test_a_text_of_a_call_that_is_no_text_stops_nothing(providers: Providers, sql: Sql, name: str) -> None:
    providers.calls(call("CA1"), call("CA2", **{name: HALF}), call("CA3"))

    run = providers.sync_twilio()

    column = {"from": "from_number", "to": "to_number"}.get(name, name)
    expected = CLEAN.upper() if name == "price_unit" else CLEAN
    assert (run.state, run.saved, run.failed) == (RunState.OK, 3, 0)
    assert sql(f"select {column} from calls where sid = 'CA2'") == [(expected,)]


@pytest.mark.parametrize("bad", ["CA\ud83d", "CA\0", "C" * 10**6, {"a": 1}])
@pytest.mark.parametrize("name", ["sid", "parent_call_sid"])
def test_an_id_that_no_store_could_keep_stops_nothing(providers: Providers, name: str, bad: object) -> None:
    providers.calls(call("CA1"), call("CA3"), call("CA2") | {name: bad})

    run = providers.sync_twilio()

    listed = [failure.record_id for failure in providers.store.failures("twilio")]
    assert (run.state, run.saved, run.failed) == (RunState.OK, 2, 1)
    assert listed == ([] if name == "sid" else ["CA2"])


def test_no_text_of_a_conversation_stops_a_run_or_spoils_an_answer(providers: Providers, sql: Sql) -> None:
    usage = {HALF: {HALF: {"tokens": 10, "price": "0.1"}}, "m" * 10**6: {"input": {"tokens": 1, "price": "0.1"}}}
    phone = {"type": "twilio", "direction": HALF, "agent_number": OUR_NUMBER, "external_number": HALF}
    odd = talk(
        "c2",
        termination_reason=HALF,
        conversation_initiation_source=HALF,
        phone_call=phone,
        charging={"llm_usage": {"initiated_generation": {"model_usage": usage}}},
    ) | {"agent_name": HALF}
    providers.talks(talk("c1"), odd, talk("c3"))

    run = providers.sync_elevenlabs()

    texts = "agent_name, termination_reason, channel, direction, external_number"
    totals = providers.store.elevenlabs_balances([None])[0][0]
    assert (run.state, run.saved, run.failed) == (RunState.OK, 3, 0)
    assert sql(f"select {texts} from elevenlabs_conversations where conversation_id = 'c2'") == [(CLEAN,) * 5]
    assert set(totals.llm_usage) == {CLEAN, "m" * 1000}
    simplejson.dumps(of_models(totals.llm_usage), ensure_ascii=False, use_decimal=True).encode()


@pytest.mark.parametrize("bad", ["c\ud83d", "c\0", "c" * 10**6])
def test_the_id_of_a_conversation_that_no_store_could_keep_stops_nothing(providers: Providers, bad: str) -> None:
    providers.talks(talk("c1"), talk("c3"))
    listed = [{"conversation_id": name, "status": "done", **talk(name)["metadata"]} for name in ("c1", bad, "c3")]
    providers.server.from_now_on(TALKS, Answer(body={"conversations": listed, "has_more": False}))

    run = providers.sync_elevenlabs()

    assert (run.state, run.saved, run.failed) == (RunState.OK, 2, 1)
    assert providers.store.failures("elevenlabs") == []


# Numbers and dates


def test_seconds_with_a_fraction_and_dates_of_another_age_lose_no_record_without_a_word(providers: Providers) -> None:
    providers.talks(
        talk("c1", call_duration_secs=75.6), talk("c2", start_time_unix_secs=0), talk("c3", cost=0.15), talk("c4")
    )
    providers.calls(
        call("CA1", duration="75.6"),
        call("CA2", start_time="Fri, 31 Dec 9999 23:59:59 +0000"),
        call("CA3", start_time="Thu, 01 Jan 1970 00:00:00 +0000"),
        call("CA4", price="1_0"),
    )

    runs = providers.sync_twilio(), providers.sync_elevenlabs()

    assert [(run.state, run.saved, run.failed) for run in runs] == [(RunState.OK, 1, 3), (RunState.OK, 3, 1)]
    assert [each.record_id for each in providers.store.failures("twilio")] == ["CA2", "CA3", "CA4"]
    assert [each.record_id for each in providers.store.failures("elevenlabs")] == ["c2"]
    assert providers.store.twilio_balances([None])[0][0].total_duration == 76
    assert providers.store.wrong_snapshots("twilio") == []


def test_our_number_in_any_form_is_the_clients_or_listed_as_nobodys(providers: Providers) -> None:
    store = providers.store
    register(store, make_phone(workspace_id=add_workspace(store, "Acme")))
    trunk = {"direction": "trunking-originating"}
    providers.calls(
        call("CA1", **trunk, to=f"sip:{OUR_NUMBER}@pbx.example.com;region=us1"),
        call("CA2", **trunk, to="<sip:12025550101@pbx.example.com:5060>"),
        call("CA3", to=f"whatsapp:{OUR_NUMBER}"),
    )
    sms = {"direction": "inbound", "agent_phone_number": OUR_NUMBER, "sms_user_phone_number": "+34600000009"}
    typed = {"type": "sip_trunking", "direction": "inbound", "agent_number": "0612345678", "external_number": "1"}
    providers.talks(talk("c1", sms=sms), talk("c2", phone_call=typed))

    providers.sync_twilio()
    providers.sync_elevenlabs()

    assert {each.phone_number for each in store.unregistered_numbers()} == {"+12025550101", "0612345678"}
    assert "…0101 (1)" in numbers(store).message
    assert "…5678 (1)" in numbers(store).message
    assert store.twilio_balances([None])[0][1].total_calls == 2
    assert store.elevenlabs_balances([None])[0][1].total_conversations == 1


def test_a_queued_call_without_a_date_comes_with_its_date(providers: Providers) -> None:
    nothing = dict.fromkeys(("date_created", "start_time", "end_time", "duration", "price"))
    providers.calls(*(call(f"CA{number}", status="queued", **nothing) for number in range(500)))
    first = providers.sync_twilio()
    dialled = format_datetime(NOW + HOUR / 2)
    providers.calls(*(call(f"CA{number}", start_time=dialled) for number in range(500)))
    providers.clock.now += HOUR

    second = providers.sync_twilio()

    assert (first.state, first.saved, first.failed, first.message) == (RunState.OK, 0, 0, None)
    assert (second.saved, second.failed) == (500, 0)


# Lists that promise more


@pytest.mark.parametrize("cursor", [None, "", 7, ["more"], {"is": "more"}])
def test_more_conversations_without_a_cursor_are_kept_and_the_period_is_listed_again(
    providers: Providers, cursor: object
) -> None:
    for sync in (providers.sync_elevenlabs, providers.backfill_elevenlabs):
        providers.talks(talk("c1"), has_more=True, next_cursor=cursor)
        with pytest.raises(UnexpectedAnswerError, match="but not where"):
            sync()

        assert providers.store.count_rows()["elevenlabs_conversations"] == 1
        run = providers.store.runs("elevenlabs", limit=1)[0]
        assert (run.state, run.position in (None, NOW)) == (RunState.FAILED, True), "nothing is walked"
    assert providers.store.last_success("elevenlabs") is None

    providers.talks(talk("c1"), talk("c2"))
    providers.sync_elevenlabs()

    assert providers.store.count_rows()["elevenlabs_conversations"] == 2


@pytest.mark.parametrize("uri", [7, ["/more"], {"is": "/more"}, "https://elsewhere.example/more", f"{CALLS}.json"])
def test_more_calls_without_a_usable_page_are_kept_and_the_period_is_listed_again(
    providers: Providers, uri: object
) -> None:
    for sync in (providers.sync_twilio, providers.backfill_twilio):
        providers.calls(call("CA1"), next_page_uri=uri)
        with pytest.raises(ProviderError):
            sync()

        assert providers.store.count_rows()["calls"] == 1
        run = providers.store.runs("twilio", limit=1)[0]
        assert (run.state, run.saved, run.position in (None, NOW)) == (RunState.FAILED, 1, True), "nothing is walked"
    assert providers.store.last_success("twilio") is None


# Answers about another record, and records that come twice


def test_an_answer_about_another_record_is_never_counted_as_saved(providers: Providers, sql: Sql) -> None:
    providers.talks(talk("c1"), talk("c2"))
    providers.server.from_now_on(f"{TALKS}/c1", Answer(body=talk("c2")))
    providers.calls(call("CA1", parent_call_sid="CA9"))
    providers.server.from_now_on(f"{CALLS}/CA9.json", Answer(body=call("CA8")))

    runs = providers.sync_twilio(), providers.sync_elevenlabs()

    assert [(run.state, run.saved, run.failed) for run in runs] == [(RunState.OK, 1, 1), (RunState.OK, 1, 1)]
    assert sql("select record_id from sync_failures order by 1") == [("CA9",), ("c1",)]
    assert sql("select sid from calls") == [("CA1",)]


def test_a_record_that_several_lists_show_counts_once(providers: Providers) -> None:
    going_on = call("CA1", status="in-progress", price=None)
    providers.calls(going_on, going_on, call("CA2"), call("CA3", price="n/a"), call("CA3", price="n/a"))

    hourly = providers.sync_twilio()

    assert (hourly.saved, hourly.failed, hourly.done) == (2, 1, 3)
    assert hourly.message is not None
    assert hourly.message.startswith("1 record could not be fetched or read")
    assert [each.record_id for each in providers.store.failures("twilio")] == ["CA3"]
    backfill = providers.backfill_twilio()
    assert (backfill.saved, backfill.failed) == (2, 1)


# Parents


class EndlessTwilio(FakeTwilio):
    """Names another parent for each that is asked for."""

    def calls_between(self, start: object, end: object) -> Iterator[CallLeg | Failure]:
        yield from self.calls_since(NOW - DAY)

    def calls(self, sids: Iterable[str]) -> Iterator[CallLeg | Failure]:
        for sid in sids:
            self.asked_for.append(sid)
            yield replace(make_leg(sid=sid, started_at=NOW - HOUR, parent_call_sid=f"{sid}p"), fetched_at=self._clock())


@pytest.mark.parametrize("is_backfill", [False, True])
def test_parents_without_end_end_the_run_normally(store: Store, is_backfill: bool) -> None:
    clock = Clock()
    twilio = EndlessTwilio(clock)
    twilio.put("CA1", parent_call_sid="CA1p")
    conditions = Conditions(first_sync=DAY, clock=clock)

    run = backfill_twilio(twilio, store, WINDOW, conditions) if is_backfill else None
    run = run or jobs.sync_twilio(twilio, store, conditions)

    assert (run.state, run.saved) == (RunState.OK, 1 + GENERATIONS)
    assert len(twilio.asked_for) == GENERATIONS
    assert store.wrong_snapshots("twilio") == []


# Refused records


class RefusingElevenLabs(FakeElevenLabs):
    """Refuses the conversations that `refuses` names, several at a time, as the client meets it."""

    refuses: Callable[[str], bool]

    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]:
        return fetch_each(self._one, ids, workers=8)

    def _one(self, name: str) -> Conversation:
        self.asked_for.append(name)
        if self.refuses(name):
            raise RejectedRequestError("ElevenLabs refused the request (HTTP 422).")
        return replace(self.talks[name], fetched_at=self._clock())


def test_good_conversations_behind_many_refused_ones_are_stored_at_once(store: Store) -> None:
    clock = Clock()
    elevenlabs = RefusingElevenLabs(clock)
    elevenlabs.refuses = lambda name: name.startswith("bad")
    for number in range(500):
        elevenlabs.put(f"bad{number:03}", started_at=NOW - 3 * HOUR + timedelta(seconds=number))
    for number in range(5):
        elevenlabs.put(f"good{number}", started_at=NOW - HOUR / 2)

    for _ in range(3):
        try:
            jobs.sync_elevenlabs(elevenlabs, store, Conditions(first_sync=DAY, clock=clock))
        except RejectedRequestError:
            assert store.runs("elevenlabs", limit=1)[0].state is RunState.FAILED
        clock.now += HOUR
        assert store.count_rows()["elevenlabs_conversations"] == 5


def test_a_run_that_gives_up_says_how_many_it_left(store: Store) -> None:
    clock = Clock()
    elevenlabs = RefusingElevenLabs(clock)
    elevenlabs.refuses = lambda name: True
    for number in range(2000):
        elevenlabs.put(f"bad{number:04}")

    with pytest.raises(RejectedRequestError):
        jobs.sync_elevenlabs(elevenlabs, store, Conditions(first_sync=DAY, clock=clock))

    (run,) = store.runs("elevenlabs")
    assert run.message is not None
    assert run.message.startswith("ElevenLabs refused the request (HTTP 422); ")
    assert run.message.endswith(" records were left for the next run.")
    left = int(run.message.split("; ")[1].split()[0].replace(",", ""))
    assert left + run.failed == 2000


def test_records_that_failed_before_have_their_turn_one_after_the_other(store: Store) -> None:
    clock = Clock()
    elevenlabs = RefusingElevenLabs(clock)
    elevenlabs.refuses = lambda name: True
    names = [f"bad{number:03}" for number in range(200)]
    for name in names:
        elevenlabs.put(name)
    store.save_failures("elevenlabs", [Failure(record_id=name, error="Refused.") for name in names], now=NOW - HOUR)
    elevenlabs.refuses = lambda name: name != "bad150"

    for _ in range(40):
        run = jobs.sync_elevenlabs(elevenlabs, store, Conditions(first_sync=DAY, clock=clock))
        assert run.state is RunState.OK, "what failed before stops nothing"
        clock.now += HOUR

    assert store.count_rows()["elevenlabs_conversations"] == 1


def test_all_that_failed_before_is_known_and_what_waited_longest_comes_first(store: Store) -> None:
    for number in range(3):
        batch = [Failure(record_id=f"c{number}-{each:03}", error="It is refused.") for each in range(500)]
        store.save_failures("elevenlabs", batch, now=NOW - number * HOUR)

    failed = failed_before(store, "elevenlabs")

    assert len(failed) == 1500
    assert [failed[0][:2], failed[500][:2], failed[1499][:2]] == ["c2", "c1", "c0"]
