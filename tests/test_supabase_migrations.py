"""The migrations: on an empty project, twice, on one of the release before, and what becomes of the combined table."""

from collections.abc import Iterator
from contextlib import closing, suppress
from decimal import Decimal

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sync.call_costs import CallFilter
from sync.errors import RegistryError
from sync.models import SOURCES, RunKind, RunState
from sync.supabase_store import SupabaseStore
from sync.supabase_store.migrations import FORMER, LAST
from tests.adoption import DOCUMENT, OLD_TABLES
from tests.former_release import SUPABASE_FILES
from tests.local_supabase import LocalSupabase
from tests.local_supabase.migrations import FILES, apply
from tests.records import (
    HOUR,
    TEN,
    add_workspaces,
    agents,
    conversation_groups,
    make_conversation,
    make_leg,
    phone_periods,
)
from tests.test_balance_invariants import Books, Step, batches, call_versions

FIRST_RELEASE = 5  # files that were published together
Pair = tuple[LocalSupabase, LocalSupabase]

# Forms of the old tables that the release before adopted without moving them.
ADOPTED_IN_PLACE = (
    """
    create table workspaces (id bigserial primary key, name text not null, created_at timestamptz default now());
    create table workspace_phones (
        id bigserial primary key, workspace_id bigint not null references workspaces (id),
        phone_number text not null unique
    );
    create table calls (
        sid text primary key, workspace_id bigint references workspaces (id), to_number text, status text,
        duration integer, price decimal(10, 4), start_time timestamptz not null
    );
    create table elevenlabs_conversations (
        conversation_id text primary key, workspace_id bigint references workspaces (id), status text,
        cost decimal(10, 4), start_time timestamptz
    );
    insert into workspaces (name) values ('Acme');
    insert into calls values ('CAold', 1, '+34910000001', 'completed', 61, -0.0085, '2026-10-20T10:00:00Z');
    insert into elevenlabs_conversations values ('conv_old', 1, 'done', 512, '2026-10-20T10:00:00Z');
    insert into elevenlabs_conversations values ('conv_again', 1, 'done', 531, '2026-10-20T10:00:00Z');
"""
    + DOCUMENT
    + """
    insert into twilio_snapshots (workspace_id, snapshot_date, total_calls, total_cost, total_duration)
        values (1, '2026-10-20T13:00:00Z', 7, 1.2345, 420);
    insert into elevenlabs_snapshots (workspace_id, snapshot_date, total_conversations, total_cost)
        values (1, '2026-10-20T13:00:00Z', 5, 531);
"""
)


@pytest.fixture(scope="module")
def own_project() -> Iterator[LocalSupabase]:
    with LocalSupabase() as project:
        yield project


@pytest.fixture(scope="module")
def pair(own_project: LocalSupabase) -> Iterator[Pair]:
    """Give a project that moves and one that has all migrations from the start."""
    with LocalSupabase() as staying:
        yield own_project, staying


@pytest.fixture
def empty_project(own_project: LocalSupabase) -> LocalSupabase:
    """Give a project as it is when somebody has just created it."""
    own_project.forget_migrations()
    return own_project


@pytest.fixture
def old_project(empty_project: LocalSupabase) -> LocalSupabase:
    """Give a project of the 12-hour system in which the combined table has its rows still."""
    empty_project.sql(OLD_TABLES)
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
        "select oid::regprocedure::text, array(select a::text from unnest(proacl) as a order by 1)::text from pg_proc "
        "where pronamespace = 'public'::regnamespace order by 1",
        "select relname, array(select a::text from unnest(relacl) as a order by 1)::text, obj_description(oid) "
        "from pg_class "
        "where relnamespace = 'public'::regnamespace order by 1",
        "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal order by 1, 2",
        "select oid::regprocedure::text, pg_get_functiondef(oid) from pg_proc "
        "where pronamespace = 'public'::regnamespace and prokind = 'f' order by 1",
    ]
    return [project.sql(question) for question in questions]


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


def test_the_database_itself_explains_every_table(empty_project: LocalSupabase) -> None:
    empty_project.migrate()

    unexplained = empty_project.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'p') "
        "and obj_description(oid) is null"
    )

    assert unexplained == []


def test_rights_are_the_same_where_new_tables_are_open_to_everybody_by_default(empty_project: LocalSupabase) -> None:
    empty_project.migrate()
    closed = schema(empty_project)
    empty_project.forget_migrations()
    empty_project.grant_by_default()

    empty_project.migrate()

    assert schema(empty_project) == closed


