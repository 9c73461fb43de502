-- Voice Ledger's database, from nothing or from the 12-hour system. It may run again at any time, without harm, and mends
-- what was dropped by mistake. Sections: the old tables are set aside; tables; functions; triggers; who may do what;
-- what the old tables held.
--
-- Tables that are here already and not of this program are renamed to legacy_NAME as they are: no column changes its type
-- or its meaning. Only clients and their numbers are taken over. The old calls and conversations are fetched again from the
-- providers, since the old system stored credits as a cost, unknown prices as 0, and sums of 75 minutes as snapshots.

-- Return a number in international form (E.164), whatever its writing; null if it has no country or is no number.
create or replace function pg_temp.international(written text) returns text
language plpgsql immutable
as $$
declare
    number text := btrim(normalize(written, NFKC));
begin
    number := btrim(coalesce(substring(number from '<([^<>]*)>'), number));
    number := split_part(regexp_replace(number, '^(whatsapp|tel|sips?):', '', 'i'), '@', 1);
    number := regexp_replace(number, '[;?].*$', '');
    if number ~ '^(\+|00)' then
        number := replace(number, '(0)', ''); -- of +44 (0)20 …, which is dialled without it
    end if;
    number := regexp_replace(number, '[\s\u00ad\u200b-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff().\-/]', '', 'g');
    number := regexp_replace(number, '^00', '+');
    if number ~ '^[1-9][0-9]{10,14}$' then
        number := '+' || number; -- too long for a number without its country
    end if;
    return case when number ~ '^\+[1-9][0-9]{6,14}$' then number end;
end
$$;

-- Return the first of these columns that a table has; null if it has none.
create or replace function pg_temp.column_of(place regclass, variadic names text[]) returns text
language sql stable
as $$
    select attname from pg_attribute
    where attrelid = place and attnum > 0 and not attisdropped and attname = any (names)
    order by array_position(names, attname::text) limit 1
$$;

