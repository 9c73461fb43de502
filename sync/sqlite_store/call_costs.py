"""Calls with what they cost in all: selected, sorted and paged by the database, summed like the balances."""

import sqlite3
from dataclasses import fields
from decimal import Decimal
from typing import Any

from sync.call_costs import (
    CallCost,
    CallDetail,
    CallFilter,
    CallSummary,
    Match,
    SortKey,
    known_amounts,
    usage_between,
    without_models,
)
from sync.models import PRICE_PLACES, AnyTotals, ElevenLabsTotals, Source, TwilioTotals
from sync.sqlite_store import snapshots
from sync.sqlite_store.balances import RECORDS, added_up
from sync.sqlite_store.rows import call_leg, conversation, summed, sure_moment, totals_of_units
from sync.sqlite_store.selection import as_parameter, stretch

PLAIN = [f.name for f in fields(CallCost)]

Parameters = dict[str, Any]

# A leg that is not stored is known from its conversation alone.
CALL_OF = """coalesce(
    (select call_id from call_members where record_id = :searched),
    (
        select coalesce(member.call_id, conversation_id)
        from elevenlabs_conversations left join call_members as member on member.record_id = conversation_id
        where call_sid = :searched order by started_at, conversation_id limit 1
    ),
    :searched
)"""
IN_PERIOD = "{table}.started_at >= :since and {table}.started_at < :until"
IN_WORKSPACES = "{table}.workspace_id in (select value from json_each(:workspaces))"
EXCLUSIVE = f"""{IN_WORKSPACES.format(table="call")} and not (is_shared and exists (
    select 1 from call_members
        left join calls as leg on leg.sid = record_id
        left join elevenlabs_conversations as talk on talk.conversation_id = record_id
    where call_members.call_id = call.call_id
        and coalesce(leg.workspace_id, talk.workspace_id) not in (select value from json_each(:workspaces))
))"""


def call_costs(
    db: sqlite3.Connection, wanted: CallFilter, key: SortKey, *, descending: bool, limit: int, offset: int
) -> list[CallCost]:
    where, parameters = _listed(wanted)
    way = "desc" if descending else "asc"
    rows = db.execute(
        f"""
        select * from call_costs as call where {where}
        order by {"" if key is SortKey.START else f"{key} {way} nulls last,"} started_at {way}, call_id {way}
        limit :limit offset :offset
        """,
        parameters | {"limit": limit, "offset": offset},
    )
    return [_call_cost(row) for row in rows]


def call_summary(db: sqlite3.Connection, wanted: CallFilter) -> CallSummary:
    where, parameters = _listed(wanted)
    counts = db.execute(f"select match, count(*) from call_costs as call where {where} group by match", parameters)
    return CallSummary(
        calls={Match(match): count for match, count in counts},
        twilio=_twilio(db, wanted),
        elevenlabs=without_models(_elevenlabs(db, wanted)),
    )


def call(db: sqlite3.Connection, record_id: str) -> CallDetail | None:
    row = db.execute(f"select * from call_costs where call_id = {CALL_OF}", {"searched": record_id}).fetchone()
    if not row:
        return None
    members = "select :id union all select record_id from call_members where call_id = :id"
    of_call = {"id": row["call_id"]}
    legs = db.execute(f"select * from calls where sid in ({members}) order by started_at, sid", of_call)
    talks = db.execute(
        f"""
        select * from elevenlabs_conversations where conversation_id in ({members})
        order by started_at, conversation_id
        """,
        of_call,
    )
    return CallDetail(call=_call_cost(row), legs=[*map(call_leg, legs)], conversations=[*map(conversation, talks)])


def _twilio(db: sqlite3.Connection, wanted: CallFilter) -> TwilioTotals:
    if wanted.is_narrow:
        return _sums(db, "twilio", TwilioTotals, wanted)
    opening = snapshots.twilio_balances(db, wanted.since) if wanted.since else {}
    closing = snapshots.twilio_balances(db, wanted.until)
    return usage_between(opening, closing, wanted.workspaces, nothing=TwilioTotals())


