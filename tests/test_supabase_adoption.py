"""A project of the 12-hour system is adopted, in whatever form its tables are, or refused before anything changes."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from sync.call_costs import CallFilter
from sync.models import SOURCES, RunKind, RunState
from sync.supabase_store import SupabaseStore
from sync.verify import verify
from tests.adoption import DOCUMENT, OLD_TABLES, TWO_OWNERS, VARIANTS
from tests.local_supabase import LocalSupabase
from tests.local_supabase.migrations import FILES, apply
from tests.records import DAY, HOUR, TEN, make_conversation, make_leg
from tests.test_supabase_migrations import schema

OLD_CALL, OLD_CONVERSATION = "CAc4ca4238a0b923820dcc509a6f75849b", "conv_old_c4ca4238a0b923820dcc509a6f75849b"
CLIENTS = [(0, "Unassigned"), (1, "Otros Números"), (4, "Brightwater Dental"), (5, "Northgate Plumbing & Heating")]
NUMBERS = [("+12125550101", 4), ("+12125550102", 4), ("+13125550103", 5), ("+13125550104", 5)]

# What a variant changes in what is taken over; None is a client without an id of its own.
OTHER_CLIENTS = {
    "two clients of one name": {5: "Brightwater Dental (2)"},
    "names that differ in capitals and spaces": {5: "BRIGHTWATER dental (2)"},
    "a client without a name": {5: "Workspace 5"},
    "a client named Unassigned": {1: "unassigned (2)"},
    "a client with id 0": {6: "Zero Ltd"},
    "ids as uuid": {4: "Otros Números", 5: "Brightwater Dental", 6: "Northgate Plumbing & Heating", 1: ""},
}
OTHER_NUMBERS = {
    "a client with id 0": NUMBERS,
    "ids as uuid": None,
    "numbers in the table of clients alone": [("+12125550101", 4), ("+13125550103", 5)],
}


@pytest.fixture(scope="module")
def own_project() -> Iterator[LocalSupabase]:
    with LocalSupabase() as project:
        yield project


@pytest.fixture
def empty_project(own_project: LocalSupabase) -> LocalSupabase:
    own_project.sql("drop publication if exists of_the_old_system")
    own_project.forget_migrations()
    return own_project


@pytest.fixture
def old_project(empty_project: LocalSupabase) -> LocalSupabase:
    """Give a project of the 12-hour system in which the document's script has run, as people open to everybody."""
    empty_project.grant_by_default()
    empty_project.sql(OLD_TABLES)
    empty_project.sql(DOCUMENT)
    return empty_project


@pytest.fixture
def sound_project(empty_project: LocalSupabase) -> LocalSupabase:
    """Give a project of its own with all migrations, for tests that damage it."""
    empty_project.migrate()
    empty_project.reload_schema()
    return empty_project


@pytest.fixture
def adopted(old_project: LocalSupabase) -> Iterator[tuple[SupabaseStore, LocalSupabase]]:
    """Give a store on the old project after all migrations."""
    old_project.migrate()
    old_project.reload_schema()
    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        store.claim_for("real")
        yield store, old_project


