"""Whose a call is, after a change of ownership: its records stay the same, so its costs need not be added up again."""

import sqlite3

CALLS_TO_MOVE = """
    with call (call_id) as (
        select distinct coalesce(member.call_id, stale.record_id)
        from stale_calls as stale left join call_members as member on member.record_id = stale.record_id
    ),
    record (call_id, record_id) as (
        select call_id, call_id from call
        union all
        select call.call_id, member.record_id
        from call cross join call_members as member on member.call_id = call.call_id
    ),
    owner (call_id, least, greatest) as (
        select call_id, min(coalesce(leg.workspace_id, talk.workspace_id)),
            max(coalesce(leg.workspace_id, talk.workspace_id))
        from record
        left join calls as leg on leg.sid = record.record_id
        left join elevenlabs_conversations as talk on talk.conversation_id = record.record_id
        group by call_id
    )
    insert into moved_calls
    select owner.call_id, owner.least <> owner.greatest, coalesce(top.workspace_id, first.workspace_id),
        first.workspace_id
    from owner
    cross join call_costs on call_costs.call_id = owner.call_id
    left join calls as top on top.sid = owner.call_id
    left join elevenlabs_conversations as first on first.conversation_id = call_costs.conversation_id
"""

MOVE = """
    update call_costs
    set is_shared = moved.is_shared, workspace_id = moved.workspace_id,
        conversation_workspace_id = moved.conversation_workspace_id
    from moved_calls as moved where moved.call_id = call_costs.call_id
"""

FORGET = """
    delete from stale_calls where coalesce(
        (select call_id from call_members as member where member.record_id = stale_calls.record_id), record_id
    ) in (select call_id from moved_calls)
"""


def move_calls(db: sqlite3.Connection) -> None:
    """Book the calls of records that changed, in this transaction, nothing but their workspace."""
    db.execute(
        "create temp table if not exists moved_calls (call_id text primary key, is_shared integer,"
        " workspace_id integer, conversation_workspace_id integer) without rowid"
    )
    db.execute("delete from moved_calls")
    for statement in (CALLS_TO_MOVE, MOVE, FORGET):
        db.execute(statement)
