-- What pages read, each in one call. Usage of a period by kind of call, quarter of an hour and agent is added up from
-- the period's records, and equals what the balances say of it. Null is the beginning, the end, and all workspaces.

create or replace function public.ledger_calls_by_kind(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(kind) order by direction, status), '[]')
    from (
        select coalesce(direction, '') as direction, coalesce(status, '') as status,
            jsonb_build_object(
                'total_calls', (count(*) filter (where parent_call_sid is null))::text,
                'total_legs', count(*)::text,
                'total_cost', (sum(cost) filter (where (cost <> 0 and price_unit <> unit.value) is not true))::text,
                'total_duration', (sum(duration) filter (where parent_call_sid is null))::text,
                'billed_minutes', sum((duration + 59) / 60)::text,
                'unpriced_calls', (
                    count(*) filter (where cost is null or (cost <> 0 and price_unit <> unit.value))
                )::text
            ) as totals
        from public.calls left join public.ledger_meta as unit on unit.key = 'price_unit'
        where started_at >= coalesce(p_since, '-infinity') and started_at < coalesce(p_until, 'infinity')
            and case when p_workspaces is null then workspace_id is not null else workspace_id = any (p_workspaces) end
        group by 1, 2
    ) as kind
$$;
comment on function public.ledger_calls_by_kind is 'What the legs of a period add up to, by direction and status.';

create or replace function public.ledger_calls_by_quarter_hour(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(quarter) order by started_at), '[]')
    from (
        select date_bin('15 minutes', started_at, 'epoch') as started_at,
            jsonb_build_object(
                'total_calls', (count(*) filter (where parent_call_sid is null))::text,
                'total_legs', count(*)::text,
                'total_cost', (sum(cost) filter (where (cost <> 0 and price_unit <> unit.value) is not true))::text,
                'total_duration', (sum(duration) filter (where parent_call_sid is null))::text,
                'billed_minutes', sum((duration + 59) / 60)::text,
                'unpriced_calls', (
                    count(*) filter (where cost is null or (cost <> 0 and price_unit <> unit.value))
                )::text
            ) as totals
        from public.calls left join public.ledger_meta as unit on unit.key = 'price_unit'
        where started_at >= coalesce(p_since, '-infinity') and started_at < coalesce(p_until, 'infinity')
            and case when p_workspaces is null then workspace_id is not null else workspace_id = any (p_workspaces) end
        group by 1
    ) as quarter
$$;
comment on function public.ledger_calls_by_quarter_hour is
    'What the legs of a period add up to, by the quarter of an hour they started; the hours of all zones begin at one.';

create or replace function public.ledger_conversations_by_agent(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(agent) order by workspace_id, agent_id collate "C" nulls first), '[]')
    from (
        select workspace_id, agent_id,
            (
                array_agg(agent_name order by started_at desc, agent_name collate "C" desc)
                filter (where agent_name is not null)
            )[1] as agent_name,
            jsonb_build_object(
                'total_conversations', count(*)::text,
                'total_cost', sum(cost)::text,
                'total_duration', sum(duration)::text,
                'total_credits', sum(credits)::text,
                'llm_price', sum(llm_price)::text,
                'llm_charge', sum(llm_charge)::text,
                'platform_price', sum(platform_price)::text,
                'call_charge', sum(call_charge)::text,
                'free_minutes_consumed', sum(free_minutes_consumed)::text,
                'free_llm_dollars_consumed', sum(free_llm_dollars_consumed)::text,
                'dev_discount', (count(*) filter (where dev_discount))::text,
                'unpriced_conversations', (count(*) filter (where cost is null))::text,
                'llm_usage', '{}'
            ) as totals
        from public.elevenlabs_conversations
        where started_at >= coalesce(p_since, '-infinity') and started_at < coalesce(p_until, 'infinity')
            and case when p_workspaces is null then workspace_id is not null else workspace_id = any (p_workspaces) end
        group by 1, 2
    ) as agent
$$;
comment on function public.ledger_conversations_by_agent is
    'What the conversations of a period add up to, by workspace and agent, without token usage per model.';

