-- Attribution and balances. Triggers note every change of a record in stale_balances, so that none can be forgotten.

create or replace function public.ledger_add_llm_usage(total jsonb, usage jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
    select case
        when usage is null or usage = '{}'::jsonb then total
        when total is null or total = '{}'::jsonb then usage
        else (
            select jsonb_object_agg(model, categories)
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
                ) as by_category
                group by model
            ) as by_model
        )
    end
$$;
comment on function public.ledger_add_llm_usage is 'Adds token usage by model and category; prices stay exact.';

do $$
begin
    if not exists (select from pg_proc where proname = 'ledger_sum_llm_usage' and pronamespace = 'public'::regnamespace) then
        create aggregate public.ledger_sum_llm_usage(jsonb) (
            sfunc = public.ledger_add_llm_usage, stype = jsonb, initcond = '{}'
        );
    end if;
end $$;

create or replace function public.ledger_mark_stale_calls() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    else
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC')
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
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    end if;
    return null;
end
$$;
comment on function public.ledger_mark_stale_calls is
    'Notes from which hour on balances no longer hold, for the old and the new place of each changed record.';

create or replace function public.ledger_mark_stale_conversations() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    else
        insert into public.stale_balances as stale (source, workspace_id, since)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC')
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
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since);
    end if;
    return null;
end
$$;
comment on function public.ledger_mark_stale_conversations is
    'Notes from which hour on balances no longer hold, for the old and the new place of each changed record.';

create or replace trigger calls_inserted after insert on public.calls
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_calls();
create or replace trigger calls_updated after update on public.calls
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_calls();
create or replace trigger calls_deleted after delete on public.calls
    referencing old table as old_rows for each statement execute function public.ledger_mark_stale_calls();

create or replace trigger conversations_inserted after insert on public.elevenlabs_conversations
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_conversations();
create or replace trigger conversations_updated after update on public.elevenlabs_conversations
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_conversations();
create or replace trigger conversations_deleted after delete on public.elevenlabs_conversations
    referencing old table as old_rows for each statement execute function public.ledger_mark_stale_conversations();

create or replace function public.ledger_sum_twilio(p_workspace bigint, p_from timestamptz, p_until timestamptz)
returns table (hour timestamptz, total_calls numeric, total_legs numeric, total_cost numeric, total_duration numeric, billed_minutes numeric, unpriced_calls numeric)
language sql stable set search_path = ''
as $$
    select date_trunc('hour', record.started_at, 'UTC'),
        count(*) filter (where parent_call_sid is null),
        count(*),
        coalesce(sum(cost) filter (where (cost <> 0 and price_unit <> unit.value) is not true), 0),
        coalesce(sum(duration) filter (where parent_call_sid is null), 0),
        coalesce(sum((duration + 59) / 60), 0),
        count(*) filter (where cost is null or (cost <> 0 and price_unit <> unit.value))
    from public.calls as record left join public.ledger_meta as unit on unit.key = 'price_unit'
    where record.workspace_id = p_workspace and record.started_at >= p_from and record.started_at < p_until
    group by 1
$$;
comment on function public.ledger_sum_twilio is 'What the records of a workspace add up to, by the hour they started.';

create or replace function public.ledger_running_twilio(p_workspace bigint, p_since timestamptz)
returns table (snapshot_date timestamptz, total_calls numeric, total_legs numeric, total_cost numeric, total_duration numeric, billed_minutes numeric, unpriced_calls numeric)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.ledger_sum_twilio(p_workspace, p_since, 'infinity')
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
comment on function public.ledger_running_twilio is
    'Balances of a workspace from an hour on, recomputed: the last one before it, and the records since.';

