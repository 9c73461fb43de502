-- What each call cost in all: one row per call, kept up to date in the transaction that changes one of its records. A
-- call is a family of legs (the topmost stored leg and everything below it) with the conversations that name one of
-- them by call_sid; a conversation of which no leg is stored stands alone. Where records are stored already, the first
-- run adds all of them up: about a minute for a million.

create table if not exists public.call_members (
    record_id text primary key,
    call_id text not null
);
create index if not exists call_members_call on public.call_members (call_id);
comment on table public.call_members is
    'Which call a record belongs to. The topmost leg, and a conversation that stands alone, are not listed: they are it.';

create table if not exists public.call_costs (
    call_id text primary key,
    started_at timestamptz not null,
    first_started_at timestamptz not null,
    last_started_at timestamptz not null,
    workspace_id bigint not null,
    conversation_workspace_id bigint,
    is_shared boolean not null,
    match text not null,
    direction text,
    status text not null,
    from_number text,
    to_number text,
    numbers text not null,
    agent_name text,
    conversation_id text,
    legs bigint not null,
    conversations bigint not null,
    price_unit text,
    twilio_cost numeric not null,
    unpriced_legs bigint not null,
    elevenlabs_cost numeric not null,
    platform_price numeric,
    llm_price numeric,
    credits bigint,
    unpriced_conversations bigint not null,
    total_cost numeric,
    duration bigint,
    conversation_seconds bigint,
    gap bigint
);
create index if not exists call_costs_started_at on public.call_costs (started_at, call_id collate "C");
create index if not exists call_costs_last_started_at on public.call_costs (last_started_at)
    where last_started_at > started_at;
create index if not exists call_costs_first_started_at on public.call_costs (first_started_at)
    where first_started_at < started_at;
comment on table public.call_costs is
    'What each call cost in all. Sums are over what is known; unpriced_legs and unpriced_conversations count the rest.';
comment on column public.call_costs.started_at is 'Start of the topmost leg, or of the conversation that stands alone.';
comment on column public.call_costs.first_started_at is 'The first start of any of its records.';
comment on column public.call_costs.last_started_at is 'The last start of any of its records.';
comment on column public.call_costs.is_shared is 'Its records belong to more than one workspace.';
comment on column public.call_costs.numbers is 'The digits of every number in it, each followed by a space.';
comment on column public.call_costs.total_cost is 'US dollars; null unless all of it is known.';
comment on column public.call_costs.gap is 'Talk seconds of the line less those of the conversation.';

create table if not exists public.stale_calls (
    record_id text primary key
);
comment on table public.stale_calls is
    'Records whose call is to be added up again; filled by triggers, emptied before the transaction commits.';

create or replace function public.ledger_mark_stale_leg() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_calls select sid from new_rows on conflict do nothing;
    else
        insert into public.stale_calls
        select changed.sid from new_rows as changed join old_rows as former on former.sid = changed.sid
        where (
            changed.workspace_id, changed.parent_call_sid, changed.status, changed.direction, changed.started_at,
            changed.duration, changed.cost, changed.price_unit, changed.from_number, changed.to_number
        ) is distinct from (
            former.workspace_id, former.parent_call_sid, former.status, former.direction, former.started_at,
            former.duration, former.cost, former.price_unit, former.from_number, former.to_number
        )
        on conflict do nothing;
    end if;
    return null;
end
$$;

create or replace function public.ledger_mark_stale_conversation() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_calls select conversation_id from new_rows on conflict do nothing;
    else
        insert into public.stale_calls
        select changed.conversation_id
        from new_rows as changed join old_rows as former on former.conversation_id = changed.conversation_id
        where (
            changed.workspace_id, changed.agent_name, changed.status, changed.started_at, changed.duration,
            changed.direction, changed.channel, changed.agent_number, changed.external_number, changed.call_sid,
            changed.cost, changed.credits, changed.llm_price, changed.platform_price
        ) is distinct from (
            former.workspace_id, former.agent_name, former.status, former.started_at, former.duration,
            former.direction, former.channel, former.agent_number, former.external_number, former.call_sid,
            former.cost, former.credits, former.llm_price, former.platform_price
        )
        on conflict do nothing;
    end if;
    return null;
