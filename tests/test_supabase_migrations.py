"""The migrations: on an empty project, twice, and on one that holds the tables and rows of the 12-hour system."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from sync.supabase_store import SupabaseStore
from sync.supabase_store.migrations import LAST
from tests.local_supabase import LocalSupabase
from tests.local_supabase.migrations import FILES, apply
from tests.records import HOUR, OUR_NUMBER, TEN, make_conversation, make_leg

COVERED_PERIODS = "20261123001400_covered_periods"

OLD_TABLES = """
    create table workspaces (id bigserial primary key, name text not null, created_at timestamptz default now());
    create table workspace_phones (
        id bigserial primary key, workspace_id bigint not null references workspaces (id) on delete cascade,
        phone_number text not null unique, created_at timestamptz default now()
    );
    create table calls (
        sid text primary key, workspace_id bigint references workspaces (id) on delete cascade, from_number text,
        to_number text, status text, direction text, duration integer, price decimal(10, 4),
        start_time timestamptz not null,
        created_at timestamptz default now()
    );
    create table elevenlabs_conversations (
        conversation_id text primary key, workspace_id bigint references workspaces (id) on delete cascade,
        agent_id text, status text, start_time timestamptz not null, duration integer, cost decimal(10, 4),
        metadata jsonb,
        created_at timestamptz default now()
    );
    create table call_snapshots (
        id bigserial primary key, workspace_id bigint references workspaces (id) on delete cascade,
        snapshot_date timestamptz not null, total_calls integer default 0, total_cost decimal(10, 4) default 0,
        unique (workspace_id, snapshot_date)
    );
    insert into workspaces (name) values ('Acme');
    insert into workspace_phones (workspace_id, phone_number) values (1, '+34910000001');
    insert into calls (sid, workspace_id, to_number, status, duration, price, start_time)
        values ('CAold', 1, '+34910000001', 'completed', 61, -0.0085, '2026-10-20T10:00:00Z');
    insert into elevenlabs_conversations (conversation_id, workspace_id, status, cost, start_time)
        values ('conv_old', 1, 'done', 0.1042, '2026-10-20T10:00:00Z');
    insert into call_snapshots (workspace_id, snapshot_date, total_calls) values (1, '2026-10-20T12:00:00Z', 1);
"""

# As the document that asked for hourly balances has them, word for word.
DOCUMENTED_TABLES = """
    CREATE TABLE IF NOT EXISTS public.twilio_snapshots (
      id BIGSERIAL PRIMARY KEY,
      workspace_id BIGINT REFERENCES public.workspaces(id) ON DELETE CASCADE,
      snapshot_date TIMESTAMPTZ NOT NULL,
      total_calls INTEGER DEFAULT 0,
      total_cost DECIMAL(10, 4) DEFAULT 0,
      total_duration INTEGER DEFAULT 0,
      created_at TIMESTAMPTZ DEFAULT NOW(),

      UNIQUE(workspace_id, snapshot_date)
    );
    CREATE TABLE IF NOT EXISTS public.elevenlabs_snapshots (
      id BIGSERIAL PRIMARY KEY,
      workspace_id BIGINT REFERENCES public.workspaces(id) ON DELETE CASCADE,
      snapshot_date TIMESTAMPTZ NOT NULL,
      total_conversations INTEGER DEFAULT 0,
      total_cost DECIMAL(10, 4) DEFAULT 0,
      total_duration INTEGER DEFAULT 0,
      llm_usage JSONB,
      llm_price DECIMAL(10, 4) DEFAULT 0,
      llm_charge DECIMAL(10, 4) DEFAULT 0,
      call_charge DECIMAL(10, 4) DEFAULT 0,
      free_minutes_consumed DECIMAL(10, 4) DEFAULT 0,
      free_llm_dollars_consumed DECIMAL(10, 4) DEFAULT 0,
      dev_discount DECIMAL(10, 4) DEFAULT 0,
      created_at TIMESTAMPTZ DEFAULT NOW(),

      UNIQUE(workspace_id, snapshot_date)
    );
    CREATE INDEX IF NOT EXISTS idx_twilio_snapshots_workspace ON public.twilio_snapshots(workspace_id);
    CREATE INDEX IF NOT EXISTS idx_twilio_snapshots_date ON public.twilio_snapshots(snapshot_date DESC);
    CREATE INDEX IF NOT EXISTS idx_elevenlabs_snapshots_workspace ON public.elevenlabs_snapshots(workspace_id);
    CREATE INDEX IF NOT EXISTS idx_elevenlabs_snapshots_date ON public.elevenlabs_snapshots(snapshot_date DESC);
    ALTER TABLE public.twilio_snapshots ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.elevenlabs_snapshots ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "Allow all for authenticated users" ON public.twilio_snapshots FOR ALL USING (true);
    CREATE POLICY "Allow all for authenticated users" ON public.elevenlabs_snapshots FOR ALL USING (true);
    INSERT INTO twilio_snapshots (workspace_id, snapshot_date, total_calls, total_cost, total_duration)
        VALUES (1, '2026-10-20T13:00:00Z', 7, 1.2345, 420);
    INSERT INTO elevenlabs_snapshots (workspace_id, snapshot_date, total_conversations, total_cost, llm_charge)
        VALUES (1, '2026-10-20T13:00:00Z', 5, 2.3456, 17.5);
