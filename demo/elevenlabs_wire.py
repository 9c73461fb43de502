"""ElevenLabs' answers: the conversation list, one conversation, agents and phone numbers."""

from collections.abc import Callable, Iterator
from itertools import islice

from starlette.datastructures import QueryParams

from demo.agents import AGENTS
from demo.conversations import Conversation
from demo.elevenlabs_filters import ConversationFilter, cursor_after, page_size, position_in
from demo.elevenlabs_records import Record, agent_record, conversation_record, number_record, summary_record
from demo.fleet import LINES
from demo.refusals import Body, conversation_not_found
from demo.timeline import Position, Timeline


class ElevenLabsWire:
    """Answers as of `now()` (unix seconds). `stuck` makes a list page its own successor."""

    def __init__(self, timeline: Timeline, now: Callable[[], int]) -> None:
        self._timeline, self._now = timeline, now

    def conversation(self, conversation_id: str) -> Body:
        now = self._now()
        talk = self._timeline.conversation(conversation_id, now)
        if talk is None:
            raise conversation_not_found(conversation_id)
        return conversation_record(talk, now)

    def conversations(self, query: QueryParams, *, stuck: bool = False) -> Body:
        now, wanted, size, position = (
            self._now(),
            ConversationFilter.asked_for(query),
            page_size(query),
            position_in(query),
        )
        found = list(islice(self._beyond(position, wanted, now), size + 1))
        talks = found[:size]
        last = talks[-1].position if len(found) > size else None
        records = [summary_record(talk, now) for talk in talks]
        return {"conversations": records, **_continuation(position, last, stuck=stuck)}

    def agents(self, query: QueryParams, *, stuck: bool = False) -> Body:
        size, position = page_size(query), position_in(query)
        first = position[0] if position else 0
        end = first + size
        last = (end, "agents") if end < len(AGENTS) else None
        records = [agent_record(agent) for agent in AGENTS[first:end]]
        return {"agents": records, **_continuation(position, last, stuck=stuck)}

    def numbers(self) -> list[Record]:
        return [number_record(line) for line in LINES]

    def _beyond(self, position: Position | None, wanted: ConversationFilter, now: int) -> Iterator[Conversation]:
        """Yield what lies behind `position` in the direction of the list."""
        first, end = (wanted.after, ""), (min(wanted.before, now) + 1, "")
        if position and wanted.newest_first:
            end = min(end, position)
        elif position:
            first = max(first, (position[0], f"{position[1]}~"))
        for talk in self._timeline.conversations(first, end, newest_first=wanted.newest_first):
            if wanted.accepts(talk, now):
                yield talk


def _continuation(here: Position | None, last: Position | None, *, stuck: bool) -> Body:
    if stuck:
        return {"next_cursor": cursor_after(here), "has_more": True}
    return {"next_cursor": cursor_after(last) if last else None, "has_more": last is not None}