end
$$;

create or replace trigger call_of_leg_inserted after insert on public.calls
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_leg();
create or replace trigger call_of_leg_updated after update on public.calls
    referencing old table as old_rows new table as new_rows
    for each statement execute function public.ledger_mark_stale_leg();
create or replace trigger call_of_conversation_inserted after insert on public.elevenlabs_conversations
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_conversation();
create or replace trigger call_of_conversation_updated after update on public.elevenlabs_conversations
    referencing old table as old_rows new table as new_rows
    for each statement execute function public.ledger_mark_stale_conversation();

-- Few records at a time: without these two settings the planner reads whole tables, and compiles first.
create or replace function public.ledger_add_up_calls(p_records text[]) returns void
language plpgsql set search_path = '' set enable_seqscan = off set jit = off
as $$
declare
    leg_sids text[];
    leg_calls text[];
    talk_ids text[];
    talk_calls text[];
begin
    -- The legs of every call that a record belongs to, or belonged to: from each such record up to the topmost stored
    -- leg, and from there down. `union` ends the walk around legs that are each other's parents.
    with recursive seed (sid) as (
        select unnest(p_records)
        union select call_sid from public.elevenlabs_conversations where conversation_id = any (p_records)
        union select call_id from public.call_members where record_id = any (p_records)
    ),
    line (sid, parent_call_sid) as (
        select leg.sid, leg.parent_call_sid from seed join public.calls as leg on leg.sid = seed.sid
        union
        select parent.sid, parent.parent_call_sid
        from line join public.calls as parent on parent.sid = line.parent_call_sid
    ),
    family (sid, call_id) as (
        select sid, sid from line
        where not exists (select from public.calls as parent where parent.sid = line.parent_call_sid)
        union
        select leg.sid, family.call_id from family join public.calls as leg on leg.parent_call_sid = family.sid
    )
    select coalesce(array_agg(sid), '{}'), coalesce(array_agg(call_id), '{}') into leg_sids, leg_calls from family;

    with talk (conversation_id, call_id) as (
        select conversation_id, family.call_id
        from unnest(leg_sids, leg_calls) as family (sid, call_id)
            join public.elevenlabs_conversations on call_sid = family.sid
        union
        select conversation_id, conversation_id from public.elevenlabs_conversations
        where conversation_id = any (p_records) and not exists (select from public.calls where sid = call_sid)
    )
    select coalesce(array_agg(conversation_id), '{}'), coalesce(array_agg(call_id), '{}')
    into talk_ids, talk_calls from talk;

    delete from public.call_members where record_id = any (leg_sids || talk_ids);
    delete from public.call_costs where call_id = any (leg_sids || talk_ids);
    insert into public.call_members (record_id, call_id)
    select record_id, call_id
    from unnest(leg_sids || talk_ids, leg_calls || talk_calls) as member (record_id, call_id)
    where record_id <> call_id;

    insert into public.call_costs
    with leg_sums as (
        select family.call_id, count(*) as legs,
            coalesce(sum(cost) filter (where (cost <> 0 and price_unit <> unit.value) is not true), 0) as twilio_cost,
            count(*) filter (where cost is null or (cost <> 0 and price_unit <> unit.value)) as unpriced_legs,
            max(price_unit) filter (where cost <> 0) as price_unit,
            count(*) filter (where cost <> 0 and price_unit <> 'USD') as not_in_dollars,
            min(workspace_id) as least_workspace, max(workspace_id) as greatest_workspace,
            min(started_at) as first_started_at, max(started_at) as last_started_at
        from unnest(leg_sids, leg_calls) as family (sid, call_id) join public.calls on calls.sid = family.sid
            left join public.ledger_meta as unit on unit.key = 'price_unit'
        group by family.call_id
    ),
    talk_sums as (
        select family.call_id, count(*) as conversations, sum(duration) as seconds,
            coalesce(sum(cost), 0) as elevenlabs_cost,
            count(*) filter (where cost is null) as unpriced_conversations,
            case when count(platform_price) = count(*) then sum(platform_price) end as platform_price,
            case when count(llm_price) = count(*) then sum(llm_price) end as llm_price,
            case when count(credits) = count(*) then sum(credits) end as credits,
            min(workspace_id) as least_workspace, max(workspace_id) as greatest_workspace,
            min(started_at) as first_started_at, max(started_at) as last_started_at,
            (array_agg(talk.conversation_id order by started_at, talk.conversation_id collate "C"))[1] as first_id
        from unnest(talk_ids, talk_calls) as family (conversation_id, call_id)
            join public.elevenlabs_conversations as talk on talk.conversation_id = family.conversation_id
        group by family.call_id
    ),
    number as (
        select family.call_id, unnest(array[from_number, to_number]) as number
        from unnest(leg_sids, leg_calls) as family (sid, call_id) join public.calls on calls.sid = family.sid
        union
        select family.call_id, unnest(array[external_number, agent_number])
        from unnest(talk_ids, talk_calls) as family (conversation_id, call_id)
            join public.elevenlabs_conversations as talk on talk.conversation_id = family.conversation_id
    ),
    numbers as (
        select call_id, string_agg(substr(number, 2), ' ') || ' ' as numbers from number
        where number like '+%' group by call_id
    ),
    family as (select call_id from leg_sums union select call_id from talk_sums)
    select
        family.call_id,
        coalesce(top.started_at, first.started_at),
        least(leg_sums.first_started_at, talk_sums.first_started_at),
        greatest(leg_sums.last_started_at, talk_sums.last_started_at),
        coalesce(top.workspace_id, first.workspace_id),
        first.workspace_id,
        greatest(leg_sums.greatest_workspace, talk_sums.greatest_workspace)
            <> least(leg_sums.least_workspace, talk_sums.least_workspace),
        case
            when top.sid is not null and first.conversation_id is not null then 'matched'
            when top.status in ('busy', 'failed', 'no-answer', 'canceled') then 'unanswered'
            when top.sid is not null then 'call only'
            when has_a_leg then 'conversation only'
            else 'no phone'
        end,
        coalesce(top.direction, first.direction),
        coalesce(top.status, first.status, ''),
        coalesce(
            top.from_number,
            case when first.direction = 'outbound' then first.agent_number else first.external_number end
        ),
        coalesce(
            top.to_number,
            case when first.direction = 'outbound' then first.external_number else first.agent_number end
        ),
        coalesce(numbers.numbers, ''),
        first.agent_name,
        first.conversation_id,
        coalesce(leg_sums.legs, 0),
        coalesce(talk_sums.conversations, 0),
        leg_sums.price_unit,
        coalesce(leg_sums.twilio_cost, 0),
        coalesce(leg_sums.unpriced_legs, 0),
        coalesce(talk_sums.elevenlabs_cost, 0),
        talk_sums.platform_price,
        talk_sums.llm_price,
        talk_sums.credits,
        coalesce(talk_sums.unpriced_conversations, 0),
        case
            when leg_sums.unpriced_legs > 0 or leg_sums.not_in_dollars > 0 or talk_sums.unpriced_conversations > 0
                or (top.sid is null and has_a_leg) then null
            else coalesce(leg_sums.twilio_cost, 0) + coalesce(talk_sums.elevenlabs_cost, 0)
        end,
        case when top.sid is null then talk_sums.seconds else top.duration end,
        talk_sums.seconds,
        top.duration - talk_sums.seconds
    from family
        left join leg_sums on leg_sums.call_id = family.call_id
        left join talk_sums on talk_sums.call_id = family.call_id
        left join numbers on numbers.call_id = family.call_id
        left join public.calls as top on top.sid = family.call_id
        left join public.elevenlabs_conversations as first on first.conversation_id = talk_sums.first_id
        -- A conversation that came over Twilio has a leg there; of an unknown channel, one with a number does.
        left join lateral (
            select coalesce(first.channel = 'twilio', false) or coalesce(first.call_sid like 'CA%', false)
                or (first.agent_number is not null and coalesce(first.channel, 'unknown') = 'unknown') as has_a_leg
        ) as expectation on true
    where coalesce(top.started_at, first.started_at) is not null
        and coalesce(top.workspace_id, first.workspace_id) is not null; -- rows of the 12-hour system may lack both
