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
    usage_between,
    without_models,
)
from sync.models import PRICE_PLACES, ElevenLabsTotals, Source, TwilioTotals
from sync.sqlite_store import reports
from sync.sqlite_store.balances import RECORDS, SUMS
from sync.sqlite_store.rows import PRICES, call_leg, conversation, elevenlabs_totals, sure_moment, twilio_totals
from sync.sqlite_store.selection import as_parameter, stretch

PLAIN = [f.name for f in fields(CallCost)]
MONEY = ("twilio_cost", "elevenlabs_cost", "platform_price", "llm_price", "total_cost")

Parameters = dict[str, Any]

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
    row = db.execute(
        """
        select * from call_costs
        where call_id = coalesce((select call_id from call_members where record_id = :id), :id)
        """,
        {"id": record_id},
    ).fetchone()
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
        return twilio_totals(_sums(db, "twilio", wanted))
    opening = reports.twilio_balances(db, wanted.since) if wanted.since else {}
    closing = reports.twilio_balances(db, wanted.until)
    return usage_between(opening, closing, wanted.workspaces, nothing=TwilioTotals())


def _elevenlabs(db: sqlite3.Connection, wanted: CallFilter) -> ElevenLabsTotals:
    if wanted.is_narrow:
        return elevenlabs_totals(_sums(db, "elevenlabs", wanted))
    opening = reports.elevenlabs_balances(db, wanted.since) if wanted.since else {}
    closing = reports.elevenlabs_balances(db, wanted.until)
    return usage_between(opening, closing, wanted.workspaces, nothing=ElevenLabsTotals())


def _sums(db: sqlite3.Connection, source: Source, wanted: CallFilter) -> sqlite3.Row:
    """Add up the records, each at its own start and in its own workspace, of the calls that meet the filter.

    A call that reaches over an edge of the period starts outside of it with its topmost leg, or ends there.
    """
    kind, parameters = _kind(wanted)
    key = "sid" if source == "twilio" else "conversation_id"
    sums = ", ".join(_sum(total, term) for total, term in SUMS[source].items())
    workspaces = f" and {IN_WORKSPACES.format(table='record')}" if wanted.workspaces is not None else ""
    row: sqlite3.Row = db.execute(
        f"""
        with selected as (
            select call_id from call_costs as call where {IN_PERIOD.format(table="call")} and {kind}
            union all
            select call_id from call_costs as call
            where last_started_at > started_at and last_started_at >= :since and started_at < :since and {kind}
            union all
            select call_id from call_costs as call
            where first_started_at < started_at and first_started_at < :until and started_at >= :until and {kind}
        ),
        members as (
            select call_id as record_id from selected
            union all
            select record_id from selected cross join call_members using (call_id)
        )
        select {sums} from members cross join {RECORDS[source]} as record on record.{key} = members.record_id
        where {IN_PERIOD.format(table="record")}{workspaces}
        """,
        parameters,
    ).fetchone()
    return row


def _sum(total: str, term: str) -> str:
    if total == "llm_usage":
        return "'{}' as llm_usage"
    return f"coalesce({term}, 0)" + (" / 1e8" if total in PRICES else "") + f" as {total}"


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
        *(
            ["call.call_id = coalesce((select call_id from call_members where record_id = :searched), :searched)"]
            if searched
            else []
        ),
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
    amounts = {name: None if plain[name] is None else _amount(plain[name]) for name in MONEY}
    if not plain["legs"] or plain["unpriced_legs"]:
        amounts["twilio_cost"] = None
    if not plain["conversations"] or plain["unpriced_conversations"]:
        amounts["elevenlabs_cost"] = None
    return CallCost(
        **plain | amounts | {"started_at": sure_moment(plain["started_at"]), "match": Match(plain["match"])}
    )


def _amount(units: int) -> Decimal:
    return Decimal(units).scaleb(-8).quantize(PRICE_PLACES)
