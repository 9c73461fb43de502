"""Who may do what in a Supabase project, tried from outside: on every table and function that the catalog knows."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from sync.models import SOURCES, Failure, RunKind, RunState
from sync.registry import RegisterAgent, RegisterNumber
from sync.supabase_store import SupabaseStore
from tests.local_supabase import LocalSupabase
from tests.records import HOUR, OUR_AGENT, OUR_NUMBER, TEN, make_conversation, make_leg

FOR_PEOPLE = {
    "workspaces",
    "workspace_phones",
    "workspace_agents",
    "calls",
    "elevenlabs_conversations",
    "twilio_snapshots",
    "elevenlabs_snapshots",
    "sync_runs",
    "sync_failures",
    "call_costs",
    "call_members",
}
NOT_ALLOWED = "42501"  # the SQLSTATE for insufficient privilege
NOT_FOUND = ("42883", "PGRST202")  # functions that the API never offers, such as triggers

Caller = Callable[..., httpx.Response]


@pytest.fixture
def project(supabase: LocalSupabase) -> LocalSupabase:
    """Give a project with something to steal, forge and destroy in every table."""
    with closing(SupabaseStore(supabase.url, supabase.secret_key)) as store:
        store.claim_for("real")
        store.change_registry(
            [
                RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER),
                RegisterAgent(workspace="Acme", agent_id=OUR_AGENT),
            ]
        )
        store.save_calls([make_leg()])
        store.save_conversations([make_conversation()])
        for source in SOURCES:
            store.save_failures(source, [Failure(record_id="lost", error="Unreadable.")], now=TEN)
            window = (TEN, TEN + HOUR)
            run = store.begin_run(source, RunKind.BACKFILL, window, owner="test", now=TEN + HOUR, stale_before=TEN)
            store.finish_run(run.id, RunState.OK, None, now=TEN + HOUR)
            store.begin_run(source, RunKind.HOURLY, window, owner="test", now=TEN + HOUR, stale_before=TEN)
    supabase.sql("insert into legacy_records (kind, record_id) values ('twilio', 'CAold')")
    supabase.sql("insert into stale_balances (source, workspace_id, since) values ('twilio', 1, now())")
    # Without its trigger, which would empty it again before the commit.
    supabase.sql("alter table stale_calls disable trigger calls_refreshed")
    supabase.sql("insert into stale_calls values ('CA1')")
    supabase.sql("alter table stale_calls enable trigger calls_refreshed")
    return supabase


def calling(project: LocalSupabase, headers: dict[str, str]) -> Iterator[Caller]:
    with httpx.Client(base_url=f"{project.url}/rest/v1", headers=headers) as client:
        yield client.request


@pytest.fixture
def anonymous(project: LocalSupabase) -> Iterator[Caller]:
    yield from calling(project, {"apikey": project.publishable_key})


@pytest.fixture
def signed_in(project: LocalSupabase) -> Iterator[Caller]:
    token = project.user_token()
    yield from calling(project, {"apikey": project.publishable_key, "Authorization": f"Bearer {token}"})


@pytest.fixture
def server(project: LocalSupabase) -> Iterator[Caller]:
    yield from calling(project, {"apikey": project.secret_key})


@pytest.fixture(params=["anonymous", "signed_in"])
def visitor(request: pytest.FixtureRequest) -> Caller:
    """Give each caller who is not the server."""
    caller: Caller = request.getfixturevalue(request.param)
    return caller


def tables(project: LocalSupabase) -> list[str]:
    """Return everything with rows that a caller could name, views included."""
    return [
        name
        for (name,) in project.sql(
            "select relname from pg_class where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'p', 'v', 'm', 'f') order by 1"
        )
    ]


def functions(project: LocalSupabase) -> list[tuple[str, list[str]]]:
    """Return name and arguments of every function in the schema that the API offers."""
    return project.sql(
        "select proname::text, coalesce(proargnames[1:pronargs], '{}') from pg_proc "
        "where pronamespace = 'public'::regnamespace order by 1"
    )


def content(project: LocalSupabase) -> dict[str, list[Any]]:
    return {table: project.sql(f"select t::text from {table} as t order by 1") for table in tables(project)}


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code in (401, 403), answer.text
    assert answer.json()["code"] == NOT_ALLOWED


def test_every_table_holds_something_to_protect(project: LocalSupabase) -> None:
    assert [table for table, rows in content(project).items() if not rows] == []
    assert set(tables(project)) >= FOR_PEOPLE
    assert len(functions(project)) > 20


def test_anonymous_callers_read_nothing(project: LocalSupabase, anonymous: Caller) -> None:
    for table in tables(project):
        assert_refused(anonymous("GET", f"/{table}"))


def test_people_read_what_is_theirs_to_read_and_nothing_else(project: LocalSupabase, signed_in: Caller) -> None:
    for table in tables(project):
        answer = signed_in("GET", f"/{table}")

        if table in FOR_PEOPLE:
            assert len(answer.json()) == len(project.sql(f"select 1 from {table}")), table
        else:
            assert_refused(answer)


def test_nobody_but_the_server_writes(project: LocalSupabase, server: Caller, visitor: Caller) -> None:
    before = content(project)

    for table in tables(project):
        row = server("GET", f"/{table}", params={"limit": 1}).json()[0]
        column, value = next(iter(row.items()))
        this_row = {column: f"eq.{value}"}
        assert_refused(visitor("POST", f"/{table}", json=row))
        assert_refused(visitor("POST", f"/{table}", json=row, headers={"Prefer": "resolution=merge-duplicates"}))
        assert_refused(visitor("PATCH", f"/{table}", params=this_row, json={column: value}))
        assert_refused(visitor("DELETE", f"/{table}", params=this_row))

    assert content(project) == before


def test_nobody_but_the_server_calls_a_function(project: LocalSupabase, visitor: Caller) -> None:
    before = content(project)

    for name, arguments in functions(project):
        answer = visitor("POST", f"/rpc/{name}", json=dict.fromkeys(arguments))

        assert answer.status_code in (401, 403, 404), f"{name}: {answer.text}"
        assert answer.json()["code"] in (NOT_ALLOWED, *NOT_FOUND), name

    assert content(project) == before


@pytest.mark.parametrize("role", ["public", "anon", "authenticated"])
def test_no_function_and_no_sequence_is_granted_to_visitors(project: LocalSupabase, role: str) -> None:
    callable_ones = project.sql(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace "
        f"and has_function_privilege('{role}', oid, 'execute')"
    )
    sequences = project.sql(
        "select sequencename from pg_sequences where schemaname = 'public' "
        f"and has_sequence_privilege('{role}', format('public.%I', sequencename), 'usage, select, update')"
    )

    assert (callable_ones, sequences) == ([], [])


def test_the_server_reads_and_writes_every_table(project: LocalSupabase, server: Caller) -> None:
    for table in tables(project):
        rows = server("GET", f"/{table}").json()
        again = server("POST", f"/{table}", json=rows, headers={"Prefer": "resolution=merge-duplicates"})

        assert len(rows) == len(project.sql(f"select 1 from {table}")), table
        assert again.is_success, again.text


def test_the_server_may_call_every_function(project: LocalSupabase) -> None:
    refused = project.sql(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace "
        "and not has_function_privilege('service_role', oid, 'execute')"
    )

    assert refused == []


def test_row_level_security_is_on_for_every_table(project: LocalSupabase) -> None:
    without = project.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') "
        "and not relrowsecurity"
    )

    assert without == []


def test_no_function_looks_names_up_where_a_caller_may_plant_them(project: LocalSupabase) -> None:
    open_to_planting = project.sql(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f' "
        "and not coalesce(proconfig, '{}') @> array['search_path=\"\"']"
    )
    with_rights_of_their_owner = project.sql(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
    )

    assert open_to_planting == []
    assert with_rights_of_their_owner == []


@pytest.mark.parametrize("token", ["x", "not.a.token", "eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0."])
def test_a_forged_token_opens_nothing(project: LocalSupabase, token: str) -> None:
    headers = {"apikey": project.publishable_key, "Authorization": f"Bearer {token}"}

    answer = httpx.get(f"{project.url}/rest/v1/calls", headers=headers)

    assert answer.status_code == 401
    assert "CA1" not in answer.text


def test_a_token_may_not_ask_for_the_servers_role_without_the_signing_key(project: LocalSupabase) -> None:
    header, _, signature = project.user_token().split(".")
    _, claims, _ = project.keys.token("service_role").split(".")

    answer = httpx.get(
        f"{project.url}/rest/v1/calls",
        headers={"apikey": project.publishable_key, "Authorization": f"Bearer {header}.{claims}.{signature}"},
    )

    assert answer.status_code == 401
