"""Which records make one call, and what it costs in all: kept in `call_costs`, before each transaction commits."""

import sqlite3

from sync.models import UNBILLED_CALL_STATUSES
from sync.sqlite_store.balances import TWILIO_SUMS

# The legs of every call that a changed record belongs to, or belonged to: from each such record up to the topmost
# stored leg, and from there down. `union` ends the walk around legs that are each other's parents.
LEGS = """
    with recursive seed (sid) as (
        select sid from stale_calls cross join calls on sid = record_id
        union
        select call_sid from stale_calls cross join elevenlabs_conversations on conversation_id = record_id
        union
        select call_id from stale_calls cross join call_members using (record_id)
    ),
    line (sid, parent_call_sid) as (
        select leg.sid, leg.parent_call_sid from seed cross join calls as leg on leg.sid = seed.sid
        union
        select parent.sid, parent.parent_call_sid
        from line cross join calls as parent on parent.sid = line.parent_call_sid
    ),
    family (sid, call_id) as (
        select sid, sid from line
        where not exists (select 1 from calls as parent where parent.sid = line.parent_call_sid)
        union
        select leg.sid, family.call_id from family cross join calls as leg on leg.parent_call_sid = family.sid
    )
    insert into family_legs select sid, call_id from family
"""

CONVERSATIONS = """
    insert into family_conversations
    select conversation_id, call_id from family_legs cross join elevenlabs_conversations on call_sid = sid
    union
    select conversation_id, conversation_id
    from stale_calls cross join elevenlabs_conversations on conversation_id = record_id
    where not exists (select 1 from calls where sid = call_sid)
"""

MEMBERS = "select sid from family_legs union all select conversation_id from family_conversations"

JOIN = """
    insert into call_members
    select sid, call_id from family_legs where sid <> call_id
    union all
    select conversation_id, call_id from family_conversations where conversation_id <> call_id
"""

# A conversation that came over Twilio has a leg there; of an unknown channel, one with a number or a Twilio sid does.
HAS_A_LEG = """(
    first.channel = 'twilio' or first.call_sid like 'CA%'
    or (first.agent_number is not null and coalesce(first.channel, 'unknown') = 'unknown')
)"""
UNANSWERED = f"top.status in {UNBILLED_CALL_STATUSES}"

# Unknown as soon as one part is.
UNITS = "cast(round({0} * 1e8) as integer)"
SUM_OF_ALL = "iif(count({0}) = count(*), sum({1}), null)"


def _sum_of_all(column: str) -> str:
    return SUM_OF_ALL.format(column, UNITS.format(column))


def _of_both(function: str, column: str) -> str:
    """Return the least or greatest of legs and conversations, where there may be none of one of them."""
    legs, talks = f"leg_sums.{column}", f"talk_sums.{column}"
    return f"{function}(coalesce({legs}, {talks}), coalesce({talks}, {legs}))"


ADD_UP = f"""
    with leg_sums as (
        select call_id, count(*) as legs, coalesce({TWILIO_SUMS["total_cost"]}, 0) as twilio_cost,
            {TWILIO_SUMS["unpriced_calls"]} as unpriced_legs,
            max(price_unit) filter (where cost <> 0) as price_unit,
            count(*) filter (where cost <> 0 and price_unit <> 'USD') as not_in_dollars,
            min(workspace_id) as least_workspace, max(workspace_id) as greatest_workspace,
            min(started_at) as first_started_at, max(started_at) as last_started_at
        from family_legs cross join calls on calls.sid = family_legs.sid
        group by call_id
    ),
    talk_sums as (
        select call_id, count(*) as conversations, sum(duration) as seconds,
            coalesce(sum({UNITS.format("cost")}), 0) as elevenlabs_cost,
            count(*) filter (where cost is null) as unpriced_conversations,
            {_sum_of_all("platform_price")} as platform_price, {_sum_of_all("llm_price")} as llm_price,
            {SUM_OF_ALL.format("credits", "credits")} as credits,
            min(workspace_id) as least_workspace, max(workspace_id) as greatest_workspace,
            min(started_at) as first_started_at, max(started_at) as last_started_at,
            min(started_at || ' ' || talk.conversation_id) as first
        from family_conversations cross join elevenlabs_conversations as talk
            on talk.conversation_id = family_conversations.conversation_id
        group by call_id
    ),
    numbers as (
        select call_id, group_concat(digits, ' ') || ' ' as numbers from (
            select call_id, substr(number, 2) as digits from (
                select call_id, from_number as number from family_legs cross join calls using (sid)
                union select call_id, to_number from family_legs cross join calls using (sid)
                union select call_id, external_number
                from family_conversations cross join elevenlabs_conversations using (conversation_id)
                union select call_id, agent_number
                from family_conversations cross join elevenlabs_conversations using (conversation_id)
            ) where number like '+%'
        ) group by call_id
    ),
    family as (select call_id from family_legs union select call_id from family_conversations)
    insert into call_costs
    select
        family.call_id,
        coalesce(top.started_at, first.started_at),
        {_of_both("min", "first_started_at")},
        {_of_both("max", "last_started_at")},
        coalesce(top.workspace_id, first.workspace_id),
        first.workspace_id,
        {_of_both("max", "greatest_workspace")} <> {_of_both("min", "least_workspace")},
        case
            when top.sid is not null and first.conversation_id is not null then 'matched'
            when top.sid is not null then iif({UNANSWERED}, 'unanswered', 'call only')
            when {HAS_A_LEG} then 'conversation only'
            else 'no phone'
        end,
        coalesce(top.direction, first.direction),
        coalesce(top.status, first.status),
        coalesce(top.from_number, iif(first.direction = 'outbound', first.agent_number, first.external_number)),
        coalesce(top.to_number, iif(first.direction = 'outbound', first.external_number, first.agent_number)),
        coalesce(numbers, ''),
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
        iif(
            coalesce(leg_sums.unpriced_legs, 0) + coalesce(talk_sums.unpriced_conversations, 0)
                + coalesce(leg_sums.not_in_dollars, 0) > 0 or (top.sid is null and {HAS_A_LEG}),
            null, coalesce(leg_sums.twilio_cost, 0) + coalesce(talk_sums.elevenlabs_cost, 0)
        ),
        iif(top.sid is null, talk_sums.seconds, top.duration),
        talk_sums.seconds,
        top.duration - talk_sums.seconds
    from family
        left join leg_sums on leg_sums.call_id = family.call_id
        left join talk_sums on talk_sums.call_id = family.call_id
        left join numbers on numbers.call_id = family.call_id
        left join calls as top on top.sid = family.call_id
        left join elevenlabs_conversations as first
            on first.conversation_id = substr(talk_sums.first, instr(talk_sums.first, ' ') + 1)
"""


def refresh(db: sqlite3.Connection) -> None:
    """Add up again the calls of the records that changed; without changes it looks, and does nothing."""
    if not db.execute("select exists (select 1 from stale_calls)").fetchone()[0]:
        return
    for table, key in (("family_legs", "sid"), ("family_conversations", "conversation_id")):
        db.execute(f"create temp table if not exists {table} ({key} text primary key, call_id text) without rowid")
        db.execute(f"delete from {table}")
    db.execute(LEGS)
    db.execute(CONVERSATIONS)
    db.execute(f"delete from call_members where record_id in ({MEMBERS})")
    db.execute(f"delete from call_costs where call_id in ({MEMBERS})")
    db.execute(JOIN)
    db.execute(ADD_UP)
    db.execute("delete from stale_calls")
