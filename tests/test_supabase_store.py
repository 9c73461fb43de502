"""What only Supabase has: an API that cuts long answers, exact amounts through JSON, keys, and a network that fails."""

import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from sync.errors import StoreError
from sync.models import Failure, LlmUsage, RunKind, RunState, SyncRun, TokenUsage
from sync.supabase_store import SupabaseStore
from tests.cutting_proxy import CuttingProxy
from tests.local_supabase import LocalSupabase
from tests.records import CALLER, FETCHED, HOUR, TEN, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.scripted_server import Answer, ScriptedServer

ONCE = timedelta(milliseconds=1)  # a budget that allows no second attempt
SHORT = timedelta(seconds=1)


@pytest.fixture
def store(supabase: LocalSupabase) -> Iterator[SupabaseStore]:
    with opened(supabase.url, supabase.secret_key) as store:
        yield store


@pytest.fixture
def proxy(supabase: LocalSupabase) -> Iterator[CuttingProxy]:
    with CuttingProxy(supabase.url) as proxy:
        yield proxy


@pytest.fixture
def distant_store(supabase: LocalSupabase, proxy: CuttingProxy) -> Iterator[SupabaseStore]:
    """Give a store whose connection can be cut."""
    with opened(proxy.url, supabase.secret_key) as store:
        yield store


@contextmanager
def opened(url: str, key: str, *, retry_budget: timedelta = timedelta(seconds=20)) -> Iterator[SupabaseStore]:
    with closing(SupabaseStore(url, key, retry_budget=retry_budget)) as store:
        yield store


def begin_run(store: SupabaseStore) -> SyncRun:
    window = (TEN, TEN + HOUR)
    return store.begin_run("twilio", RunKind.HOURLY, window, owner="test", now=TEN + HOUR, stale_before=TEN)


def total_cost(store: SupabaseStore) -> Decimal:
    [balances] = store.twilio_balances([None])
    return sum((totals.total_cost for totals in balances.values()), Decimal(0))


# Amounts


@pytest.mark.parametrize("amount", ["9999999999.99999999", "0.00000001", "1234567890.12345678", "12.5"])
def test_amounts_of_eighteen_digits_come_back_as_they_were(store: SupabaseStore, amount: str) -> None:
    price = Decimal(amount)
    usage = LlmUsage({"gpt-mini": {"input": TokenUsage(tokens=2**53 + 1, price=price)}})

    store.save_calls([make_leg(cost=price)])
    store.save_conversations([make_conversation(cost=price, llm_price=price, credits=2**53 + 1, llm_usage=usage)])

    [twilio], [elevenlabs] = store.twilio_snapshots(), store.elevenlabs_snapshots()
    assert twilio.totals.total_cost == elevenlabs.totals.total_cost == elevenlabs.totals.llm_price == price
    assert elevenlabs.totals.total_credits == 2**53 + 1
    assert elevenlabs.totals.llm_usage == usage
    assert store.twilio_balances([None]) == [{0: twilio.totals}]


def test_a_value_out_of_range_is_one_sentence_and_nothing_of_its_batch_is_saved(store: SupabaseStore) -> None:
    store.save_calls([make_leg()])
    before = store.twilio_snapshots()

    with pytest.raises(StoreError, match="too large for the ledger's columns"):
        store.save_calls([make_leg(sid="CA2"), make_leg(sid="CA3", cost=Decimal(10**10)), make_leg(sid="CA4")])
    with pytest.raises(StoreError, match="too large for the ledger's columns"):
        store.save_calls([make_leg(sid="CA5", duration=2**63)])

    assert store.count_rows()["calls"] == 1
    assert store.twilio_snapshots() == before


# Many rows: the API cuts every list of rows after a thousand without a word


def test_nothing_is_cut_after_a_thousand_workspaces(supabase: LocalSupabase, store: SupabaseStore) -> None:
    supabase.sql("insert into workspaces (name) select 'Client ' || n from generate_series(1, 1500) as n")
    supabase.sql(
        "insert into workspace_phones (workspace_id, phone_number) "
        "select id, '+3491' || id from workspaces where id > 0"
    )
    numbers = [f"+3491{n}" for n in range(1, 1501)]

    store.save_calls([make_leg(sid=number, our_number=number, cost=Decimal("0.01")) for number in numbers])
    store.save_conversations([make_conversation(conversation_id=number, agent_number=number) for number in numbers])
    supabase.sql("update twilio_snapshots set total_calls = 7")

    assert (len(store.workspaces()), len(store.phones())) == (1501, 1500)
    assert (len(store.twilio_snapshots()), len(store.elevenlabs_snapshots())) == (1500, 1500)
    [twilio], [elevenlabs] = store.twilio_balances([None]), store.elevenlabs_balances([None])
    assert (len(twilio), len(elevenlabs), total_cost(store)) == (1500, 1500, Decimal(15))
    assert len(store.wrong_snapshots("twilio")) == 1500
    assert store.wrong_snapshots("elevenlabs") == []


