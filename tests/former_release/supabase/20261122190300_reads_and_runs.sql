-- What jobs, pages and API ask: balances, runs, open records, checks. Every answer is one jsonb value, so the API's
-- limit on rows is never met, and every amount is text, so none becomes a float on the way.

create or replace function public.ledger_twilio_snapshots() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'workspace_id', workspace.id, 'snapshot_date', latest.snapshot_date, 'created_at', latest.created_at,
            'totals', jsonb_build_object(
                'total_calls', latest.total_calls::text,
                'total_legs', latest.total_legs::text,
                'total_cost', latest.total_cost::text,
                'total_duration', latest.total_duration::text,
                'billed_minutes', latest.billed_minutes::text,
                'unpriced_calls', latest.unpriced_calls::text
            )
        )
        order by workspace.id = 0, workspace.name
    ), '[]')
    from public.workspaces as workspace
    cross join lateral (
        select * from public.twilio_snapshots where workspace_id = workspace.id order by snapshot_date desc limit 1
    ) as latest
$$;
comment on function public.ledger_twilio_snapshots is 'The latest balance of each workspace.';

create or replace function public.ledger_twilio_balances(moments timestamptz[]) returns jsonb
language sql stable set search_path = '' set jit = off -- compiling would take 0.3 s
as $$
    -- The balance of the last full hour, and the records since: balances are kept by the hour, time zones are not.
    with part as (
        select moment.place, workspace.id as workspace_id, balance.*
        from unnest(moments) with ordinality as moment (at, place), public.workspaces as workspace,
            lateral (
                select total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
                where workspace_id = workspace.id
                    and snapshot_date < coalesce(date_trunc('hour', moment.at, 'UTC'), 'infinity')
                order by snapshot_date desc limit 1
            ) as balance
        union all
        select moment.place, workspace.id, balance.total_calls, balance.total_legs, balance.total_cost, balance.total_duration, balance.billed_minutes, balance.unpriced_calls
        from unnest(moments) with ordinality as moment (at, place), public.workspaces as workspace,
            lateral public.ledger_sum_twilio(
                workspace.id, date_trunc('hour', moment.at, 'UTC'), moment.at
            ) as balance
        where moment.at > date_trunc('hour', moment.at, 'UTC')
    ),
    total as (
        select place, workspace_id,
            sum(total_calls) as total_calls,
            sum(total_legs) as total_legs,
            sum(total_cost) as total_cost,
            sum(total_duration) as total_duration,
            sum(billed_minutes) as billed_minutes,
            sum(unpriced_calls) as unpriced_calls
        from part group by place, workspace_id
    )
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'place', total.place, 'workspace_id', total.workspace_id,
            'totals', jsonb_build_object(
                'total_calls', total.total_calls::text,
                'total_legs', total.total_legs::text,
                'total_cost', total.total_cost::text,
                'total_duration', total.total_duration::text,
                'billed_minutes', total.billed_minutes::text,
                'unpriced_calls', total.unpriced_calls::text
            )
        )
    ), '[]')
    from total
$$;
comment on function public.ledger_twilio_balances is
    'For each moment the totals by workspace of everything that started before it; null is everything.';

create or replace function public.ledger_elevenlabs_snapshots() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'workspace_id', workspace.id, 'snapshot_date', latest.snapshot_date, 'created_at', latest.created_at,
            'totals', jsonb_build_object(
                'total_conversations', latest.total_conversations::text,
                'total_cost', latest.total_cost::text,
                'total_duration', latest.total_duration::text,
                'total_credits', latest.total_credits::text,
                'llm_price', latest.llm_price::text,
                'llm_charge', latest.llm_charge::text,
                'platform_price', latest.platform_price::text,
                'call_charge', latest.call_charge::text,
                'free_minutes_consumed', latest.free_minutes_consumed::text,
                'free_llm_dollars_consumed', latest.free_llm_dollars_consumed::text,
                'dev_discount', latest.dev_discount::text,
                'unpriced_conversations', latest.unpriced_conversations::text,
                'llm_usage', latest.llm_usage::text
            )
        )
        order by workspace.id = 0, workspace.name
    ), '[]')
    from public.workspaces as workspace
    cross join lateral (
        select * from public.elevenlabs_snapshots where workspace_id = workspace.id order by snapshot_date desc limit 1
    ) as latest