create or replace function public.ledger_twilio_statement(
    moments timestamptz[], edges timestamptz[], p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    -- The balance of the last full hour, and the records since: balances are kept by the hour, time zones are not.
    with moment as materialized (
        select false as is_edge, place, at from unnest(moments) with ordinality as given (at, place)
        union all
        select true, place, at from unnest(edges) with ordinality as given (at, place)
    ),
    chosen as materialized (
        select id from public.workspaces where p_workspaces is null or id = any (p_workspaces)
    ),
    part as (
        select is_edge, place, chosen.id as workspace_id,
            balance.total_calls, balance.total_legs, balance.total_cost, balance.total_duration,
            balance.billed_minutes, balance.unpriced_calls
        from moment cross join chosen cross join lateral (
            select
                total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls
            from public.twilio_snapshots
            where workspace_id = chosen.id
                and snapshot_date < coalesce(date_trunc('hour', moment.at, 'UTC'), 'infinity')
            order by snapshot_date desc limit 1
        ) as balance
        union all
        select is_edge, place, chosen.id,
            balance.total_calls, balance.total_legs, balance.total_cost, balance.total_duration,
            balance.billed_minutes, balance.unpriced_calls
        from moment cross join chosen cross join lateral public.ledger_sum_twilio(
            chosen.id, date_trunc('hour', moment.at, 'UTC'), moment.at
        ) as balance
        where moment.at > date_trunc('hour', moment.at, 'UTC')
    ),
    balance as materialized (
        select is_edge, place, workspace_id,
            sum(total_calls) as total_calls, sum(total_legs) as total_legs, sum(total_cost) as total_cost,
            sum(total_duration) as total_duration, sum(billed_minutes) as billed_minutes,
            sum(unpriced_calls) as unpriced_calls
        from part group by is_edge, place, workspace_id
    ),
    in_all as (
        select place,
            sum(total_calls) as total_calls, sum(total_legs) as total_legs, sum(total_cost) as total_cost,
            sum(total_duration) as total_duration, sum(billed_minutes) as billed_minutes,
            sum(unpriced_calls) as unpriced_calls
        from balance where is_edge group by place
    )
    select jsonb_build_object(
        'balances', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'place', place, 'workspace_id', workspace_id,
                'totals', jsonb_build_object(
                    'total_calls', total_calls::text,
                    'total_legs', total_legs::text,
                    'total_cost', total_cost::text,
                    'total_duration', total_duration::text,
                    'billed_minutes', billed_minutes::text,
                    'unpriced_calls', unpriced_calls::text
                )
            )), '[]') from balance where not is_edge
        ),
        'sums', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'place', place,
                'totals', jsonb_build_object(
                    'total_calls', total_calls::text,
                    'total_legs', total_legs::text,
                    'total_cost', total_cost::text,
                    'total_duration', total_duration::text,
                    'billed_minutes', billed_minutes::text,
                    'unpriced_calls', unpriced_calls::text
                )
            )), '[]') from in_all
        ),
        'costs', (
            select coalesce(jsonb_object_agg(workspace_id, costs), '{}') from (
                select workspace_id,
                    jsonb_agg(jsonb_build_array(place, (total_cost * 1e8)::bigint, unpriced_calls)) as costs
                from balance where is_edge group by workspace_id
            ) as by_workspace
        )
    )
$$;
comment on function public.ledger_twilio_statement is
    'Totals by workspace at each moment (null is the end); at each edge those of all together, and costs in 1e-8.';