end
$$;
comment on function public.ledger_add_up_calls is 'Finds the calls that these records belong to, and adds them up again.';

create or replace function public.ledger_refresh_calls() returns trigger
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    records text[];
begin
    if not exists (select from public.stale_calls) then
        return null; -- the first of this transaction's triggers did it all
    end if;
    -- A leg and its conversation are saved by two transactions: the later one must see what the earlier one saved.
    perform pg_advisory_xact_lock(hashtext('voice ledger call costs'));
    loop
        with batch as (
            delete from public.stale_calls
            where record_id in (select record_id from public.stale_calls limit 5000) returning record_id
        )
        select array_agg(record_id) into records from batch;
        exit when records is null;
        perform public.ledger_add_up_calls(records);
    end loop;
    return null;
end
$$;
comment on function public.ledger_refresh_calls is 'Adds up again the calls of changed records, right before the commit.';

drop trigger if exists calls_refreshed on public.stale_calls;
create constraint trigger calls_refreshed after insert on public.stale_calls
    deferrable initially deferred for each row execute function public.ledger_refresh_calls();

-- Reads. Null is the beginning, the end, and all workspaces; p_kind has match, direction, status, digits and id, each of
-- which may be null. Conditions are put together as text, so that the planner sees which of them there are.

create or replace function public.ledger_kind_of_call(p_kind jsonb) returns text
language sql immutable set search_path = ''
as $$
    select concat_ws(' and ', 'true',
        'call.match = ' || quote_literal(p_kind ->> 'match'),
        'call.direction like ' || quote_literal((p_kind ->> 'direction') || '%'),
        'call.status = ' || quote_literal(p_kind ->> 'status'),
        case
            when p_kind ->> 'digits' = '' then 'false' -- neither a number nor an id was searched
            else 'call.numbers like ' || quote_literal('%' || (p_kind ->> 'digits') || ' %')
        end,
        'call.call_id = coalesce((select call_id from public.call_members where record_id = '
            || quote_literal(p_kind ->> 'id') || '), ' || quote_literal(p_kind ->> 'id') || ')'
    )
