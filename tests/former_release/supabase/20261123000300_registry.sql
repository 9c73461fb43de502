-- Changes of the registry, many in one transaction, carried out or only tried; and what nobody has registered.

-- What a change of ownership looks up: the records of a number in a period.
create index if not exists calls_number_started_at on public.calls (our_number, started_at);
drop index if exists public.calls_our_number;
create index if not exists conversations_number_started_at on public.elevenlabs_conversations (agent_number, started_at);
drop index if exists public.conversations_agent_number;

create table if not exists public.ledger_registry_requests (
    id uuid primary key,
    outcome jsonb not null,
    answered_at timestamptz not null default now()
);
comment on table public.ledger_registry_requests is
    'Answers to changes of the registry, kept for a day: a request that comes again since its answer was lost.';
alter table public.ledger_registry_requests enable row level security;
revoke all on public.ledger_registry_requests from anon, authenticated;
grant all on public.ledger_registry_requests to service_role;

create or replace function public.ledger_registry() returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'workspaces', (
            select coalesce(jsonb_agg(
                jsonb_build_object('id', id, 'name', name, 'created_at', created_at) order by id = 0, name
            ), '[]') from public.workspaces
        ),
        'phones', (
            select coalesce(jsonb_agg(
                to_jsonb(phone) order by phone_number, valid_from nulls first
            ), '[]') from (
                select id, phone_number, workspace_id, label, valid_from, valid_until from public.workspace_phones
            ) as phone
        ),
        'agents', (
            select coalesce(jsonb_agg(to_jsonb(agent) order by agent_id), '[]') from (
                select agent_id, workspace_id, label from public.workspace_agents
            ) as agent
        )
    )
$$;
comment on function public.ledger_registry is 'Workspaces (Unassigned last), numbers and agents.';

-- Each change answers with what it touched: [{"number", "from", "until"} or {"agent"}, …]. One that is refused raises
-- SQLSTATE VL001 with a reason of sync/registry.py as its message.

create or replace function public.ledger_refuse(p_reason text) returns void
language plpgsql set search_path = ''
as $$
begin
    raise exception '%', p_reason using errcode = 'VL001';
end
$$;

create or replace function public.ledger_touched(p_number text, p_from timestamptz, p_until timestamptz) returns jsonb
language sql immutable set search_path = ''
as $$
    select case
        when coalesce(p_from, '-infinity') < coalesce(p_until, 'infinity') then jsonb_build_array(jsonb_build_object(
            'number', p_number, 'from', coalesce(p_from, '-infinity'), 'until', coalesce(p_until, 'infinity')
        ))
        else '[]'
    end
$$;

create or replace function public.ledger_find_workspace(p_name text) returns bigint
language sql stable set search_path = ''
as $$
    select id from public.workspaces
    where lower(name collate pg_catalog."und-x-icu") = lower(p_name collate pg_catalog."und-x-icu")
    order by name <> p_name, id limit 1
$$;
comment on function public.ledger_find_workspace is
    'The workspace of that name, else one that differs in small and capital letters only, or null.';