-- Return how to read a column as a text, and null for a column that is not there.
create or replace function pg_temp.as_text(place regclass, variadic names text[]) returns text
language sql stable
as $$
    select coalesce('nullif(btrim(' || quote_ident(pg_temp.column_of(place, variadic names)) || '::text), '''')', 'null::text')
$$;

-- Return a key by which rows of two tables find each other, whatever the types of their columns: 4, 4.00 and ' 4'.
create or replace function pg_temp.key(written text) returns text
language sql immutable
as $$
    select regexp_replace(lower(btrim(written)), '^(\d+)\.0+$', '\1')
$$;

-- Return a moment that is written as a text, or as a number of (milli)seconds; null if it is none of our time.
create or replace function pg_temp.moment(written text) returns timestamptz
language plpgsql stable
as $$
declare
    moment timestamptz;
begin
    moment := case when written ~ '^\d+(\.\d+)?$'
        then to_timestamp(written::numeric / case when written::numeric > 1e11 then 1000 else 1 end)
        else written::timestamptz end;
    return case when moment >= '2000-01-01Z' and moment < '2100-01-01Z' then moment end;
exception when others then
    return null;
end
$$;

-- Return the numbers of clients in the old tables `workspace_phones` and `workspaces`: where each stands, and whose it is.
create or replace function pg_temp.old_numbers(phones regclass, workspaces regclass)
returns table (place text, workspace text, is_client boolean, written text, number text, label text)
language plpgsql stable
as $$
begin
    if workspaces is not null and pg_temp.column_of(phones, 'workspace_id') is not null then
        return query execute format(
            'select ''row '' || coalesce(%s, %s, ''?'') || '' of workspace_phones'', pg_temp.key(workspace_id::text), '
            'pg_temp.key(workspace_id::text) in (select pg_temp.key(%s) from %s), %2$s, pg_temp.international(%2$s), %5$s from %6$s',
            pg_temp.as_text(phones, 'id'), pg_temp.as_text(phones, 'phone_number', 'phone', 'number'),
            pg_temp.as_text(workspaces, 'id', 'workspace_id', 'name'), workspaces,
            pg_temp.as_text(phones, 'label', 'name', 'description'), phones
        );
    end if;
    if pg_temp.column_of(workspaces, 'phone_number', 'phone') is not null then
        return query execute format(
            'select ''row '' || coalesce(%1$s, %2$s, ''?'') || '' of workspaces'', pg_temp.key(%1$s), true, %2$s, '
            'pg_temp.international(%2$s), null::text from %3$s',
            pg_temp.as_text(workspaces, 'id', 'name'), pg_temp.as_text(workspaces, 'phone_number', 'phone'), workspaces
        );
    end if;
end
$$;

-- Tell whether this program has made the tables that are here, all of them or some.
create or replace function pg_temp.is_ours() returns boolean
language plpgsql stable
as $$
begin
    if to_regproc('public.ledger_claim') is not null
        or pg_temp.column_of(to_regclass('public.ledger_migrations'), 'applied_at') is not null then
        return true;
    end if;
    if pg_temp.column_of(to_regclass('public.ledger_meta'), 'key') is null then
        return false;
    end if;
    return exists (select from public.ledger_meta where key = 'adoption');
end
$$;

create or replace function pg_temp.refuse_two_owners() returns void
language plpgsql stable
as $$
declare
    conflict record;
begin
    for conflict in
        select number, string_agg(distinct place || ' (workspace ' || workspace || ')', ' and ') as places
        from pg_temp.old_numbers(to_regclass('public.workspace_phones'), to_regclass('public.workspaces'))
        where number is not null and is_client
        group by number having count(distinct workspace) > 1 order by number
    loop
        raise exception 'The number % has two owners, %: correct or delete the wrong row, then run this file again; nothing was changed.',
            conflict.number, conflict.places;
    end loop;
end
$$;

-- Return a name that no table, index or sequence of the project has yet.
create or replace function pg_temp.free_name(wanted text) returns text
language plpgsql stable
as $$
declare
    free text := left(wanted, 60);
begin
    for copy in 2..1000 loop
        exit when to_regclass('public.' || quote_ident(free)) is null and to_regtype('public.' || quote_ident(free)) is null;
        free := left(wanted, 56) || '_' || copy;
    end loop;
    return free;
end
$$;

-- What may refuse comes first: nothing has changed by then.
do $$
begin
    if not pg_temp.is_ours() then
        perform pg_temp.refuse_two_owners();
    end if;
end $$;

do $$
declare
    ledger_tables text[] := array[
        'workspaces', 'workspace_phones', 'workspace_agents', 'accounts', 'calls', 'elevenlabs_conversations',
        'twilio_snapshots', 'elevenlabs_snapshots', 'stale_balances', 'call_costs', 'call_members', 'stale_calls',
        'sync_runs', 'sync_failures', 'covered_periods', 'legacy_records', 'ledger_registry_requests', 'ledger_migrations',
        'ledger_meta'
    ];
    ledger_indexes text[] := array[
        'calls_workspace_started_at', 'calls_started_at', 'calls_parent', 'calls_number_started_at',
        'conversations_workspace_started_at', 'conversations_started_at', 'conversations_number_started_at',
        'conversations_agent', 'conversations_call_sid', 'idx_twilio_snapshots_workspace', 'idx_twilio_snapshots_date',
        'idx_elevenlabs_snapshots_workspace', 'idx_elevenlabs_snapshots_date', 'call_members_call',
        'call_costs_started_at', 'call_costs_last_started_at', 'call_costs_first_started_at',
        'one_run_of_a_source_at_a_time', 'sync_runs_history', 'sync_runs_ended', 'sync_runs_of_kind',
        'workspace_phones_no_overlap'
    ];
    kept jsonb := '{}';
    old record;
    part record;
    kept_as text;
begin
    if pg_temp.is_ours() then
        return;
    end if;
    perform pg_temp.refuse_two_owners(); -- again, for those who go on after an error

    for old in
        select typname as name from pg_type
        where typnamespace = 'public'::regnamespace and typname = any (ledger_tables)
            and (typrelid = 0 or (select relkind from pg_class where oid = typrelid) = 'c')
    loop
        execute format('alter type public.%I rename to %I', old.name, pg_temp.free_name('legacy_' || old.name));
    end loop;
    for old in
        select relname as name, case relkind when 'S' then 'sequence' when 'i' then 'index' when 'I' then 'index' end as kind
        from pg_class
        where relnamespace = 'public'::regnamespace
            and (relkind in ('i', 'I') and relname = any (ledger_indexes || ledger_tables) or relkind = 'S' and relname = any (ledger_tables))
    loop
        execute format('alter %s public.%I rename to %I', old.kind, old.name, pg_temp.free_name('legacy_' || old.name));
    end loop;
    for old in
        select oid, relname as name from pg_class
        where relnamespace = 'public'::regnamespace and relname = any (ledger_tables) and relkind in ('r', 'p', 'v', 'm', 'f')
    loop
        -- New tables take the names of its indexes and sequences as well.
        for part in
            select index.relname as name, 'index' as kind
            from pg_index as entry join pg_class as index on index.oid = entry.indexrelid where entry.indrelid = old.oid
            union all
            select sequence.relname, 'sequence'
            from pg_depend as tie join pg_class as sequence on sequence.oid = tie.objid and sequence.relkind = 'S'
            where tie.refobjid = old.oid and tie.classid = 'pg_class'::regclass and tie.deptype in ('a', 'i')
        loop
            kept_as := pg_temp.free_name('legacy_' || part.name);
            execute format('alter %s public.%I rename to %I', part.kind, part.name, kept_as);
            if part.kind = 'sequence' then
                execute format('revoke all on sequence public.%I from public, anon, authenticated', kept_as);
            end if;
        end loop;
        kept_as := pg_temp.free_name('legacy_' || old.name);
        execute format('alter table public.%I rename to %I', old.name, kept_as);
        kept := kept || jsonb_build_object('old ' || old.name, kept_as);
    end loop;

    create table public.ledger_meta (
        key text primary key,
        value text not null
    );
    insert into public.ledger_meta (key, value) select * from jsonb_each_text(kept) union all select 'adoption', 'set aside';
end $$;

-- Whether something is missing that is added up from records: then all of it is looked at again in the end.
create temp table if not exists restored as select false as is_any;
update restored set is_any = pg_temp.is_ours() and (
    select count(*) from unnest(array[
        'ledger_meta', 'calls', 'elevenlabs_conversations', 'twilio_snapshots', 'elevenlabs_snapshots', 'stale_balances',
        'call_costs', 'call_members', 'stale_calls', 'covered_periods', 'workspaces'
    ]) as name where to_regclass('public.' || name) is null
) + 11 - (
    select count(*) from pg_trigger where not tgisinternal and tgenabled in ('O', 'A') and tgname in (
        'calls_inserted', 'calls_updated', 'calls_deleted', 'call_of_leg_inserted', 'call_of_leg_updated',
        'conversations_inserted', 'conversations_updated', 'conversations_deleted', 'call_of_conversation_inserted',
        'call_of_conversation_updated', 'calls_refreshed'
    )
) > 0;

create table if not exists public.ledger_meta (
    key text primary key,
    value text not null
);
comment on table public.ledger_meta is
    'Facts about the whole ledger: the currency that Twilio bills in, demo or real data, where old tables are kept.';

-- Tables. Times are UTC. Prices have 8 decimals: LLM prices such as 0.00041565 are real.

create table if not exists public.ledger_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
);
comment on table public.ledger_migrations is 'Which migrations of Voice Ledger have run in this project.';

create table if not exists public.accounts (
    id bigint primary key,
    provider text not null,
    connection text not null default 'default',
    external_id text,
    unique (provider, connection, external_id)
);
comment on table public.accounts is 'Accounts at the providers. Each record, run and covered period names its account.';
comment on column public.accounts.connection is 'The credentials that reach it; default are those of the environment.';
comment on column public.accounts.external_id is 'The provider''s own id (AC…); null until it is known.';
insert into public.accounts (id, provider) values (1, 'twilio'), (2, 'elevenlabs') on conflict (id) do nothing;

create table if not exists public.workspaces (
    id bigserial primary key,
    name text not null unique,
    created_at timestamptz default now()
);
comment on table public.workspaces is 'Clients of the agency. Row 0, Unassigned, takes usage of numbers nobody registered.';
insert into public.workspaces (id, name) values (0, 'Unassigned') on conflict (id) do nothing;

create extension if not exists btree_gist with schema extensions;
create table if not exists public.workspace_phones (
    id bigserial primary key,
    workspace_id bigint not null constraint workspace_phones_workspace_id_fkey references public.workspaces (id) on delete cascade,
    phone_number text not null,
    label text,
    valid_from timestamptz,
    valid_until timestamptz,
    constraint workspace_phones_period check (valid_from < valid_until),
    constraint workspace_phones_no_overlap
        exclude using gist (phone_number with =, tstzrange(valid_from, valid_until) with &&)
);
comment on table public.workspace_phones is 'Who owns a number (E.164), in periods that never overlap.';
comment on column public.workspace_phones.valid_from is 'First moment of ownership; null is always.';
comment on column public.workspace_phones.valid_until is 'First moment after ownership; null is still.';

create table if not exists public.workspace_agents (
    agent_id text primary key,
    workspace_id bigint not null constraint workspace_agents_workspace_id_fkey references public.workspaces (id) on delete cascade,
    label text
);
comment on table public.workspace_agents is
    'Who owns the conversations of an agent that come without a registered number (widget, WhatsApp).';

create table if not exists public.calls (
    sid text primary key,
    parent_call_sid text,
    workspace_id bigint default 0 constraint calls_workspace_id_fkey references public.workspaces (id),
    status text,
    direction text,
    started_at timestamptz,
    ended_at timestamptz,
    duration bigint,
    cost numeric(18, 8),
    price_unit text,
    from_number text,
    to_number text,
    our_number text,
    fetched_at timestamptz,
    is_gone boolean not null default false
);
alter table public.calls
    add column if not exists account_id bigint not null default 1,
    add column if not exists currency text;
create index if not exists calls_workspace_started_at on public.calls (workspace_id, started_at);
create index if not exists calls_started_at on public.calls (started_at);
create index if not exists calls_parent on public.calls (parent_call_sid) where parent_call_sid is not null;
create index if not exists calls_number_started_at on public.calls (our_number, started_at);
comment on table public.calls is 'One row per Twilio call leg.';
comment on column public.calls.cost is 'Positive, in price_unit; null until Twilio has priced the leg.';
comment on column public.calls.our_number is 'The side that the agency owns: to for inbound, from for outbound legs.';
comment on column public.calls.fetched_at is 'When the request was sent: the newer of two versions wins.';
comment on column public.calls.account_id is 'The account whose call it is (accounts.id).';
comment on column public.calls.currency is 'The currency of cost, by the name that all records have for it.';

create table if not exists public.elevenlabs_conversations (
    conversation_id text primary key,
    workspace_id bigint default 0 constraint elevenlabs_conversations_workspace_id_fkey references public.workspaces (id),
    agent_id text,
    agent_name text,
    status text,
    started_at timestamptz,
    duration bigint,
    direction text,
    channel text,
    agent_number text,
    external_number text,
    call_sid text,
    termination_reason text,
    cost numeric(18, 8),
    credits bigint,
    llm_price numeric(18, 8),
    llm_charge bigint,
    platform_price numeric(18, 8),
    call_charge bigint,
    free_minutes_consumed numeric(18, 8),
    free_llm_dollars_consumed numeric(18, 8),
    dev_discount boolean,
    is_burst boolean,
    llm_usage jsonb,
    fetched_at timestamptz,
    is_gone boolean not null default false
);
alter table public.elevenlabs_conversations
    add column if not exists account_id bigint not null default 2,
    add column if not exists currency text not null default 'USD';
create index if not exists conversations_workspace_started_at
    on public.elevenlabs_conversations (workspace_id, started_at);
create index if not exists conversations_started_at on public.elevenlabs_conversations (started_at);
create index if not exists conversations_number_started_at on public.elevenlabs_conversations (agent_number, started_at);
create index if not exists conversations_agent on public.elevenlabs_conversations (agent_id);
create index if not exists conversations_call_sid on public.elevenlabs_conversations (call_sid);
comment on table public.elevenlabs_conversations is
    'One row per conversation. US dollars: cost, llm_price, platform_price, free_llm_dollars_consumed. '
    'Credits: credits, llm_charge, call_charge. Null is "not known yet".';
comment on column public.elevenlabs_conversations.call_sid is 'The Twilio leg that carried it.';
comment on column public.elevenlabs_conversations.account_id is 'The account whose conversation it is (accounts.id).';

create table if not exists public.twilio_snapshots (
    id bigserial primary key,
    workspace_id bigint constraint twilio_snapshots_workspace_id_fkey references public.workspaces (id) on delete cascade,
    snapshot_date timestamptz not null,
    total_calls bigint default 0,
    total_cost numeric(18, 8) default 0,
    total_duration bigint default 0,
    created_at timestamptz default now(),
    total_legs bigint default 0,
    billed_minutes bigint default 0,
    unpriced_calls bigint default 0,
    unique (workspace_id, snapshot_date)
);
create index if not exists idx_twilio_snapshots_workspace on public.twilio_snapshots (workspace_id);
create index if not exists idx_twilio_snapshots_date on public.twilio_snapshots (snapshot_date desc);
comment on table public.twilio_snapshots is
    'Balances: running totals over every leg that started before snapshot_date + 1 hour, one row per hour with activity.';
comment on column public.twilio_snapshots.total_cost is 'Running total of every priced leg, in the account''s currency.';
comment on column public.twilio_snapshots.billed_minutes is 'Each leg rounded up to a minute, summed.';
comment on column public.twilio_snapshots.unpriced_calls is 'Legs whose cost is not known (yet) in that currency.';

create table if not exists public.elevenlabs_snapshots (
    id bigserial primary key,
    workspace_id bigint constraint elevenlabs_snapshots_workspace_id_fkey references public.workspaces (id) on delete cascade,
    snapshot_date timestamptz not null,
    total_conversations bigint default 0,
    total_cost numeric(18, 8) default 0,
    total_duration bigint default 0,
    llm_usage jsonb,
    llm_price numeric(18, 8) default 0,
    llm_charge numeric(18, 8) default 0,
    call_charge numeric(18, 8) default 0,
    free_minutes_consumed numeric(18, 8) default 0,
    free_llm_dollars_consumed numeric(18, 8) default 0,
    dev_discount numeric(18, 8) default 0,
    created_at timestamptz default now(),
    total_credits bigint default 0,
    platform_price numeric(18, 8) default 0,
    unpriced_conversations bigint default 0,
    unique (workspace_id, snapshot_date)
);
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
alter table public.stale_balances add column if not exists until timestamptz not null default 'infinity';
comment on table public.stale_balances is
    'Balances that no longer equal their records, from hour since to hour until; those after it are off by what the last of these is off. Filled by triggers, emptied by the refresh.';

-- What each call cost in all: one row per call, kept up to date in the transaction that changes one of its records. A
-- call is a family of legs (the topmost stored leg and everything below it) with the conversations that name one of
-- them by call_sid; a conversation whose leg is not stored stands alone.
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
alter table public.sync_runs
    add column if not exists position timestamptz,
    add column if not exists refused bigint not null default 0,
    add column if not exists in_flight bigint not null default 0,
    add column if not exists account_id bigint,
    add column if not exists currency text;
create unique index if not exists one_run_of_a_source_at_a_time
    on public.sync_runs (source, (kind = 'backfill')) where state = 'running';
create index if not exists sync_runs_history on public.sync_runs (source, state, kind);
create index if not exists sync_runs_ended on public.sync_runs (source, finished_at);
create index if not exists sync_runs_of_kind on public.sync_runs (kind, id);
comment on table public.sync_runs is 'One row per run: history, the watermark that the next run starts from, and the lock.';
comment on column public.sync_runs.position is
    'A backfill has everything from here to its window''s end; one that takes over goes on from here.';
comment on column public.sync_runs.refused is 'Requests that the provider refused because there were too many (429).';
comment on column public.sync_runs.in_flight is 'Requests that were under way at the last heartbeat.';
comment on column public.sync_runs.account_id is 'The account that was read (accounts.id).';
comment on column public.sync_runs.currency is 'The account''s currency when the run began; null before its first price.';

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

create table if not exists public.covered_periods (
    source text not null,
    since timestamptz not null,
    until timestamptz not null,
    primary key (source, since)
);
alter table public.covered_periods
    add column if not exists account_id bigint,
    add column if not exists currency text;
comment on table public.covered_periods is
    'What the windows of successful runs cover, joined where they touch: what lies between two rows is a gap.';

create table if not exists public.ledger_registry_requests (
    id uuid primary key,
    outcome jsonb not null,
    answered_at timestamptz not null default now()
);
comment on table public.ledger_registry_requests is
    'Answers to changes of the registry, kept for a day: a request that comes again since its answer was lost.';

create table if not exists public.legacy_records (
    kind text not null,
    record_id text not null,
    started_at timestamptz,
    primary key (kind, record_id)
);
comment on table public.legacy_records is
    'What the 12-hour system held: calls (twilio), conversations (elevenlabs) and numbers that could not be read. `verify` tells what became of them.';

-- Functions. Each is called by the program as one transaction; all are for the service role alone.

create or replace function public.ledger_keep_unassigned() returns trigger
language plpgsql set search_path = ''
as $$
begin
    raise exception 'The workspace Unassigned is never deleted.';
end
$$;

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

-- A running total names no category that adds up to nothing, so that it looks the same however it came about.
create or replace function public.ledger_add_llm_usage(total jsonb, usage jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
    select case
        when usage is null or usage = '{}'::jsonb then total
        when total is null or total = '{}'::jsonb then usage
        else (
            select coalesce(jsonb_object_agg(model, categories), '{}')
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
                    having sum((category.value ->> 'tokens')::numeric) <> 0
                        or sum((category.value ->> 'price')::numeric) <> 0
                ) as by_category
                group by model
            ) as by_model
        )
    end
$$;
comment on function public.ledger_add_llm_usage is 'Adds token usage by model and category; prices stay exact.';

do $$
begin
    if to_regprocedure('public.ledger_sum_llm_usage(jsonb)') is null then
        create aggregate public.ledger_sum_llm_usage(jsonb) (
            sfunc = public.ledger_add_llm_usage, stype = jsonb, initcond = '{}'
        );
    end if;
end $$;

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

create or replace function public.ledger_finish_run(p_run bigint, p_state text, p_message text, p_now timestamptz)
returns void
language sql set search_path = ''
as $$
    update public.sync_runs set state = p_state, message = p_message, finished_at = p_now
    where id = p_run and state = 'running'
$$;

create or replace function public.ledger_run(p_run bigint) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(run) from public.sync_runs as run where id = p_run
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

create or replace function public.ledger_change_of_llm_usage(before jsonb, after jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
    select public.ledger_add_llm_usage(coalesce(after, '{}'), (
        select coalesce(jsonb_object_agg(model.key, (
            select jsonb_object_agg(category.key, jsonb_build_object(
                'tokens', -(category.value ->> 'tokens')::numeric, 'price', -(category.value ->> 'price')::numeric
            )) from jsonb_each(model.value) as category
        )), '{}') from jsonb_each(before) as model
    ))
$$;
comment on function public.ledger_change_of_llm_usage is 'What leads from one usage to another when it is added.';

create or replace function public.ledger_mark_stale_calls() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    else
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'twilio', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC')
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
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
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
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from new_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    elsif tg_op = 'DELETE' then
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC') from old_rows
        where workspace_id is not null and started_at is not null
        group by workspace_id order by workspace_id
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    else
        insert into public.stale_balances as stale (source, workspace_id, since, until)
        select 'elevenlabs', workspace_id, date_trunc('hour', min(started_at), 'UTC'),
            date_trunc('hour', max(started_at), 'UTC')
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
        on conflict (source, workspace_id) do update set
            since = least(stale.since, excluded.since), until = greatest(stale.until, excluded.until);
    end if;
    return null;
end
$$;
comment on function public.ledger_mark_stale_conversations is
    'Notes from which hour on balances no longer hold, for the old and the new place of each changed record.';

create or replace function public.ledger_recomputed_twilio(p_workspace bigint, p_since timestamptz, p_until timestamptz)
returns table (snapshot_date timestamptz, total_calls numeric, total_legs numeric, total_cost numeric, total_duration numeric, billed_minutes numeric, unpriced_calls numeric)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.ledger_sum_twilio(p_workspace, p_since, p_until + interval '1 hour')
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
comment on function public.ledger_recomputed_twilio is
    'Balances of a workspace from one hour to another, recomputed: the last one before them, and their records.';

create or replace function public.ledger_refresh_twilio() returns void
language plpgsql set search_path = ''
as $$
begin
    while public.ledger_refresh_next_twilio() loop
    end loop;
end
$$;
comment on function public.ledger_refresh_twilio is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_twilio() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_recomputed_twilio(workspace.id, '-infinity', 'infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes, unpriced_calls from public.twilio_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
    where not exists (
        select from public.stale_balances as stale
        where stale.source = 'twilio' and stale.workspace_id = place.workspace_id and stale.since <= place.snapshot_date
    )
$$;
comment on function public.ledger_wrong_twilio is 'Balances that are missing, superfluous or not the sum of their records.';

create or replace function public.ledger_recomputed_elevenlabs(p_workspace bigint, p_since timestamptz, p_until timestamptz)
returns table (snapshot_date timestamptz, total_conversations numeric, total_cost numeric, total_duration numeric, total_credits numeric, llm_price numeric, llm_charge numeric, platform_price numeric, call_charge numeric, free_minutes_consumed numeric, free_llm_dollars_consumed numeric, dev_discount numeric, unpriced_conversations numeric, llm_usage jsonb)
language sql stable set search_path = ''
as $$
    with activity as (
        (
            select snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
            where workspace_id = p_workspace and snapshot_date < p_since order by snapshot_date desc limit 1
        )
        union all
        select hour, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.ledger_sum_elevenlabs(p_workspace, p_since, p_until + interval '1 hour')
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
comment on function public.ledger_recomputed_elevenlabs is
    'Balances of a workspace from one hour to another, recomputed: the last one before them, and their records.';

create or replace function public.ledger_refresh_elevenlabs() returns void
language plpgsql set search_path = ''
as $$
begin
    while public.ledger_refresh_next_elevenlabs() loop
    end loop;
end
$$;
comment on function public.ledger_refresh_elevenlabs is 'Recomputes the balances that changes of records made stale, and only those.';

create or replace function public.ledger_wrong_elevenlabs() returns jsonb
language sql stable set search_path = '' set jit = off set statement_timeout = '55s'
as $$
    with expected as (
        select workspace.id as workspace_id, running.*
        from public.workspaces as workspace, public.ledger_recomputed_elevenlabs(workspace.id, '-infinity', 'infinity') as running
    ),
    stored as (
        select workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price, llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount, unpriced_conversations, llm_usage from public.elevenlabs_snapshots
    ),
    wrong as (
        (select * from expected except select * from stored) union (select * from stored except select * from expected)
    )
    select coalesce(jsonb_agg(jsonb_build_array(workspace_id, snapshot_date) order by snapshot_date, workspace_id), '[]')
    from (select distinct workspace_id, snapshot_date from wrong) as place
    where not exists (
        select from public.stale_balances as stale
        where stale.source = 'elevenlabs' and stale.workspace_id = place.workspace_id and stale.since <= place.snapshot_date
    )
$$;
comment on function public.ledger_wrong_elevenlabs is 'Balances that are missing, superfluous or not the sum of their records.';

create or replace function public.ledger_ingest_calls(batch text, refresh boolean default true) returns void
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
        insert into public.calls as stored (sid, parent_call_sid, status, direction, started_at, ended_at, duration, cost, price_unit, currency, from_number, to_number, our_number, fetched_at, workspace_id)
        select sid, parent_call_sid, status, direction, started_at, ended_at, duration, cost, price_unit, price_unit, from_number, to_number, our_number, fetched_at, 0
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
            currency = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.price_unit, stored.price_unit) else coalesce(stored.price_unit, excluded.price_unit) end,
            from_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.from_number, stored.from_number) else coalesce(stored.from_number, excluded.from_number) end,
            to_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.to_number, stored.to_number) else coalesce(stored.to_number, excluded.to_number) end,
            our_number = case when (stored.fetched_at > excluded.fetched_at) is not true then coalesce(excluded.our_number, stored.our_number) else coalesce(stored.our_number, excluded.our_number) end,
            fetched_at = greatest(excluded.fetched_at, stored.fetched_at),
            is_gone = false;
    end loop;
    select array_agg(record ->> 'sid') into changed from jsonb_array_elements(records) as record;
    perform public.ledger_attribute_calls(changed);
    delete from public.sync_failures where source = 'twilio' and record_id = any (changed);
    if refresh then
        perform public.ledger_refresh_twilio();
    end if;
end
$$;
comment on function public.ledger_ingest_calls is
    'Upserts records by key (the newer version wins) and attributes them, in one transaction with their balances unless those are to wait.';

create or replace function public.ledger_ingest_conversations(batch text, refresh boolean default true) returns void
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
    if refresh then
        perform public.ledger_refresh_elevenlabs();
    end if;
end
$$;
comment on function public.ledger_ingest_conversations is
    'Upserts records by key (the newer version wins) and attributes them, in one transaction with their balances unless those are to wait.';

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
    select * into open_run from public.sync_runs where source = p_source and state = 'running'
        and (kind = 'backfill') = (p_kind = 'backfill');
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

create or replace function public.ledger_last_success(p_source text, p_kind text) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(run) from (
        select * from public.sync_runs
        where source = p_source and state = 'ok' and case when p_kind is null then kind <> 'backfill' else kind = p_kind end order by id desc limit 1
    ) as run
$$;

create or replace function public.ledger_failures(p_source text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(failure) order by failure.last_failed_at desc, failure.record_id), '[]') from (
        select * from public.sync_failures where source = p_source order by last_failed_at desc, record_id limit p_limit
    ) as failure
$$;

create or replace function public.ledger_workspaces_to_refresh(p_source text) returns bigint
language sql stable set search_path = ''
as $$
    select count(*) from public.stale_balances where source = p_source
$$;

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

create or replace function public.ledger_kind_of_call(p_kind jsonb) returns text
language sql immutable set search_path = ''
as $$
    select concat_ws(' and ', 'true',
        case when p_kind ->> 'exclusive' = 'true' then
            '($3 is null or call.workspace_id = any ($3) and not (call.is_shared and exists (
                select from public.call_members as member
                    left join public.calls as leg on leg.sid = member.record_id
                    left join public.elevenlabs_conversations as talk on talk.conversation_id = member.record_id
                where member.call_id = call.call_id
                    and coalesce(leg.workspace_id, talk.workspace_id) <> all ($3)
            )))'
        end,
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
comment on function public.ledger_kind_of_call is
    'The condition for what a call is, whenever it was; if it is exclusive, every record of it belongs to $3.';

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
comment on function public.ledger_attribute_calls is
    'Gives legs, and the legs below them, the workspace of the topmost leg that has one; else of their own number.';

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
comment on function public.ledger_attribute_conversations is
    'Gives conversations the workspace of their number on that day, else of their agent, else Unassigned.';

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

drop function if exists public.ledger_unregistered_numbers(); -- of the release before, beside which the next one is ambiguous
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

create or replace function public.ledger_active_hours_of(p_source text, p_workspaces bigint[]) returns jsonb
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
        from public.workspaces as w where p_workspaces is null or w.id = any (p_workspaces)
    ) as activity
$$;
comment on function public.ledger_active_hours_of is
    'The first and the last hour with activity of these workspaces (null is all); null when there is none.';

create or replace function public.ledger_day_digests(p_source text) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s' set jit = off
as $$
    select coalesce(jsonb_object_agg(day, jsonb_build_array(records, fetched, cost, seconds)), '{}') from (
        select to_char(started_at at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as records,
            sum(floor(extract(epoch from fetched_at)))::bigint as fetched,
            trim_scale(coalesce(sum(cost * 1e8), 0))::text as cost, coalesce(sum(duration), 0) as seconds
        from (
            select started_at, fetched_at, cost, duration from public.calls
            where p_source = 'twilio' and started_at is not null
            union all
            select started_at, fetched_at, cost, duration from public.elevenlabs_conversations
            where p_source = 'elevenlabs' and started_at is not null
        ) as record
        group by 1
    ) as by_day
$$;
comment on function public.ledger_day_digests is
    'Per UTC day: records, and the sums of their seconds of fetching, costs in 1e-8 and durations.';

create or replace function public.ledger_gone_ids(p_source text) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    select coalesce(jsonb_agg(id order by id), '[]') from (
        select sid as id from public.calls where p_source = 'twilio' and is_gone
        union all
        select conversation_id from public.elevenlabs_conversations where p_source = 'elevenlabs' and is_gone
    ) as gone
$$;
comment on function public.ledger_gone_ids is 'Stored records that the provider no longer has.';

create or replace function public.ledger_add_failures(p_failures jsonb) returns void
language sql set search_path = ''
as $$
    insert into public.sync_failures as stored
        (source, record_id, error, attempts, first_failed_at, last_failed_at)
    select source, record_id, error, attempts, first_failed_at, last_failed_at
    from jsonb_populate_recordset(null::public.sync_failures, p_failures)
    on conflict (source, record_id) do update set
        error = excluded.error, attempts = excluded.attempts,
        first_failed_at = excluded.first_failed_at, last_failed_at = excluded.last_failed_at
    where excluded.last_failed_at > stored.last_failed_at
$$;
comment on function public.ledger_add_failures is 'Lists failures of another store as they are listed there.';

create or replace function public.ledger_closed_runs_after(p_run bigint, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id), '[]') from (
        select * from public.sync_runs where id > p_run and state <> 'running' order by id limit p_limit
    ) as run
$$;
comment on function public.ledger_closed_runs_after is 'The next closed runs in the order of their ids, for copying.';

create or replace function public.ledger_add_runs(p_runs jsonb) returns void
language plpgsql set search_path = '' set statement_timeout = '55s'
as $$
declare
    given public.sync_runs;
    numbers text := pg_get_serial_sequence('public.sync_runs', 'id');
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run twilio'));
    perform pg_advisory_xact_lock(hashtext('voice ledger run elevenlabs'));
    for given in
        select new.* from jsonb_populate_recordset(null::public.sync_runs, p_runs) as new
        where not exists (
            select from public.sync_runs as known
            where (known.source, known.kind, known.state, known.started_at)
                = (new.source, new.kind, new.state, new.started_at)
        )
        order by new.id
    loop
        if exists (select from public.sync_runs as other where other.id = given.id) then
            given.id := nextval(numbers);
        else
            perform setval(numbers, greatest(given.id, (select max(id) from public.sync_runs)));
        end if;
        insert into public.sync_runs select given.*;
    end loop;
end
$$;
comment on function public.ledger_add_runs is
    'Adds closed runs of another store that are not here yet, under their own ids where these are free.';

create or replace function public.ledger_add_workspaces(p_workspaces jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
    given public.workspaces;
    numbers text := pg_get_serial_sequence('public.workspaces', 'id');
begin
    lock table public.workspaces in share row exclusive mode;
    for given in select * from jsonb_populate_recordset(null::public.workspaces, p_workspaces) order by id loop
        continue when exists (select from public.workspaces as known where known.name = given.name);
        if exists (select from public.workspaces as other where other.id = given.id) then
            given.id := nextval(numbers);
        else
            perform setval(numbers, greatest(given.id, (select max(id) from public.workspaces)));
        end if;
        insert into public.workspaces (id, name, created_at) values (given.id, given.name, given.created_at);
    end loop;
end
$$;
comment on function public.ledger_add_workspaces is
    'Adds workspaces of another store that are not here by name, under their own ids where these are free.';

create or replace function public.ledger_expect_price_unit(p_unit text) returns void
language sql set search_path = ''
as $$
    insert into public.ledger_meta (key, value) values ('price_unit', p_unit) on conflict (key) do nothing
$$;
comment on function public.ledger_expect_price_unit is 'Fixes the currency that Twilio bills in, before the first leg.';

create or replace function public.ledger_note_progress(
    p_run bigint, p_done bigint, p_total bigint, p_saved bigint, p_failed bigint, p_refused bigint, p_in_flight bigint,
    p_position timestamptz, p_now timestamptz
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update public.sync_runs set done = p_done, total = p_total, saved = p_saved, failed = p_failed,
        refused = p_refused, in_flight = p_in_flight, position = p_position, heartbeat_at = p_now
    where id = p_run and state = 'running';
    return found;
end
$$;
comment on function public.ledger_note_progress is 'Writes counts and heartbeat; false if the run is no longer open.';

create or replace function public.ledger_run_totals(p_alive_since timestamptz) returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    select coalesce(jsonb_agg(to_jsonb(totals) order by source, kind, state), '[]') from (
        select source, kind, state, count(*) as runs,
            coalesce(sum(
                greatest(0, round(extract(epoch from finished_at - started_at), 3))
            ) filter (where finished_at is not null), 0) as seconds,
            sum(saved) as saved, sum(failed) as failed, sum(refused) as refused,
            count(*) filter (where state = 'running' and heartbeat_at >= p_alive_since) as alive,
            coalesce(sum(in_flight) filter (where state = 'running' and heartbeat_at >= p_alive_since), 0) as in_flight
        from public.sync_runs group by source, kind, state
    ) as totals
$$;
comment on function public.ledger_run_totals is
    'What all runs of each source, kind and state add up to; one is alive if its heartbeat is not before a moment.';

create or replace function public.ledger_waiting_failures() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_object_agg(source, records), '{}') from (
        select source, count(*) as records from public.sync_failures group by source
    ) as waiting
$$;
comment on function public.ledger_waiting_failures is 'By source, how many records could not be fetched or read so far.';

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
comment on function public.ledger_refresh_next_twilio is
    'Recomputes the stale balances of one workspace, and moves the later ones; false if none was stale.';

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
comment on function public.ledger_refresh_next_elevenlabs is
    'Recomputes the stale balances of one workspace, and moves the later ones; false if none was stale.';

create or replace function public.ledger_gaps(p_source text, p_since timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
    with covered as (
        select since, lag(until) over (order by since) as reached from public.covered_periods where source = p_source
    )
    select coalesce(jsonb_agg(jsonb_build_array(greatest(reached, p_since), since) order by since), '[]')
    from covered where reached is not null and since > greatest(reached, p_since)
$$;
comment on function public.ledger_gaps is 'What lies between two covered periods.';

create or replace function public.ledger_list_runs(p_source text, p_kind text, p_limit int) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(to_jsonb(run) order by run.id desc), '[]') from (
        (
            select * from public.sync_runs
            where p_kind is null and source = coalesce(p_source, source) order by id desc limit p_limit
        )
        union all
        (
            select * from public.sync_runs
            where kind = p_kind and source = coalesce(p_source, source) order by kind desc, id desc limit p_limit
        )
    ) as run
$$;

create or replace function public.ledger_calls_by_quarter_hour(
    p_since timestamptz, p_until timestamptz, p_workspaces bigint[]
) returns jsonb
language sql stable set search_path = '' set jit = off
as $$
    select coalesce(jsonb_agg(to_jsonb(quarter) order by started_at), '[]')
    from (
        select date_bin('15 minutes', started_at, 'epoch') as started_at, count(*) as calls from public.calls
        where started_at >= coalesce(p_since, '-infinity') and started_at < coalesce(p_until, 'infinity')
            and case when p_workspaces is null then workspace_id is not null else workspace_id = any (p_workspaces) end
            and parent_call_sid is null
        group by 1
    ) as quarter
$$;
comment on function public.ledger_calls_by_quarter_hour is
    'How many calls began in each quarter of an hour of a period; the hours of all zones begin at one.';

create or replace function public.ledger_synced_since(p_source text) returns timestamptz
language sql stable set search_path = ''
as $$
    select min(since) from public.covered_periods where source = p_source
$$;
comment on function public.ledger_synced_since is 'Where the first window begins that a successful run covered.';

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
    if (held.valid_from, held.valid_until) is not distinct from (p_from, p_until) then
        return public.ledger_touched(held.phone_number, p_from, p_until);
    end if;
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

create or replace function public.ledger_tables() returns setof text
language plpgsql stable set search_path = ''
as $$
begin
    return query select unnest(array[
        'ledger_meta', 'ledger_migrations', 'accounts', 'workspaces', 'workspace_phones', 'workspace_agents', 'calls',
        'elevenlabs_conversations', 'twilio_snapshots', 'elevenlabs_snapshots', 'stale_balances', 'call_members',
        'call_costs', 'stale_calls', 'sync_runs', 'sync_failures', 'covered_periods', 'ledger_registry_requests',
        'legacy_records', 'call_snapshots'
    ]);
    if to_regclass('public.ledger_meta') is not null then
        return query select value from public.ledger_meta where key like 'old %';
    end if;
end
$$;
comment on function public.ledger_tables is 'The tables of this program, and those that it keeps of the 12-hour system.';

create or replace function public.ledger_missing_tables() returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce(jsonb_agg(name), '[]') from public.ledger_tables() as name
    where to_regclass('public.' || quote_ident(name)) is null and name <> 'call_snapshots'
        and (name not like 'legacy\_%' or name = 'legacy_records')
$$;

-- What somebody has changed in the database by hand, and the statement that mends it. A statement that is null stands
-- for the baseline, which restores everything that is missing.
create or replace function public.ledger_damages(p_functions text[], p_triggers text[], p_columns jsonb) returns jsonb
language sql stable set search_path = ''
as $$
    with recursive ledger_table as (
        select class.oid, class.relname as name, class.relkind as kind, class.relrowsecurity as is_guarded, class.oid::regclass as place,
            class.relname = any (array[
                'workspaces', 'workspace_phones', 'workspace_agents', 'calls', 'elevenlabs_conversations',
                'twilio_snapshots', 'elevenlabs_snapshots', 'call_costs', 'call_members', 'sync_runs', 'sync_failures'
            ]) as is_readable
        from pg_catalog.pg_class as class
        where class.relnamespace = 'public'::regnamespace and class.relname in (select public.ledger_tables())
            and class.relkind in ('r', 'p', 'v', 'm', 'f')
    ),
    unique_key (name, columns) as (
        values ('ledger_meta', 'key'), ('ledger_migrations', 'name'), ('accounts', 'id'), ('workspaces', 'id'),
            ('workspaces', 'name'), ('workspace_phones', 'id'), ('workspace_agents', 'agent_id'), ('calls', 'sid'),
            ('elevenlabs_conversations', 'conversation_id'), ('twilio_snapshots', 'workspace_id, snapshot_date'),
            ('elevenlabs_snapshots', 'workspace_id, snapshot_date'), ('stale_balances', 'source, workspace_id'),
            ('call_members', 'record_id'), ('call_costs', 'call_id'), ('stale_calls', 'record_id'), ('sync_runs', 'id'),
            ('sync_failures', 'source, record_id'), ('covered_periods', 'source, since'),
            ('ledger_registry_requests', 'id'), ('legacy_records', 'kind, record_id')
    ),
    stored_key as (
        select entry.indrelid as place, array(
            select attribute.attname::text from pg_catalog.pg_attribute as attribute
            where attribute.attrelid = entry.indrelid and attribute.attnum = any (entry.indkey::smallint[]) order by 1
        ) as columns
        from pg_catalog.pg_index as entry
        where entry.indisunique and entry.indisvalid and entry.indimmediate and entry.indpred is null
            and entry.indexprs is null and entry.indrelid in (select oid from ledger_table)
    ),
    stranger (grantee, name) as (
        select 0::oid, 'public' union all
        select oid, rolname::text from pg_catalog.pg_roles where rolname in ('anon', 'authenticated')
    ),
    -- What shows rows of these tables: views on them, views on those, partitions and other children.
    showing (oid, kind, name) as (
        select oid, kind, name from ledger_table
        union
        select class.oid, class.relkind, showing.name
        from showing
            join (
                select tie.refobjid as shown, rule.ev_class as oid
                from pg_catalog.pg_depend as tie join pg_catalog.pg_rewrite as rule on rule.oid = tie.objid
                where tie.refclassid = 'pg_catalog.pg_class'::regclass and tie.classid = 'pg_catalog.pg_rewrite'::regclass
                union all
                select inhparent, inhrelid from pg_catalog.pg_inherits
            ) as more on more.shown = showing.oid
            join pg_catalog.pg_class as class on class.oid = more.oid
    ),
    granted as (
        select distinct showing.oid, stranger.name as stranger, entry.privilege_type as privilege, entry.is_grantable
        from showing join pg_catalog.pg_class as class on class.oid = showing.oid
            cross join lateral (
                select * from pg_catalog.aclexplode(coalesce(class.relacl, pg_catalog.acldefault('r', class.relowner)))
                union all
                select given.* from pg_catalog.pg_attribute as attribute, pg_catalog.aclexplode(attribute.attacl) as given
                where attribute.attrelid = class.oid and attribute.attacl is not null
            ) as entry
            join stranger using (grantee)
    ),
    ledger_function as (
        select oid, proname as name, proowner as owner, proacl as acl, oid::regprocedure as signature
        from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace and proname like 'ledger\_%'
    ),
    wanted_column as (
        select entry ->> 0 as name, entry ->> 1 as column_name, entry ->> 2 as definition
        from jsonb_array_elements(p_columns) as entry
    ),
    damage (rank, what, statement) as (
        select 1, 'the table ' || name || ' is missing', null
        from jsonb_array_elements_text(public.ledger_missing_tables()) as name
        union all
        select 1, format('the column %s of %s is missing', column_name, wanted_column.name),
            format('alter table public.%I add column %I %s;', wanted_column.name, column_name, definition)
        from wanted_column join ledger_table using (name)
        where not exists (
            select from pg_catalog.pg_attribute
            where attrelid = ledger_table.oid and attname = column_name and not attisdropped
        )
        union all
        select 2, format('%s has no UNIQUE (%s)', unique_key.name, columns), format(
            'delete from public.%1$s as one using public.%1$s as other where (one.%2$s) = (other.%3$s) and one.ctid < other.ctid; '
            'alter table public.%1$s add unique (%4$s);',
            unique_key.name, replace(columns, ', ', ', one.'), replace(columns, ', ', ', other.'), columns
        )
        from unique_key join ledger_table on ledger_table.name = unique_key.name
        where not exists (
            select from stored_key
            where place = ledger_table.oid
                and stored_key.columns = array(select part from unnest(string_to_array(unique_key.columns, ', ')) as part order by 1)
        )
        union all
        select 2, 'periods of a number in workspace_phones may overlap (of two that do, end one first)', format(
            'alter table public.workspace_phones drop constraint if exists workspace_phones_no_overlap, add constraint '
            'workspace_phones_no_overlap exclude using gist (phone_number with =, tstzrange(valid_from, valid_until) with %s);', '&&'
        )
        from ledger_table
        where name = 'workspace_phones' and not exists (
            select from pg_catalog.pg_constraint
            where conrelid = ledger_table.oid and contype = 'x' and pg_catalog.pg_get_constraintdef(oid)
                = 'EXCLUDE USING gist (phone_number WITH =, tstzrange(valid_from, valid_until) WITH &&)'
        )
        union all
        select 2, 'two runs of one source may be open at once', 'update public.sync_runs set state = ''interrupted'' where state = '
            '''running''; drop index if exists public.one_run_of_a_source_at_a_time; create unique index '
            'one_run_of_a_source_at_a_time on public.sync_runs (source, (kind = ''backfill'')) where state = ''running'';'
        from ledger_table
        where name = 'sync_runs' and not exists (
            select from pg_catalog.pg_index
            where indrelid = ledger_table.oid and indisunique and indisvalid and indimmediate
                and indexrelid = to_regclass('public.one_run_of_a_source_at_a_time')
        )
        union all
        select 2, tie.name || ' is not tied to workspaces by a foreign key', null
        from ledger_table as tie
        where tie.name in (
                'workspace_phones', 'workspace_agents', 'calls', 'elevenlabs_conversations', 'twilio_snapshots',
                'elevenlabs_snapshots'
            ) and not exists (
                select from pg_catalog.pg_constraint
                where conrelid = tie.oid and contype = 'f' and confrelid = to_regclass('public.workspaces')
            )
        union all
        select 2, 'the workspace Unassigned is missing', null
        from ledger_table where name = 'workspaces' and not exists (select from public.workspaces where id = 0)
        union all
        select 3, 'row-level security of ' || name || ' is off', format('alter table %s enable row level security;', place)
        from ledger_table where kind in ('r', 'p') and not is_guarded
        union all
        select 4, format('the policy %s lets others use %s', quote_ident(policy.polname), name),
            format('drop policy %I on %s;', policy.polname, place)
        from ledger_table join pg_catalog.pg_policy as policy on policy.polrelid = ledger_table.oid
        where not (
            is_readable and policy.polname = 'Signed-in people read' and policy.polcmd = 'r'
            and policy.polroles = array[(select oid from pg_catalog.pg_roles where rolname = 'authenticated')]
        )
        union all
        select 4, 'signed-in people may not read ' || name, null from ledger_table
        where is_readable and not (
            exists (
                select from pg_catalog.pg_policy where polrelid = ledger_table.oid and polname = 'Signed-in people read'
            ) and pg_catalog.has_table_privilege('authenticated', ledger_table.oid, 'select')
        )
        union all
        select distinct 5, format('a grant opens %s to %s', name, stranger),
            format('revoke all on %s from %s cascade;', place, stranger)
            || case when is_readable and stranger = 'authenticated' then format(' grant select on %s to authenticated;', place) else '' end
        from granted join ledger_table using (oid)
        where is_grantable or not (is_readable and stranger = 'authenticated' and privilege = 'SELECT')
        union all
        select distinct 5, format('a grant lets %s call %s', stranger.name, regexp_replace(signature::text, '^public\.', '')),
            format('revoke all on routine %s from %s;', signature, stranger.name)
        from ledger_function, pg_catalog.aclexplode(coalesce(acl, pg_catalog.acldefault('f', owner))) as entry
            join stranger on stranger.grantee = entry.grantee
        union all
        select distinct 6, format(
                'the %s %s shows %s past row-level security', case showing.kind when 'r' then 'table' when 'p' then 'table' else 'view' end,
                regexp_replace(showing.oid::regclass::text, '^public\.', ''), showing.name
            ), format('revoke all on %s from public, anon, authenticated cascade;', showing.oid::regclass)
        from showing join granted using (oid) join pg_catalog.pg_class as class on class.oid = showing.oid
        where showing.oid not in (select oid from ledger_table) and not (
            showing.kind = 'v' and coalesce(class.reloptions && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)
        )
        union all
        select distinct 6, format('the function %s reads %s with the rights of its owner', helper.oid::regprocedure, ledger_table.name),
            format('revoke all on routine %s from public, anon, authenticated;', helper.oid::regprocedure)
        from pg_catalog.pg_proc as helper
            join pg_catalog.pg_namespace as space on space.oid = helper.pronamespace and space.nspname = 'public'
            join ledger_table on helper.prosrc ~* ('\m(from|join|into|update|table)\s+(only\s+)?("?public"?\.)?"?' || ledger_table.name || '"?\M')
            join stranger on stranger.grantee <> 0 and pg_catalog.has_function_privilege(stranger.grantee, helper.oid, 'execute')
        where helper.prosecdef
        union all
        select 7, 'the function ' || name || ' is missing', null from unnest(p_functions) as name
        where name not in (select ledger_function.name from ledger_function)
        union all
        select 8, 'the trigger ' || name || ' is missing or switched off', null from unnest(p_triggers) as name
        where not exists (
            select from pg_catalog.pg_trigger as trigger
            where trigger.tgname = name and trigger.tgrelid in (select oid from ledger_table) and trigger.tgenabled in ('O', 'A')
        )
        union all
        select 9, 'records are in no call of call_costs', null
        where exists (
            select from public.calls
            where started_at is not null and not exists (select from public.call_members where record_id = sid)
                and not exists (select from public.call_costs where call_id = sid)
        ) or exists (
            select from public.elevenlabs_conversations
            where started_at is not null and not exists (select from public.call_members where record_id = conversation_id)
                and not exists (select from public.call_costs where call_id = conversation_id)
        )
    )
    select coalesce(jsonb_agg(jsonb_build_object('what', what, 'statement', statement) order by rank, what, statement), '[]')
    from damage
