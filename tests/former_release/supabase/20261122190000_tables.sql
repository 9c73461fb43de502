-- Tables of Voice Ledger. Works on an empty project and adopts one that has the tables of the 12-hour system; may be
-- run again. Times are UTC. Prices have 8 decimals: LLM prices such as 0.00041565 are real.

-- Which of these files have run here. `python -m sync verify` reads it.
create table if not exists public.ledger_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
);
comment on table public.ledger_migrations is 'Which migrations of Voice Ledger have run in this project.';

create table if not exists public.ledger_meta (
    key text primary key,
    value text not null
);
comment on table public.ledger_meta is 'Facts about the whole ledger: the currency that Twilio bills in, demo or real data.';

create table if not exists public.workspaces (
    id bigserial primary key,
    name text not null,
    created_at timestamptz default now()
);
comment on table public.workspaces is 'Clients of the agency. Row 0, Unassigned, takes usage of numbers nobody registered.';
alter table public.workspaces add column if not exists created_at timestamptz default now();
insert into public.workspaces (id, name) values (0, 'Unassigned') on conflict (id) do nothing;
do $$
begin
    if not exists (select from pg_constraint where conname = 'workspaces_name_key') then
        alter table public.workspaces add constraint workspaces_name_key unique (name);
    end if;
end $$;

create or replace function public.ledger_keep_unassigned() returns trigger
language plpgsql set search_path = ''
as $$
begin
    raise exception 'The workspace Unassigned is never deleted.';
end
$$;
create or replace trigger unassigned_stays before delete on public.workspaces
    for each row when (old.id = 0) execute function public.ledger_keep_unassigned();

-- Who owns a number from valid_from (null: always) until valid_until (null: still).
create extension if not exists btree_gist with schema extensions;
create table if not exists public.workspace_phones (
    id bigserial primary key,
    workspace_id bigint not null references public.workspaces (id) on delete cascade,
    phone_number text not null,
    label text
);
alter table public.workspace_phones add column if not exists label text;
alter table public.workspace_phones add column if not exists valid_from timestamptz;
alter table public.workspace_phones add column if not exists valid_until timestamptz;
comment on table public.workspace_phones is 'Who owns a number (E.164), in periods that never overlap.';
comment on column public.workspace_phones.valid_from is 'First moment of ownership; null is always.';
comment on column public.workspace_phones.valid_until is 'First moment after ownership; null is still.';
do $$
begin
    if not exists (select from pg_constraint where conname = 'workspace_phones_period') then
        alter table public.workspace_phones add constraint workspace_phones_period check (valid_from < valid_until);
    end if;
    if not exists (select from pg_constraint where conname = 'workspace_phones_no_overlap') then
        -- A number that was unique for good may from now on be unique at any moment.
        alter table public.workspace_phones drop constraint if exists workspace_phones_phone_number_key;
        alter table public.workspace_phones add constraint workspace_phones_no_overlap
            exclude using gist (phone_number extensions.gist_text_ops with =, tstzrange(valid_from, valid_until) with &&);
    end if;
end $$;

create table if not exists public.workspace_agents (
    agent_id text primary key,
    workspace_id bigint not null references public.workspaces (id) on delete cascade,
    label text
);
comment on table public.workspace_agents is
    'Who owns the conversations of an agent that come without a registered number (widget, WhatsApp).';

create table if not exists public.calls (sid text primary key);
alter table public.calls
    add column if not exists parent_call_sid text,
    add column if not exists workspace_id bigint default 0 references public.workspaces (id),
    add column if not exists status text,
    add column if not exists direction text,
    add column if not exists started_at timestamptz,
    add column if not exists ended_at timestamptz,
    add column if not exists duration bigint,
    add column if not exists cost numeric(18, 8),
    add column if not exists price_unit text,
    add column if not exists from_number text,
    add column if not exists to_number text,
    add column if not exists our_number text,
    add column if not exists fetched_at timestamptz,
    add column if not exists is_gone boolean not null default false;
alter table public.calls -- may be there already, and narrower
    alter column duration type bigint,
    alter column cost type numeric(18, 8);