create or replace function public.ledger_elevenlabs_statement(
    moments timestamptz[], edges timestamptz[], p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    -- The balance of the last full hour, and the records since: balances are kept by the hour, time zones are not.
    with moment as materialized (
        select false as is_edge, place, at from unnest(moments) with ordinality as given (at, place)
        union all
        select true, place, at from unnest(edges) with ordinality as given (at, place)
    ),
    chosen as materialized (
        select id from public.workspaces where p_workspaces is null or id = any (p_workspaces)
    ),
    part as (
        select is_edge, place, chosen.id as workspace_id,
            balance.total_conversations, balance.total_cost, balance.total_duration, balance.total_credits,
            balance.llm_price, balance.llm_charge, balance.platform_price, balance.call_charge,
            balance.free_minutes_consumed, balance.free_llm_dollars_consumed, balance.dev_discount,
            balance.unpriced_conversations
        from moment cross join chosen cross join lateral (
            select
                total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price,
                call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations
            from public.elevenlabs_snapshots
            where workspace_id = chosen.id
                and snapshot_date < coalesce(date_trunc('hour', moment.at, 'UTC'), 'infinity')
            order by snapshot_date desc limit 1
        ) as balance
        union all
        select is_edge, place, chosen.id,
            balance.total_conversations, balance.total_cost, balance.total_duration, balance.total_credits,
            balance.llm_price, balance.llm_charge, balance.platform_price, balance.call_charge,
            balance.free_minutes_consumed, balance.free_llm_dollars_consumed, balance.dev_discount,
            balance.unpriced_conversations
        from moment cross join chosen cross join lateral public.ledger_sum_elevenlabs(
            chosen.id, date_trunc('hour', moment.at, 'UTC'), moment.at
        ) as balance
        where moment.at > date_trunc('hour', moment.at, 'UTC')
    ),
    balance as materialized (
        select is_edge, place, workspace_id,
            sum(total_conversations) as total_conversations, sum(total_cost) as total_cost,
            sum(total_duration) as total_duration, sum(total_credits) as total_credits, sum(llm_price) as llm_price,
            sum(llm_charge) as llm_charge, sum(platform_price) as platform_price, sum(call_charge) as call_charge,
            sum(free_minutes_consumed) as free_minutes_consumed,
            sum(free_llm_dollars_consumed) as free_llm_dollars_consumed, sum(dev_discount) as dev_discount,
            sum(unpriced_conversations) as unpriced_conversations
        from part group by is_edge, place, workspace_id
    ),
    in_all as (
        select place,
            sum(total_conversations) as total_conversations, sum(total_cost) as total_cost,
            sum(total_duration) as total_duration, sum(total_credits) as total_credits, sum(llm_price) as llm_price,
            sum(llm_charge) as llm_charge, sum(platform_price) as platform_price, sum(call_charge) as call_charge,
            sum(free_minutes_consumed) as free_minutes_consumed,
            sum(free_llm_dollars_consumed) as free_llm_dollars_consumed, sum(dev_discount) as dev_discount,
            sum(unpriced_conversations) as unpriced_conversations
        from balance where is_edge group by place
    )
    select jsonb_build_object(
        'balances', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'place', place, 'workspace_id', workspace_id,
                'totals', jsonb_build_object(
                    'total_conversations', total_conversations::text,
                    'total_cost', total_cost::text,
                    'total_duration', total_duration::text,
                    'total_credits', total_credits::text,
                    'llm_price', llm_price::text,
                    'llm_charge', llm_charge::text,
                    'platform_price', platform_price::text,
                    'call_charge', call_charge::text,
                    'free_minutes_consumed', free_minutes_consumed::text,
                    'free_llm_dollars_consumed', free_llm_dollars_consumed::text,
                    'dev_discount', dev_discount::text,
                    'unpriced_conversations', unpriced_conversations::text,
                    'llm_usage', '{}'
                )
            )), '[]') from balance where not is_edge
        ),
        'sums', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'place', place,
                'totals', jsonb_build_object(
                    'total_conversations', total_conversations::text,
                    'total_cost', total_cost::text,
                    'total_duration', total_duration::text,
                    'total_credits', total_credits::text,
                    'llm_price', llm_price::text,
                    'llm_charge', llm_charge::text,
                    'platform_price', platform_price::text,
                    'call_charge', call_charge::text,
                    'free_minutes_consumed', free_minutes_consumed::text,
                    'free_llm_dollars_consumed', free_llm_dollars_consumed::text,
                    'dev_discount', dev_discount::text,
                    'unpriced_conversations', unpriced_conversations::text,
                    'llm_usage', '{}'
                )
            )), '[]') from in_all
        ),
        'costs', (
            select coalesce(jsonb_object_agg(workspace_id, costs), '{}') from (
                select workspace_id,
                    jsonb_agg(jsonb_build_array(place, (total_cost * 1e8)::bigint, unpriced_conversations)) as costs
                from balance where is_edge group by workspace_id
            ) as by_workspace
        )
    )
$$;
comment on function public.ledger_elevenlabs_statement is
    'Totals by workspace at each moment (null is the end); at each edge those of all together, and costs in 1e-8.';