create or replace function public.ledger_owner_named(p_name text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    owner bigint := public.ledger_find_workspace(p_name);
begin
    if owner = 0 then
        perform public.ledger_refuse('owned by nobody');
    elsif owner is null then
        insert into public.workspaces (name) values (p_name) returning id into owner;
    end if;
    return owner;
end
$$;
comment on function public.ledger_owner_named is 'The id of the workspace that a change names; a new one is added.';

create or replace function public.ledger_add_workspace(p_name text) returns jsonb
language plpgsql set search_path = ''
as $$
begin
    if public.ledger_find_workspace(p_name) is not null then
        perform public.ledger_refuse('name taken');
    end if;
    insert into public.workspaces (name) values (p_name);
    return '[]';
end
$$;

create or replace function public.ledger_rename_workspace(p_workspace bigint, p_name text) returns jsonb
language plpgsql set search_path = ''
as $$
begin
    if p_workspace = 0 then
        perform public.ledger_refuse('unassigned');
    elsif public.ledger_find_workspace(p_name) <> p_workspace then
        perform public.ledger_refuse('name taken');
    end if;
    update public.workspaces set name = p_name where id = p_workspace;
    if not found then
        perform public.ledger_refuse('no workspace');
    end if;
    return '[]';
end
$$;

create or replace function public.ledger_delete_workspace(p_workspace bigint) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    touched jsonb;
begin
    if p_workspace = 0 then
        perform public.ledger_refuse('unassigned');
    end if;
    select coalesce(jsonb_agg(part), '[]') into touched from (
        select jsonb_array_elements(public.ledger_touched(phone_number, valid_from, valid_until)) as part
        from public.workspace_phones where workspace_id = p_workspace
        union all
        select jsonb_build_object('agent', agent_id) from public.workspace_agents where workspace_id = p_workspace
    ) as parts;
    -- Its records are attributed anew with all others that were touched.
    update public.calls set workspace_id = 0 where workspace_id = p_workspace;
    update public.elevenlabs_conversations set workspace_id = 0 where workspace_id = p_workspace;
    delete from public.workspaces where id = p_workspace;
    if not found then
        perform public.ledger_refuse('no workspace');
    end if;
    return touched;
end
$$;

create or replace function public.ledger_register_number(
    p_workspace text, p_number text, p_label text, p_from timestamptz, p_until timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    owner bigint := public.ledger_owner_named(p_workspace);
    same bigint;
begin
    select id into same from public.workspace_phones
    where phone_number = p_number and workspace_id = owner and valid_from is not distinct from p_from;
    if found then
        return public.ledger_edit_number(same, p_label, p_from, p_until);
    end if;
    insert into public.workspace_phones (workspace_id, phone_number, label, valid_from, valid_until)
    values (owner, p_number, p_label, p_from, p_until);
    return public.ledger_touched(p_number, p_from, p_until);
end
$$;
comment on function public.ledger_register_number is
    'Gives a number to a workspace for a period; the same from the same moment on is corrected, not added twice.';

create or replace function public.ledger_edit_number(
    p_phone bigint, p_label text, p_from timestamptz, p_until timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    held public.workspace_phones;
begin
    select * into held from public.workspace_phones where id = p_phone;
    if not found then
        perform public.ledger_refuse('no period');
    end if;
    update public.workspace_phones set label = p_label, valid_from = p_from, valid_until = p_until where id = p_phone;
    return public.ledger_touched( -- what belongs to one of the two periods only
        held.phone_number,
        least(coalesce(held.valid_from, '-infinity'), coalesce(p_from, '-infinity')),
        greatest(coalesce(held.valid_from, '-infinity'), coalesce(p_from, '-infinity'))
    ) || public.ledger_touched(
        held.phone_number,
        least(coalesce(held.valid_until, 'infinity'), coalesce(p_until, 'infinity')),
        greatest(coalesce(held.valid_until, 'infinity'), coalesce(p_until, 'infinity'))
    );
end
$$;

create or replace function public.ledger_move_number(p_workspace text, p_number text, p_from timestamptz) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    owner bigint := public.ledger_owner_named(p_workspace);
    held public.workspace_phones;
    until timestamptz;
begin
    select * into held from public.workspace_phones
    where phone_number = p_number and tstzrange(valid_from, valid_until) @> p_from;
    if not found then
        select min(valid_from) into until from public.workspace_phones
        where phone_number = p_number and valid_from > p_from;
    elsif held.workspace_id = owner then
        perform public.ledger_refuse('owned already');
    elsif held.valid_from = p_from then -- nothing is left of the old period
        until := held.valid_until;
        delete from public.workspace_phones where id = held.id;
    else
        until := held.valid_until;
        update public.workspace_phones set valid_until = p_from where id = held.id;
    end if;
    insert into public.workspace_phones (workspace_id, phone_number, label, valid_from, valid_until)
    values (owner, p_number, held.label, p_from, until);
    return public.ledger_touched(p_number, p_from, until);
end
$$;
comment on function public.ledger_move_number is
    'Gives a number to a workspace from a moment on; whoever owned it then has it until then.';

create or replace function public.ledger_delete_number(p_phone bigint) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    held public.workspace_phones;
begin
    delete from public.workspace_phones where id = p_phone returning * into held;
    if not found then
        perform public.ledger_refuse('no period');
    end if;
    return public.ledger_touched(held.phone_number, held.valid_from, held.valid_until);
end
$$;

create or replace function public.ledger_register_agent(p_workspace text, p_agent text, p_label text) returns jsonb
language plpgsql set search_path = ''
as $$
begin
    insert into public.workspace_agents (agent_id, workspace_id, label)
    values (p_agent, public.ledger_owner_named(p_workspace), p_label)
    on conflict (agent_id) do update set workspace_id = excluded.workspace_id, label = excluded.label;
    return jsonb_build_array(jsonb_build_object('agent', p_agent));
end
$$;

create or replace function public.ledger_delete_agent(p_agent text) returns jsonb
language plpgsql set search_path = ''
as $$
begin
    delete from public.workspace_agents where agent_id = p_agent;
    if not found then
        perform public.ledger_refuse('no agent');
    end if;
    return jsonb_build_array(jsonb_build_object('agent', p_agent));
end
$$;

create or replace function public.ledger_carry_out(p_change jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    workspace_id bigint := p_change ->> 'workspace_id';
    phone_id bigint := p_change ->> 'phone_id';
    valid_from timestamptz := p_change ->> 'valid_from';
    valid_until timestamptz := p_change ->> 'valid_until';
    workspace text := p_change ->> 'workspace';
    number text := p_change ->> 'phone_number';
    agent text := p_change ->> 'agent_id';
    label text := p_change ->> 'label';
begin
    return case p_change ->> 'kind'
        when 'AddWorkspace' then public.ledger_add_workspace(p_change ->> 'name')
        when 'RenameWorkspace' then public.ledger_rename_workspace(workspace_id, p_change ->> 'name')
        when 'DeleteWorkspace' then public.ledger_delete_workspace(workspace_id)
        when 'RegisterNumber' then public.ledger_register_number(workspace, number, label, valid_from, valid_until)
        when 'MoveNumber' then public.ledger_move_number(workspace, number, valid_from)
        when 'EditNumber' then public.ledger_edit_number(phone_id, label, valid_from, valid_until)
        when 'DeleteNumber' then public.ledger_delete_number(phone_id)
        when 'RegisterAgent' then public.ledger_register_agent(workspace, agent, label)
        when 'DeleteAgent' then public.ledger_delete_agent(agent)
    end;
end
$$;
comment on function public.ledger_carry_out is 'Carries out one change of sync/registry.py and returns what it touched.';

-- The owner of a number is looked up in place, twice as fast as by a function when a number's whole history moves.
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
        select leg.sid, coalesce(phone.workspace_id, 0)
        from line join public.calls as leg on leg.sid = line.sid
        left join public.workspace_phones as phone
            on phone.phone_number = leg.our_number and tstzrange(phone.valid_from, phone.valid_until) @> leg.started_at
        where line.parent_call_sid is null
            or not exists (select from public.calls as parent where parent.sid = line.parent_call_sid)
        union
        select leg.sid, coalesce(nullif(owned.workspace_id, 0), phone.workspace_id, 0)
        from owned join public.calls as leg on leg.parent_call_sid = owned.sid
        left join public.workspace_phones as phone
            on phone.phone_number = leg.our_number and tstzrange(phone.valid_from, phone.valid_until) @> leg.started_at
    )
    update public.calls set workspace_id = owned.workspace_id from owned
    where calls.sid = owned.sid and calls.workspace_id is distinct from owned.workspace_id
$$;

create or replace function public.ledger_attribute_conversations(p_ids text[]) returns void
language sql set search_path = '' set enable_seqscan = off set jit = off
as $$
    update public.elevenlabs_conversations as conversation set workspace_id = owner.workspace_id
    from (
        select candidate.conversation_id, coalesce(phone.workspace_id, agent.workspace_id, 0) as workspace_id
        from public.elevenlabs_conversations as candidate
        left join public.workspace_phones as phone
            on phone.phone_number = candidate.agent_number
            and tstzrange(phone.valid_from, phone.valid_until) @> candidate.started_at
        left join public.workspace_agents as agent on agent.agent_id = candidate.agent_id
        where candidate.conversation_id = any (p_ids)
    ) as owner
    where conversation.conversation_id = owner.conversation_id
        and conversation.workspace_id is distinct from owner.workspace_id
$$;

create or replace function public.ledger_attribute_touched(p_touched jsonb) returns void
language plpgsql set search_path = '' set jit = off
as $$
begin
    perform public.ledger_attribute_calls(coalesce((
        select array_agg(distinct record.sid)
        from jsonb_to_recordset(p_touched) as part (number text, "from" timestamptz, until timestamptz)
        join public.calls as record
            on record.our_number = part.number and record.started_at >= part."from" and record.started_at < part.until
    ), '{}'));
    perform public.ledger_attribute_conversations(coalesce((
        select array_agg(distinct conversation_id) from (
            select record.conversation_id
            from jsonb_to_recordset(p_touched) as part (number text, "from" timestamptz, until timestamptz)
            join public.elevenlabs_conversations as record
                on record.agent_number = part.number
                and record.started_at >= part."from" and record.started_at < part.until
            union all
            select record.conversation_id
            from jsonb_to_recordset(p_touched) as part (agent text)
            join public.elevenlabs_conversations as record on record.agent_id = part.agent
        ) as concerned
    ), '{}'));
end
$$;
comment on function public.ledger_attribute_touched is
    'Attributes the records of numbers and agents whose ownership has changed.';

create or replace function public.ledger_move_calls() returns void
language plpgsql set search_path = '' set jit = off
as $$
begin
    with call as (
        select distinct coalesce(member.call_id, stale.record_id) as call_id
        from public.stale_calls as stale left join public.call_members as member using (record_id)
    ),
    record as (
        select call_id, call_id as record_id from call
        union all
        select call_id, member.record_id from call join public.call_members as member using (call_id)
    ),
    owner as (
        select record.call_id, min(coalesce(leg.workspace_id, talk.workspace_id)) as least_workspace,
            max(coalesce(leg.workspace_id, talk.workspace_id)) as greatest_workspace
        from record
        left join public.calls as leg on leg.sid = record.record_id
        left join public.elevenlabs_conversations as talk on talk.conversation_id = record.record_id
        group by record.call_id
    ),
    moved as (
        select cost.call_id, owner.least_workspace <> owner.greatest_workspace as is_shared,
            coalesce(top.workspace_id, first.workspace_id) as workspace_id,
            first.workspace_id as conversation_workspace_id
        from owner
        join public.call_costs as cost on cost.call_id = owner.call_id
        left join public.calls as top on top.sid = owner.call_id
        left join public.elevenlabs_conversations as first on first.conversation_id = cost.conversation_id
    )
    update public.call_costs as cost
    set is_shared = moved.is_shared, workspace_id = moved.workspace_id,
        conversation_workspace_id = moved.conversation_workspace_id
    from moved where moved.call_id = cost.call_id;
    delete from public.stale_calls as stale
    using public.stale_calls as same
    left join public.call_members as member on member.record_id = same.record_id
    join public.call_costs as cost on cost.call_id = coalesce(member.call_id, same.record_id)
    where same.record_id = stale.record_id;
end
$$;
comment on function public.ledger_move_calls is
    'Books calls whose records changed, in this transaction, nothing but their workspace; costs are not added up again.';

create or replace function public.ledger_registry_state() returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'names', (select jsonb_object_agg(id, name) from public.workspaces),
        'twilio', (
            select coalesce(jsonb_object_agg(part ->> 'workspace_id', part -> 'totals'), '{}')
            from jsonb_array_elements(public.ledger_twilio_snapshots()) as part
        ),
        'elevenlabs', (
            select coalesce(jsonb_object_agg(part ->> 'workspace_id', part -> 'totals'), '{}')
            from jsonb_array_elements(public.ledger_elevenlabs_snapshots()) as part
        )
    )
$$;
comment on function public.ledger_registry_state is 'Names and latest totals of workspaces, by id.';

create or replace function public.ledger_leave_out_equal(p_state jsonb, p_other jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
    select jsonb_build_object('names', p_state -> 'names') || jsonb_object_agg(source, (
        select coalesce(jsonb_object_agg(part.key, part.value), '{}')
        from jsonb_each(p_state -> source) as part
        where part.value is distinct from p_other -> source -> part.key
    ))
    from unnest(array['twilio', 'elevenlabs']) as source
$$;
comment on function public.ledger_leave_out_equal is 'A state of the registry without the totals that another has too.';

create or replace function public.ledger_change_registry(p_changes jsonb, p_dry_run boolean, p_request uuid default null)
returns jsonb
language plpgsql set search_path = '' set statement_timeout = '55s' set jit = off
as $$
declare
    change jsonb;
    touched jsonb := '[]';
    refusals jsonb := '[]';
    before jsonb;
    after jsonb;
    answer jsonb;
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger twilio'));
    perform pg_advisory_xact_lock(hashtext('voice ledger elevenlabs'));
    select outcome into answer from public.ledger_registry_requests where id = p_request;
    if found then
        return answer; -- asked again, since the answer was lost
    end if;
    begin
        -- Balances that wait for a historical sync are no effect of these changes.
        perform public.ledger_refresh_twilio();
        perform public.ledger_refresh_elevenlabs();
        before := public.ledger_registry_state();
        for change in select part from jsonb_array_elements(p_changes) with ordinality as given (part, place) order by place
        loop
            begin
                touched := touched || public.ledger_carry_out(change);
                refusals := refusals || 'null'::jsonb;
            exception
                when sqlstate 'VL001' then
                    refusals := refusals || to_jsonb(sqlerrm);
                when exclusion_violation then
                    refusals := refusals || to_jsonb('overlap'::text);
            end;
        end loop;
        perform public.ledger_attribute_touched(touched);
        perform public.ledger_move_calls();
        perform public.ledger_refresh_twilio();
        perform public.ledger_refresh_elevenlabs();
        after := public.ledger_registry_state();
        answer := jsonb_build_object(
            'refusals', refusals,
            'before', public.ledger_leave_out_equal(before, after),
            'after', public.ledger_leave_out_equal(after, before)
        );
        if p_dry_run then
            raise exception 'tried' using errcode = 'VL002'; -- takes back all of this block but its variables
        end if;
    exception
        when sqlstate 'VL002' then
            return answer;
    end;
    set constraints all immediate; -- what waits for the commit has this function's time, not a statement's 8 seconds
    delete from public.ledger_registry_requests where answered_at < now() - interval '1 day';
    insert into public.ledger_registry_requests (id, outcome)
    values (coalesce(p_request, gen_random_uuid()), answer);
    return answer;
end
$$;
comment on function public.ledger_change_registry is
    'Carries out changes of sync/registry.py in order, or only tries them, and tells what was refused and what moved.';

drop function if exists public.ledger_unregistered_numbers();
create or replace function public.ledger_unregistered_numbers(p_limit int) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(seen) order by last_seen desc, phone_number), '[]')
    from (
        select number as phone_number, count(*) filter (where source = 'call') as calls,
            count(*) filter (where source = 'conversation') as conversations,
            (sum(cost) filter (where source <> 'conversation'))::text as twilio_cost,
            (sum(cost) filter (where source = 'conversation'))::text as elevenlabs_cost,
            count(*) filter (where cost is null) as unpriced,
            min(started_at) as first_seen, max(started_at) as last_seen
        from (
            select -- a leg goes by its parent's number: a transfer's own is often the caller's, not ours
                case when parent.our_number is null then 'call' else 'leg' end as source,
                coalesce(parent.our_number, leg.our_number) as number, leg.started_at,
                case when (leg.cost <> 0 and leg.price_unit <> unit.value) is not true then leg.cost end as cost
            from public.calls as leg
            left join public.calls as parent on parent.sid = leg.parent_call_sid
            left join public.ledger_meta as unit on unit.key = 'price_unit'
            where leg.workspace_id = 0
            union all
            select 'conversation', agent_number, started_at, cost
            from public.elevenlabs_conversations where workspace_id = 0
        ) as usage
        where number is not null and started_at is not null
        group by number order by max(started_at) desc, number limit p_limit
    ) as seen
$$;
comment on function public.ledger_unregistered_numbers is 'Our numbers whose usage is Unassigned, the last used first.';

create or replace function public.ledger_unregistered_agents(p_limit int) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(seen) order by last_seen desc, agent_id), '[]')
    from (
        select agent_id, (array_agg(agent_name order by started_at desc))[1] as agent_name,
            count(*) as conversations, sum(cost)::text as cost, count(*) filter (where cost is null) as unpriced,
            max(started_at) as last_seen
        from public.elevenlabs_conversations
        where workspace_id = 0 and agent_id is not null and started_at is not null
        group by agent_id order by max(started_at) desc, agent_id limit p_limit
    ) as seen
$$;
comment on function public.ledger_unregistered_agents is 'Agents of Unassigned conversations, the last used first.';

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

insert into public.ledger_migrations (name) values ('20261123000300_registry') on conflict do nothing;
notify pgrst, 'reload schema';
