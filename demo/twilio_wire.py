"""Twilio's answers: the call list, one call, the agency's numbers."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from demo.credentials import ACCOUNT_SID
from demo.fleet import LINES
from demo.legs import Leg
from demo.refusals import Body, twilio_not_found
from demo.timeline import Timeline
from demo.twilio_filters import CallFilter
from demo.twilio_pages import Page, bad_token
from demo.twilio_records import ACCOUNT_PATH, account_record, call_record, number_record, number_sid

Query = Mapping[str, str]
FIELDS = {"FriendlyName": "friendly_name", "Status": "status"}  # of an account, by the filters' names


class TwilioWire:
    """Answers as of `now()` (unix seconds). `stuck` makes a list page its own successor."""

    def __init__(self, timeline: Timeline, now: Callable[[], int]) -> None:
        self._timeline, self._now = timeline, now

    def call(self, sid: str) -> Body:
        now = self._now()
        leg = self._timeline.leg(sid, now)
        if leg is None:
            raise twilio_not_found(f"{ACCOUNT_PATH}/Calls/{sid}.json")
        return call_record(leg, now)

    def calls(self, query: Query, *, stuck: bool = False) -> Body:
        """List calls, those created last first."""
        now, wanted = self._now(), CallFilter(query)
        page = Page.asked_for("calls", wanted.carried, query)
        found = list(islice(self._beyond(page, wanted, now), page.size + 1))
        legs = found[: page.size]
        if page.is_backwards:
            legs.reverse()
        has_more = page.is_backwards or len(found) > page.size
        return page.envelope([call_record(leg, now) for leg in legs], has_more=has_more, stuck=stuck)

    def numbers(self, query: Query, *, stuck: bool = False) -> Body:
        wanted = query.get("PhoneNumber", "")
        page = Page.asked_for("incoming_phone_numbers", {"PhoneNumber": wanted} if wanted else {}, query)
        lines = [line for line in LINES if wanted in ("", line.number)]
        sids = [number_sid(line.number) for line in lines]
        if page.beside and page.beside not in sids:
            raise bad_token(page.token)
        first = page.number * page.size
        records = [number_record(line) for line in lines[first : first + page.size]]
        return page.envelope(records, has_more=first + page.size < len(lines), stuck=stuck)

    def accounts(self, query: Query, *, stuck: bool = False) -> Body:
        """List the agency's account, which has none below it."""
        wanted = {name: query[name] for name in ("FriendlyName", "Status") if query.get(name)}
        page = Page.asked_for("accounts", wanted, query)
        if page.beside not in ("", ACCOUNT_SID):
            raise bad_token(page.token)
        account = account_record()
        is_listed = page.number == 0 and all(account[FIELDS[name]] == value for name, value in wanted.items())
        return page.envelope([account] if is_listed else [], has_more=False, stuck=stuck)

    def _beyond(self, page: Page, wanted: CallFilter, now: int) -> Iterator[Leg]:
        """Yield the legs after the page's token, or before it, oldest first, when it leads backwards."""
        since, until = wanted.created_between
        first, end = (since, ""), (min(until, now + 1), "")
        if page.beside:
            neighbour = self._timeline.leg(page.beside, now)
            if neighbour is None:
                raise bad_token(page.token)
            if page.is_backwards:
                first = (neighbour.created, f"{neighbour.sid}~")
            else:
                end = neighbour.position
        for leg in self._timeline.legs(first, end, newest_first=not page.is_backwards):
            if wanted.accepts(leg, now):
                yield leg