# A project of the release before


def test_a_moved_project_has_the_schema_of_a_new_one(empty_project: LocalSupabase) -> None:
    empty_project.migrate()
    new = schema(empty_project)
    empty_project.forget_migrations()
    apply(empty_project.dsn(), SUPABASE_FILES)

    empty_project.migrate()
    once = schema(empty_project)
    empty_project.migrate()

    assert schema(empty_project) == once
    assert once == new


@pytest.mark.parametrize("number", range(FIRST_RELEASE, len(SUPABASE_FILES)))
def test_a_project_that_had_not_run_all_files_of_the_release_before_catches_up(
    empty_project: LocalSupabase, number: int
) -> None:
    apply(empty_project.dsn(), SUPABASE_FILES[:number])
    window = f"'{TEN.isoformat()}', '{(TEN + HOUR).isoformat()}'"
    empty_project.sql(
        "insert into sync_runs (source, kind, state, window_start, window_end, started_at, heartbeat_at) "
        f"values ('twilio', 'hourly', 'ok', {window}, now(), now())"
    )
    empty_project.sql(
        "insert into calls (sid, started_at, status, fetched_at) "
        f"values ('CA1', '{TEN.isoformat()}', 'completed', now())"
    )

    empty_project.migrate()
    empty_project.reload_schema()

    with closing(SupabaseStore(empty_project.url, empty_project.secret_key)) as store:
        store.claim_for("real")
        store.refresh_balances("twilio")
        assert store.damages() == []
        assert store.synced_since("twilio") == TEN
        assert [call.call_id for call in store.call_costs(CallFilter(), "started_at", descending=True, limit=9)] == [
            "CA1"
        ]
        assert store.wrong_snapshots("twilio") == []


@given(st.data())
@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_a_store_that_moved_equals_one_that_never_did(pair: Pair, data: st.DataObject) -> None:
    moving, staying = pair
    moving.forget_migrations()
    apply(moving.dsn(), SUPABASE_FILES)
    moving.reload_schema()
    staying.forget_records()
    records = batches(data.draw(call_versions())) | batches(data.draw(conversation_groups()))
    steps = data.draw(st.lists(st.tuples(records | phone_periods() | agents(), st.booleans()), min_size=2, max_size=8))
    half = data.draw(st.integers(1, len(steps)))

    with (
        closing(SupabaseStore(moving.url, moving.secret_key)) as moved,
        closing(SupabaseStore(staying.url, staying.secret_key)) as stayed,
    ):
        for store in (moved, stayed):
            add_workspaces(store)
            tell(store, steps[:half])
        moving.migrate()
        moving.reload_schema()
        for store in (moved, stayed):
            tell(store, steps[half:])
            for source in SOURCES:
                store.refresh_balances(source)

    assert contents(moving) == contents(staying)


def contents(project: LocalSupabase) -> dict[str, list[tuple[str]]]:
    """Return every row of every table, but for when it was made and the numbers of balances.

    A run that began before the first price has no currency; the move gives it the one that is known by then.
    """
    tables = project.sql("select ledger_tables() except select unnest(array['ledger_migrations', 'call_snapshots'])")
    return {
        name: project.sql(
            f"select (to_jsonb(t) - 'created_at' - 'id' - 'answered_at' - 'currency')::text from {name} as t order by 1"
            if name in ("sync_runs", "covered_periods")
            else f"select (to_jsonb(t) - 'created_at' - 'id' - 'answered_at')::text from {name} as t order by 1"
        )
        for (name,) in tables
    }


def tell(store: SupabaseStore, steps: list[tuple[Step, bool]]) -> None:
    """Tell a store what happens, and have some runs succeed in between."""
    books = Books()
    for number, (step, refresh) in enumerate(steps):
        with suppress(RegistryError):
            books.tell(store, step, refresh=refresh)
        window = (TEN + number * HOUR, TEN + (number + 1) * HOUR)
        run = store.begin_run("twilio", RunKind.HOURLY, window, owner="test", now=window[1], stale_before=TEN)
        store.finish_run(run.id, RunState.OK, None, now=window[1])


