"""Calls and conversations: saved by key, the newer version wins, and what is known is never forgotten."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from sync import refetch
from sync.models import (
    CallLeg,
    Conversation,
    Failure,
    Source,
    StoredConversation,
    StoredFailure,
)
from sync.sqlite_store import attribution, balances
from sync.sqlite_store.rows import (
    CALL,
    CONVERSATION,
    Columns,
    call_leg,
    conversation,
    stored_failure,
    sure_moment,
    to_row,
)
from sync.times import iso

KEYS = {"twilio": "sid", "elevenlabs": "conversation_id"}

# Providers blank these later (deletion of personal data) or leave them out for a while: once known, they stay.
LASTING_OF_CALL = {"cost", "price_unit", "from_number", "to_number", "our_number", "parent_call_sid"}
LASTING_OF_CONVERSATION = {
    *("agent_number", "external_number", "call_sid", "agent_id", "agent_name"),
    *("cost", "credits", "llm_price", "llm_charge", "platform_price", "call_charge"),
    *("free_minutes_consumed", "free_llm_dollars_consumed"),
}


def save_calls(db: sqlite3.Connection, legs: Sequence[CallLeg]) -> None:
    """Upsert and attribute; the balances are stale until they are refreshed."""
    _fix_currency(db, legs)
    db.executemany(_upsert("calls", CALL, "sid", LASTING_OF_CALL), map(to_row, legs))
    attribution.attribute_calls(db, (leg.sid for leg in legs))
    _forget_failures(db, "twilio", (leg.sid for leg in legs))


def save_conversations(db: sqlite3.Connection, conversations: Sequence[Conversation]) -> None:
    """Upsert and attribute; the balances are stale until they are refreshed."""
    upsert = _upsert("elevenlabs_conversations", CONVERSATION, "conversation_id", LASTING_OF_CONVERSATION)
    db.executemany(upsert, map(to_row, conversations))
    ids = [conversation.conversation_id for conversation in conversations]
    attribution.attribute_conversations(db, ids)
    _forget_failures(db, "elevenlabs", ids)


def _fix_currency(db: sqlite3.Connection, legs: Sequence[CallLeg]) -> None:
    """Take the first currency that Twilio bills in for the account's: an account has only one."""
    unit = next((leg.price_unit for leg in legs if leg.price_unit and leg.cost), None)
    if unit:
        db.execute("insert into store_meta values ('price_unit', ?) on conflict do nothing", (unit,))


def _upsert(table: str, names: Columns, key: str, lasting: set[str]) -> str:
    newer = f"excluded.fetched_at >= {table}.fetched_at"

    def merged(name: str) -> str:
        new, old = f"excluded.{name}", f"{table}.{name}"
        if name in lasting:
            return f"{name} = iif({newer}, coalesce({new}, {old}), coalesce({old}, {new}))"
        return f"{name} = iif({newer}, {new}, {old})"

    return f"""
        insert into {table} ({", ".join(names)}) values ({", ".join(f":{name}" for name in names)})
        on conflict ({key}) do update set is_gone = 0, {", ".join(merged(name) for name in names if name != key)}
    """


def open_ids(db: sqlite3.Connection, source: Source, now: datetime) -> list[str]:
    """Return what to fetch again and was not since `now`: unfinished, unpriced or failed records.

    Hourly at first, then daily, then no more. A conversation that was fetched so soon after its end that its charges
    may have moved since is fetched once more.
    """
    table, key = balances.RECORDS[source], KEYS[source]
    rows = db.execute(
        f"""
        select {key} as id from {table}
        where ({_is_open(source)}) and not is_gone and started_at >= :week
            and fetched_at < iif(started_at >= :recent, :now, :yesterday)
        union
        select record_id from sync_failures
        where source = :source and record_id <> '' and first_failed_at >= :week
            and last_failed_at < iif(first_failed_at >= :recent, :now, :yesterday)
        order by id
        """,
        {"source": source, **refetch.moments(now)},
    )
    return [row["id"] for row in rows]