def _elevenlabs(db: sqlite3.Connection, wanted: CallFilter) -> ElevenLabsTotals:
    if wanted.is_narrow:
        return _sums(db, "elevenlabs", ElevenLabsTotals, wanted)
    opening = snapshots.elevenlabs_balances(db, wanted.since) if wanted.since else {}
    closing = snapshots.elevenlabs_balances(db, wanted.until)
    return usage_between(opening, closing, wanted.workspaces, nothing=ElevenLabsTotals())


def _sums(db: sqlite3.Connection, source: Source, kind: type[AnyTotals], wanted: CallFilter) -> AnyTotals:
    """Add up the records, each at its own start and in its own workspace, of the calls that meet the filter.

    A call that reaches over an edge of the period starts outside of it with its topmost leg, or ends there.
    """
    condition, parameters = _kind(wanted)
    key = "sid" if source == "twilio" else "conversation_id"
    workspaces = f" and {IN_WORKSPACES.format(table='record')}" if wanted.workspaces is not None else ""
    row = db.execute(
        f"""
        with selected as (
            select call_id from call_costs as call where {IN_PERIOD.format(table="call")} and {condition}
            union all
            select call_id from call_costs as call
            where last_started_at > started_at and last_started_at >= :since and started_at < :since and {condition}
            union all
            select call_id from call_costs as call
            where first_started_at < started_at and first_started_at < :until and started_at >= :until and {condition}
        ),
        members as (
            select call_id as record_id from selected
            union all
            select record_id from selected cross join call_members using (call_id)
        )
        select {added_up(source, summed(kind))}
        from members cross join {RECORDS[source]} as record on record.{key} = members.record_id
        where {IN_PERIOD.format(table="record")}{workspaces}
        """,
        parameters,
    ).fetchone()
    return totals_of_units(kind, row)


def _listed(wanted: CallFilter) -> tuple[str, Parameters]:
    """Return the condition for calls that are in the list: by their own start, in one of the workspaces."""
    kind, parameters = _kind(wanted)
    conditions = [IN_PERIOD.format(table="call"), kind]
    if wanted.workspaces is not None:
        conditions.append(
            f"""({IN_WORKSPACES.format(table="call")} or (is_shared and exists (
                select 1 from call_members
                    left join calls as leg on leg.sid = record_id
                    left join elevenlabs_conversations as talk on talk.conversation_id = record_id
                where call_members.call_id = call.call_id
                    and ({IN_WORKSPACES.format(table="leg")} or {IN_WORKSPACES.format(table="talk")})
            )))"""
        )
    return " and ".join(conditions), parameters


def _kind(wanted: CallFilter) -> tuple[str, Parameters]:
    """Return the condition on what a call is, without period and workspaces, and all parameters."""
    digits, searched = wanted.searched_digits, wanted.searched_id
    conditions = [
        *([EXCLUSIVE] if wanted.exclusive and wanted.workspaces is not None else []),
        *(["match = :match"] if wanted.match else []),
        *(["direction like :direction || '%'"] if wanted.direction else []),
        *(["status = :status"] if wanted.status else []),
        *(["numbers like '%' || :digits || ' %'"] if digits else []),
        *(["0"] if digits == "" else []),
        *([f"call.call_id = {CALL_OF}"] if searched else []),
    ]
    parameters = {
        **stretch(wanted.since, wanted.until),
        **as_parameter(wanted.workspaces),
        "match": wanted.match,
        "direction": wanted.direction,
        "status": wanted.status,
        "digits": digits,
        "searched": searched,
    }
    return " and ".join(conditions) or "1", parameters


def _call_cost(row: sqlite3.Row) -> CallCost:
    plain = {name: row[name] for name in PLAIN}
    amounts = known_amounts(plain, _amount)
    return CallCost(
        **plain | amounts | {"started_at": sure_moment(plain["started_at"]), "match": Match(plain["match"])}
    )


def _amount(units: int) -> Decimal:
    return Decimal(units).scaleb(-8).quantize(PRICE_PLACES)