$$;
comment on function public.ledger_damages is
    'What is missing in the database, and what opens it: each with the statement that mends it, or null for the baseline.';

create or replace function public.ledger_legacy_records() returns jsonb
language sql stable set search_path = '' set statement_timeout = '55s'
as $$
    with old_record as (
        select kind, record_id, started_at,
            case kind
                when 'twilio' then exists (select from public.calls where sid = record_id)
                when 'elevenlabs' then exists (
                    select from public.elevenlabs_conversations where conversation_id = record_id
                )
                else exists (
                    select from public.workspace_phones
                    where regexp_replace(record_id, '\D', '', 'g') like '%' || right(phone_number, 7) || '%'
                )
            end as is_here,
            exists ( -- without a date it may be as old as what Twilio still lists
                select from public.covered_periods
                where source = kind and since <= coalesce(started_at, now() - interval '13 months')
                    and until > coalesce(started_at, now() - interval '1 day')
            ) as was_asked_for
        from public.legacy_records
    )
    select coalesce(jsonb_object_agg(kind, jsonb_build_object(
        'waiting', waiting, 'first', first, 'last', last, 'gone', gone
    )), '{}') from (
        select kind, count(*) filter (where not is_here and not was_asked_for) as waiting,
            min(started_at) filter (where not is_here and not was_asked_for) as first,
            max(started_at) filter (where not is_here and not was_asked_for) as last,
            count(*) filter (where not is_here and was_asked_for) as gone
        from old_record group by kind
    ) as by_kind