def test_nothing_is_cut_after_a_thousand_records(store: SupabaseStore) -> None:
    legs = [
        make_leg(sid=f"CA{n}", parent_call_sid=f"CAparent{n}", our_number=f"+3491{n}", cost=None) for n in range(2500)
    ]
    store.save_calls(legs)
    store.save_conversations([make_conversation(conversation_id=f"conv_{n}") for n in range(3000)])
    store.save_failures(
        "elevenlabs", [Failure(record_id=f"lost_{n}", error="Unreadable.") for n in range(1100)], now=FETCHED
    )

    assert store.open_ids("twilio", now=FETCHED + HOUR) == sorted(leg.sid for leg in legs)
    assert len(store.open_ids("elevenlabs", now=FETCHED + HOUR)) == 1100
    assert len(store.known_conversations(f"conv_{n}" for n in range(3000))) == 3000
    assert len(store.missing_parents(since=TEN)) == 2500
    assert len(store.unregistered_numbers(limit=5000)) == 2501  # the conversations' too
    assert store.count_rows()["elevenlabs_conversations"] == 3000


def test_nothing_is_cut_after_a_thousand_runs(store: SupabaseStore, supabase: LocalSupabase) -> None:
    supabase.sql(
        "insert into sync_runs (source, kind, state, window_start, window_end, started_at, heartbeat_at) "
        "select 'twilio', 'hourly', 'ok', now(), now(), now(), now() from generate_series(1, 1200)"
    )

    assert len(store.runs(limit=5000)) == 1200


def test_of_the_same_key_twice_in_a_batch_the_newest_wins_and_keeps_what_it_lacks(store: SupabaseStore) -> None:
    newest = make_leg(status="in-progress", duration=90, our_number=None, cost=None, fetched_at=FETCHED + 2 * HOUR)
    register(store, make_phone(workspace_id=add_workspace(store, "Acme")))

    store.save_calls([newest, make_leg(cost=Decimal(3), fetched_at=FETCHED + HOUR), make_leg(cost=Decimal(1))])

    [balances] = store.twilio_balances([None])
    assert (balances[1].total_cost, balances[1].total_duration) == (Decimal(3), 90)
    assert store.open_ids("twilio", now=FETCHED + 3 * HOUR) == ["CA1"]


# Several at once


def test_two_writers_at_once_end_with_right_balances(supabase: LocalSupabase) -> None:
    def save_batches(writer: int) -> None:
        with opened(supabase.url, supabase.secret_key) as own:
            for batch in range(15):
                shared = [make_leg(sid=f"CA{batch}-{n}", started_at=TEN + n * HOUR) for n in range(10)]
                own.save_calls([*shared, make_leg(sid=f"CAown{writer}-{batch}")][:: 1 if writer else -1])
                own.save_conversations([make_conversation(conversation_id=f"conv_{writer}-{batch}")])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save_batches, [0, 1]))

    with opened(supabase.url, supabase.secret_key) as store:
        assert store.count_rows()["calls"] == 15 * 10 + 2 * 15
        assert total_cost(store) == 180 * Decimal("0.0085")
        assert (store.wrong_snapshots("twilio"), store.wrong_snapshots("elevenlabs")) == ([], [])
    assert supabase.sql("select * from stale_balances") == []


def test_threads_share_one_store(store: SupabaseStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.save_calls([make_leg(sid=f"CA{n}")]), range(60)))

    assert total_cost(store) == 60 * Decimal("0.0085")
    assert store.wrong_snapshots("twilio") == []


# Keys and migrations


def assert_says_nothing_secret(error: pytest.ExceptionInfo[StoreError], *secrets: str) -> None:
    told = "".join(traceback.format_exception(error.value))
    assert [secret for secret in secrets if secret in told] == []


