-- For whoever watches from outside: what a run tells of its requests, and what all runs and failures add up to.

alter table public.sync_runs add column if not exists refused bigint not null default 0;
alter table public.sync_runs add column if not exists in_flight bigint not null default 0;
comment on column public.sync_runs.refused is 'Requests that the provider refused because there were too many (429).';
comment on column public.sync_runs.in_flight is 'Requests that were under way at the last heartbeat.';

-- By another name, since two functions of one name could not be told apart when this file runs again.
drop function if exists public.ledger_write_progress(bigint, bigint, bigint, bigint, bigint, timestamptz, timestamptz);
create or replace function public.ledger_note_progress(
    p_run bigint, p_done bigint, p_total bigint, p_saved bigint, p_failed bigint, p_refused bigint, p_in_flight bigint,
    p_position timestamptz, p_now timestamptz
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update public.sync_runs set done = p_done, total = p_total, saved = p_saved, failed = p_failed,
        refused = p_refused, in_flight = p_in_flight, position = p_position, heartbeat_at = p_now
    where id = p_run and state = 'running';
    return found;
end
$$;
comment on function public.ledger_note_progress is 'Writes counts and heartbeat; false if the run is no longer open.';

create or replace function public.ledger_run_totals(p_alive_since timestamptz) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    select coalesce(jsonb_agg(to_jsonb(totals) order by source, kind, state), '[]') from (
        select source, kind, state, count(*) as runs,
            coalesce(sum(
                greatest(0, round(extract(epoch from finished_at - started_at), 3))
            ) filter (where finished_at is not null), 0) as seconds,
            sum(saved) as saved, sum(failed) as failed, sum(refused) as refused,
            count(*) filter (where state = 'running' and heartbeat_at >= p_alive_since) as alive,
            coalesce(sum(in_flight) filter (where state = 'running' and heartbeat_at >= p_alive_since), 0) as in_flight
        from public.sync_runs group by source, kind, state
    ) as totals
$$;
comment on function public.ledger_run_totals is
    'What all runs of each source, kind and state add up to; one is alive if its heartbeat is not before a moment.';

create or replace function public.ledger_waiting_failures() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_object_agg(source, records), '{}') from (
        select source, count(*) as records from public.sync_failures group by source
    ) as waiting
$$;
comment on function public.ledger_waiting_failures is 'By source, how many records could not be fetched or read so far.';

do $$
declare
    ledger_function regprocedure;
begin
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname = any (array[
            'ledger_note_progress', 'ledger_run_totals', 'ledger_waiting_failures'
        ])
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

insert into public.ledger_migrations (name) values ('20261123001200_watching') on conflict do nothing;
notify pgrst, 'reload schema';
