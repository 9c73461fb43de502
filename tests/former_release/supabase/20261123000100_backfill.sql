-- For the historical sync: it holds a lock of its own beside the hourly run, saves records without refreshing balances
-- after each batch, and its old records move the later balances by a fixed amount instead of having them added up again.

drop index if exists public.one_run_of_a_source_at_a_time;
create unique index one_run_of_a_source_at_a_time
    on public.sync_runs (source, (kind = 'backfill')) where state = 'running';

alter table public.sync_runs add column if not exists position timestamptz;
comment on column public.sync_runs.position is
    'A backfill has everything from here to its window''s end; one that takes over goes on from here.';

alter table public.stale_balances add column if not exists until timestamptz not null default 'infinity';
comment on table public.stale_balances is
    'Balances that no longer equal their records, from hour since to hour until; those after it are off by what the last of these is off. Filled by triggers, emptied by the refresh.';

-- A running total names no category that adds up to nothing, so that it looks the same however it came about.
create or replace function public.ledger_add_llm_usage(total jsonb, usage jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
    select case
        when usage is null or usage = '{}'::jsonb then total
        when total is null or total = '{}'::jsonb then usage
        else (
            select coalesce(jsonb_object_agg(model, categories), '{}')
            from (
                select model, jsonb_object_agg(
                    category, jsonb_build_object('tokens', tokens, 'price', trim_scale(price))
                ) as categories
                from (
                    select model.key as model, category.key as category,
                        sum((category.value ->> 'tokens')::numeric) as tokens,
                        sum((category.value ->> 'price')::numeric) as price
                    from (values (total), (usage)) as part (content),
                        jsonb_each(part.content) as model, jsonb_each(model.value) as category
                    group by model.key, category.key
                    having sum((category.value ->> 'tokens')::numeric) <> 0
                        or sum((category.value ->> 'price')::numeric) <> 0
                ) as by_category
                group by model
            ) as by_model
        )
    end
$$;

create or replace function public.ledger_change_of_llm_usage(before jsonb, after jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
    select public.ledger_add_llm_usage(coalesce(after, '{}'), (
        select coalesce(jsonb_object_agg(model.key, (
            select jsonb_object_agg(category.key, jsonb_build_object(
                'tokens', -(category.value ->> 'tokens')::numeric, 'price', -(category.value ->> 'price')::numeric
            )) from jsonb_each(model.value) as category
        )), '{}') from jsonb_each(before) as model
    ))
$$;
comment on function public.ledger_change_of_llm_usage is 'What leads from one usage to another when it is added.';

create or replace function public.ledger_mark_stale_calls() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    else
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC')
        from (
            (
                select sid, workspace_id, parent_call_sid, started_at, duration, cost, price_unit from old_rows
                except select sid, workspace_id, parent_call_sid, started_at, duration, cost, price_unit from new_rows
            )
            union all (
                select sid, workspace_id, parent_call_sid, started_at, duration, cost, price_unit from new_rows
                except select sid, workspace_id, parent_call_sid, started_at, duration, cost, price_unit from old_rows
            )
        ) as changed
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    end if;
    return null;
end
$$;

create or replace function public.ledger_mark_stale_conversations() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    else
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC')
        from (
            (
                select conversation_id, workspace_id, started_at, duration, cost, credits, llm_price, llm_charge,
                    platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage from old_rows
                except select conversation_id, workspace_id, started_at, duration, cost, credits, llm_price, llm_charge,
                    platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage from new_rows
            )
            union all (
                select conversation_id, workspace_id, started_at, duration, cost, credits, llm_price, llm_charge,
                    platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage from new_rows
                except select conversation_id, workspace_id, started_at, duration, cost, credits, llm_price, llm_charge,
                    platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage from old_rows
            )
        ) as changed
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    end if;
    return null;
end
$$;

drop function if exists public.ledger_running_twilio(bigint, timestamptz);
create or replace function public.ledger_recomputed_twilio(p_workspace bigint, p_since timestamptz, p_until timestamptz)
returns table (snapshot_date timestamptz, total_calls numeric, total_legs numeric, total_cost numeric, total_duration numeric, billed_minutes numeric, unpriced_calls numeric)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.ledger_sum_twilio(p_workspace, p_since, p_until + interval '1 hour')
    ),
    running as (
        select snapshot_date,
            sum(total_calls) over so_far as total_calls,
            sum(total_legs) over so_far as total_legs,
            sum(total_cost) over so_far as total_cost,
            sum(total_duration) over so_far as total_duration,
            sum(billed_minutes) over so_far as billed_minutes,
            sum(unpriced_calls) over so_far as unpriced_calls
        from activity window so_far as (order by snapshot_date)
    )
    select * from running where snapshot_date >= p_since
$$;
comment on function public.ledger_recomputed_twilio is
    'Balances of a workspace from one hour to another, recomputed: the last one before them, and their records.';

create or replace function public.ledger_refresh_next_twilio() returns boolean
language plpgsql set search_path = '' set statement_timeout = '55s' set jit = off
as $$
declare
    stale public.stale_balances;
    before public.twilio_snapshots;
    after public.twilio_snapshots;
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger twilio'));
    delete from public.stale_balances as waiting
    where waiting.source = 'twilio' and waiting.workspace_id = (
        select min(workspace_id) from public.stale_balances where source = 'twilio'
    ) returning * into stale;
    if not found then
        return false;
    end if;
    if exists (
        select from public.twilio_snapshots as snapshot
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date > stale.until and not exists (
            select from public.calls as record
            where record.workspace_id = stale.workspace_id
                and record.started_at >= snapshot.snapshot_date
                and record.started_at < snapshot.snapshot_date + interval '1 hour'
        )
    ) then -- balances of the 12-hour system, which had no records: they end where the records begin
        stale.until := 'infinity';
    end if;
    select * into before from public.twilio_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date <= stale.until
    order by snapshot.snapshot_date desc limit 1;
    delete from public.twilio_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date between stale.since and stale.until
        and not exists (
            select from public.calls as record
            where record.workspace_id = stale.workspace_id
                and record.started_at >= snapshot.snapshot_date
                and record.started_at < snapshot.snapshot_date + interval '1 hour'
        );
    insert into public.twilio_snapshots (workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls)
    select stale.workspace_id, running.*
    from public.ledger_recomputed_twilio(stale.workspace_id, stale.since, stale.until) as running
        on conflict (workspace_id, snapshot_date) do update set
            total_calls = excluded.total_calls,
            total_legs = excluded.total_legs,
            total_cost = excluded.total_cost,
            total_duration = excluded.total_duration,
            billed_minutes = excluded.billed_minutes,
            unpriced_calls = excluded.unpriced_calls;
    select * into after from public.twilio_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date <= stale.until
    order by snapshot.snapshot_date desc limit 1;
    if (coalesce(before.total_calls, 0), coalesce(before.total_legs, 0), coalesce(before.total_cost, 0), coalesce(before.total_duration, 0), coalesce(before.billed_minutes, 0), coalesce(before.unpriced_calls, 0))
        is distinct from (coalesce(after.total_calls, 0), coalesce(after.total_legs, 0), coalesce(after.total_cost, 0), coalesce(after.total_duration, 0), coalesce(after.billed_minutes, 0), coalesce(after.unpriced_calls, 0))
    then
        update public.twilio_snapshots as snapshot set
            total_calls = snapshot.total_calls + coalesce(after.total_calls, 0) - coalesce(before.total_calls, 0),
            total_legs = snapshot.total_legs + coalesce(after.total_legs, 0) - coalesce(before.total_legs, 0),
            total_cost = snapshot.total_cost + coalesce(after.total_cost, 0) - coalesce(before.total_cost, 0),
            total_duration = snapshot.total_duration + coalesce(after.total_duration, 0) - coalesce(before.total_duration, 0),
            billed_minutes = snapshot.billed_minutes + coalesce(after.billed_minutes, 0) - coalesce(before.billed_minutes, 0),
            unpriced_calls = snapshot.unpriced_calls + coalesce(after.unpriced_calls, 0) - coalesce(before.unpriced_calls, 0)
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date > stale.until;
    end if;
    return true;
end
$$;
comment on function public.ledger_refresh_next_twilio is
    'Recomputes the stale balances of one workspace, and moves the later ones; false if none was stale.';

create or replace function public.ledger_refresh_twilio() returns void
language plpgsql set search_path = ''
as $$
begin
    while public.ledger_refresh_next_twilio() loop
    end loop;
end
$$;
comment on function public.ledger_refresh_twilio is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_twilio() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_recomputed_twilio(workspace.id, '-infinity', 'infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
    where not exists (
        select from public.stale_balances as stale
        where stale.source = 'twilio' and stale.workspace_id = place.workspace_id and stale.since <= place.snapshot_date
    )
$$;

drop function if exists public.ledger_running_elevenlabs(bigint, timestamptz);
create or replace function public.ledger_recomputed_elevenlabs(p_workspace bigint, p_since timestamptz, p_until timestamptz)
returns table (snapshot_date timestamptz, total_conversations numeric, total_cost numeric, total_duration numeric, total_credits numeric, llm_price numeric, llm_charge numeric, platform_price numeric, call_charge numeric, free_minutes_consumed numeric, free_llm_dollars_consumed numeric, dev_discount numeric, unpriced_conversations numeric, llm_usage jsonb)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.ledger_sum_elevenlabs(p_workspace, p_since, p_until + interval '1 hour')
    ),
    running as (
        select snapshot_date,
            sum(total_conversations) over so_far as total_conversations,
            sum(total_cost) over so_far as total_cost,
            sum(total_duration) over so_far as total_duration,
            sum(total_credits) over so_far as total_credits,
            sum(llm_price) over so_far as llm_price,
            sum(llm_charge) over so_far as llm_charge,
            sum(platform_price) over so_far as platform_price,
            sum(call_charge) over so_far as call_charge,
            sum(free_minutes_consumed) over so_far as free_minutes_consumed,
            sum(free_llm_dollars_consumed) over so_far as free_llm_dollars_consumed,
            sum(dev_discount) over so_far as dev_discount,
            sum(unpriced_conversations) over so_far as unpriced_conversations,
            public.ledger_sum_llm_usage(llm_usage) over so_far as llm_usage
        from activity window so_far as (order by snapshot_date)
    )
    select * from running where snapshot_date >= p_since
$$;
comment on function public.ledger_recomputed_elevenlabs is
    'Balances of a workspace from one hour to another, recomputed: the last one before them, and their records.';

create or replace function public.ledger_refresh_next_elevenlabs() returns boolean
language plpgsql set search_path = '' set statement_timeout = '55s' set jit = off
as $$
declare
    stale public.stale_balances;
    before public.elevenlabs_snapshots;
    after public.elevenlabs_snapshots;
    change jsonb;
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger elevenlabs'));
    delete from public.stale_balances as waiting
    where waiting.source = 'elevenlabs' and waiting.workspace_id = (
        select min(workspace_id) from public.stale_balances where source = 'elevenlabs'
    ) returning * into stale;
    if not found then
        return false;
    end if;
    if exists (
        select from public.elevenlabs_snapshots as snapshot
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date > stale.until and not exists (
            select from public.elevenlabs_conversations as record
            where record.workspace_id = stale.workspace_id
                and record.started_at >= snapshot.snapshot_date
                and record.started_at < snapshot.snapshot_date + interval '1 hour'
        )
    ) then -- balances of the 12-hour system, which had no records: they end where the records begin
        stale.until := 'infinity';
    end if;
    select * into before from public.elevenlabs_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date <= stale.until
    order by snapshot.snapshot_date desc limit 1;
    delete from public.elevenlabs_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date between stale.since and stale.until
        and not exists (
            select from public.elevenlabs_conversations as record
            where record.workspace_id = stale.workspace_id
                and record.started_at >= snapshot.snapshot_date
                and record.started_at < snapshot.snapshot_date + interval '1 hour'
        );
    insert into public.elevenlabs_snapshots (workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage)
    select stale.workspace_id, running.*
    from public.ledger_recomputed_elevenlabs(stale.workspace_id, stale.since, stale.until) as running
        on conflict (workspace_id, snapshot_date) do update set
            total_conversations = excluded.total_conversations,
            total_cost = excluded.total_cost,
            total_duration = excluded.total_duration,
            total_credits = excluded.total_credits,
            llm_price = excluded.llm_price,
            llm_charge = excluded.llm_charge,
            platform_price = excluded.platform_price,
            call_charge = excluded.call_charge,
            free_minutes_consumed = excluded.free_minutes_consumed,
            free_llm_dollars_consumed = excluded.free_llm_dollars_consumed,
            dev_discount = excluded.dev_discount,
            unpriced_conversations = excluded.unpriced_conversations,
            llm_usage = excluded.llm_usage;
    select * into after from public.elevenlabs_snapshots as snapshot
    where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date <= stale.until
    order by snapshot.snapshot_date desc limit 1;
    change := public.ledger_change_of_llm_usage(before.llm_usage, after.llm_usage);
    if (coalesce(before.total_conversations, 0), coalesce(before.total_cost, 0), coalesce(before.total_duration, 0), coalesce(before.total_credits, 0), coalesce(before.llm_price, 0), coalesce(before.llm_charge, 0), coalesce(before.platform_price, 0), coalesce(before.call_charge, 0), coalesce(before.free_minutes_consumed, 0), coalesce(before.free_llm_dollars_consumed, 0), coalesce(before.dev_discount, 0), coalesce(before.unpriced_conversations, 0), coalesce(before.llm_usage, '{}'))
        is distinct from (coalesce(after.total_conversations, 0), coalesce(after.total_cost, 0), coalesce(after.total_duration, 0), coalesce(after.total_credits, 0), coalesce(after.llm_price, 0), coalesce(after.llm_charge, 0), coalesce(after.platform_price, 0), coalesce(after.call_charge, 0), coalesce(after.free_minutes_consumed, 0), coalesce(after.free_llm_dollars_consumed, 0), coalesce(after.dev_discount, 0), coalesce(after.unpriced_conversations, 0), coalesce(after.llm_usage, '{}'))
    then
        update public.elevenlabs_snapshots as snapshot set
            total_conversations = snapshot.total_conversations + coalesce(after.total_conversations, 0) - coalesce(before.total_conversations, 0),
            total_cost = snapshot.total_cost + coalesce(after.total_cost, 0) - coalesce(before.total_cost, 0),
            total_duration = snapshot.total_duration + coalesce(after.total_duration, 0) - coalesce(before.total_duration, 0),
            total_credits = snapshot.total_credits + coalesce(after.total_credits, 0) - coalesce(before.total_credits, 0),
            llm_price = snapshot.llm_price + coalesce(after.llm_price, 0) - coalesce(before.llm_price, 0),
            llm_charge = snapshot.llm_charge + coalesce(after.llm_charge, 0) - coalesce(before.llm_charge, 0),
            platform_price = snapshot.platform_price + coalesce(after.platform_price, 0) - coalesce(before.platform_price, 0),
            call_charge = snapshot.call_charge + coalesce(after.call_charge, 0) - coalesce(before.call_charge, 0),
            free_minutes_consumed = snapshot.free_minutes_consumed + coalesce(after.free_minutes_consumed, 0) - coalesce(before.free_minutes_consumed, 0),
            free_llm_dollars_consumed = snapshot.free_llm_dollars_consumed + coalesce(after.free_llm_dollars_consumed, 0) - coalesce(before.free_llm_dollars_consumed, 0),
            dev_discount = snapshot.dev_discount + coalesce(after.dev_discount, 0) - coalesce(before.dev_discount, 0),
            unpriced_conversations = snapshot.unpriced_conversations + coalesce(after.unpriced_conversations, 0) - coalesce(before.unpriced_conversations, 0),
            llm_usage = public.ledger_add_llm_usage(snapshot.llm_usage, change)
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date > stale.until;
    end if;
    return true;
end
$$;
comment on function public.ledger_refresh_next_elevenlabs is
    'Recomputes the stale balances of one workspace, and moves the later ones; false if none was stale.';

create or replace function public.ledger_refresh_elevenlabs() returns void
language plpgsql set search_path = ''
as $$
begin
    while public.ledger_refresh_next_elevenlabs() loop
    end loop;
end
$$;
comment on function public.ledger_refresh_elevenlabs is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_elevenlabs() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_recomputed_elevenlabs(workspace.id, '-infinity', 'infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
    where not exists (
        select from public.stale_balances as stale
        where stale.source = 'elevenlabs' and stale.workspace_id = place.workspace_id and stale.since <= place.snapshot_date
    )
$$;

drop function if exists public.ledger_save_calls(text);
create or replace function public.ledger_ingest_calls(batch text, refresh boolean default true) returns void
language plpgsql set search_path = '' set statement_timeout = '55s' set jit = off
as $$
declare
    records jsonb := batch; -- text, since a JSON argument would pass through floats on its way here
    versions jsonb;
    changed text[];
begin
    -- One writer of a source at a time: balances are read, added to and written.
    perform pg_advisory_xact_lock(hashtext('voice ledger twilio'));
    -- An account bills in one currency: the first one seen.
    insert into public.ledger_meta (key, value)
    select 'price_unit', record ->> 'price_unit'
    from jsonb_array_elements(records) with ordinality as given (record, place)
    where record ->> 'price_unit' is not null and (record ->> 'cost')::numeric <> 0 order by place limit 1
    on conflict do nothing;
    -- The same key twice in a batch: older versions first, since they may know what the newest does not.
    for versions in
        select jsonb_agg(record) from (
            select record, row_number() over (
                partition by record ->> 'sid' order by (record ->> 'fetched_at')::timestamptz, place
            ) as turn
            from jsonb_array_elements(records) with ordinality as given (record, place)
        ) as ordered group by turn order by turn
    loop
        insert into public.calls as stored (sid, parent_call_sid, status, direction, started_at, ended_at, duration, cost, price_unit, from_number, to_number, our_number, fetched_at, workspace_id)
        select sid, parent_call_sid, status, direction, started_at, ended_at, duration, cost, price_unit, from_number, to_number, our_number, fetched_at, 0
        from jsonb_to_recordset(versions) as given (sid text, parent_call_sid text, status text, direction text, started_at timestamptz, ended_at timestamptz, duration bigint, cost numeric, price_unit text, from_number text, to_number text, our_number text, fetched_at timestamptz)
        on conflict (sid) do update set
            status = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.status else stored.status end,
            direction = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.direction else stored.direction end,
            started_at = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.started_at else stored.started_at end,
            ended_at = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.ended_at else stored.ended_at end,
            duration = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.duration else stored.duration end,
            parent_call_sid = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.parent_call_sid, stored.parent_call_sid) else coalesce(stored.parent_call_sid, excluded.parent_call_sid) end,
            cost = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.cost, stored.cost) else coalesce(stored.cost, excluded.cost) end,
            price_unit = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.price_unit, stored.price_unit) else coalesce(stored.price_unit, excluded.price_unit) end,
            from_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.from_number, stored.from_number) else coalesce(stored.from_number, excluded.from_number) end,
            to_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.to_number, stored.to_number) else coalesce(stored.to_number, excluded.to_number) end,
            our_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.our_number, stored.our_number) else coalesce(stored.our_number, excluded.our_number) end,
            fetched_at = greatest(excluded.fetched_at, stored.fetched_at),
            is_gone = false;
    end loop;
    select array_agg(record ->> 'sid') into changed from jsonb_array_elements(records) as record;
    perform public.ledger_attribute_calls(changed);
    delete from public.sync_failures where source = 'twilio' and record_id = any (changed);
    if refresh then
        perform public.ledger_refresh_twilio();
    end if;