create or replace function public.ledger_sum_elevenlabs(p_workspace bigint, p_from timestamptz, p_until timestamptz)
returns table (hour timestamptz, total_conversations numeric, total_cost numeric, total_duration numeric, total_credits numeric, llm_price numeric, llm_charge numeric, platform_price numeric, call_charge numeric, free_minutes_consumed numeric, free_llm_dollars_consumed numeric, dev_discount numeric, unpriced_conversations numeric, llm_usage jsonb)
language sql stable set search_path = ''
as $$
    select date_trunc('hour', record.started_at, 'UTC'),
        count(*),
        coalesce(sum(cost), 0),
        coalesce(sum(duration), 0),
        coalesce(sum(credits), 0),
        coalesce(sum(llm_price), 0),
        coalesce(sum(llm_charge), 0),
        coalesce(sum(platform_price), 0),
        coalesce(sum(call_charge), 0),
        coalesce(sum(free_minutes_consumed), 0),
        coalesce(sum(free_llm_dollars_consumed), 0),
        count(*) filter (where dev_discount),
        count(*) filter (where cost is null),
        public.ledger_sum_llm_usage(llm_usage)
    from public.elevenlabs_conversations as record 
    where record.workspace_id = p_workspace and record.started_at >= p_from and record.started_at < p_until
    group by 1
$$;
comment on function public.ledger_sum_elevenlabs is 'What the records of a workspace add up to, by the hour they started.';

create or replace function public.ledger_running_elevenlabs(p_workspace bigint, p_since timestamptz)
returns table (snapshot_date timestamptz, total_conversations numeric, total_cost numeric, total_duration numeric, total_credits numeric, llm_price numeric, llm_charge numeric, platform_price numeric, call_charge numeric, free_minutes_consumed numeric, free_llm_dollars_consumed numeric, dev_discount numeric, unpriced_conversations numeric, llm_usage jsonb)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.ledger_sum_elevenlabs(p_workspace, p_since, 'infinity')
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
comment on function public.ledger_running_elevenlabs is
    'Balances of a workspace from an hour on, recomputed: the last one before it, and the records since.';

create or replace function public.ledger_refresh_twilio() returns void
language plpgsql set search_path = ''
as $$
declare
    stale record;
begin
    for stale in
        delete from public.stale_balances where source = 'twilio' returning workspace_id, since
    loop
        delete from public.twilio_snapshots as snapshot
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date >= stale.since
            and not exists (
                select from public.calls as record
                where record.workspace_id = stale.workspace_id
                    and record.started_at >= snapshot.snapshot_date
                    and record.started_at < snapshot.snapshot_date + interval '1 hour'
            );
        insert into public.twilio_snapshots (workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls)
        select stale.workspace_id, running.* from public.ledger_running_twilio(stale.workspace_id, stale.since) as running
        on conflict (workspace_id, snapshot_date) do update set
            total_calls = excluded.total_calls,
            total_legs = excluded.total_legs,
            total_cost = excluded.total_cost,
            total_duration = excluded.total_duration,
            billed_minutes = excluded.billed_minutes,
            unpriced_calls = excluded.unpriced_calls;
    end loop;
end
$$;
comment on function public.ledger_refresh_twilio is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_twilio() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_running_twilio(workspace.id, '-infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
$$;
comment on function public.ledger_wrong_twilio is 'Balances that are missing, superfluous or not the sum of their records.';

create or replace function public.ledger_refresh_elevenlabs() returns void
language plpgsql set search_path = ''
as $$
declare
    stale record;
begin
    for stale in
        delete from public.stale_balances where source = 'elevenlabs' returning workspace_id, since
    loop
        delete from public.elevenlabs_snapshots as snapshot
        where snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date >= stale.since
            and not exists (
                select from public.elevenlabs_conversations as record
                where record.workspace_id = stale.workspace_id
                    and record.started_at >= snapshot.snapshot_date
                    and record.started_at < snapshot.snapshot_date + interval '1 hour'
            );
        insert into public.elevenlabs_snapshots (workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage)
        select stale.workspace_id, running.* from public.ledger_running_elevenlabs(stale.workspace_id, stale.since) as running
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
    end loop;
end
$$;
comment on function public.ledger_refresh_elevenlabs is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_elevenlabs() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_running_elevenlabs(workspace.id, '-infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
$$;
comment on function public.ledger_wrong_elevenlabs is 'Balances that are missing, superfluous or not the sum of their records.';

insert into public.ledger_migrations (name) values ('20261122190100_balances') on conflict do nothing;