$$;
comment on function public.ledger_kind_of_call is 'The condition for what a call is, whenever and whose it was.';

create or replace function public.ledger_listed_call(p_kind jsonb) returns text
language sql immutable set search_path = ''
as $$
    select 'call.started_at >= coalesce($1, ''-infinity'') and call.started_at < coalesce($2, ''infinity'')
        and ($3 is null or call.workspace_id = any ($3) or (call.is_shared and exists (
            select from public.call_members as member
                left join public.calls as leg on leg.sid = member.record_id
                left join public.elevenlabs_conversations as talk on talk.conversation_id = member.record_id
            where member.call_id = call.call_id and (leg.workspace_id = any ($3) or talk.workspace_id = any ($3))
        ))) and ' || public.ledger_kind_of_call(p_kind)
$$;
comment on function public.ledger_listed_call is
    'The condition for calls in the list: $1 since, $2 until, $3 workspaces, of which any may own any of its records.';

create or replace function public.ledger_call_json(call public.call_costs) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(call) || jsonb_build_object(
        'twilio_cost', call.twilio_cost::text, 'elevenlabs_cost', call.elevenlabs_cost::text,
        'platform_price', call.platform_price::text, 'llm_price', call.llm_price::text,
        'total_cost', call.total_cost::text
    )
$$;
comment on function public.ledger_call_json is 'A call with its amounts as text, so that none becomes a float.';