create or replace function public.ledger_llm_usage(p_since timestamptz, p_until timestamptz, p_workspaces bigint[])
returns text
language sql stable set search_path = '' set jit = off
as $$
    with chosen as materialized (
        select id from public.workspaces where p_workspaces is null or id = any (p_workspaces)
    ),
    moment as (
        select 1 as factor, p_until as at
        union all
        select -1, p_since where p_since is not null
    ),
    part as (
        select factor, balance.llm_usage
        from moment cross join chosen cross join lateral (
            select llm_usage from public.elevenlabs_snapshots
            where workspace_id = chosen.id
                and snapshot_date < coalesce(date_trunc('hour', moment.at, 'UTC'), 'infinity')
            order by snapshot_date desc limit 1
        ) as balance
        union all
        select factor, record.llm_usage
        from moment join public.elevenlabs_conversations as record
            on record.started_at >= date_trunc('hour', moment.at, 'UTC') and record.started_at < moment.at
        where record.workspace_id in (select id from chosen)
    ),
    used as (
        select model.key as model, category.key as category,
            sum(factor * (category.value ->> 'tokens')::numeric) as tokens,
            sum(factor * (category.value ->> 'price')::numeric) as price
        from part cross join jsonb_each(part.llm_usage) as model cross join jsonb_each(model.value) as category
        group by model.key, category.key
    )
    select coalesce(jsonb_object_agg(model, categories), '{}')::text from (
        select model,
            jsonb_object_agg(category, jsonb_build_object('tokens', tokens, 'price', trim_scale(price))) as categories
        from used where tokens <> 0 or price <> 0 group by model
    ) as by_model
$$;
comment on function public.ledger_llm_usage is
    'Token usage by model and category of all these workspaces together; a text, in which prices stay exact.';

create or replace function public.ledger_active_hours(p_source text) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_array(min(first), max(last)) from (
        select
            case p_source
                when 'twilio' then (select min(snapshot_date) from public.twilio_snapshots where workspace_id = w.id)
                else (select min(snapshot_date) from public.elevenlabs_snapshots where workspace_id = w.id)
            end as first,
            case p_source
                when 'twilio' then (select max(snapshot_date) from public.twilio_snapshots where workspace_id = w.id)
                else (select max(snapshot_date) from public.elevenlabs_snapshots where workspace_id = w.id)
            end as last
        from public.workspaces as w
    ) as activity
$$;
comment on function public.ledger_active_hours is 'The first and the last hour with activity; null when there is none.';

create index if not exists sync_runs_ended on public.sync_runs (source, finished_at);

create or replace function public.ledger_notable_runs() returns jsonb
language sql stable set search_path = ''
as $$
    with notable as (
        select id from public.sync_runs where state = 'running'
        union
        select latest.id
        from unnest(array['twilio', 'elevenlabs']) as provider (source) cross join lateral (
            (
                select id from public.sync_runs
                where source = provider.source and kind <> 'backfill' order by id desc limit 1
            )
            union all
            (
                select id from public.sync_runs
                where source = provider.source and state = 'ok' and kind <> 'backfill' order by id desc limit 1
            )
            union all
            (
                select id from public.sync_runs
                where source = provider.source and finished_at is not null
                order by finished_at desc, id desc limit 1
            )
        ) as latest
    )
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id desc), '[]')
    from public.sync_runs as run where run.id in (select id from notable)
$$;
comment on function public.ledger_notable_runs is
    'Of each source every open run, the latest and the latest success (no backfills), and the one that ended last.';

create or replace function public.ledger_gaps(p_source text, p_since timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
    with covered as (
        select window_start, max(window_end) over earlier as reached from public.sync_runs
        where source = p_source and state = 'ok'
        window earlier as (order by window_start rows between unbounded preceding and 1 preceding)
    )
    select coalesce(jsonb_agg(
        jsonb_build_array(greatest(reached, p_since), window_start) order by window_start
    ), '[]')
    from covered where reached is not null and window_start > greatest(reached, p_since)
$$;
comment on function public.ledger_gaps is
    'Where a window of a successful run begins after the furthest end of all windows that began before it.';

do $$
declare
    ledger_function regprocedure;
begin
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname = any (array[
            'ledger_calls_by_kind', 'ledger_calls_by_quarter_hour', 'ledger_conversations_by_agent',
            'ledger_twilio_statement', 'ledger_elevenlabs_statement', 'ledger_llm_usage', 'ledger_active_hours',
            'ledger_notable_runs', 'ledger_gaps'
        ])
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

insert into public.ledger_migrations (name) values ('20261123000400_breakdowns') on conflict do nothing;
notify pgrst, 'reload schema';