def _is_open(source: Source) -> str:
    final = ", ".join(f"'{status}'" for status in refetch.FINAL_STATUSES[source])
    unsettled = (
        f"unixepoch(fetched_at) < unixepoch(started_at) + duration + {int(refetch.SETTLED_AFTER.total_seconds())}"
    )
    return f"cost is null or status not in ({final})" + (f" or {unsettled}" if source == "elevenlabs" else "")


def known_conversations(db: sqlite3.Connection, ids: Iterable[str]) -> dict[str, StoredConversation]:
    known: dict[str, StoredConversation] = {}
    for record_id in ids:
        row = db.execute(
            "select conversation_id, status, duration, fetched_at from elevenlabs_conversations"
            " where conversation_id = ?",
            (record_id,),
        ).fetchone()
        if row:
            known[record_id] = StoredConversation(**{**row, "fetched_at": sure_moment(row["fetched_at"])})
    return known


def known_versions(db: sqlite3.Connection, source: Source, ids: Iterable[str]) -> dict[str, datetime]:
    query = f"select fetched_at from {balances.RECORDS[source]} where {KEYS[source]} = ?"
    rows = ((record_id, db.execute(query, (record_id,)).fetchone()) for record_id in ids)
    return {record_id: sure_moment(row["fetched_at"]) for record_id, row in rows if row}


def calls_after(db: sqlite3.Connection, place: tuple[datetime, str] | None, limit: int) -> list[CallLeg]:
    return [call_leg(row) for row in _rows_after(db, "twilio", place, limit)]


def conversations_after(db: sqlite3.Connection, place: tuple[datetime, str] | None, limit: int) -> list[Conversation]:
    return [conversation(row) for row in _rows_after(db, "elevenlabs", place, limit)]


def _rows_after(
    db: sqlite3.Connection, source: Source, place: tuple[datetime, str] | None, limit: int
) -> list[sqlite3.Row]:
    started_at, record_id = (iso(place[0]), place[1]) if place else ("", "")
    return db.execute(
        f"""
        select * from {balances.RECORDS[source]}
        where started_at >= :started_at and (started_at, {KEYS[source]}) > (:started_at, :record_id)
        order by started_at, {KEYS[source]} limit :limit
        """,
        {"started_at": started_at, "record_id": record_id, "limit": limit},
    ).fetchall()


def missing_parents(db: sqlite3.Connection, since: datetime) -> list[str]:
    """Return the parents of stored legs, started at or after `since`, that are not stored themselves."""
    rows = db.execute(
        """
        select distinct parent_call_sid from calls as leg
        where parent_call_sid is not null and started_at >= ?
            and not exists (select 1 from calls as parent where parent.sid = leg.parent_call_sid)
            and not exists (select 1 from sync_failures where source = 'twilio' and record_id = leg.parent_call_sid)
        """,
        (iso(since),),
    )
    return [row["parent_call_sid"] for row in rows]


def save_failures(db: sqlite3.Connection, source: Source, failures: Sequence[Failure], now: datetime) -> None:
    """List what could not be read. A stored record that the provider no longer has is marked gone instead, and kept."""
    for failure in failures:
        marked = 0
        if failure.is_gone:
            update = f"update {balances.RECORDS[source]} set is_gone = 1 where {KEYS[source]} = ?"
            marked = db.execute(update, (failure.record_id,)).rowcount
        if marked:
            _forget_failures(db, source, [failure.record_id])
        else:
            db.execute(
                """
                insert into sync_failures (source, record_id, error, first_failed_at, last_failed_at)
                values (:source, :id, :error, :now, :now)
                on conflict do update set
                    error = excluded.error, attempts = attempts + 1, last_failed_at = excluded.last_failed_at
                """,
                {"source": source, "id": failure.record_id, "error": failure.error, "now": iso(now)},
            )


def list_failures(db: sqlite3.Connection, source: Source, limit: int) -> list[StoredFailure]:
    rows = db.execute(
        "select * from sync_failures where source = ? order by last_failed_at desc, record_id limit ?", (source, limit)
    )
    return [stored_failure(row) for row in rows]


def _forget_failures(db: sqlite3.Connection, source: Source, ids: Iterable[str]) -> None:
    db.executemany("delete from sync_failures where source = ? and record_id = ?", ((source, i) for i in ids))
