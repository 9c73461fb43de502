"""Between the JSON of the SQL functions and calls with what they cost in all."""

from dataclasses import fields
from decimal import Decimal
from typing import Any

from sync.call_costs import CallCost, CallDetail, CallFilter, Match, known_amounts
from sync.models import PRICE_PLACES
from sync.supabase_store.rows import call_leg, conversation, ids_or_none, iso_or_none, sure_moment


def arguments(wanted: CallFilter, *, record_id: str | None) -> dict[str, Any]:
    """Return a filter as the functions take it; `record_id` is a stored record of the call that is searched."""
    return {
        "p_since": iso_or_none(wanted.since),
        "p_until": iso_or_none(wanted.until),
        "p_workspaces": ids_or_none(wanted.workspaces),
        "p_kind": {
            "exclusive": wanted.exclusive,
            "match": wanted.match,
            "direction": wanted.direction,
            "status": wanted.status,
            "digits": wanted.searched_digits,
            "id": record_id,
        },
    }


def call_cost(row: dict[str, Any]) -> CallCost:
    plain = {f.name: row[f.name] for f in fields(CallCost)}
    amounts = known_amounts(plain, _amount)
    return CallCost(
        **plain | amounts | {"started_at": sure_moment(plain["started_at"]), "match": Match(plain["match"])}
    )


def _amount(text: str) -> Decimal:
    return Decimal(text).quantize(PRICE_PLACES)


def call_detail(answer: dict[str, Any]) -> CallDetail:
    return CallDetail(
        call=call_cost(answer["call"]),
        legs=[call_leg(row) for row in answer["legs"]],
        conversations=[conversation(row) for row in answer["conversations"]],
    )
