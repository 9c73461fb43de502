-- For copies and backups: what tells whether two stores hold the same, and what else than records comes along.

create or replace function public.ledger_day_digests(p_source text) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s' set jit = off
as $$
    select coalesce(jsonb_object_agg(day, jsonb_build_array(records, fetched, cost, seconds)), '{}') from (
        select to_char(started_at at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as records,
            sum(floor(extract(epoch from fetched_at)))::bigint as fetched,
            trim_scale(coalesce(sum(cost * 1e8), 0))::text as cost, coalesce(sum(duration), 0) as seconds
        from (
            select started_at, fetched_at, cost, duration from public.calls
            where p_source = 'twilio' and started_at is not null
            union all
            select started_at, fetched_at, cost, duration from public.elevenlabs_conversations
            where p_source = 'elevenlabs' and started_at is not null
        ) as record
        group by 1
    ) as by_day
$$;
comment on function public.ledger_day_digests is
    'Per UTC day: records, and the sums of their seconds of fetching, costs in 1e-8 and durations.';

create or replace function public.ledger_gone_ids(p_source text) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    select coalesce(jsonb_agg(id order by id), '[]') from (
        select sid as id from public.calls where p_source = 'twilio' and is_gone
        union all
        select conversation_id from public.elevenlabs_conversations where p_source = 'elevenlabs' and is_gone
    ) as gone
$$;
comment on function public.ledger_gone_ids is 'Stored records that the provider no longer has.';

create or replace function public.ledger_add_failures(p_failures jsonb) returns void
language sql set search_path = ''
as $$
    insert into public.sync_failures as stored
        (source, record_id, error, attempts, first_failed_at, last_failed_at)
    select source, record_id, error, attempts, first_failed_at, last_failed_at
    from jsonb_populate_recordset(null::public.sync_failures, p_failures)
    on conflict (source, record_id) do update set
        error = excluded.error, attempts = excluded.attempts,
        first_failed_at = excluded.first_failed_at, last_failed_at = excluded.last_failed_at
    where excluded.last_failed_at > stored.last_failed_at
$$;
comment on function public.ledger_add_failures is 'Lists failures of another store as they are listed there.';

create or replace function public.ledger_closed_runs_after(p_run bigint, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id), '[]') from (
        select * from public.sync_runs where id > p_run and state <> 'running' order by id limit p_limit
    ) as run
$$;
comment on function public.ledger_closed_runs_after is 'The next closed runs in the order of their ids, for copying.';

create or replace function public.ledger_add_runs(p_runs jsonb) returns void
language plpgsql set search_path = '' set statement_timeout = '55s'
as $$
declare
    given public.sync_runs;
    numbers text := pg_get_serial_sequence('public.sync_runs', 'id');
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run twilio'));
    perform pg_advisory_xact_lock(hashtext('voice ledger run elevenlabs'));
    for given in
        select new.* from jsonb_populate_recordset(null::public.sync_runs, p_runs) as new
        where not exists (
            select from public.sync_runs as known
            where (known.source, known.kind, known.state, known.started_at)
                = (new.source, new.kind, new.state, new.started_at)
        )
        order by new.id
    loop
        if exists (select from public.sync_runs as other where other.id = given.id) then
            given.id := nextval(numbers);
        else
            perform setval(numbers, greatest(given.id, (select max(id) from public.sync_runs)));
        end if;
        insert into public.sync_runs select given.*;
    end loop;
end
$$;
comment on function public.ledger_add_runs is
    'Adds closed runs of another store that are not here yet, under their own ids where these are free.';

create or replace function public.ledger_add_workspaces(p_workspaces jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
    given public.workspaces;
    numbers text := pg_get_serial_sequence('public.workspaces', 'id');
begin
    lock table public.workspaces in share row exclusive mode;
    for given in select * from jsonb_populate_recordset(null::public.workspaces, p_workspaces) order by id loop
        continue when exists (select from public.workspaces as known where known.name = given.name);
        if exists (select from public.workspaces as other where other.id = given.id) then
            given.id := nextval(numbers);
        else
            perform setval(numbers, greatest(given.id, (select max(id) from public.workspaces)));
        end if;
        insert into public.workspaces (id, name, created_at) values (given.id, given.name, given.created_at);
    end loop;
end
$$;
comment on function public.ledger_add_workspaces is
    'Adds workspaces of another store that are not here by name, under their own ids where these are free.';

create or replace function public.ledger_expect_price_unit(p_unit text) returns void
language sql set search_path = ''
as $$
    insert into public.ledger_meta (key, value) values ('price_unit', p_unit) on conflict (key) do nothing
$$;
comment on function public.ledger_expect_price_unit is 'Fixes the currency that Twilio bills in, before the first leg.';

do $$
declare
    ledger_function regprocedure;
begin
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname = any (array[
            'ledger_day_digests', 'ledger_gone_ids', 'ledger_add_failures', 'ledger_closed_runs_after',
            'ledger_add_runs', 'ledger_add_workspaces', 'ledger_expect_price_unit'
        ])
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

insert into public.ledger_migrations (name) values ('20261123001100_moving') on conflict do nothing;
notify pgrst, 'reload schema';