def test_what_the_release_before_had_adopted_in_place_is_set_aside(empty_project: LocalSupabase) -> None:
    empty_project.sql(ADOPTED_IN_PLACE)
    apply(empty_project.dsn(), SUPABASE_FILES[:-1])
    empty_project.reload_schema()
    with closing(SupabaseStore(empty_project.url, empty_project.secret_key)) as store:
        fetched = make_conversation(
            conversation_id="conv_again", cost=None, credits=531, llm_price=None, platform_price=None
        )
        store.save_conversations([fetched], refresh=False)  # the upsert kept the old cost, 531 credits, as dollars
        store.save_calls([make_leg()])
        assert empty_project.sql("select cost from elevenlabs_conversations where credits = 531") == [(Decimal(531),)]

        for _ in range(2):
            apply(empty_project.dsn(), FILES[:2])
        empty_project.reload_schema()

        for source in SOURCES:
            store.refresh_balances(source)
            assert store.wrong_snapshots(source) == []
        assert store.twilio_snapshots()[0].totals.total_calls == 1
        assert store.elevenlabs_snapshots()[0].totals.total_cost == 0
        assert {kind: found.waiting for kind, found in store.legacy_records().items()} == {"twilio": 1, "elevenlabs": 1}
        assert store.damages() == []
    assert empty_project.sql("select sid, price from legacy_calls") == [("CAold", Decimal("-0.0085"))]
    assert empty_project.sql("select conversation_id, cost from legacy_elevenlabs_conversations") == [
        ("conv_old", Decimal(512))
    ]
    assert empty_project.sql("select total_cost from legacy_elevenlabs_snapshots") == [(Decimal(531),)]
    assert empty_project.sql("select total_calls, total_cost from legacy_twilio_snapshots") == [(7, Decimal("1.2345"))]


# The combined table


def test_the_combined_table_goes_when_the_new_ones_have_caught_up(old_project: LocalSupabase) -> None:
    apply(old_project.dsn(), FILES[:2])
    catch_up(old_project, "2026-09-11T12:00:00Z")

    old_project.migrate()

    assert not has_call_snapshots(old_project)


def catch_up(project: LocalSupabase, hour: str, *sources: str) -> None:
    for source in sources or SOURCES:
        project.sql(f"insert into {source}_snapshots (workspace_id, snapshot_date) values (4, '{hour}')")


@pytest.mark.parametrize("hour_of_new", ["2026-09-10T22:00:00Z", "2026-09-01T00:00:00Z"])
def test_the_combined_table_stays_while_it_holds_something_newer(old_project: LocalSupabase, hour_of_new: str) -> None:
    apply(old_project.dsn(), FILES[:2])
    catch_up(old_project, hour_of_new)

    with pytest.raises(psycopg.errors.RaiseException, match="nothing was dropped") as refusal:
        old_project.migrate()

    assert "python -m sync all" in (refusal.value.diag.message_hint or "")
    assert old_project.sql("select count(*) from call_snapshots") == [(60,)]
    assert recorded(old_project) == [path.stem for path in FILES[:-1]]


@pytest.mark.parametrize("filled", ["twilio", "elevenlabs"])
def test_the_combined_table_stays_while_a_new_one_is_empty(old_project: LocalSupabase, filled: str) -> None:
    apply(old_project.dsn(), FILES[:2])
    catch_up(old_project, "2026-11-20T00:00:00Z", filled)

    with pytest.raises(psycopg.errors.RaiseException, match="none yet"):
        old_project.migrate()

    assert has_call_snapshots(old_project)


def test_a_combined_table_without_snapshot_date_goes_by_the_time_of_its_rows(old_project: LocalSupabase) -> None:
    old_project.sql("alter table call_snapshots drop column snapshot_date")

    with pytest.raises(psycopg.errors.RaiseException, match="none yet"):
        old_project.migrate()

    assert has_call_snapshots(old_project)


def test_an_empty_combined_table_goes_at_once(old_project: LocalSupabase) -> None:
    old_project.sql("delete from call_snapshots")

    old_project.migrate()

    assert not has_call_snapshots(old_project)


def test_a_project_that_waits_to_drop_the_combined_table_can_be_used(old_project: LocalSupabase) -> None:
    with pytest.raises(psycopg.errors.RaiseException):
        old_project.migrate()
    old_project.reload_schema()

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        store.claim_for("real")
        store.save_calls([make_leg()])
        store.save_conversations([make_conversation()])

        assert store.pending_migrations() == list(LAST)
    old_project.migrate()
    assert not has_call_snapshots(old_project)


def test_every_former_name_is_known(empty_project: LocalSupabase) -> None:
    assert set(FORMER) >= {path.stem for path in SUPABASE_FILES}
