-- Ingest: one call saves a batch of records together with the balances that it touches.

create or replace function public.ledger_owner_of_number(p_number text, p_moment timestamptz) returns bigint
language sql stable set search_path = ''
as $$
    select workspace_id from public.workspace_phones
    where phone_number = p_number and tstzrange(valid_from, valid_until) @> p_moment
$$;
comment on function public.ledger_owner_of_number is 'The workspace that owned a number at a moment, or null.';

-- A batch is a small part of the table: without these two settings the planner reads all of it, and compiles first.
create or replace function public.ledger_attribute_calls(p_sids text[]) returns void
language sql set search_path = '' set enable_seqscan = off set jit = off
as $$
    -- Each family is walked from its topmost stored leg, so that none inherits what an ancestor in the same batch has
    -- just lost. `union` ends the walk around legs that are each other's parents.
    with recursive line (sid, parent_call_sid) as (
        select sid, parent_call_sid from public.calls where sid = any (p_sids)
        union
        select parent.sid, parent.parent_call_sid
        from line join public.calls as parent on parent.sid = line.parent_call_sid
    ),
    owned (sid, workspace_id) as (
        select leg.sid, coalesce(public.ledger_owner_of_number(leg.our_number, leg.started_at), 0)
        from line join public.calls as leg on leg.sid = line.sid
        where not exists (select from public.calls as parent where parent.sid = leg.parent_call_sid)
        union
        select leg.sid,
            coalesce(nullif(owned.workspace_id, 0), public.ledger_owner_of_number(leg.our_number, leg.started_at), 0)
        from owned join public.calls as leg on leg.parent_call_sid = owned.sid
    )
    update public.calls set workspace_id = owned.workspace_id from owned
    where calls.sid = owned.sid and calls.workspace_id is distinct from owned.workspace_id
$$;
comment on function public.ledger_attribute_calls is
    'Gives legs, and the legs below them, the workspace of the topmost leg that has one; else of their own number.';

create or replace function public.ledger_attribute_conversations(p_ids text[]) returns void
language sql set search_path = '' set enable_seqscan = off set jit = off
as $$
    update public.elevenlabs_conversations as conversation set workspace_id = owner.workspace_id
    from (
        select candidate.conversation_id, coalesce(
            public.ledger_owner_of_number(candidate.agent_number, candidate.started_at), agent.workspace_id, 0
        ) as workspace_id
        from public.elevenlabs_conversations as candidate
        left join public.workspace_agents as agent on agent.agent_id = candidate.agent_id
        where candidate.conversation_id = any (p_ids)
    ) as owner
    where conversation.conversation_id = owner.conversation_id
        and conversation.workspace_id is distinct from owner.workspace_id
$$;
comment on function public.ledger_attribute_conversations is
    'Gives conversations the workspace of their number on that day, else of their agent, else Unassigned.';

create or replace function public.ledger_save_calls(batch text) returns void
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
    perform public.ledger_refresh_twilio();
end
$$;
comment on function public.ledger_save_calls is
    'Upserts records by key (the newer version wins), attributes them and refreshes balances, in one transaction.';

create or replace function public.ledger_save_conversations(batch text) returns void
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
    perform public.ledger_refresh_elevenlabs();
end
$$;
comment on function public.ledger_save_conversations is
    'Upserts records by key (the newer version wins), attributes them and refreshes balances, in one transaction.';

insert into public.ledger_migrations (name) values ('20261122190200_ingest') on conflict do nothing;