end
$$;
comment on function public.ledger_ingest_calls is
    'Upserts records by key (the newer version wins) and attributes them, in one transaction with their balances unless those are to wait.';

drop function if exists public.ledger_save_conversations(text);
create or replace function public.ledger_ingest_conversations(batch text, refresh boolean default true) returns void
language plpgsql set search_path = '' set statement_timeout = '55s' set jit = off
as $$
declare
    records jsonb := batch; -- text, since a JSON argument would pass through floats on its way here
    versions jsonb;
    changed text[];
begin
    -- One writer of a source at a time: balances are read, added to and written.
    perform pg_advisory_xact_lock(hashtext('voice ledger elevenlabs'));
    -- The same key twice in a batch: older versions first, since they may know what the newest does not.
    for versions in
        select jsonb_agg(record) from (
            select record, row_number() over (
                partition by record ->> 'conversation_id' order by (record ->> 'fetched_at')::timestamptz, place
            ) as turn
            from jsonb_array_elements(records) with ordinality as given (record, place)
        ) as ordered group by turn order by turn
    loop
        insert into public.elevenlabs_conversations as stored (conversation_id, agent_id, agent_name, status, started_at, duration, direction, channel, agent_number, external_number, call_sid, termination_reason, cost, credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, is_burst, llm_usage, fetched_at, workspace_id)
        select conversation_id, agent_id, agent_name, status, started_at, duration, direction, channel, agent_number, external_number, call_sid, termination_reason, cost, credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, is_burst, llm_usage, fetched_at, 0
        from jsonb_to_recordset(versions) as given (conversation_id text, agent_id text, agent_name text, status text, started_at timestamptz, duration bigint, direction text, channel text, agent_number text, external_number text, call_sid text, termination_reason text, cost numeric, credits bigint, llm_price numeric, llm_charge bigint, platform_price numeric, call_charge bigint, free_minutes_consumed numeric, free_llm_dollars_consumed numeric, dev_discount boolean, is_burst boolean, llm_usage jsonb, fetched_at timestamptz)
        on conflict (conversation_id) do update set
            status = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.status else stored.status end,
            started_at = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.started_at else stored.started_at end,
            duration = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.duration else stored.duration end,
            direction = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.direction else stored.direction end,
            channel = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.channel else stored.channel end,
            termination_reason = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.termination_reason else stored.termination_reason end,
            dev_discount = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.dev_discount else stored.dev_discount end,
            is_burst = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.is_burst else stored.is_burst end,
            llm_usage = case when (stored.fetched_at > excluded.fetched_at) is not true then excluded.llm_usage else stored.llm_usage end,
            agent_id = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.agent_id, stored.agent_id) else coalesce(stored.agent_id, excluded.agent_id) end,
            agent_name = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.agent_name, stored.agent_name) else coalesce(stored.agent_name, excluded.agent_name) end,
            agent_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.agent_number, stored.agent_number) else coalesce(stored.agent_number, excluded.agent_number) end,
            external_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.external_number, stored.external_number) else coalesce(stored.external_number, excluded.external_number) end,
            call_sid = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.call_sid, stored.call_sid) else coalesce(stored.call_sid, excluded.call_sid) end,
            cost = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.cost, stored.cost) else coalesce(stored.cost, excluded.cost) end,
            credits = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.credits, stored.credits) else coalesce(stored.credits, excluded.credits) end,
            llm_price = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.llm_price, stored.llm_price) else coalesce(stored.llm_price, excluded.llm_price) end,
            llm_charge = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.llm_charge, stored.llm_charge) else coalesce(stored.llm_charge, excluded.llm_charge) end,
            platform_price = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.platform_price, stored.platform_price) else coalesce(stored.platform_price, excluded.platform_price) end,
            call_charge = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.call_charge, stored.call_charge) else coalesce(stored.call_charge, excluded.call_charge) end,
            free_minutes_consumed = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.free_minutes_consumed, stored.free_minutes_consumed) else coalesce(stored.free_minutes_consumed, excluded.free_minutes_consumed) end,
            free_llm_dollars_consumed = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.free_llm_dollars_consumed, stored.free_llm_dollars_consumed) else coalesce(stored.free_llm_dollars_consumed, excluded.free_llm_dollars_consumed) end,
            fetched_at = greatest(excluded.fetched_at, stored.fetched_at),
            is_gone = false;
    end loop;
    select array_agg(record ->> 'conversation_id') into changed from jsonb_array_elements(records) as record;
    perform public.ledger_attribute_conversations(changed);
    delete from public.sync_failures where source = 'elevenlabs' and record_id = any (changed);
    if refresh then
        perform public.ledger_refresh_elevenlabs();
    end if;