create unique index if not exists calls_sid on public.calls (sid);
create index if not exists calls_workspace_started_at on public.calls (workspace_id, started_at);
create index if not exists calls_started_at on public.calls (started_at);
create index if not exists calls_parent on public.calls (parent_call_sid) where parent_call_sid is not null;
create index if not exists calls_our_number on public.calls (our_number);
comment on table public.calls is 'One row per Twilio call leg.';
comment on column public.calls.cost is 'Positive, in price_unit; null until Twilio has priced the leg.';
comment on column public.calls.our_number is 'The side that the agency owns: to for inbound, from for outbound legs.';
comment on column public.calls.fetched_at is 'When the request was sent: the newer of two versions wins.';

create table if not exists public.elevenlabs_conversations (conversation_id text primary key);
alter table public.elevenlabs_conversations
    add column if not exists workspace_id bigint default 0 references public.workspaces (id),
    add column if not exists agent_id text,
    add column if not exists agent_name text,
    add column if not exists status text,
    add column if not exists started_at timestamptz,
    add column if not exists duration bigint,
    add column if not exists direction text,
    add column if not exists channel text,
    add column if not exists agent_number text,
    add column if not exists external_number text,
    add column if not exists call_sid text,
    add column if not exists termination_reason text,
    add column if not exists cost numeric(18, 8),
    add column if not exists credits bigint,
    add column if not exists llm_price numeric(18, 8),
    add column if not exists llm_charge bigint,
    add column if not exists platform_price numeric(18, 8),
    add column if not exists call_charge bigint,
    add column if not exists free_minutes_consumed numeric(18, 8),
    add column if not exists free_llm_dollars_consumed numeric(18, 8),
    add column if not exists dev_discount boolean,
    add column if not exists is_burst boolean,
    add column if not exists llm_usage jsonb,
    add column if not exists fetched_at timestamptz,
    add column if not exists is_gone boolean not null default false;
alter table public.elevenlabs_conversations -- may be there already, and narrower
    alter column duration type bigint,
    alter column cost type numeric(18, 8),
    alter column credits type bigint,
    alter column llm_price type numeric(18, 8),
    alter column llm_charge type bigint,
    alter column platform_price type numeric(18, 8),
    alter column call_charge type bigint,
    alter column free_minutes_consumed type numeric(18, 8),
    alter column free_llm_dollars_consumed type numeric(18, 8);
create unique index if not exists conversations_id on public.elevenlabs_conversations (conversation_id);
create index if not exists conversations_workspace_started_at
    on public.elevenlabs_conversations (workspace_id, started_at);
create index if not exists conversations_started_at on public.elevenlabs_conversations (started_at);
create index if not exists conversations_agent_number on public.elevenlabs_conversations (agent_number);
create index if not exists conversations_agent on public.elevenlabs_conversations (agent_id);
create index if not exists conversations_call_sid on public.elevenlabs_conversations (call_sid);
comment on table public.elevenlabs_conversations is
    'One row per conversation. US dollars: cost, llm_price, platform_price, free_llm_dollars_consumed. '
    'Credits: credits, llm_charge, call_charge. Null is "not known yet".';
comment on column public.elevenlabs_conversations.call_sid is 'The Twilio leg that carried it.';

-- Nobody fills columns that only the 12-hour system knows: none of them may insist on a value.
do $$
declare
    old_column record;
begin
    for old_column in
        select attrelid::regclass as place, attname as name from pg_attribute
        where attrelid in ('public.calls'::regclass, 'public.elevenlabs_conversations'::regclass)
            and attnum > 0 and not attisdropped and attnotnull and not atthasdef and attidentity = ''
            and attname not in ('sid', 'conversation_id')
    loop
        execute format('alter table %s alter column %I drop not null', old_column.place, old_column.name);
    end loop;
end $$;

create table if not exists public.twilio_snapshots (
    id bigserial primary key,
    workspace_id bigint references public.workspaces (id) on delete cascade,
    snapshot_date timestamptz not null,
    total_calls integer default 0,
    total_cost numeric(18, 8) default 0,
    total_duration integer default 0,
    created_at timestamptz default now(),
    unique (workspace_id, snapshot_date)
);
alter table public.twilio_snapshots
    alter column total_calls type bigint,
    alter column total_cost type numeric(18, 8),
    alter column total_duration type bigint,
    add column if not exists total_legs bigint default 0,
    add column if not exists billed_minutes bigint default 0,
    add column if not exists unpriced_calls bigint default 0;