def rows_of_old_tables(project: LocalSupabase) -> dict[str, list[str]]:
    """Return every row of every table but those of the program, as texts, under the name without `legacy_`."""
    tables = project.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'm') order by 1"
    )
    return {
        name: [row for (row,) in project.sql(f'select t::text from public."{name}" as t order by 1')]
        for (name,) in tables
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_form_is_adopted_twice_and_no_old_row_changes(old_project: LocalSupabase, variant: str) -> None:
    old_project.sql(VARIANTS[variant] or "select")
    before = rows_of_old_tables(old_project)

    apply(old_project.dsn(), FILES[:2])
    once = (schema(old_project), rows_of_old_tables(old_project))
    apply(old_project.dsn(), FILES[:2])

    assert (schema(old_project), rows_of_old_tables(old_project)) == once
    kept = dict(old_project.sql("select substr(key, 5), value from ledger_meta where key like 'old %'"))
    after = {name: once[1][kept.get(name, name)] for name in before}
    assert after == before


@pytest.mark.parametrize("variant", VARIANTS)
def test_clients_and_numbers_are_taken_over(old_project: LocalSupabase, variant: str) -> None:
    old_project.sql(VARIANTS[variant] or "select")

    apply(old_project.dsn(), FILES[:2])

    clients = dict(CLIENTS) | OTHER_CLIENTS.get(variant, {})
    stored = old_project.sql("select id, name from workspaces order by id")
    if variant == "ids as uuid":
        assert sorted(name for _, name in stored) == sorted(name for _, name in CLIENTS)
    else:
        assert stored == sorted(clients.items())
    numbers = old_project.sql("select phone_number, workspace_id from workspace_phones order by 1")
    owners = {name: [number for number, owner in NUMBERS if dict(CLIENTS)[owner] == name] for _, name in CLIENTS}
    names = dict(stored)
    found = {name: [number for number, owner in numbers if names[owner] == name] for _, name in CLIENTS}
    if variant == "numbers in the table of clients alone":
        assert numbers == [("+12125550101", 4), ("+13125550103", 5)]
    elif variant == "a client with id 0":
        assert numbers == [*NUMBERS, ("+14155550100", 6)]
    elif variant not in OTHER_CLIENTS or variant == "ids as uuid":
        assert found == owners
    else:
        assert numbers == NUMBERS


def test_an_adopted_project_has_the_schema_of_a_new_one(old_project: LocalSupabase) -> None:
    apply(old_project.dsn(), FILES[:2])
    old_names = [name for (name,) in old_project.sql("select value from ledger_meta where key like 'old %'")]
    for name in old_names:
        old_project.sql(f"drop table {name} cascade")
    adopted = schema(old_project)

    old_project.forget_migrations()
    old_project.grant_by_default()
    apply(old_project.dsn(), FILES[:2])

    assert adopted == schema(old_project)


@pytest.mark.parametrize("kind", TWO_OWNERS)
def test_a_number_with_two_owners_is_refused_before_anything_changes(old_project: LocalSupabase, kind: str) -> None:
    statements, sentence = TWO_OWNERS[kind]
    old_project.sql(statements)
    before = (schema(old_project), rows_of_old_tables(old_project))

    # As somebody may who does not ask for one transaction.
    command = ["psql", old_project.dsn(), "-v", "ON_ERROR_STOP=1", "-q", "-f", str(FILES[0])]
    refused = subprocess.run(command, capture_output=True, text=True)

    assert refused.returncode != 0
    assert sentence in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert (schema(old_project), rows_of_old_tables(old_project)) == before


def test_a_refused_project_is_adopted_once_the_row_is_corrected(old_project: LocalSupabase) -> None:
    old_project.sql(TWO_OWNERS["in one table"][0])
    with pytest.raises(psycopg.errors.RaiseException):
        old_project.migrate()
    old_project.sql("delete from workspace_phones where id = 77")

    apply(old_project.dsn(), FILES[:2])

    assert old_project.sql("select phone_number, workspace_id from workspace_phones order by 1") == NUMBERS


def test_a_table_that_names_clients_goes_on_naming_them(old_project: LocalSupabase) -> None:
    old_project.sql(VARIANTS["a table that names clients"])

    apply(old_project.dsn(), FILES[:2])

    old_project.sql(
        "insert into workspaces (id, name) values (40, 'New'); insert into invoices (workspace_id) values (40)"
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        old_project.sql("insert into invoices (workspace_id) values (41)")
    old_project.sql("delete from workspaces where id = 4")
    assert old_project.sql("select workspace_id from invoices") == [(40,)]


# What the old rows mean


def test_nothing_old_is_in_a_total(adopted: tuple[SupabaseStore, LocalSupabase]) -> None:
    store, _ = adopted

    assert (store.twilio_snapshots(), store.elevenlabs_snapshots()) == ([], [])
    assert store.count_rows()["calls"] == store.count_rows()["elevenlabs_conversations"] == 0


def test_credits_of_the_old_system_never_become_dollars(adopted: tuple[SupabaseStore, LocalSupabase]) -> None:
    store, project = adopted
    unpriced = make_conversation(
        conversation_id=OLD_CONVERSATION, cost=None, credits=501, llm_price=None, platform_price=None
    )

    store.save_conversations([unpriced])

    old_cost = f"select cost from legacy_elevenlabs_conversations where conversation_id = '{OLD_CONVERSATION}'"
    assert project.sql(old_cost) == [(Decimal("501.0000"),)]  # credits, as they always were
    [balance] = store.elevenlabs_snapshots()
    assert (balance.totals.total_cost, balance.totals.total_credits) == (0, 501)
    assert balance.totals.unpriced_conversations == 1


def test_a_zero_of_the_old_system_is_no_known_price(adopted: tuple[SupabaseStore, LocalSupabase]) -> None:
    store, _ = adopted

    store.save_calls([make_leg(sid=OLD_CALL, cost=None)])

    assert store.twilio_snapshots()[0].totals.unpriced_calls == 1


def messages(store: SupabaseStore) -> dict[str, tuple[bool, str]]:
    return {finding.check: (finding.ok, finding.message) for finding in verify(store)}


def cover(store: SupabaseStore, project: LocalSupabase) -> None:
    """Record historical syncs over all that the old system held."""
    ((first, last),) = project.sql(
        "select min(started_at), max(started_at) from legacy_records where started_at > '2026-01-01'"
    )
    for source in SOURCES:
        run = store.begin_run(
            source, RunKind.BACKFILL, (first, last + HOUR), owner="test", now=last + DAY, stale_before=first
        )
        store.finish_run(run.id, RunState.OK, None, now=last + DAY)


def test_verify_says_how_many_old_records_wait_and_which_backfill_fetches_them(
    adopted: tuple[SupabaseStore, LocalSupabase],
) -> None:
    store, _ = adopted

    found = messages(store)

    assert found["twilio records of the old system"] == (
        False,
        "Twilio: 200 records of the 12-hour system count in no total until they are fetched again; "
        "run `python -m sync backfill twilio --since 2026-09-01 --until 2026-09-07`.",
    )
    assert found["elevenlabs records of the old system"][1].startswith("ElevenLabs: 150 records of the 12-hour system")


def test_records_that_the_provider_has_no_more_stay_in_the_old_tables(
    adopted: tuple[SupabaseStore, LocalSupabase],
) -> None:
    store, project = adopted
    store.save_calls([make_leg(sid=OLD_CALL)])

    cover(store, project)

    found = messages(store)
    assert found["twilio records of the old system"] == (
        True,
        "Twilio: what the 12-hour system held was fetched again, but for 199 records that Twilio no longer lists; "
        "the tables legacy_… keep them, and no total contains them.",
    )
    assert found["elevenlabs records of the old system"][0]


def test_a_number_without_a_country_waits_until_somebody_registers_it(old_project: LocalSupabase) -> None:
    old_project.sql(VARIANTS["a number without a country"])
    old_project.migrate()
    old_project.reload_schema()

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        before = messages(store)["numbers of the old system"]
        old_project.sql("insert into workspace_phones (workspace_id, phone_number) values (5, '+16465550177')")
        after = messages(store)["numbers of the old system"]

    assert before[0] is False
    assert before[1].startswith("1 number of the 12-hour system (table legacy_records) could not be taken over")
    assert after == (True, "Every number of the 12-hour system is registered.")


# Who may see it


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_old_tables_are_closed(old_project: LocalSupabase, role: str) -> None:
    apply(old_project.dsn(), FILES[:2])

    readable = old_project.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'S') "
        f"and has_table_privilege('{role}', oid, 'select') and (relname like 'legacy%' or relname = 'call_snapshots')"
    )

    assert readable == []


