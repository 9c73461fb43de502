-- Times are ISO-8601 texts in UTC (+00:00), so they sort as times. Prices are in units of the account's currency with
-- at most 8 decimals: NUMERIC holds them as doubles, of which every amount below 45 million has its own, and sums are
-- taken over whole 1e-8 units, so nothing is ever rounded. Larger amounts are refused.

create table store_meta (
    key text primary key,
    value text not null
) strict;

create table workspaces (
    id integer primary key,
    name text not null unique,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'))
);
-- Row 0 takes the usage of numbers and agents that nobody registered.
insert into workspaces (id, name) values (0, 'Unassigned');
create trigger unassigned_stays before delete on workspaces when old.id = 0
begin
    select raise(abort, 'the workspace Unassigned is never deleted');
end;

-- Who owns a number from valid_from (null: always) until valid_until (null: still).
create table workspace_phones (
    id integer primary key,
    workspace_id integer not null references workspaces (id) on delete cascade,
    phone_number text not null,
    label text,
    valid_from text,
    valid_until text,
    check (valid_from is null or valid_until is null or valid_from < valid_until)
);
create index workspace_phones_number on workspace_phones (phone_number);
create trigger phone_periods_do_not_overlap_insert before insert on workspace_phones
when exists (
    select 1 from workspace_phones as other
    where other.phone_number = new.phone_number
        and coalesce(other.valid_from, '') < coalesce(new.valid_until, '9')
        and coalesce(new.valid_from, '') < coalesce(other.valid_until, '9')
)
begin
    select raise(abort, 'periods of one number overlap');
end;
create trigger phone_periods_do_not_overlap_update before update on workspace_phones
when exists (
    select 1 from workspace_phones as other
    where other.phone_number = new.phone_number and other.id <> new.id
        and coalesce(other.valid_from, '') < coalesce(new.valid_until, '9')
        and coalesce(new.valid_from, '') < coalesce(other.valid_until, '9')
)
begin
    select raise(abort, 'periods of one number overlap');
end;

-- Who owns the conversations of an agent that come without a registered number (widget, WhatsApp).
create table workspace_agents (
    agent_id text primary key,
    workspace_id integer not null references workspaces (id) on delete cascade,
    label text
);

-- One row per Twilio call leg. cost is positive, and null until it is known.
create table calls (
    sid text primary key,
    parent_call_sid text,
    workspace_id integer not null default 0 references workspaces (id),
    status text not null,
    direction text not null,
    started_at text not null,
    started_hour text generated always as (substr(started_at, 1, 13) || ':00:00+00:00') virtual,
    ended_at text,
    duration integer,
    cost numeric,
    price_unit text,
    from_number text,
    to_number text,
    our_number text,
    fetched_at text not null,
    is_gone integer not null default 0
);
create index calls_workspace_hour on calls (workspace_id, started_hour);
create index calls_started_at on calls (started_at);
create index calls_parent on calls (parent_call_sid) where parent_call_sid is not null;
create index calls_our_number on calls (our_number);
create index calls_open on calls (started_at) where cost is null or status not in ('completed', 'busy', 'failed', 'no-answer', 'canceled');

-- One row per ElevenLabs conversation. US dollars: cost, llm_price, platform_price, free_llm_dollars_consumed.
-- Credits: credits, llm_charge, call_charge. Null is "not known yet".
create table elevenlabs_conversations (
    conversation_id text primary key,
    workspace_id integer not null default 0 references workspaces (id),
    agent_id text,
    agent_name text,
    status text not null,
    started_at text not null,
    started_hour text generated always as (substr(started_at, 1, 13) || ':00:00+00:00') virtual,
    duration integer not null,
    direction text,
    channel text,
    agent_number text,
    external_number text,
    call_sid text,
    termination_reason text,
    cost numeric,
    credits integer,
    llm_price numeric,
    llm_charge integer,
    platform_price numeric,
    call_charge integer,
    free_minutes_consumed numeric,
    free_llm_dollars_consumed numeric,
    dev_discount integer not null default 0,
    is_burst integer not null default 0,
    llm_usage text not null default '{}',
    fetched_at text not null,
    is_gone integer not null default 0
);
create index conversations_workspace_hour on elevenlabs_conversations (workspace_id, started_hour);
create index conversations_started_at on elevenlabs_conversations (started_at);
create index conversations_agent_number on elevenlabs_conversations (agent_number);
create index conversations_agent on elevenlabs_conversations (agent_id);
create index conversations_call_sid on elevenlabs_conversations (call_sid);