end
$$;
comment on function public.ledger_ingest_conversations is
    'Upserts records by key (the newer version wins) and attributes them, in one transaction with their balances unless those are to wait.';

create or replace function public.ledger_begin_run(
    p_source text, p_kind text, p_start timestamptz, p_end timestamptz, p_owner text, p_now timestamptz,
    p_stale_before timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    open_run public.sync_runs;
    begun public.sync_runs;
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run ' || p_source));
    select * into open_run from public.sync_runs where source = p_source and state = 'running'
        and (kind = 'backfill') = (p_kind = 'backfill');
    if found and open_run.owner = p_owner and open_run.started_at = p_now then
        return jsonb_build_object('begun', to_jsonb(open_run)); -- asked again, since the answer was lost
    end if;
    if found and open_run.heartbeat_at >= p_stale_before then
        return jsonb_build_object('running', to_jsonb(open_run));
    end if;
    update public.sync_runs
    set state = 'interrupted', message = 'The process ended without closing this run.', finished_at = p_now
    where id = open_run.id;
    insert into public.sync_runs (source, kind, state, window_start, window_end, owner, started_at, heartbeat_at)
    values (p_source, p_kind, 'running', p_start, p_end, p_owner, p_now, p_now) returning * into begun;
    return jsonb_build_object('begun', to_jsonb(begun));
end
$$;

create or replace function public.ledger_last_success(p_source text, p_kind text) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(run) from (
        select * from public.sync_runs
        where source = p_source and state = 'ok' and case when p_kind is null then kind <> 'backfill' else kind = p_kind end order by id desc limit 1
    ) as run
$$;

drop function if exists public.ledger_save_progress(bigint, bigint, bigint, bigint, bigint, timestamptz);
create or replace function public.ledger_write_progress(
    p_run bigint, p_done bigint, p_total bigint, p_saved bigint, p_failed bigint, p_position timestamptz,
    p_now timestamptz
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update public.sync_runs set done = p_done, total = p_total, saved = p_saved, failed = p_failed,
        position = p_position, heartbeat_at = p_now
    where id = p_run and state = 'running';
    return found;
end
$$;
comment on function public.ledger_write_progress is 'Writes counts and heartbeat; false if the run is no longer open.';

drop function if exists public.ledger_runs(text, int);
create or replace function public.ledger_list_runs(p_source text, p_kind text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id desc), '[]') from (
        select * from public.sync_runs
        where source = coalesce(p_source, source) and kind = coalesce(p_kind, kind) order by id desc limit p_limit
    ) as run
$$;

create or replace function public.ledger_failures(p_source text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(failure) order by failure.last_failed_at desc, failure.record_id), '[]') from (
        select * from public.sync_failures where source = p_source order by last_failed_at desc, record_id limit p_limit
    ) as failure
$$;

create or replace function public.ledger_workspaces_to_refresh(p_source text) returns bigint
language sql stable set search_path = ''
as $$
    select count(*) from public.stale_balances where source = p_source
$$;

-- What functions and tables this migration made or made anew is for the service role alone.
do $$
declare
    ledger_function regprocedure;
begin
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'ledger\_%'
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

insert into public.stale_balances (source, workspace_id, since, until)
select 'elevenlabs', workspace_id, min(snapshot_date), max(snapshot_date)
from public.elevenlabs_snapshots group by workspace_id
on conflict do nothing;

insert into public.ledger_migrations (name) values ('20261123000100_backfill') on conflict do nothing;
notify pgrst, 'reload schema';
