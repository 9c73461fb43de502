"""Databases of the 12-hour system, as people have them: the public schema of its application, and variants of it."""

from collections.abc import Mapping
from pathlib import Path

# The tables of the application of October 2025, and the script of the document that asked for hourly balances.
OLD_TABLES = (Path(__file__).parent / "old_tables.sql").read_text(encoding="utf-8")
DOCUMENT = (Path(__file__).parent / "document.sql").read_text(encoding="utf-8")

# Other forms in which the tables may have come: statements that run after both.
VARIANTS: Mapping[str, str] = {
    "as it was": "",
    "rows of a year in snapshots": """
        insert into twilio_snapshots (workspace_id, snapshot_date, total_calls, total_cost)
        select 4, '2026-01-01'::timestamptz + i * interval '1 hour', 3, 0.05 from generate_series(1, 2000) as i;
        insert into elevenlabs_snapshots (workspace_id, snapshot_date, total_conversations, total_cost)
        select 4, '2026-01-01'::timestamptz + i * interval '1 hour', 3, 531 from generate_series(1, 2000) as i;
    """,
    "snapshots off the hour": (
        "insert into twilio_snapshots (workspace_id, snapshot_date, total_calls) "
        "values (4, '2026-09-05 10:23:11+00', 5)"
    ),
    "snapshots without UNIQUE": """
        alter table twilio_snapshots drop constraint twilio_snapshots_workspace_id_snapshot_date_key;
        insert into twilio_snapshots (workspace_id, snapshot_date) values (4, '2026-09-05Z'), (4, '2026-09-05Z');
    """,
    "no old tables but clients and numbers": "drop table calls, elevenlabs_conversations",
    "no document's script": "drop table twilio_snapshots, elevenlabs_snapshots",
    "ids that are always generated": (
        "alter table workspaces alter id drop default, alter id add generated always as identity (start with 7)"
    ),
    "ids as bigint": "alter table workspaces alter id type bigint; alter table workspace_phones alter id type bigint",
    "ids as uuid": """
        alter table calls drop constraint calls_workspace_id_fkey;
        alter table workspace_phones drop constraint workspace_phones_workspace_id_fkey;
        alter table elevenlabs_conversations drop constraint elevenlabs_conversations_workspace_id_fkey;
        alter table twilio_snapshots drop constraint twilio_snapshots_workspace_id_fkey;
        alter table elevenlabs_snapshots drop constraint elevenlabs_snapshots_workspace_id_fkey;
        alter table workspaces alter id drop default, alter id type uuid using lpad(id::text, 32, '0')::uuid;
        alter table workspace_phones alter workspace_id type uuid using lpad(workspace_id::text, 32, '0')::uuid;
    """,
    "calls with sid as a second key": (
        "alter table calls add sid text unique; update calls set sid = id; update calls set id = 'row ' || id"
    ),
    "status as an enum": """
        create type call_status as enum ('completed', 'failed');
        alter table calls alter status type call_status using status::call_status;
    """,
    "token usage as a number": "alter table elevenlabs_conversations alter llm_usage type decimal(10, 4) using 0",
    "times as texts and seconds": """
        alter table calls alter call_date type text using call_date::text;
        alter table elevenlabs_conversations
            alter conversation_date type bigint using extract(epoch from conversation_date)::bigint;
    """,
    "views and generated columns": """
        create view call_costs as select workspace_id, sum(cost) as cost from calls group by 1;
        create view costs_by_day as select snapshot_date::date as day, sum(total_cost) from twilio_snapshots group by 1;
        create materialized view minutes as select workspace_id, sum(duration) from calls group by 1;
        alter table calls add minutes integer generated always as ((duration + 59) / 60) stored;
    """,
    "triggers on every table": """
        create function touch() returns trigger language plpgsql as $$ begin new.updated_at = now(); return new; end $$;
        alter table calls add updated_at timestamptz;
        create trigger t before update on calls for each row execute function touch();
        create trigger t before update on workspaces for each row execute function touch();
    """,
    "a publication": "create publication of_the_old_system for table calls, twilio_snapshots",
    "other programs' tables of the same names": """
        create table accounts (id uuid primary key, email text);
        create table sync_runs (id serial primary key, note text);
        create table legacy_calls (id int);
    """,
    "a table that names clients": """
        create table invoices (
            id serial primary key, workspace_id integer references workspaces (id) on delete cascade
        );
        insert into invoices (workspace_id) values (4);
    """,
    "two clients of one name": "update workspaces set name = 'Brightwater Dental' where id = 5",
    "names that differ in capitals and spaces": "update workspaces set name = '  BRIGHTWATER   dental' where id = 5",
    "a client without a name": """
        alter table workspaces alter name drop not null;
        update workspaces set name = null where id = 5;
    """,
    "a client named Unassigned": "update workspaces set name = 'unassigned' where id = 1",
    "a client with id 0": "insert into workspaces (id, name, phone_number) values (0, 'Zero Ltd', '+14155550100')",
    "numbers in any writing": """
        update workspace_phones set phone_number = '+1 (212) 555-0101' where phone_number = '+12125550101';
        update workspace_phones set phone_number = '0012125550102' where phone_number = '+12125550102';
        update workspace_phones set phone_number = '13125550103' where phone_number = '+13125550103';
        update workspace_phones set phone_number = 'whatsapp:+1.312.555.0104' where phone_number = '+13125550104';
        insert into workspace_phones (workspace_id, phone_number)
        values (4, '+1 (0)212 555 0101'), (4, '"Desk" <tel:+12125550102>');
        update workspaces set phone_number = E'\\u202a+1\\u00a0212 555 0101\\u202c' where id = 4;
        update workspaces set phone_number = 'sip:+13125550103@pstn.twilio.com;region=us1' where id = 5;
    """,
    "a number twice with one client": (
        "insert into workspace_phones (workspace_id, phone_number) values (4, '001 212 555 0101')"
    ),
    "a number without a country": (
        "insert into workspace_phones (workspace_id, phone_number) values (5, '(646) 555-0177'), (5, 'front desk')"
    ),
    "numbers of clients that are gone": """
        alter table workspace_phones drop constraint workspace_phones_workspace_id_fkey;
        insert into workspace_phones (workspace_id, phone_number)
        values (99, '+16465550188'), (null, '+16465550199'), (99, '+12125550101');
    """,
    "ids as text, and a table that names them": """
        alter table calls drop constraint calls_workspace_id_fkey;
        alter table workspace_phones drop constraint workspace_phones_workspace_id_fkey;
        alter table elevenlabs_conversations drop constraint elevenlabs_conversations_workspace_id_fkey;
        alter table twilio_snapshots drop constraint twilio_snapshots_workspace_id_fkey;
        alter table elevenlabs_snapshots drop constraint elevenlabs_snapshots_workspace_id_fkey;
        alter table workspaces alter id drop default, alter id type text;
        alter table workspace_phones alter workspace_id type numeric(10, 2);
        create table invoices (id serial primary key, workspace_id text references workspaces (id));
    """,
    "indexes and constraints of the same names": """
        create table elsewhere (id int constraint workspace_phones_no_overlap primary key, source text);
        create index one_run_of_a_source_at_a_time on elsewhere (source);
        create index sync_failures on elsewhere (source, id);
    """,
    "facts of another program": "create table ledger_meta (id int primary key, note text)",
    "types of the same names": "create type accounts as enum ('a'); alter table calls add kind accounts",
    "an extension in another place": "create extension btree_gist with schema public",
    "numbers in the table of clients alone": "drop table workspace_phones",
}

# The only thing that a person must decide first.
TWO_OWNERS: Mapping[str, tuple[str, str]] = {
    "in one table": (
        "insert into workspace_phones (id, workspace_id, phone_number) values (77, 5, '+1 212 555 0102')",
        "The number +12125550102 has two owners, row 2 of workspace_phones (workspace 4) and "
        "row 77 of workspace_phones (workspace 5): ",
    ),
    "in two tables": (
        "update workspaces set phone_number = 'none' where id = 4;"
        "update workspaces set phone_number = '0012125550101' where id = 5",
        "The number +12125550101 has two owners, row 1 of workspace_phones (workspace 4) and "
        "row 5 of workspaces (workspace 5): ",
    ),
}