# Damages


DAMAGES = {
    "unique": (
        "alter table twilio_snapshots drop constraint twilio_snapshots_workspace_id_snapshot_date_key",
        "twilio_snapshots has no UNIQUE (workspace_id, snapshot_date)",
    ),
    "overlap": ("alter table workspace_phones drop constraint workspace_phones_no_overlap", "may overlap"),
    "policy": (
        DOCUMENT[DOCUMENT.index("CREATE POLICY") :],
        'the policy "Allow all for authenticated users" lets others use',
    ),
    "grant to anybody": ("grant all on calls to anon", "a grant opens calls to anon"),
    "grant of a column": ("grant select (from_number) on calls to anon", "a grant opens calls to anon"),
    "grant to people": ("grant update on workspaces to authenticated", "a grant opens workspaces to authenticated"),
    "grant of a function": ("grant execute on function ledger_claim to public", "lets public call ledger_claim(text)"),
    "row-level security": ("alter table calls disable row level security", "row-level security of calls is off"),
    "view": (
        "create view leak as select * from calls; grant select on leak to anon",
        "the view leak shows calls past row-level security",
    ),
    "view on a view": (
        "create view inner_leak as select * from calls; create view leak as select * from inner_leak; "
        "grant select on leak to anon",
        "the view leak shows calls past row-level security",
    ),
    "view in another schema": (
        "create schema if not exists other; create view other.leak as select * from calls; "
        "grant select on other.leak to authenticated",
        "the view other.leak shows calls past row-level security",
    ),
    "view for writing": (
        "create view leak as select * from workspace_phones; grant insert on leak to anon",
        "the view leak shows workspace_phones past row-level security",
    ),
    "column of a view": (
        "create view leak as select * from calls; grant select (from_number) on leak to anon",
        "the view leak shows calls past row-level security",
    ),
    "materialized view": (
        "create materialized view leak as select * from calls; grant select on leak to public",
        "the view leak shows calls past row-level security",
    ),
    "child of a table": (
        "create table leak () inherits (calls); grant select on leak to anon",
        "the table leak shows calls past row-level security",
    ),
    "function with the rights of its owner": (
        "create function leak() returns bigint language sql security definer as 'select count(*) from calls'",
        "the function public.leak() reads calls with the rights of its owner",
    ),
    "grant passed on": (
        "grant select on calls to authenticated with grant option; set role authenticated; "
        "grant select on calls to anon; reset role",
        "a grant opens calls to anon",
    ),
    "unique that is deferrable": (
        "alter table calls drop constraint calls_pkey; alter table calls add unique (sid) deferrable",
        "calls has no UNIQUE (sid)",
    ),
    "unique with doubles": (
        "alter table twilio_snapshots drop constraint twilio_snapshots_workspace_id_snapshot_date_key; "
        "insert into twilio_snapshots (workspace_id, snapshot_date) values (0, '2026-09-05Z'), (0, '2026-09-05Z')",
        "twilio_snapshots has no UNIQUE (workspace_id, snapshot_date)",
    ),
    "lock of runs": (
        "drop index one_run_of_a_source_at_a_time; create index one_run_of_a_source_at_a_time on sync_runs (source)",
        "two runs of one source may be open at once",
    ),
    "column": ("alter table calls drop column our_number", "the column our_number of calls is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_a_damage_with_the_statement_that_mends_it(sound_project: LocalSupabase, damage: str) -> None:
    statements, words = DAMAGES[damage]

    with closing(SupabaseStore(sound_project.url, sound_project.secret_key)) as store:
        assert store.damages() == []
        sound_project.sql(statements)
        found = [finding for finding in verify(store) if finding.check == "schema"]
        for found_damage in store.damages():
            for statement in re.findall("`(.*)` in the SQL editor", found_damage.remedy):
                sound_project.sql(statement)

        assert not any(finding.ok for finding in found)
        assert any(words in finding.message for finding in found), [finding.message for finding in found]
        assert store.damages() == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("drop table sync_failures", "sync_failures"),
        ("drop function ledger_gaps", "the function ledger_gaps is missing"),
        ("drop function ledger_damages", "is missing"),
        ("drop trigger calls_updated on calls", "the trigger calls_updated is missing or switched off"),
        ("alter table stale_calls disable trigger calls_refreshed", "the trigger calls_refreshed is missing"),
        ("drop table workspaces cascade", "workspaces"),
        ("drop table ledger_meta", "ledger_meta"),
        ("drop table legacy_records", "legacy_records"),
        ("delete from workspaces where id = 0", "the workspace Unassigned is missing"),
        ('drop policy "Signed-in people read" on calls', "signed-in people may not read calls"),
    ],
)
def test_the_baseline_restores_what_is_missing(sound_project: LocalSupabase, statement: str, words: str) -> None:
    sound = schema(sound_project)
    sound_project.sql(f"alter table workspaces disable trigger unassigned_stays; {statement}")
    sound_project.reload_schema()

    with closing(SupabaseStore(sound_project.url, sound_project.secret_key)) as store:
        broken = [finding for finding in verify(store) if not finding.ok and words in finding.message]
        apply(sound_project.dsn(), FILES[:1])
        sound_project.reload_schema()

        assert "run supabase/migrations/20261128000000_baseline.sql again" in broken[0].message
        assert store.damages() == []
    assert schema(sound_project) == sound