-- Running totals over every leg that started before snapshot_date + 1 hour; a row for each hour with activity.
create table twilio_snapshots (
    id integer primary key,
    workspace_id integer not null references workspaces (id) on delete cascade,
    snapshot_date text not null,
    total_calls integer not null default 0,
    total_legs integer not null default 0,
    total_cost numeric not null default 0 check (abs(total_cost) < 45000000),
    total_duration integer not null default 0,
    billed_minutes integer not null default 0,
    unpriced_calls integer not null default 0,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')),
    unique (workspace_id, snapshot_date)
);

-- The same over conversations. llm_usage: {model: {category: {"tokens": …, "price": …}}}.
create table elevenlabs_snapshots (
    id integer primary key,
    workspace_id integer not null references workspaces (id) on delete cascade,
    snapshot_date text not null,
    total_conversations integer not null default 0,
    total_cost numeric not null default 0 check (abs(total_cost) < 45000000),
    total_duration integer not null default 0,
    total_credits integer not null default 0,
    llm_price numeric not null default 0 check (abs(llm_price) < 45000000),
    llm_charge integer not null default 0,
    platform_price numeric not null default 0 check (abs(platform_price) < 45000000),
    call_charge integer not null default 0,
    free_minutes_consumed numeric not null default 0 check (abs(free_minutes_consumed) < 45000000),
    free_llm_dollars_consumed numeric not null default 0 check (abs(free_llm_dollars_consumed) < 45000000),
    dev_discount integer not null default 0,
    unpriced_conversations integer not null default 0,
    llm_usage text not null default '{}',
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')),
    unique (workspace_id, snapshot_date)
);

-- Balances that records have moved away from, from hour `since` on. Filled by the triggers below, so that no change
-- of a record can be forgotten; emptied by the refresh in the same transaction.
create table stale_balances (
    source text not null,
    workspace_id integer not null,
    since text not null,
    primary key (source, workspace_id)
) without rowid;

create trigger calls_inserted after insert on calls
begin
    insert into stale_balances values ('twilio', new.workspace_id, new.started_hour)
    on conflict do update set since = min(since, excluded.since);
end;
create trigger calls_updated
after update of workspace_id, parent_call_sid, started_at, duration, cost, price_unit on calls
when (old.workspace_id, old.parent_call_sid, old.started_at, old.duration, old.cost, old.price_unit)
    is not (new.workspace_id, new.parent_call_sid, new.started_at, new.duration, new.cost, new.price_unit)
begin
    insert into stale_balances values ('twilio', old.workspace_id, old.started_hour)
    on conflict do update set since = min(since, excluded.since);
    insert into stale_balances values ('twilio', new.workspace_id, new.started_hour)
    on conflict do update set since = min(since, excluded.since);
end;
create trigger calls_deleted after delete on calls
begin
    insert into stale_balances values ('twilio', old.workspace_id, old.started_hour)
    on conflict do update set since = min(since, excluded.since);
end;

create trigger conversations_inserted after insert on elevenlabs_conversations
begin
    insert into stale_balances values ('elevenlabs', new.workspace_id, new.started_hour)
    on conflict do update set since = min(since, excluded.since);
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
    insert into stale_balances values ('elevenlabs', old.workspace_id, old.started_hour)
    on conflict do update set since = min(since, excluded.since);
    insert into stale_balances values ('elevenlabs', new.workspace_id, new.started_hour)
    on conflict do update set since = min(since, excluded.since);
end;
create trigger conversations_deleted after delete on elevenlabs_conversations
begin
    insert into stale_balances values ('elevenlabs', old.workspace_id, old.started_hour)
    on conflict do update set since = min(since, excluded.since);
end;

-- One row per run: the history that people read, the watermark that the next run starts from, and the lock.
create table sync_runs (
    id integer primary key autoincrement,
    source text not null,
    kind text not null,
    state text not null,
    window_start text not null,
    window_end text not null,
    done integer not null default 0,
    total integer,
    saved integer not null default 0,
    failed integer not null default 0,
    message text,
    owner text not null default '',
    started_at text not null,
    heartbeat_at text not null,
    finished_at text
);
create unique index one_run_of_a_source_at_a_time on sync_runs (source) where state = 'running';
create index sync_runs_history on sync_runs (source, state, kind);

-- Records that could not be fetched or read. They are tried again, and leave this list when they succeed.
create table sync_failures (
    source text not null,
    record_id text not null,
    error text not null,
    attempts integer not null default 1,
    first_failed_at text not null,
    last_failed_at text not null,
    primary key (source, record_id)
) without rowid;