$$;
comment on function public.ledger_legacy_records is
    'How many records of the 12-hour system wait to be fetched again, from when to when, and how many no provider has.';

create or replace function public.ledger_account_of_run() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if new.account_id is null then
        new.account_id := (select min(id) from public.accounts where provider = new.source);
        new.currency := case new.source
            when 'twilio' then (select value from public.ledger_meta where key = 'price_unit') else 'USD'
        end;
    end if;
    return new;
end
$$;
comment on function public.ledger_account_of_run is 'Names the account, and its currency, that a new run reads.';

create or replace function public.ledger_cover_window() returns trigger
language plpgsql set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice ledger run ' || new.source)); -- an hourly run and a backfill may end at once
    with touched as (
        delete from public.covered_periods
        where source = new.source and since <= new.window_end and until >= new.window_start
        returning since, until
    )
    insert into public.covered_periods (source, since, until, account_id, currency)
    select new.source, least(new.window_start, min(since)), greatest(new.window_end, max(until)), new.account_id,
        new.currency
    from touched;
    return null;
end
$$;
comment on function public.ledger_cover_window is 'Adds the window of a run that succeeded to what is covered.';

-- Triggers: what changes a record marks what is added up from it.

create or replace trigger unassigned_stays before delete on public.workspaces
    for each row when (old.id = 0) execute function public.ledger_keep_unassigned();