$$;
comment on function public.ledger_elevenlabs_snapshots is 'The latest balance of each workspace.';

create or replace function public.ledger_elevenlabs_balances(moments timestamptz[]) returns jsonb
language sql stable set search_path = '' set jit = off -- compiling would take 0.3 s
as $$
    -- The balance of the last full hour, and the records since: balances are kept by the hour, time zones are not.
    with part as (
        select moment.place, workspace.id as workspace_id, balance.*
        from unnest(moments) with ordinality as moment (at, place), public.workspaces as workspace,
            lateral (
                select total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
                where workspace_id = workspace.id
                    and snapshot_date < coalesce(date_trunc('hour', moment.at, 'UTC'), 'infinity')
                order by snapshot_date desc limit 1
            ) as balance
        union all
        select moment.place, workspace.id, balance.total_conversations, balance.total_cost, balance.total_duration, balance.total_credits, balance.llm_price, balance.llm_charge, balance.platform_price, balance.call_charge, balance.free_minutes_consumed, balance.free_llm_dollars_consumed, balance.dev_discount, balance.unpriced_conversations, balance.llm_usage
        from unnest(moments) with ordinality as moment (at, place), public.workspaces as workspace,
            lateral public.ledger_sum_elevenlabs(
                workspace.id, date_trunc('hour', moment.at, 'UTC'), moment.at
            ) as balance
        where moment.at > date_trunc('hour', moment.at, 'UTC')
    ),
    total as (
        select place, workspace_id,
            sum(total_conversations) as total_conversations,
            sum(total_cost) as total_cost,
            sum(total_duration) as total_duration,
            sum(total_credits) as total_credits,
            sum(llm_price) as llm_price,
            sum(llm_charge) as llm_charge,
            sum(platform_price) as platform_price,
            sum(call_charge) as call_charge,
            sum(free_minutes_consumed) as free_minutes_consumed,
            sum(free_llm_dollars_consumed) as free_llm_dollars_consumed,
            sum(dev_discount) as dev_discount,
            sum(unpriced_conversations) as unpriced_conversations,
            public.ledger_sum_llm_usage(llm_usage) as llm_usage
        from part group by place, workspace_id
    )
    select coalesce(jsonb_agg(
        jsonb_build_object(
            'place', total.place, 'workspace_id', total.workspace_id,
            'totals', jsonb_build_object(
                'total_conversations', total.total_conversations::text,
                'total_cost', total.total_cost::text,
                'total_duration', total.total_duration::text,
                'total_credits', total.total_credits::text,
                'llm_price', total.llm_price::text,
                'llm_charge', total.llm_charge::text,
                'platform_price', total.platform_price::text,
                'call_charge', total.call_charge::text,
                'free_minutes_consumed', total.free_minutes_consumed::text,
                'free_llm_dollars_consumed', total.free_llm_dollars_consumed::text,
                'dev_discount', total.dev_discount::text,
                'unpriced_conversations', total.unpriced_conversations::text,
                'llm_usage', total.llm_usage::text
            )
        )
    ), '[]')
    from total
$$;
comment on function public.ledger_elevenlabs_balances is
    'For each moment the totals by workspace of everything that started before it; null is everything.';