create index if not exists idx_twilio_snapshots_workspace on public.twilio_snapshots (workspace_id);
create index if not exists idx_twilio_snapshots_date on public.twilio_snapshots (snapshot_date desc);
comment on table public.twilio_snapshots is
    'Balances: running totals over every leg that started before snapshot_date + 1 hour, one row per hour with activity.';
comment on column public.twilio_snapshots.total_cost is 'Running total of every priced leg, in the account''s currency.';
comment on column public.twilio_snapshots.billed_minutes is 'Each leg rounded up to a minute, summed.';
comment on column public.twilio_snapshots.unpriced_calls is 'Legs whose cost is not known (yet) in that currency.';

create table if not exists public.elevenlabs_snapshots (
    id bigserial primary key,
    workspace_id bigint references public.workspaces (id) on delete cascade,
    snapshot_date timestamptz not null,
    total_conversations integer default 0,
    total_cost numeric(18, 8) default 0,
    total_duration integer default 0,
    llm_usage jsonb,
    llm_price numeric(18, 8) default 0,
    llm_charge numeric(18, 8) default 0,
    call_charge numeric(18, 8) default 0,
    free_minutes_consumed numeric(18, 8) default 0,
    free_llm_dollars_consumed numeric(18, 8) default 0,
    dev_discount numeric(18, 8) default 0,
    created_at timestamptz default now(),
    unique (workspace_id, snapshot_date)
);
alter table public.elevenlabs_snapshots
    alter column total_conversations type bigint,
    alter column total_cost type numeric(18, 8),
    alter column total_duration type bigint,
    alter column llm_price type numeric(18, 8),
    alter column llm_charge type numeric(18, 8),
    alter column call_charge type numeric(18, 8),
    alter column free_minutes_consumed type numeric(18, 8),
    alter column free_llm_dollars_consumed type numeric(18, 8),
    alter column dev_discount type numeric(18, 8),
    add column if not exists total_credits bigint default 0,
    add column if not exists platform_price numeric(18, 8) default 0,
    add column if not exists unpriced_conversations bigint default 0;
create index if not exists idx_elevenlabs_snapshots_workspace on public.elevenlabs_snapshots (workspace_id);
create index if not exists idx_elevenlabs_snapshots_date on public.elevenlabs_snapshots (snapshot_date desc);
comment on table public.elevenlabs_snapshots is
    'Balances: running totals over every conversation that started before snapshot_date + 1 hour.';
comment on column public.elevenlabs_snapshots.total_cost is 'US dollars.';
comment on column public.elevenlabs_snapshots.total_credits is 'ElevenLabs credits.';
comment on column public.elevenlabs_snapshots.llm_charge is 'ElevenLabs credits.';
comment on column public.elevenlabs_snapshots.call_charge is 'ElevenLabs credits.';
comment on column public.elevenlabs_snapshots.dev_discount is 'How many conversations were discounted.';
comment on column public.elevenlabs_snapshots.llm_usage is '{model: {category: {"tokens": n, "price": US dollars}}}';

create table if not exists public.stale_balances (
    source text not null,
    workspace_id bigint not null,
    since timestamptz not null,
    primary key (source, workspace_id)
);
comment on table public.stale_balances is
    'Balances that records have moved away from; filled by triggers, emptied by the refresh in the same transaction.';

create table if not exists public.sync_runs (
    id bigserial primary key,
    source text not null,
    kind text not null,
    state text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    done bigint not null default 0,
    total bigint,
    saved bigint not null default 0,
    failed bigint not null default 0,
    message text,
    owner text not null default '',
    started_at timestamptz not null,
    heartbeat_at timestamptz not null,
    finished_at timestamptz
);
create unique index if not exists one_run_of_a_source_at_a_time on public.sync_runs (source) where state = 'running';
create index if not exists sync_runs_history on public.sync_runs (source, state, kind);
comment on table public.sync_runs is 'One row per run: history, the watermark that the next run starts from, and the lock.';

create table if not exists public.sync_failures (
    source text not null,
    record_id text not null,
    error text not null,
    attempts bigint not null default 1,
    first_failed_at timestamptz not null,
    last_failed_at timestamptz not null,
    primary key (source, record_id)
);
comment on table public.sync_failures is 'Records that could not be fetched or read; they leave this list when they succeed.';

insert into public.ledger_migrations (name) values ('20261122190000_tables') on conflict do nothing;