create or replace trigger calls_inserted after insert on public.calls
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_calls();
create or replace trigger calls_updated after update on public.calls
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_calls();
create or replace trigger calls_deleted after delete on public.calls
    referencing old table as old_rows for each statement execute function public.ledger_mark_stale_calls();
create or replace trigger call_of_leg_inserted after insert on public.calls
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_leg();
create or replace trigger call_of_leg_updated after update on public.calls
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_leg();

create or replace trigger conversations_inserted after insert on public.elevenlabs_conversations
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_conversations();
create or replace trigger conversations_updated after update on public.elevenlabs_conversations
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_conversations();
create or replace trigger conversations_deleted after delete on public.elevenlabs_conversations
    referencing old table as old_rows for each statement execute function public.ledger_mark_stale_conversations();
create or replace trigger call_of_conversation_inserted after insert on public.elevenlabs_conversations
    referencing new table as new_rows for each statement execute function public.ledger_mark_stale_conversation();
create or replace trigger call_of_conversation_updated after update on public.elevenlabs_conversations
    referencing old table as old_rows new table as new_rows for each statement execute function public.ledger_mark_stale_conversation();

do $$
begin
    if not exists (select from pg_trigger where tgname = 'calls_refreshed' and tgrelid = 'public.stale_calls'::regclass) then
        create constraint trigger calls_refreshed after insert on public.stale_calls
            deferrable initially deferred for each row execute function public.ledger_refresh_calls();
    end if;