create or replace function public.ledger_open_ids(
    p_source text, p_final text[], p_settled_after interval, p_now timestamptz, p_recent timestamptz,
    p_yesterday timestamptz, p_week timestamptz
) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(id order by id), '[]') from (
        select sid as id from public.calls
        where p_source = 'twilio' and (cost is null or status <> all (p_final)) and not is_gone
            and started_at >= p_week
            and fetched_at < case when started_at >= p_recent then p_now else p_yesterday end
        union
        select conversation_id from public.elevenlabs_conversations
        where p_source = 'elevenlabs' and not is_gone and started_at >= p_week
            and (
                cost is null or status <> all (p_final)
                or fetched_at < started_at + duration * interval '1 second' + p_settled_after
            )
            and fetched_at < case when started_at >= p_recent then p_now else p_yesterday end
        union
        select record_id from public.sync_failures
        where source = p_source and record_id <> '' and first_failed_at >= p_week
            and last_failed_at < case when first_failed_at >= p_recent then p_now else p_yesterday end
    ) as open
$$;
comment on function public.ledger_open_ids is 'Records to fetch again: unfinished, unpriced, failed, or not settled yet.';

create or replace function public.ledger_known_conversations(ids text[]) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'conversation_id', conversation_id, 'status', status, 'duration', duration, 'fetched_at', fetched_at
    )), '[]')
    from public.elevenlabs_conversations
    where conversation_id = any (ids) and fetched_at is not null -- null: by the 12-hour system, without its details
$$;

create or replace function public.ledger_known_versions(p_source text, ids text[]) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_object_agg(id, fetched_at), '{}') from (
        select sid as id, fetched_at from public.calls where p_source = 'twilio' and sid = any (ids)
        union all
        select conversation_id, fetched_at from public.elevenlabs_conversations
        where p_source = 'elevenlabs' and conversation_id = any (ids)
    ) as known
$$;
comment on function public.ledger_known_versions is 'When the stored version of each record was fetched, by id.';

create or replace function public.ledger_calls_after(p_started_at timestamptz, p_id text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(
        to_jsonb(leg) || jsonb_build_object('cost', leg.cost::text) order by leg.started_at, leg.sid
    ), '[]')
    from (
        select * from public.calls where (started_at, sid) > (p_started_at, p_id) order by started_at, sid limit p_limit
    ) as leg
$$;
comment on function public.ledger_calls_after is 'The next legs in the order of (started_at, sid), for copying.';

create or replace function public.ledger_conversations_after(p_started_at timestamptz, p_id text, p_limit int)
returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(
        to_jsonb(record) || jsonb_build_object(
            'cost', record.cost::text, 'llm_price', record.llm_price::text,
            'platform_price', record.platform_price::text,
            'free_minutes_consumed', record.free_minutes_consumed::text,
            'free_llm_dollars_consumed', record.free_llm_dollars_consumed::text,
            'llm_usage', record.llm_usage::text
        )
        order by record.started_at, record.conversation_id
    ), '[]')
    from (
        select * from public.elevenlabs_conversations
        where (started_at, conversation_id) > (p_started_at, p_id) order by started_at, conversation_id limit p_limit
    ) as record
$$;
comment on function public.ledger_conversations_after is
    'The next conversations in the order of (started_at, conversation_id), for copying.';

create or replace function public.ledger_missing_parents(p_since timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(distinct leg.parent_call_sid), '[]') from public.calls as leg
    where leg.parent_call_sid is not null and leg.started_at >= p_since
        and not exists (select from public.calls as parent where parent.sid = leg.parent_call_sid)
        and not exists (
            select from public.sync_failures where source = 'twilio' and record_id = leg.parent_call_sid
        )
$$;

