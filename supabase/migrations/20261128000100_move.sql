-- From the release before, whose database 18 migrations had made: what `create … if not exists` leaves as it was, and what
-- an adoption by that release had left wrong. Elsewhere this file changes nothing; it may run again at any time.

-- Functions that nobody calls any more.
do $$
declare
    former regprocedure;
begin
    for former in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname = any (array[
            'ledger_running_twilio', 'ledger_running_elevenlabs', 'ledger_save_calls', 'ledger_save_conversations',
            'ledger_save_progress', 'ledger_write_progress', 'ledger_runs', 'ledger_active_hours',
            'ledger_find_or_add_workspace', 'ledger_save_phone', 'ledger_save_agent', 'ledger_owner_of_number'
        ])
    loop
        execute format('drop function %s', former);
    end loop;
end $$;
drop index if exists public.calls_our_number, public.conversations_agent_number;

-- A project that has not run all 18 files: what the later ones did to its rows.
do $$
declare
    former text[] := array(select name from public.ledger_migrations);
begin
    if not former @> array['20261122190000_tables'] then
        return;
    end if;
    if not former @> array['20261123000100_backfill'] then
        drop index if exists public.one_run_of_a_source_at_a_time; -- a backfill had no lock of its own
        create unique index one_run_of_a_source_at_a_time
            on public.sync_runs (source, (kind = 'backfill')) where state = 'running';
        insert into public.stale_balances (source, workspace_id, since)
        select 'elevenlabs', workspace_id, min(snapshot_date) from public.elevenlabs_snapshots group by workspace_id
        on conflict (source, workspace_id) do update set since = excluded.since, until = 'infinity';
    end if;
    if not former @> array['20261123000200_call_costs'] then
        insert into public.stale_calls
        select sid from public.calls union all select conversation_id from public.elevenlabs_conversations
        on conflict do nothing;
    end if;
    if not former @> array['20261123001400_covered_periods'] then
        update public.sync_runs set state = 'ok' where state = 'ok'; -- a trigger covers their windows
    end if;
    insert into public.ledger_migrations (name) values
        ('20261123000100_backfill'), ('20261123000200_call_costs'), ('20261123001400_covered_periods')
    on conflict do nothing;
end $$;

-- Two indexes did what the primary keys do; a table that was adopted may have another key, and needs them.
do $$
begin
    if exists (select from pg_constraint where conrelid = 'public.calls'::regclass and pg_get_constraintdef(oid) = 'PRIMARY KEY (sid)') then
        drop index if exists public.calls_sid;
    end if;
    if exists (
        select from pg_constraint
        where conrelid = 'public.elevenlabs_conversations'::regclass and pg_get_constraintdef(oid) = 'PRIMARY KEY (conversation_id)'
    ) then
        drop index if exists public.conversations_id;
    end if;
end $$;

alter table public.calls disable trigger user; -- nothing that is added up changes
update public.calls set currency = price_unit where currency is distinct from price_unit;
alter table public.calls enable trigger user;
update public.sync_runs set
    account_id = (select min(id) from public.accounts where provider = source),
    currency = case source when 'twilio' then (select value from public.ledger_meta where key = 'price_unit') else 'USD' end
where account_id is null;
update public.covered_periods set
    account_id = (select min(id) from public.accounts where provider = source),
    currency = case source when 'twilio' then (select value from public.ledger_meta where key = 'price_unit') else 'USD' end
where account_id is null;

-- The release before adopted the tables of the 12-hour system in their places. What that left is set aside now, as the
-- baseline does: records that were never fetched, credits that stand as dollars, and snapshots that no record proves.
do $$
declare
    adopted_at timestamptz := (select min(applied_at) from public.ledger_migrations where name = '20261122190000_tables');
    place record;
begin
    if adopted_at is null then
        return;
    end if;
    for place in
        values ('twilio', 'calls', 'sid'), ('elevenlabs', 'elevenlabs_conversations', 'conversation_id')
    loop
        execute format('create temp table unfetched as select * from public.%I where fetched_at is null', place.column2);
        if exists (select from unfetched) then
            execute format('create table if not exists public.%I (like public.%I)', 'legacy_' || place.column2, place.column2);
            execute format('insert into public.%I select * from unfetched', 'legacy_' || place.column2);
            insert into public.ledger_meta (key, value) values ('old ' || place.column2, 'legacy_' || place.column2)
            on conflict do nothing;
            execute format(
                'insert into public.legacy_records (kind, record_id, started_at) select %L, row.sid, row.moment::timestamptz from ('
                'select %I as sid, coalesce(given ->> ''started_at'', given ->> ''start_time'', given ->> ''call_date'', '
                'given ->> ''conversation_date'', given ->> ''created_at'') as moment from unfetched as old, to_jsonb(old) as given'
                ') as row on conflict do nothing', place.column1, place.column3
            );
            execute format('delete from public.%I where fetched_at is null', place.column2);
        end if;
        drop table unfetched;
    end loop;

    update public.elevenlabs_conversations set cost = null where cost = credits and credits > 0 and platform_price is null;

    for place in values ('twilio', 'twilio_snapshots'), ('elevenlabs', 'elevenlabs_snapshots')
    loop
        execute format('create temp table unproven as select * from public.%I where created_at < %L', place.column2, adopted_at);
        if exists (select from unproven) then
            execute format(
                'delete from unproven as kept where (workspace_id, snapshot_date) not in ('
                'select (entry ->> 0)::bigint, (entry ->> 1)::timestamptz from jsonb_array_elements(public.ledger_wrong_%s()) as entry) '
                'and not exists (select from public.stale_balances as stale where stale.source = %L '
                'and stale.workspace_id = kept.workspace_id and kept.snapshot_date >= stale.since)', -- what waits is not told wrong
                place.column1, place.column1
            );
        end if;
        if exists (select from unproven) then
            execute format('create table if not exists public.%I (like public.%I)', 'legacy_' || place.column2, place.column2);
            execute format('insert into public.%I select * from unproven', 'legacy_' || place.column2);
            insert into public.ledger_meta (key, value) values ('old ' || place.column2, 'legacy_' || place.column2)
            on conflict do nothing;
            insert into public.stale_balances as stale (source, workspace_id, since)
            select place.column1, workspace_id, date_trunc('hour', min(snapshot_date), 'UTC') from unproven group by workspace_id
            on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since), until = 'infinity';
            execute format('delete from public.%I as snapshot using unproven where snapshot.id = unproven.id', place.column2);
        end if;
        drop table unproven;
    end loop;
    if exists (select from public.ledger_meta where key like 'old %') then
        perform public.ledger_refresh_twilio();
        perform public.ledger_refresh_elevenlabs();
    end if;
end $$;

-- Tables that this file has set aside are for nobody but the service role.
do $$
declare
    old_table text;
begin
    for old_table in
        select value from public.ledger_meta join pg_class on oid = to_regclass('public.' || value) and relkind in ('r', 'p')
        where key like 'old %'
    loop
        execute format('alter table public.%I enable row level security', old_table);
        execute format('revoke all on public.%I from public, anon, authenticated', old_table);
        execute format('grant all on public.%I to service_role', old_table);
    end loop;
end $$;

insert into public.ledger_migrations (name) values ('20261128000100_move') on conflict do nothing;
notify pgrst, 'reload schema';