end $$;

-- What somebody has switched off, or dropped together with the table of clients.
do $$
declare
    part record;
begin
    for part in
        select tgname as name, tgrelid::regclass as place from pg_trigger
        where not tgisinternal and tgenabled not in ('O', 'A') and tgfoid in (
            select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'ledger\_%'
        )
    loop
        execute format('alter table %s enable trigger %I', part.place, part.name);
    end loop;

    insert into public.workspaces (id, name)
    select workspace_id, 'Workspace ' || workspace_id from (
        select workspace_id from public.calls union select workspace_id from public.elevenlabs_conversations
        union select workspace_id from public.workspace_phones union select workspace_id from public.workspace_agents
        union select workspace_id from public.twilio_snapshots union select workspace_id from public.elevenlabs_snapshots
    ) as named
    where workspace_id is not null and workspace_id not in (select id from public.workspaces);
    for part in
        select name, rule from (values
            ('workspace_phones', ' on delete cascade'), ('workspace_agents', ' on delete cascade'), ('calls', ''),
            ('elevenlabs_conversations', ''), ('twilio_snapshots', ' on delete cascade'),
            ('elevenlabs_snapshots', ' on delete cascade')
        ) as tie (name, rule)
        where not exists (
            select from pg_constraint where contype = 'f' and conrelid = to_regclass('public.' || name)
                and confrelid = 'public.workspaces'::regclass
        ) and exists (
            select from pg_constraint where contype in ('p', 'u') and conrelid = 'public.workspaces'::regclass
                and pg_get_constraintdef(oid) in ('PRIMARY KEY (id)', 'UNIQUE (id)')
        )
    loop
        execute format(
            'alter table public.%I add constraint %I foreign key (workspace_id) references public.workspaces (id)%s',
            part.name, part.name || '_workspace_id_fkey', part.rule
        );
    end loop;
