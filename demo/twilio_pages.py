"""Twilio's paging: page sizes, page tokens, and the root-relative links that carry every filter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from demo.refusals import Body, Refusal, twilio_refusal
from demo.twilio_records import ACCOUNT_PATH, Record

DEFAULT_SIZE, LARGEST_SIZE = 50, 1000
LISTS = {
    "accounts": "/2010-04-01/Accounts",
    "calls": f"{ACCOUNT_PATH}/Calls",
    "incoming_phone_numbers": f"{ACCOUNT_PATH}/IncomingPhoneNumbers",
}
NEXT, PREVIOUS = "PA", "PB"  # a token is one of these and the sid next to the page


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page that was asked for. `token` leads to the row next to it and is empty on the first page."""

    resource: str
    carried: Mapping[str, str]
    size: int
    number: int
    token: str

    @classmethod
    def asked_for(cls, resource: str, carried: Mapping[str, str], query: Mapping[str, str]) -> "Page":
        number, token = _whole(query, "Page", 0), query.get("PageToken", "")
        if number and not token:
            raise twilio_refusal(400, 20001, "PageToken is required for paging.")
        if token and token[:2] not in (NEXT, PREVIOUS):
            raise bad_token(token)
        size = _whole(query, "PageSize", DEFAULT_SIZE)
        if not 1 <= size <= LARGEST_SIZE:
            raise twilio_refusal(400, 20001, f"PageSize must be between 1 and {LARGEST_SIZE}")
        return cls(resource=resource, carried=carried, size=size, number=number, token=token)

    @property
    def beside(self) -> str:
        """The sid of the row that the page begins after (or, backwards, ends before)."""
        return self.token[2:]

    @property
    def is_backwards(self) -> bool:
        return self.token.startswith(PREVIOUS)

    def envelope(self, records: Sequence[Record], *, has_more: bool, stuck: bool) -> Body:
        """Wrap up to `size` records. `stuck` makes the page its own successor."""
        following = self._uri(self.number + 1, f"{NEXT}{records[-1]['sid']}") if has_more and records else None
        before = self._uri(self.number - 1, f"{PREVIOUS}{records[0]['sid']}") if self.number and records else None
        start = self.number * self.size if records else 0
        return {
            self.resource: list(records),
            "page": self.number,
            "page_size": self.size,
            "start": start,
            "end": start + max(len(records) - 1, 0),
            "uri": self._uri(self.number, self.token),
            "first_page_uri": self._uri(0, ""),
            "next_page_uri": self._uri(self.number, self.token) if stuck else following,
            "previous_page_uri": before,
        }

    def _uri(self, number: int, token: str) -> str:
        parameters = {**self.carried, "PageSize": self.size, "Page": number}
        if token and number:
            parameters["PageToken"] = token
        return f"{LISTS[self.resource]}.json?{urlencode(parameters)}"


def bad_token(token: str) -> Refusal:
    return twilio_refusal(400, 21481, f"Invalid PageToken: {token}")


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name) or str(default)
    if not value.isdecimal():
        raise twilio_refusal(400, 20001, f"Invalid {name}: {value}")
    return int(value)
