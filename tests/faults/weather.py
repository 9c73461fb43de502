"""What goes wrong between the simulated providers and us that `demo.faults` does not know, and records that change.

Wrapped around the demo's application: smaller pages, more kinds of bad answers, records that are gone for a while,
priced anew or moved.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import simplejson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.responses import json_response

Record = dict[str, Any]

PAGE_SIZES = ("PageSize", "page_size")
LISTS = ("calls", "conversations")
STALLS_AT_MOST = 20.0  # seconds
NAMES = (
    "slow_down",  # 429 without Retry-After
    "stall",  # no answer until the weather clears, then 500
    "astray",  # the next page is on another server, nowhere, or the same again
    "spoilt",  # one record cannot be read, but for its id
)
DAMAGES: tuple[Record, ...] = (
    {"price": "n/a"},
    {"status": None},
    {"date_created": "yesterday", "start_time": "today"},
    {"start_time_unix_secs": "soon", "metadata": None},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a provider has changed in a record after it was final."""

    price_factor: int = 1
    moved_by: timedelta = timedelta(0)


@dataclass
class Weather:
    """An ASGI application around the demo's. Everything may be changed at any time, from another thread too."""

    app: ASGIApp
    random: Random
    page_size: int = 25
    latency: float = 0.0  # seconds
    rates: dict[str, float] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    changes: dict[str, Change] = field(default_factory=dict)
    requests: int = 0

    def clear(self) -> None:
        self.rates = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.requests += 1
        await asyncio.sleep(self.latency * self.random.random() * 2)
        fault = next((name for name, rate in self.rates.items() if self.random.random() < rate), None)
        if fault == "stall":
            await self._stall()
            await json_response({"detail": "The server is restarting."}, 500)(scope, receive, send)
        elif fault == "slow_down":
            await json_response({"detail": "Too many requests."}, 429)(scope, receive, send)
        else:
            await self._answer(self._with_small_pages(scope), receive, send, fault)

    async def _stall(self) -> None:
        for _ in range(int(STALLS_AT_MOST / 0.05)):
            if "stall" not in self.rates:
                return
            await asyncio.sleep(0.05)

    def _with_small_pages(self, scope: Scope) -> Scope:
        query = [
            (name, str(min(int(value), self.page_size)) if name in PAGE_SIZES else value)
            for name, value in parse_qsl(scope["query_string"].decode())
        ]
        return {**scope, "query_string": urlencode(query).encode()}

    async def _answer(self, scope: Scope, receive: Receive, send: Send, fault: str | None) -> None:
        """Let the demo answer, and change the records in a sound answer before they leave."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        body = _sound_json(messages)
        if body is None:
            for message in messages:
                await send(message)
            return
        await self._changed(body, fault)(scope, receive, send)

    def _changed(self, body: Any, fault: str | None) -> Response:
        for name in LISTS:
            if isinstance(body, dict) and name in body:
                body[name] = [self.shown(record) for record in body[name] if _id(record) not in self.hidden]
                if fault == "astray":
                    self._lead_astray(body)
                if fault == "spoilt" and body[name]:
                    self._spoil(self.random.choice(body[name]))
                return json_response(body)
        if _id(body) in self.hidden:
            return json_response({"detail": {"status": "not_found"}, "code": 20404, "status": 404}, 404)
        record = self.shown(body)
        if fault == "spoilt" and _id(record):
            self._spoil(record)
        return json_response(record)

    def _spoil(self, record: Record) -> None:
        fitting = [damage for damage in DAMAGES if record.keys() & damage.keys()]
        record.update(self.random.choice(fitting))

    def _lead_astray(self, body: Record) -> None:
        if body.get("next_page_uri"):
            same = body["uri"]
            body["next_page_uri"] = self.random.choice(["https://elsewhere.example/Calls.json", "/nowhere.json", same])
        elif body.get("next_cursor"):
            body["next_cursor"] = self.random.choice(["nowhere", "%%%"])

    def shown(self, record: Record) -> Record:
        """Return a record of the demo, in wire format, as these providers show it."""
        change = self.changes.get(_id(record))
        if change is None:
            return record
        return changed_call(record, change) if "account_sid" in record else changed_conversation(record, change)


def changed_call(record: Record, change: Change) -> Record:
    price, start = record.get("price"), record.get("start_time")
    try:
        return {
            **record,
            "price": f"{simplejson.Decimal(price) * change.price_factor:f}" if price else price,
            "start_time": format_datetime(parsedate_to_datetime(start) + change.moved_by) if start else start,
        }
    except (ArithmeticError, ValueError, TypeError):
        return record  # spoilt already


def changed_conversation(record: Record, change: Change) -> Record:
    if "metadata" in record:
        return {**record, "metadata": _with_change(record["metadata"], change, "cost_fiat")}
    return _with_change(record, change, "cost_fiat")


def _with_change(fields: Mapping[str, Any], change: Change, price: str) -> Record:
    changed, start = dict(fields), fields.get("start_time_unix_secs")
    if changed.get(price):
        changed[price] *= change.price_factor
    if isinstance(start, int):
        changed["start_time_unix_secs"] = start + int(change.moved_by.total_seconds())
    return changed


def _id(record: Any) -> str:
    return str(record.get("sid") or record.get("conversation_id") or "") if isinstance(record, dict) else ""


def _sound_json(messages: list[Message]) -> Any:
    """Return the body of a complete answer 200 in JSON, else None."""
    start, *parts = messages
    headers = dict(start["headers"])
    is_json = headers.get(b"content-type", b"").startswith(b"application/json")
    if start["status"] != 200 or not is_json or parts[-1].get("more_body"):
        return None
    parse: Callable[..., Any] = json.loads
    return parse(b"".join(part["body"] for part in parts), parse_float=simplejson.Decimal)