"""


@pytest.fixture(scope="module")
def own_project() -> Iterator[LocalSupabase]:
    with LocalSupabase() as project:
        yield project


@pytest.fixture
def empty_project(own_project: LocalSupabase) -> LocalSupabase:
    """Give a project as it is when somebody has just created it."""
    own_project.forget_migrations()
    return own_project


@pytest.fixture
def old_project(empty_project: LocalSupabase) -> LocalSupabase:
    """Give a project of the 12-hour system, in which the tables of its own migration document exist too."""
    empty_project.sql(OLD_TABLES)
    empty_project.sql(DOCUMENTED_TABLES)
    return empty_project


def schema(project: LocalSupabase) -> list[object]:
    """Return everything that migrations define, in a form that can be compared."""
    questions = [
        "select table_name, column_name, data_type, numeric_precision, numeric_scale, column_default, is_nullable "
        "from information_schema.columns where table_schema = 'public' order by 1, 2",
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
        "where connamespace = 'public'::regnamespace order by 1, 2",
        "select indexdef from pg_indexes where schemaname = 'public' order by 1",
        "select tablename, policyname, roles::text, cmd, qual from pg_policies order by 1, 2",
        "select oid::regprocedure::text, proacl::text from pg_proc "
        "where pronamespace = 'public'::regnamespace order by 1",
        "select relname, relacl::text, obj_description(oid) from pg_class "
        "where relnamespace = 'public'::regnamespace order by 1",
        "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal order by 1, 2",
    ]
    return [project.sql(question) for question in questions]


def column_types(project: LocalSupabase, table: str) -> dict[str, str]:
    rows = project.sql(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        f"where attrelid = 'public.{table}'::regclass and attnum > 0 and not attisdropped"
    )
    return dict(rows)


def has_call_snapshots(project: LocalSupabase) -> bool:
    return bool(project.sql("select to_regclass('public.call_snapshots') is not null")[0][0])


def recorded(project: LocalSupabase) -> list[str]:
    return [name for (name,) in project.sql("select name from ledger_migrations order by name")]


# An empty project


def test_every_file_records_itself_when_it_has_run(empty_project: LocalSupabase) -> None:
    for number, path in enumerate(FILES, start=1):
        apply(empty_project.dsn(), (path,))

        assert recorded(empty_project) == [file.stem for file in FILES[:number]]


def test_running_the_migrations_twice_changes_nothing(empty_project: LocalSupabase) -> None:
    empty_project.migrate()
    once = schema(empty_project)
    rows = empty_project.sql("select name, applied_at from ledger_migrations order by 1")

    empty_project.migrate()

    assert schema(empty_project) == once
    assert empty_project.sql("select name, applied_at from ledger_migrations order by 1") == rows
    assert empty_project.sql("select id, name from workspaces") == [(0, "Unassigned")]


def test_a_store_works_right_after_the_migrations(empty_project: LocalSupabase) -> None:
    empty_project.migrate()
    empty_project.reload_schema()

    with closing(SupabaseStore(empty_project.url, empty_project.secret_key)) as store:
        store.claim_for("real")
        store.save_calls([make_leg()])

        assert (store.pending_migrations(), store.missing_tables()) == ([], [])
        assert [snapshot.totals.total_calls for snapshot in store.twilio_snapshots()] == [1]


def test_what_runs_covered_before_gaps_were_kept_is_covered_still(empty_project: LocalSupabase) -> None:
    apply(empty_project.dsn(), tuple(file for file in FILES if file.stem < COVERED_PERIODS))
    for hours in ((0, 1), (2, 3)):
        window = [(TEN + number * HOUR).isoformat() for number in hours]
        empty_project.sql(
            "insert into sync_runs (source, kind, state, window_start, window_end, started_at, heartbeat_at) "
            f"values ('twilio', 'hourly', 'ok', '{window[0]}', '{window[1]}', now(), now())"
        )

    empty_project.migrate()
    empty_project.reload_schema()

    with closing(SupabaseStore(empty_project.url, empty_project.secret_key)) as store:
        assert store.gaps("twilio", since=TEN) == [(TEN + HOUR, TEN + 2 * HOUR)]


def test_the_database_itself_explains_every_table(empty_project: LocalSupabase) -> None:
    empty_project.migrate()

    unexplained = empty_project.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'p') "
        "and obj_description(oid) is null"
    )

    assert unexplained == []


# A project of the 12-hour system


def test_adopting_keeps_every_row(old_project: LocalSupabase) -> None:
    for path in FILES[:-1]:
        apply(old_project.dsn(), (path,))

    def rows(columns: str, table: str) -> list[tuple[object, ...]]:
        return old_project.sql(f"select {columns} from {table} order by 1")

    assert rows("id, name", "workspaces") == [(0, "Unassigned"), (1, "Acme")]
    assert rows("phone_number, workspace_id, valid_from, valid_until", "workspace_phones") == [
        (OUR_NUMBER, 1, None, None)
    ]
    assert rows("sid, price, duration", "calls") == [("CAold", Decimal("-0.0085"), 61)]
    assert rows("conversation_id, cost", "elevenlabs_conversations") == [("conv_old", Decimal("0.1042"))]
    assert rows("total_calls, total_cost, total_duration", "twilio_snapshots") == [(7, Decimal("1.2345"), 420)]
    assert rows("total_conversations, total_cost, llm_charge", "elevenlabs_snapshots") == [
        (5, Decimal("2.3456"), Decimal("17.5"))
    ]


def test_adopting_widens_money_and_counts(old_project: LocalSupabase) -> None:
    old_project.migrate()

    twilio, elevenlabs = (column_types(old_project, f"{source}_snapshots") for source in ("twilio", "elevenlabs"))
    conversations = column_types(old_project, "elevenlabs_conversations")
    money = ("total_cost", "llm_price", "llm_charge", "call_charge", "free_minutes_consumed", "dev_discount")
    assert {twilio["total_cost"], *(elevenlabs[name] for name in money)} == {"numeric(18,8)"}
    assert {conversations["cost"], conversations["llm_price"]} == {"numeric(18,8)"}
    assert {twilio["total_calls"], twilio["total_duration"], elevenlabs["total_conversations"]} == {"bigint"}
    assert {conversations["duration"], column_types(old_project, "calls")["duration"]} == {"bigint"}


def test_adopting_replaces_the_policies_that_let_everybody_in(old_project: LocalSupabase) -> None:
    old_project.migrate()

    policies = old_project.sql("select distinct policyname, roles::text, cmd from pg_policies")

    assert policies == [("Signed-in people read", "{authenticated}", "SELECT")]


def test_a_store_works_on_an_adopted_project(old_project: LocalSupabase) -> None:
    old_project.migrate()
    old_project.reload_schema()

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        store.claim_for("real")
        known = store.known_conversations(["conv_old"])
        store.save_calls([make_leg(cost=Decimal("0.00041565"))])
        store.save_conversations([make_conversation()])

        assert known == {}  # its details were never fetched
        assert store.missing_tables() == []
        assert [phone.phone_number for phone in store.phones()] == [OUR_NUMBER]
        assert old_project.sql("select cost from calls where sid = 'CA1'") == [(Decimal("0.00041565"),)]


def test_old_balances_carry_on_until_their_records_are_fetched_again(old_project: LocalSupabase) -> None:
    old_project.migrate()
    old_project.reload_schema()
    before_old_balance = datetime(2026, 10, 20, 10, tzinfo=UTC)

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        store.save_calls([make_leg()])
        carried_on = store.twilio_balances([None])[0][1]
        wrong = store.wrong_snapshots("twilio")
        store.save_calls([make_leg(sid="CAold", started_at=before_old_balance)])

        assert (carried_on.total_calls, carried_on.total_cost) == (8, Decimal("1.2430"))
        assert wrong == [(1, before_old_balance + 3 * HOUR), (1, TEN)]
        assert store.twilio_balances([None])[0][1].total_calls == 2
        assert store.wrong_snapshots("twilio") == []


# The combined table


def test_the_combined_table_goes_when_the_new_ones_have_caught_up(old_project: LocalSupabase) -> None:
    old_project.migrate()

    assert not has_call_snapshots(old_project)


@pytest.mark.parametrize("newest_old", ["2026-10-20T14:00:00Z", "2026-11-20T00:00:00Z"])
def test_the_combined_table_stays_while_it_holds_something_newer(old_project: LocalSupabase, newest_old: str) -> None:
    old_project.sql(f"insert into call_snapshots (workspace_id, snapshot_date) values (1, '{newest_old}')")

    with pytest.raises(psycopg.errors.RaiseException, match="nothing was dropped") as refusal:
        old_project.migrate()

    assert "python -m sync all" in (refusal.value.diag.message_hint or "")
    assert old_project.sql("select count(*) from call_snapshots") == [(2,)]
    assert recorded(old_project) == [path.stem for path in FILES[:-1]]


@pytest.mark.parametrize("empty", ["twilio_snapshots", "elevenlabs_snapshots"])
def test_the_combined_table_stays_while_a_new_one_is_empty(old_project: LocalSupabase, empty: str) -> None:
    old_project.sql(f"delete from {empty}")

    with pytest.raises(psycopg.errors.RaiseException, match="none yet"):
        old_project.migrate()

    assert has_call_snapshots(old_project)


def test_an_empty_combined_table_goes_at_once(old_project: LocalSupabase) -> None:
    old_project.sql("delete from call_snapshots; delete from twilio_snapshots")

    old_project.migrate()

    assert not has_call_snapshots(old_project)


def test_a_project_that_waits_to_drop_the_combined_table_can_be_used(old_project: LocalSupabase) -> None:
    old_project.sql("delete from twilio_snapshots")
    with pytest.raises(psycopg.errors.RaiseException):
        old_project.migrate()
    old_project.reload_schema()

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        store.claim_for("real")
        store.save_calls([make_leg()])

        assert store.pending_migrations() == list(LAST)
    old_project.sql("update elevenlabs_snapshots set snapshot_date = '2026-10-24T10:00:00Z'")
    old_project.migrate()
    assert not has_call_snapshots(old_project)