@pytest.mark.parametrize("key", ["sb_secret_wrong", "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.AAAA"])
def test_a_wrong_key_is_refused_at_once_with_what_to_do(supabase: LocalSupabase, key: str) -> None:
    with opened(supabase.url, key) as store, pytest.raises(StoreError, match="copy the secret key") as refusal:
        store.claim_for("real")

    assert_says_nothing_secret(refusal, key)


def test_the_publishable_key_is_refused_at_once_with_what_to_do(supabase: LocalSupabase) -> None:
    with opened(supabase.url, supabase.publishable_key) as store:
        with pytest.raises(StoreError, match="needs the secret") as refusal:
            store.claim_for("real")
        with pytest.raises(StoreError, match="needs the secret"):
            store.save_calls([make_leg()])

    assert_says_nothing_secret(refusal, supabase.publishable_key)
    assert supabase.sql("select * from calls") == []


def test_every_request_bears_the_secret_key_and_nobody_ever_signs_in(
    supabase: LocalSupabase, proxy: CuttingProxy, distant_store: SupabaseStore
) -> None:
    distant_store.claim_for("real")
    distant_store.save_calls([make_leg()])
    distant_store.twilio_balances([None])

    heads = [line.lower() for line in proxy.sent.decode().splitlines()]
    bearers = [line for line in heads if line.startswith("authorization:")]
    assert len(bearers) == 4
    assert set(bearers) == {f"authorization: bearer {supabase.secret_key.lower()}"}
    assert [line for line in heads if "/auth/" in line] == []


@pytest.mark.parametrize(("field", "value"), [("started_at", CALLER), ("duration", 2**63)])
def test_an_error_never_repeats_keys_numbers_or_values(
    supabase: LocalSupabase, store: SupabaseStore, field: str, value: str | int
) -> None:
    with pytest.raises(StoreError) as refusal:
        store.save_calls([make_leg(**{field: value})])

    assert str(value) in str(refusal.value.__cause__)  # what the server said
    assert [word for word in (str(value), supabase.secret_key) if word in str(refusal.value)] == []


def test_a_project_without_migrations_says_which_files_to_apply(supabase_without_migrations: LocalSupabase) -> None:
    project = supabase_without_migrations

    with opened(project.url, project.secret_key) as store:
        with pytest.raises(StoreError, match=r"apply them in this order.*_baseline\.sql.*_move\.sql") as refusal:
            store.claim_for("real")
        with pytest.raises(StoreError, match="lacks a migration"):
            store.workspaces()

    assert_says_nothing_secret(refusal, project.secret_key)


@pytest.fixture
def supabase_without_migrations(supabase_projects: list[LocalSupabase]) -> Iterator[LocalSupabase]:
    project = supabase_projects[1]
    project.forget_migrations()
    project.reload_schema()
    yield project
    project.migrate()
    project.reload_schema()


# Failures on the way


@pytest.mark.parametrize("length", [1, 200, 20_000, 80_000])
def test_a_batch_that_is_cut_off_on_its_way_is_sent_again(
    proxy: CuttingProxy, distant_store: SupabaseStore, length: int
) -> None:
    proxy.cut_request_after(length)

    distant_store.save_calls([make_leg(sid=f"CA{n}", cost=Decimal("0.01")) for n in range(300)])

    assert proxy.cuts == 1
    assert (distant_store.count_rows()["calls"], total_cost(distant_store)) == (300, Decimal(3))


def test_a_batch_whose_answer_is_lost_is_counted_once(proxy: CuttingProxy, distant_store: SupabaseStore) -> None:
    for save in (
        lambda: distant_store.save_calls([make_leg(), make_leg(sid="CA2", started_at=TEN + HOUR)]),
        lambda: distant_store.save_conversations([make_conversation()]),
    ):
        proxy.drop_next_answer()
        save()

    assert proxy.cuts == 2
    assert total_cost(distant_store) == Decimal("0.0170")
    assert distant_store.elevenlabs_snapshots()[0].totals.total_conversations == 1
    assert (distant_store.wrong_snapshots("twilio"), distant_store.wrong_snapshots("elevenlabs")) == ([], [])


def test_a_run_whose_answer_is_lost_is_begun_once_and_is_ours(
    proxy: CuttingProxy, distant_store: SupabaseStore
) -> None:
    proxy.drop_next_answer()

    run = begin_run(distant_store)

    assert proxy.cuts == 1
    assert [(each.id, each.state) for each in distant_store.runs()] == [(run.id, RunState.RUNNING)]