end $$;

create or replace trigger run_of_account before insert on public.sync_runs
    for each row execute function public.ledger_account_of_run();
create or replace trigger run_succeeded after insert or update of state on public.sync_runs
    for each row when (new.state = 'ok') execute function public.ledger_cover_window();

-- Who may do what: anonymous callers nothing, signed-in people read the tables of the document, only the service role
-- writes and calls functions. The tables of the 12-hour system, whose policies let everybody in, are closed.
do $$
declare
    readable text[] := array[
        'workspaces', 'workspace_phones', 'workspace_agents', 'calls', 'elevenlabs_conversations', 'twilio_snapshots',
        'elevenlabs_snapshots', 'call_costs', 'call_members', 'sync_runs', 'sync_failures'
    ];
    ledger_table record;
    old_policy record;
    ledger_function regprocedure;
    ledger_sequence regclass;
begin
    for ledger_table in
        with recursive place (oid) as (
            select oid from pg_class
            where relnamespace = 'public'::regnamespace and relname in (select * from public.ledger_tables())
            union
            select inhrelid from place join pg_inherits on inhparent = place.oid -- partitions, too
        )
        select oid::regclass as place, relname as name, relkind as kind from pg_class join place using (oid)
        where relkind in ('r', 'p', 'v', 'm', 'f')
    loop
        execute format('revoke all on %s from public, anon, authenticated', ledger_table.place);
        execute format('grant all on %s to service_role', ledger_table.place);
        continue when ledger_table.kind not in ('r', 'p');
        execute format('alter table %s enable row level security', ledger_table.place);
        for old_policy in select polname as name from pg_policy where polrelid = ledger_table.place loop
            execute format('drop policy %I on %s', old_policy.name, ledger_table.place);
        end loop;
        if ledger_table.name = any (readable) then
            execute format(
                'create policy "Signed-in people read" on %s for select to authenticated using (true)', ledger_table.place
            );
            execute format('grant select on %s to authenticated', ledger_table.place);
        end if;
    end loop;
    for ledger_function in
        select oid from pg_proc where pronamespace = 'public'::regnamespace and proname like 'ledger\_%'
    loop
        execute format('revoke all on routine %s from public, anon, authenticated', ledger_function);
        execute format('grant execute on routine %s to service_role', ledger_function);
    end loop;
    for ledger_sequence in
        select pg_get_serial_sequence('public.' || name, 'id') from unnest(array[
            'workspaces', 'workspace_phones', 'twilio_snapshots', 'elevenlabs_snapshots', 'sync_runs'
        ]) as name
    loop
        execute format('revoke all on sequence %s from public, anon, authenticated', ledger_sequence);
        execute format('grant all on sequence %s to service_role', ledger_sequence);
    end loop;
end $$;

-- What the old tables held: clients and their numbers count at once, records as soon as they are fetched again.
do $$
declare
    old_workspaces regclass := (select to_regclass('public.' || value) from public.ledger_meta where key = 'old workspaces');
    old_phones regclass := (select to_regclass('public.' || value) from public.ledger_meta where key = 'old workspace_phones');
    old_agents regclass := (select to_regclass('public.' || value) from public.ledger_meta where key = 'old workspace_agents');
    client record;
    free_name text;
    copy bigint;
    tie record;
