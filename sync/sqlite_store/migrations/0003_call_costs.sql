-- What each call cost in all: one row per call, kept up to date in the transaction that changes one of its records. A
-- call is a family of legs (the topmost stored leg and everything below it) with the conversations that name one of
-- them by call_sid; a conversation of which no leg is stored stands alone. Sorting a month of calls by their cost from
-- the records themselves takes ten times as long as a page may.

-- Which call a record belongs to. The topmost leg, and a conversation that stands alone, are not listed: they are it.
create table call_members (
    record_id text primary key,
    call_id text not null
) without rowid;
create index call_members_call on call_members (call_id);

-- Amounts in whole units of 1e-8. Sums are over what is known; unpriced_… counts what they lack.
create table call_costs (
    call_id text not null unique,
    started_at text not null,
    first_started_at text not null, -- of any of its records, of which started_at is the topmost one's
    last_started_at text not null,
    workspace_id integer not null,
    conversation_workspace_id integer,
    is_shared integer not null, -- its records belong to more than one workspace
    match text not null,
    direction text,
    status text not null,
    from_number text,
    to_number text,
    numbers text not null, -- the digits of every number in it, each followed by a space
    agent_name text,
    conversation_id text,
    legs integer not null,
    conversations integer not null,
    price_unit text,
    twilio_cost integer not null,
    unpriced_legs integer not null,
    elevenlabs_cost integer not null,
    platform_price integer,
    llm_price integer,
    credits integer,
    unpriced_conversations integer not null,
    total_cost integer, -- US dollars; null unless all of it is known
    duration integer,
    conversation_seconds integer,
    gap integer, -- talk seconds of the line less those of the conversation
    primary key (started_at, call_id)
) without rowid;
create index call_costs_last_started_at on call_costs (last_started_at) where last_started_at > started_at;
create index call_costs_first_started_at on call_costs (first_started_at) where first_started_at < started_at;

-- Records whose call is to be added up again. Filled by the triggers below, emptied before the transaction commits.
create table stale_calls (
    record_id text primary key
) without rowid;

create trigger call_of_leg_inserted after insert on calls
begin
    insert into stale_calls values (new.sid) on conflict do nothing;
end;
create trigger call_of_leg_updated
after update of workspace_id, parent_call_sid, status, direction, started_at, duration, cost, price_unit, from_number,
    to_number on calls
when (
    old.workspace_id, old.parent_call_sid, old.status, old.direction, old.started_at, old.duration, old.cost,
    old.price_unit, old.from_number, old.to_number
) is not (
    new.workspace_id, new.parent_call_sid, new.status, new.direction, new.started_at, new.duration, new.cost,
    new.price_unit, new.from_number, new.to_number
)
begin
    insert into stale_calls values (new.sid) on conflict do nothing;
end;
create trigger call_of_conversation_inserted after insert on elevenlabs_conversations
begin
    insert into stale_calls values (new.conversation_id) on conflict do nothing;
end;
create trigger call_of_conversation_updated
after update of workspace_id, agent_name, status, started_at, duration, direction, channel, agent_number,
    external_number, call_sid, cost, credits, llm_price, platform_price on elevenlabs_conversations
when (
    old.workspace_id, old.agent_name, old.status, old.started_at, old.duration, old.direction, old.channel,
    old.agent_number, old.external_number, old.call_sid, old.cost, old.credits, old.llm_price, old.platform_price
) is not (
    new.workspace_id, new.agent_name, new.status, new.started_at, new.duration, new.direction, new.channel,
    new.agent_number, new.external_number, new.call_sid, new.cost, new.credits, new.llm_price, new.platform_price
)
begin
    insert into stale_calls values (new.conversation_id) on conflict do nothing;
end;

insert into stale_calls select sid from calls union select conversation_id from elevenlabs_conversations;