create or replace function public.ledger_save_failures(p_source text, failures jsonb, p_now timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
    failure record;
begin
    for failure in select * from jsonb_to_recordset(failures) as given (record_id text, error text, is_gone boolean)
    loop
        if failure.is_gone and p_source = 'twilio' then
            update public.calls set is_gone = true where sid = failure.record_id;
        elsif failure.is_gone then
            update public.elevenlabs_conversations set is_gone = true where conversation_id = failure.record_id;
        end if;
        if failure.is_gone and found then
            delete from public.sync_failures where source = p_source and record_id = failure.record_id;
        else
            insert into public.sync_failures as stored (source, record_id, error, first_failed_at, last_failed_at)
            values (p_source, failure.record_id, failure.error, p_now, p_now)
            on conflict (source, record_id) do update set
                error = excluded.error, last_failed_at = excluded.last_failed_at,
                attempts = stored.attempts + (stored.last_failed_at <> excluded.last_failed_at)::int;
        end if;
    end loop;
end
$$;
comment on function public.ledger_save_failures is
    'Lists what could not be read; a stored record that the provider no longer has is marked gone, and kept.';

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
    select * into open_run from public.sync_runs where source = p_source and state = 'running';
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
comment on function public.ledger_begin_run is
    'Opens a run, or returns the one that is going on; one without a heartbeat since p_stale_before is taken over.';

create or replace function public.ledger_record_skipped(
    p_source text, p_start timestamptz, p_end timestamptz, p_reason text, p_now timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    skipped public.sync_runs;
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run ' || p_source));
    select * into skipped from public.sync_runs where source = p_source and state = 'skipped' and started_at = p_now;
    if not found then -- else it is asked again, since the answer was lost
        insert into public.sync_runs
            (source, kind, state, window_start, window_end, message, started_at, heartbeat_at, finished_at)
        values (p_source, 'hourly', 'skipped', p_start, p_end, p_reason, p_now, p_now, p_now) returning * into skipped;
    end if;
    return to_jsonb(skipped);
end
$$;

create or replace function public.ledger_save_progress(
    p_run bigint, p_done bigint, p_total bigint, p_saved bigint, p_failed bigint, p_now timestamptz
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update public.sync_runs set done = p_done, total = p_total, saved = p_saved, failed = p_failed, heartbeat_at = p_now
    where id = p_run and state = 'running';
    return found;
end
$$;
comment on function public.ledger_save_progress is 'Writes counts and heartbeat; false if the run is no longer open.';

create or replace function public.ledger_finish_run(p_run bigint, p_state text, p_message text, p_now timestamptz)
returns void
language sql set search_path = ''
as $$
    update public.sync_runs set state = p_state, message = p_message, finished_at = p_now
    where id = p_run and state = 'running'
$$;

create or replace function public.ledger_runs(p_source text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id desc), '[]')
    from (
        select * from public.sync_runs where source = coalesce(p_source, source) order by id desc limit p_limit
    ) as run
$$;

create or replace function public.ledger_run(p_run bigint) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(run) from public.sync_runs as run where id = p_run
$$;

create or replace function public.ledger_last_success(p_source text, p_kind text) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(run) from (
        select * from public.sync_runs
        where source = p_source and state = 'ok' and kind = coalesce(p_kind, kind) order by id desc limit 1
    ) as run
$$;

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
                to_jsonb(phone) - 'id' order by phone_number, valid_from nulls first
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

create or replace function public.ledger_find_or_add_workspace(p_name text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    found_id bigint;
begin
    insert into public.workspaces (name) values (p_name) on conflict (name) do nothing;
    select id into found_id from public.workspaces where name = p_name;
    return found_id;
end
$$;

create or replace function public.ledger_save_phone(
    p_number text, p_workspace bigint, p_label text, p_from timestamptz, p_until timestamptz
) returns void
language plpgsql set search_path = '' set statement_timeout = '55s'
as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger twilio'));
    perform pg_advisory_xact_lock(hashtext('voice ledger elevenlabs'));
    update public.workspace_phones set label = p_label, valid_until = p_until
    where phone_number = p_number and workspace_id = p_workspace and valid_from is not distinct from p_from;
    if not found then
        insert into public.workspace_phones (workspace_id, phone_number, label, valid_from, valid_until)
        values (p_workspace, p_number, p_label, p_from, p_until);
    end if;
    perform public.ledger_attribute_calls(
        coalesce((select array_agg(sid) from public.calls where our_number = p_number), '{}')
    );
    perform public.ledger_attribute_conversations(coalesce(
        (select array_agg(conversation_id) from public.elevenlabs_conversations where agent_number = p_number), '{}'
    ));
    perform public.ledger_refresh_twilio();
    perform public.ledger_refresh_elevenlabs();
end
$$;
comment on function public.ledger_save_phone is
    'Registers a period of a number, attributes stored records anew and refreshes their balances.';

create or replace function public.ledger_save_agent(p_agent text, p_workspace bigint, p_label text) returns void
language plpgsql set search_path = '' set statement_timeout = '55s'
as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger elevenlabs'));
    insert into public.workspace_agents (agent_id, workspace_id, label) values (p_agent, p_workspace, p_label)
    on conflict (agent_id) do update set workspace_id = excluded.workspace_id, label = excluded.label;
    perform public.ledger_attribute_conversations(coalesce(
        (select array_agg(conversation_id) from public.elevenlabs_conversations where agent_id = p_agent), '{}'
    ));
    perform public.ledger_refresh_elevenlabs();
end
$$;

create or replace function public.ledger_unregistered_numbers() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(
        jsonb_build_object('phone_number', number, 'records', records, 'last_seen', last_seen) order by last_seen desc
    ), '[]')
    from (
        select number, count(*) as records, max(started_at) as last_seen
        from (
            select our_number as number, started_at from public.calls as leg
            where workspace_id = 0 and not exists ( -- a transfer's `from` is often the caller's number, not ours
                select from public.calls as parent
                where parent.sid = leg.parent_call_sid and parent.our_number is not null
            )
            union all
            select agent_number, started_at from public.elevenlabs_conversations where workspace_id = 0
        ) as usage
        where number is not null and started_at is not null group by number
    ) as seen
$$;

create or replace function public.ledger_checks() returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    select jsonb_build_object(
        'rows', jsonb_build_object(
            'workspaces', (select count(*) from public.workspaces),
            'workspace_phones', (select count(*) from public.workspace_phones),
            'workspace_agents', (select count(*) from public.workspace_agents),
            'calls', (select count(*) from public.calls),
            'elevenlabs_conversations', (select count(*) from public.elevenlabs_conversations),
            'twilio_snapshots', (select count(*) from public.twilio_snapshots),
            'elevenlabs_snapshots', (select count(*) from public.elevenlabs_snapshots),
            'sync_runs', (select count(*) from public.sync_runs),
            'sync_failures', (select count(*) from public.sync_failures)
        ),
        'twilio_duplicates', (
            select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date)), '[]') from (
                select workspace_id, snapshot_date from public.twilio_snapshots group by 1, 2 having count(*) > 1
            ) as twice
        ),
        'elevenlabs_duplicates', (
            select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date)), '[]') from (
                select workspace_id, snapshot_date from public.elevenlabs_snapshots group by 1, 2 having count(*) > 1
            ) as twice
        ),
        'foreign_currency_legs', (
            select count(*) from public.calls
            where cost <> 0 and price_unit <> (select value from public.ledger_meta where key = 'price_unit')
        )
    )
$$;
comment on function public.ledger_checks is 'What `python -m sync verify` asks of the database.';

create or replace function public.ledger_price_unit() returns text
language sql stable set search_path = ''
as $$
    select value from public.ledger_meta where key = 'price_unit'
$$;
comment on function public.ledger_price_unit is 'The currency that Twilio bills in, or null before the first priced leg.';

create or replace function public.ledger_missing_tables() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(name), '[]') from unnest(array[
        'workspaces', 'workspace_phones', 'workspace_agents', 'calls', 'elevenlabs_conversations', 'twilio_snapshots',
        'elevenlabs_snapshots', 'sync_runs', 'sync_failures'
    ]) as name
    where to_regclass('public.' || name) is null
$$;

create or replace function public.ledger_claim(p_data text) returns text
language plpgsql set search_path = ''
as $$
declare
    held text;
begin
    insert into public.ledger_meta (key, value) values ('data', p_data) on conflict (key) do nothing;
    select value into held from public.ledger_meta where key = 'data';
    return held;
end
$$;
comment on function public.ledger_claim is 'Marks a new ledger as holding demo or real data, and returns what it holds.';

insert into public.ledger_migrations (name) values ('20261122190300_reads_and_runs') on conflict do nothing;