def test_what_is_written_down_is_written_once_although_the_answer_is_lost(
    supabase: LocalSupabase, proxy: CuttingProxy, distant_store: SupabaseStore
) -> None:
    proxy.drop_next_answer()
    skipped = distant_store.record_skipped("elevenlabs", (TEN, TEN + HOUR), "Switched off.", now=TEN + HOUR)
    proxy.drop_next_answer()
    distant_store.save_failures("twilio", [Failure(record_id="CA1", error="Unreadable.")], now=TEN)

    assert proxy.cuts == 2
    assert [run.id for run in distant_store.runs()] == [skipped.id]
    assert supabase.sql("select attempts from sync_failures") == [(1,)]


def test_a_project_that_is_down_is_asked_again_until_the_budget_is_spent(supabase: LocalSupabase) -> None:
    supabase.postgrest.stop()
    try:
        with opened(supabase.url, supabase.secret_key, retry_budget=SHORT) as store:
            started = time.monotonic()
            with pytest.raises(StoreError, match="overloaded or restarting") as refusal:
                store.save_calls([make_leg()])
            with pytest.raises(StoreError, match="overloaded or restarting"):
                store.claim_for("real")
            waited = time.monotonic() - started
    finally:
        supabase.postgrest.start()

    assert 2 * 0.3 < waited < 10
    assert_says_nothing_secret(refusal, supabase.secret_key)


def test_a_project_that_comes_back_within_the_budget_is_not_noticed(
    supabase: LocalSupabase, store: SupabaseStore
) -> None:
    supabase.postgrest.stop()
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(store.save_calls, [make_leg()])
        time.sleep(0.5)
        supabase.postgrest.start()
        saving.result()

    assert store.count_rows()["calls"] == 1


def test_an_address_where_nobody_listens_is_one_sentence_within_the_budget(supabase: LocalSupabase) -> None:
    with CuttingProxy(supabase.url) as gone:
        pass

    with opened(gone.url, supabase.secret_key, retry_budget=SHORT) as store:
        with pytest.raises(StoreError, match="check the network and SUPABASE_URL") as refusal:
            store.twilio_snapshots()
        with pytest.raises(StoreError, match="check the network and SUPABASE_URL"):
            store.pending_migrations()

    assert_says_nothing_secret(refusal, supabase.secret_key)


@pytest.fixture
def impatient_supabase(supabase: LocalSupabase) -> Iterator[LocalSupabase]:
    """Give a project that ends statements after 0.2 seconds."""
    supabase.sql("alter role service_role set statement_timeout = '200ms'")
    supabase.reload_schema()
    yield supabase
    supabase.sql("alter role service_role reset statement_timeout")
    supabase.reload_schema()


def test_a_statement_that_takes_too_long_is_one_sentence_and_changes_nothing(
    impatient_supabase: LocalSupabase,
) -> None:
    project = impatient_supabase

    with (
        opened(project.url, project.secret_key, retry_budget=ONCE) as store,
        psycopg.connect(project.dsn()) as other,
    ):
        other.execute("lock table sync_runs in access exclusive mode")
        with pytest.raises(StoreError, match="took too long"):
            begin_run(store)
        other.rollback()

        assert store.runs() == []


def test_a_statement_that_took_too_long_is_tried_again(impatient_supabase: LocalSupabase) -> None:
    project = impatient_supabase

    with (
        opened(project.url, project.secret_key) as store,
        psycopg.connect(project.dsn()) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("lock table sync_runs in access exclusive mode")
        beginning = pool.submit(begin_run, store)
        time.sleep(0.4)
        other.rollback()

        assert beginning.result().state is RunState.RUNNING
        assert len(store.runs()) == 1


def test_a_database_that_ends_every_connection_is_asked_again(supabase: LocalSupabase, store: SupabaseStore) -> None:
    store.save_calls([make_leg()])

    supabase.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")

    assert total_cost(store) == Decimal("0.0085")


@pytest.mark.parametrize("body", ["", "<html>Project paused</html>", {"message": "Project is paused"}])
def test_a_paused_project_is_told_at_once_whatever_its_body(body: object) -> None:
    with ScriptedServer() as server:
        server.on("/rest/v1/ledger_migrations", Answer(status=540, body=body))

        with opened(server.url, "sb_secret_any") as store, pytest.raises(StoreError, match="is paused; restore it"):
            store.claim_for("real")

    assert len(server.requests) == 1
