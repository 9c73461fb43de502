-- What a page asks for grows with what it shows, not with the history: gaps are read from the periods that runs cover,
-- the last backfill through an index; and the calls of a quarter of an hour are counted, without sums that nobody sees.

create table if not exists public.covered_periods (
    source text not null,
    since timestamptz not null,
    until timestamptz not null,
    primary key (source, since)
);
comment on table public.covered_periods is
    'What the windows of successful runs cover, joined where they touch: what lies between two rows is a gap.';
alter table public.covered_periods enable row level security;
revoke all on public.covered_periods from anon, authenticated;
grant all on public.covered_periods to service_role;

create or replace function public.ledger_cover_window() returns trigger
language plpgsql set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run ' || new.source)); -- an hourly run and a backfill may end at once
    with touched as (
        delete from public.covered_periods
        where source = new.source and since <= new.window_end and until >= new.window_start
        returning since, until
    )
    insert into public.covered_periods
    select new.source, least(new.window_start, min(since)), greatest(new.window_end, max(until)) from touched;
    return null;
end
$$;
comment on function public.ledger_cover_window is 'Adds the window of a run that succeeded to what is covered.';

create or replace trigger run_succeeded after insert or update of state on public.sync_runs
    for each row when (new.state = 'ok') execute function public.ledger_cover_window();

update public.sync_runs set state = 'ok' where state = 'ok'; -- what is stored is covered, too

create or replace function public.ledger_gaps(p_source text, p_since timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
    with covered as (
        select since, lag(until) over (order by since) as reached from public.covered_periods where source = p_source
    )
    select coalesce(jsonb_agg(jsonb_build_array(greatest(reached, p_since), since) order by since), '[]')
    from covered where reached is not null and since > greatest(reached, p_since)
$$;
comment on function public.ledger_gaps is 'What lies between two covered periods.';

create index if not exists sync_runs_of_kind on public.sync_runs (kind, id);

create or replace function public.ledger_list_runs(p_source text, p_kind text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id desc), '[]') from (
        (
            select * from public.sync_runs
            where p_kind is null and source = coalesce(p_source, source) order by id desc limit p_limit
        )
        union all
        (
            select * from public.sync_runs
            where kind = p_kind and source = coalesce(p_source, source) order by kind desc, id desc limit p_limit
        )
    ) as run
$$;

create or replace function public.ledger_calls_by_quarter_hour(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(quarter) order by started_at), '[]')
    from (
        select date_bin('15 minutes', started_at, 'epoch') as started_at, count(*) as calls from public.calls
        where started_at >= coalesce(p_since, '-infinity') and started_at < coalesce(p_until, 'infinity')
            and case when p_workspaces is null then workspace_id is not null else workspace_id = any (p_workspaces) end
            and parent_call_sid is null
        group by 1
    ) as quarter
$$;
comment on function public.ledger_calls_by_quarter_hour is
    'How many calls began in each quarter of an hour of a period; the hours of all zones begin at one.';

revoke all on routine public.ledger_cover_window from public, anon, authenticated;
grant execute on routine public.ledger_cover_window to service_role;

insert into public.ledger_migrations (name) values ('20261123001400_covered_periods') on conflict do nothing;
notify pgrst, 'reload schema';
