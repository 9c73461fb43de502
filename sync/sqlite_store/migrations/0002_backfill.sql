-- For the historical sync: it holds a lock of its own beside the hourly run, and its records, which are older than
-- most of what is stored, move the later balances by a fixed amount instead of having them added up again.

drop index one_run_of_a_source_at_a_time;
create unique index one_run_of_a_source_at_a_time on sync_runs (source, kind = 'backfill') where state = 'running';

-- A backfill has everything from here to its window's end; one that takes over goes on from here.
alter table sync_runs add column position text;

drop table stale_balances; -- always empty between two transactions; its triggers are made anew
drop trigger calls_inserted;
drop trigger calls_updated;
drop trigger calls_deleted;
drop trigger conversations_inserted;
drop trigger conversations_updated;
drop trigger conversations_deleted;

-- Balances that no longer equal their records, from hour `since` to hour `until`; those after it are off by what the
-- last of these is off. Filled by the triggers below, so that no change of a record can be forgotten.
create table stale_balances (
    source text not null,
    workspace_id integer not null,
    since text not null,
    until text not null,
    primary key (source, workspace_id)
) without rowid;

create trigger calls_inserted after insert on calls
begin
    insert into stale_balances values ('twilio', new.workspace_id, new.started_hour, new.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;
create trigger calls_updated
after update of workspace_id, parent_call_sid, started_at, duration, cost, price_unit on calls
when (old.workspace_id, old.parent_call_sid, old.started_at, old.duration, old.cost, old.price_unit)
    is not (new.workspace_id, new.parent_call_sid, new.started_at, new.duration, new.cost, new.price_unit)
begin
    insert into stale_balances values ('twilio', old.workspace_id, old.started_hour, old.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
    insert into stale_balances values ('twilio', new.workspace_id, new.started_hour, new.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;
create trigger calls_deleted after delete on calls
begin
    insert into stale_balances values ('twilio', old.workspace_id, old.started_hour, old.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;

create trigger conversations_inserted after insert on elevenlabs_conversations
begin
    insert into stale_balances values ('elevenlabs', new.workspace_id, new.started_hour, new.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;
create trigger conversations_updated
after update of workspace_id, started_at, duration, cost, credits, llm_price, llm_charge, platform_price, call_charge,
    free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage
on elevenlabs_conversations
when (
    old.workspace_id, old.started_at, old.duration, old.cost, old.credits, old.llm_price, old.llm_charge,
    old.platform_price, old.call_charge, old.free_minutes_consumed, old.free_llm_dollars_consumed, old.dev_discount,
    old.llm_usage
) is not (
    new.workspace_id, new.started_at, new.duration, new.cost, new.credits, new.llm_price, new.llm_charge,
    new.platform_price, new.call_charge, new.free_minutes_consumed, new.free_llm_dollars_consumed, new.dev_discount,
    new.llm_usage
)
begin
    insert into stale_balances values ('elevenlabs', old.workspace_id, old.started_hour, old.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
    insert into stale_balances values ('elevenlabs', new.workspace_id, new.started_hour, new.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;
create trigger conversations_deleted after delete on elevenlabs_conversations
begin
    insert into stale_balances values ('elevenlabs', old.workspace_id, old.started_hour, old.started_hour)
    on conflict do update set since = min(since, excluded.since), until = max(until, excluded.until);
end;

-- Token usage of running totals no longer names categories that add up to nothing: recompute what is stored.
insert into stale_balances
select 'elevenlabs', workspace_id, min(snapshot_date), max(snapshot_date) from elevenlabs_snapshots group by workspace_id;