create or replace function public.ledger_call_costs(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[], p_kind jsonb,
    p_key text, p_descending boolean, p_limit int, p_offset int
) returns jsonb
language plpgsql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
declare
    way text := case when p_descending then 'desc' else 'asc' end;
    by_key text := case when p_key <> 'started_at' then format('%I %s nulls last, ', p_key, way) else '' end;
    rows jsonb;
begin
    execute format(
        'select coalesce(jsonb_agg(public.ledger_call_json(call) order by place), ''[]'') from (
            select call, row_number() over () as place from (
                select call from public.call_costs as call where %s
                order by %s started_at %s, call_id collate "C" %s limit %s offset %s
            ) as page
        ) as numbered',
        public.ledger_listed_call(p_kind), by_key, way, way, p_limit, p_offset
    ) into rows using p_since, p_until, p_workspaces;
    return rows;
end
$$;
comment on function public.ledger_call_costs is 'A page of calls; what is not known comes last.';

create or replace function public.ledger_call_counts(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[], p_kind jsonb
) returns jsonb
language plpgsql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
declare
    counts jsonb;
begin
    execute format(
        'select coalesce(jsonb_object_agg(match, calls), ''{}'')
        from (select match, count(*) as calls from public.call_costs as call where %s group by match) as counted',
        public.ledger_listed_call(p_kind)
    ) into counts using p_since, p_until, p_workspaces;
    return counts;
end
$$;
comment on function public.ledger_call_counts is 'How many calls there are by match.';

create or replace function public.ledger_call_sums(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[], p_kind jsonb
) returns jsonb
language plpgsql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
declare
    sums jsonb;
begin
    -- A call that reaches over an edge of the period starts outside of it with its topmost leg, or ends there.
    execute format(
        'with selected as (
            select call_id from public.call_costs as call
            where started_at >= coalesce($1, ''-infinity'') and started_at < coalesce($2, ''infinity'') and %1$s
            union all
            select call_id from public.call_costs as call
            where last_started_at > started_at and last_started_at >= $1 and started_at < $1 and %1$s
            union all
            select call_id from public.call_costs as call
            where first_started_at < started_at and first_started_at < $2 and started_at >= $2 and %1$s
        ),
        members as (
            select call_id as record_id from selected
            union all
            select record_id from selected join public.call_members using (call_id)
        )
        select jsonb_build_object(
            ''twilio'', (
                select jsonb_build_object(
                    ''total_calls'', (count(*) filter (where parent_call_sid is null))::text,
                    ''total_legs'', count(*)::text,
                    ''total_cost'', (
                        sum(cost) filter (where (cost <> 0 and price_unit <> unit.value) is not true)
                    )::text,
                    ''total_duration'', (sum(duration) filter (where parent_call_sid is null))::text,
                    ''billed_minutes'', sum((duration + 59) / 60)::text,
                    ''unpriced_calls'', (
                        count(*) filter (where cost is null or (cost <> 0 and price_unit <> unit.value))
                    )::text
                )
                from members join public.calls as record on record.sid = members.record_id
                    left join public.ledger_meta as unit on unit.key = ''price_unit''
                where started_at >= coalesce($1, ''-infinity'') and started_at < coalesce($2, ''infinity'')
                    and ($3 is null or workspace_id = any ($3))
            ),
            ''elevenlabs'', (
                select jsonb_build_object(
                    ''total_conversations'', count(*)::text,
                    ''total_cost'', sum(cost)::text,
                    ''total_duration'', sum(duration)::text,
                    ''total_credits'', sum(credits)::text,
                    ''llm_price'', sum(llm_price)::text,
                    ''llm_charge'', sum(llm_charge)::text,
                    ''platform_price'', sum(platform_price)::text,
                    ''call_charge'', sum(call_charge)::text,
                    ''free_minutes_consumed'', sum(free_minutes_consumed)::text,
                    ''free_llm_dollars_consumed'', sum(free_llm_dollars_consumed)::text,
                    ''dev_discount'', (count(*) filter (where dev_discount))::text,
                    ''unpriced_conversations'', (count(*) filter (where cost is null))::text,
                    ''llm_usage'', ''{}''
                )
                from members join public.elevenlabs_conversations as record
                    on record.conversation_id = members.record_id
                where started_at >= coalesce($1, ''-infinity'') and started_at < coalesce($2, ''infinity'')
                    and ($3 is null or workspace_id = any ($3))
            )
        )',
        public.ledger_kind_of_call(p_kind)
    ) into sums using p_since, p_until, p_workspaces;
    return sums;