def test_what_is_added_up_is_right_again_after_somebody_dropped_what_keeps_it(sound_project: LocalSupabase) -> None:
    """The tables and triggers are restored by the baseline, and the next sync adds up what was missed in between."""
    dropped = (
        "drop trigger calls_inserted on calls",
        "drop trigger call_of_leg_inserted on calls",
        "drop table twilio_snapshots",
        "drop table call_costs, call_members cascade",
        "drop table ledger_meta",
    )
    with closing(SupabaseStore(sound_project.url, sound_project.secret_key)) as store:
        for number, statement in enumerate(dropped):
            store.save_calls([make_leg(sid=f"CA{number}a", started_at=TEN + number * HOUR)])
            sound_project.sql(statement)
            if "trigger" in statement:
                store.save_calls([make_leg(sid=f"CA{number}b", started_at=TEN + number * HOUR)])
            apply(sound_project.dsn(), FILES[:2])
            sound_project.reload_schema()
            store.refresh_balances("twilio")

            assert store.wrong_snapshots("twilio") == []
            assert store.damages() == []
            found = store.call_costs(CallFilter(), "started_at", descending=False, limit=99)
            assert len(found) == sum(legs for (legs,) in sound_project.sql("select count(*) from calls"))
            assert store.twilio_snapshots()[0].totals.total_calls == len(found)


