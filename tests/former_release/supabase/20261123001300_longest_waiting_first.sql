-- A backfill refreshes balances a few workspaces at a time: the one that has waited longest comes first, so that none is
-- passed over for one that gets stale again and again. History comes newest first, so it is the one with the latest hour.

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
        select workspace_id from public.stale_balances where source = 'twilio'
        order by until desc, workspace_id desc limit 1
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
        select workspace_id from public.stale_balances where source = 'elevenlabs'
        order by until desc, workspace_id desc limit 1
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

insert into public.ledger_migrations (name) values ('20261123001300_longest_waiting_first') on conflict do nothing;
notify pgrst, 'reload schema';