end
$$;
comment on function public.ledger_call_sums is
    'What the records of calls add up to, each at its own start and in its own workspace, as in the balances.';

create or replace function public.ledger_call(p_id text) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select jsonb_build_object(
        'call', public.ledger_call_json(call),
        'legs', (
            select coalesce(jsonb_agg(
                to_jsonb(leg) || jsonb_build_object('cost', leg.cost::text) order by started_at, sid collate "C"
            ), '[]')
            from public.calls as leg where sid in (
                select call.call_id union all select record_id from public.call_members where call_id = call.call_id
            )
        ),
        'conversations', (
            select coalesce(jsonb_agg(
                to_jsonb(talk) || jsonb_build_object(
                    'cost', cost::text, 'llm_price', llm_price::text, 'platform_price', platform_price::text,
                    'free_minutes_consumed', free_minutes_consumed::text,
                    'free_llm_dollars_consumed', free_llm_dollars_consumed::text, 'llm_usage', llm_usage::text
                ) order by started_at, conversation_id collate "C"
            ), '[]')
            from public.elevenlabs_conversations as talk where conversation_id in (
                select call.call_id union all select record_id from public.call_members where call_id = call.call_id
            )
        )
    )
    from public.call_costs as call
    where call.call_id = coalesce((select call_id from public.call_members where record_id = p_id), p_id)
$$;
comment on function public.ledger_call is 'The call that a leg or a conversation belongs to, with all its records.';

do $$
declare
    ledger_table text;
    ledger_function regprocedure;
begin
    foreach ledger_table in array array['call_costs', 'call_members']
    loop
        execute format('alter table public.%I enable row level security', ledger_table);
        execute format('drop policy if exists "Signed-in people read" on public.%I', ledger_table);
        execute format(
            'create policy "Signed-in people read" on public.%I for select to authenticated using (true)', ledger_table
        );
        execute format('revoke all on public.%I from anon, authenticated', ledger_table);
        execute format('grant select on public.%I to authenticated', ledger_table);
        execute format('grant all on public.%I to service_role', ledger_table);
    end loop;
    alter table public.stale_calls enable row level security;
    revoke all on public.stale_calls from anon, authenticated;
    grant all on public.stale_calls to service_role;
    foreach ledger_function in array array[
        'public.ledger_mark_stale_leg()', 'public.ledger_mark_stale_conversation()',
        'public.ledger_add_up_calls(text[])', 'public.ledger_refresh_calls()', 'public.ledger_kind_of_call(jsonb)',
        'public.ledger_listed_call(jsonb)', 'public.ledger_call_json(public.call_costs)',
        'public.ledger_call_costs(timestamptz, timestamptz, bigint[], jsonb, text, boolean, int, int)',
        'public.ledger_call_counts(timestamptz, timestamptz, bigint[], jsonb)',
        'public.ledger_call_sums(timestamptz, timestamptz, bigint[], jsonb)', 'public.ledger_call(text)'
    ]::regprocedure[]
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
end $$;

-- Records that were stored before this file ran; the trigger adds them up when it commits.
insert into public.stale_calls
select record_id from (
    select sid from public.calls union all select conversation_id from public.elevenlabs_conversations
) as record (record_id)
where not exists (select from public.call_costs);

insert into public.ledger_migrations (name) values ('20261123000200_call_costs') on conflict do nothing;
notify pgrst, 'reload schema';