def test_what_waits_is_known_again_after_its_list_was_dropped(adopted: tuple[SupabaseStore, LocalSupabase]) -> None:
    store, project = adopted
    before = store.legacy_records()
    project.sql("drop table legacy_records; drop table ledger_meta")

    apply(project.dsn(), FILES[:1])
    project.reload_schema()

    assert store.legacy_records() == before
    assert store.damages() == []


def test_records_without_a_date_wait_until_all_of_the_past_was_asked_for(old_project: LocalSupabase) -> None:
    old_project.sql("update calls set call_date = null, created_at = null")
    old_project.sql("update elevenlabs_conversations set conversation_date = 'infinity'")
    old_project.migrate()
    old_project.reload_schema()

    with closing(SupabaseStore(old_project.url, old_project.secret_key)) as store:
        now = datetime.now(UTC)
        run = store.begin_run("twilio", RunKind.HOURLY, (now - 3 * DAY, now), owner="test", now=now, stale_before=now)
        store.finish_run(run.id, RunState.OK, None, now=now)
        recent = messages(store)["twilio records of the old system"]
        window = (now - 400 * DAY, now)
        run = store.begin_run("twilio", RunKind.BACKFILL, window, owner="test", now=now, stale_before=now)
        store.finish_run(run.id, RunState.OK, None, now=now)
        everything = messages(store)["twilio records of the old system"]

    assert recent[0] is False
    assert "200 records of the 12-hour system" in recent[1]
    assert "--since DATE" in recent[1]
    assert everything[0] is True