begin
    if not exists (select from public.ledger_meta where key = 'adoption' and value = 'set aside') then
        return;
    end if;

    create temp table adopted (old_id text primary key, new_id bigint unique, name text, created_at timestamptz);
    create temp table names (name text primary key, copies bigint not null default 1); -- in small letters
    insert into pg_temp.names values ('unassigned');
    if old_workspaces is not null then
        execute format(
            'insert into pg_temp.adopted (old_id, name, created_at) select pg_temp.key(%s), %s, pg_temp.moment(%s) from %s '
            'where %1$s is not null on conflict do nothing',
            pg_temp.as_text(old_workspaces, 'id', 'workspace_id', 'name'),
            pg_temp.as_text(old_workspaces, 'name', 'workspace_name', 'title', 'label'),
            pg_temp.as_text(old_workspaces, 'created_at', 'created'),
            old_workspaces
        );
        -- A client keeps its id if that is a number above 0, which is Unassigned.
        update pg_temp.adopted set new_id = old_id::bigint where old_id ~ '^[1-9]\d{0,17}$';
        update pg_temp.adopted set new_id = coalesce((select max(new_id) from pg_temp.adopted), 0) + turn
        from (
            select old_id, row_number() over (order by created_at, old_id) as turn from pg_temp.adopted where new_id is null
        ) as new
        where new.old_id = adopted.old_id;
        update pg_temp.adopted set name = left(btrim(regexp_replace(normalize(name), '[\s[:cntrl:]]+', ' ', 'g')), 190);
        update pg_temp.adopted set name = 'Workspace ' || new_id where coalesce(name, '') = '';

        -- Two clients of one name are told apart, and none is called Unassigned.
        for client in select * from pg_temp.adopted order by new_id
        loop
            free_name := client.name;
            select copies into copy from pg_temp.names where names.name = lower(client.name);
            while exists (select from pg_temp.names where names.name = lower(free_name)) loop
                copy := copy + 1;
                free_name := format('%s (%s)', client.name, copy);
            end loop;
            update pg_temp.names set copies = copy where names.name = lower(client.name);
            insert into pg_temp.names values (lower(free_name));
            insert into public.workspaces (id, name, created_at)
            values (client.new_id, free_name, coalesce(client.created_at, now()));
        end loop;
        perform setval(pg_get_serial_sequence('public.workspaces', 'id'), greatest((select max(id) from public.workspaces), 1));
    end if;

    insert into public.workspace_phones (workspace_id, phone_number, label)
    select distinct on (given.number) adopted.new_id, given.number,
        left(btrim(regexp_replace(given.label, '[\s[:cntrl:]]+', ' ', 'g')), 200)
    from pg_temp.old_numbers(old_phones, old_workspaces) as given join pg_temp.adopted on adopted.old_id = given.workspace
    where given.number is not null
    order by given.number, given.place like '% of workspaces', given.place;

    if pg_temp.column_of(old_agents, 'agent_id') is not null and pg_temp.column_of(old_agents, 'workspace_id') is not null then
        execute format(
            'insert into public.workspace_agents (agent_id, workspace_id) select distinct on (1) %s, new_id from %s '
            'join pg_temp.adopted on old_id = pg_temp.key(workspace_id::text) where agent_id is not null order by 1, 2',
            pg_temp.as_text(old_agents, 'agent_id'), old_agents
        );
    end if;

    -- Tables of other programs that named a client go on naming it, where every client has kept its id.
    if old_workspaces is not null and not exists (select from pg_temp.adopted where old_id <> new_id::text) then
        for tie in
            select conrelid::regclass as place, conname as name,
                replace(pg_get_constraintdef(pg_constraint.oid), ' REFERENCES ' || old_workspaces || '(', ' REFERENCES public.workspaces(')
                    as definition
            from pg_constraint
                join pg_attribute as mine on mine.attrelid = conrelid and mine.attnum = conkey[1]
                join pg_attribute as theirs on theirs.attrelid = confrelid and theirs.attnum = confkey[1]
            where contype = 'f' and confrelid = old_workspaces and cardinality(confkey) = 1 and theirs.attname = 'id'
                and mine.atttypid in ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
                and conrelid not in (
                    select to_regclass('public.' || value) from public.ledger_meta
                    where key like 'old %' and to_regclass('public.' || value) is not null
                )
                and conrelid is distinct from to_regclass('public.call_snapshots') and conparentid = 0
        loop
            execute format('alter table %s drop constraint %I, add constraint %2$I %s', tie.place, tie.name, tie.definition);
        end loop;
    end if;

    drop table pg_temp.adopted, pg_temp.names;
    update public.ledger_meta set value = 'read' where key = 'adoption';
end $$;

-- Which records wait to be fetched again, and which numbers to be registered. The old table of calls held conversations, too.
do $$
declare
    old_calls regclass;
    old_conversations regclass;
begin
    -- Should the facts have been lost, the names tell.
    insert into public.ledger_meta (key, value)
    select 'old ' || substr(relname, 8), relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') and relname <> 'legacy_records'
        and substr(relname, 8) in (select * from public.ledger_tables()) and relname like 'legacy\_%'
        and not exists (select from public.ledger_meta where key = 'adoption')
    on conflict do nothing;
    insert into public.ledger_meta (key, value) values ('adoption', 'read') on conflict do nothing;
    if exists (select from public.legacy_records) then
        return;
    end if;
    old_calls := (select to_regclass('public.' || value) from public.ledger_meta where key = 'old calls');
    old_conversations := (select to_regclass('public.' || value) from public.ledger_meta where key = 'old elevenlabs_conversations');

    insert into public.legacy_records (kind, record_id)
    select distinct 'number', given.written
    from pg_temp.old_numbers(
        (select to_regclass('public.' || value) from public.ledger_meta where key = 'old workspace_phones'),
        (select to_regclass('public.' || value) from public.ledger_meta where key = 'old workspaces')
    ) as given
    where (given.number is null or not given.is_client)
        and given.written ~ '\d.*\d.*\d.*\d.*\d.*\d' -- a number, and not a word such as "unknown"
    on conflict do nothing;

    if pg_temp.column_of(old_calls, 'sid', 'call_sid', 'twilio_sid', 'id') is not null then
        execute format(
            'insert into public.legacy_records (kind, record_id, started_at) select case when %s = ''elevenlabs'' or %s like ''conv\_%%'' '
            'then ''elevenlabs'' else ''twilio'' end, %2$s, pg_temp.moment(%3$s) from %4$s where %2$s is not null on conflict do nothing',
            pg_temp.as_text(old_calls, 'source'), pg_temp.as_text(old_calls, 'sid', 'call_sid', 'twilio_sid', 'id'),
            pg_temp.as_text(old_calls, 'started_at', 'start_time', 'call_date', 'date_created', 'created_at'), old_calls
        );
    end if;
    if pg_temp.column_of(old_conversations, 'conversation_id', 'elevenlabs_id', 'id') is not null then
        execute format(
            'insert into public.legacy_records (kind, record_id, started_at) select ''elevenlabs'', %1$s, pg_temp.moment(%2$s) '
            'from %3$s where %1$s is not null on conflict do nothing',
            pg_temp.as_text(old_conversations, 'conversation_id', 'elevenlabs_id', 'id'),
            pg_temp.as_text(
                old_conversations, 'started_at', 'start_time', 'conversation_date', 'start_time_unix_secs', 'date_created', 'created_at'
            ),
            old_conversations
        );
    end if;
end $$;

-- Where something was missing, what is added up from records is looked at again: the next sync refreshes it.
do $$
begin
    insert into public.stale_calls
    select sid from public.calls
    where started_at is not null and not exists (select from public.call_members where record_id = sid)
        and not exists (select from public.call_costs where call_id = sid)
    union all
    select conversation_id from public.elevenlabs_conversations
    where started_at is not null and not exists (select from public.call_members where record_id = conversation_id)
        and not exists (select from public.call_costs where call_id = conversation_id)
    on conflict do nothing;
    if (select is_any from pg_temp.restored) then
        insert into public.ledger_meta (key, value)
        select 'price_unit', price_unit from public.calls where cost <> 0 group by price_unit order by count(*) desc limit 1
        on conflict do nothing;
        insert into public.stale_balances as stale (source, workspace_id, since)
        select source, (place ->> 0)::bigint, min((place ->> 1)::timestamptz) from (
            select 'twilio' as source, jsonb_array_elements(public.ledger_wrong_twilio()) as place
            union all
            select 'elevenlabs', jsonb_array_elements(public.ledger_wrong_elevenlabs())
        ) as wrong
        group by 1, 2
        on conflict (source, workspace_id) do update set since = least(stale.since, excluded.since), until = 'infinity';
        if not exists (select from public.covered_periods) then
            update public.sync_runs set state = 'ok' where state = 'ok'; -- a trigger covers their windows
        end if;
    end if;
    drop table pg_temp.restored;
end $$;

insert into public.ledger_migrations (name) values ('20261128000000_baseline') on conflict do nothing;
notify pgrst, 'reload schema';
