"""Usage by direction, status and agent, as tables whose totals equal those of the page."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from dashboard.formats import UNKNOWN
from dashboard.tables import TOTAL, Row, Table
from sync.elevenlabs_metrics import elevenlabs
from sync.metrics import Metric, twilio
from sync.models import UNASSIGNED, AgentGroup, CallGroup, ElevenLabsTotals, TwilioTotals
from sync.usage import total_of

T = TypeVar("T")

# What a row of these tables tells; the others stand in the table by workspace.
OF_CALLS = ("total_cost", "total_calls", "total_legs", "billed_minutes", "cost_per_billed_minute", "unpriced_calls")
OF_AGENTS = (
    *("total_cost", "total_credits", "total_conversations", "total_duration"),
    *("llm_price", "platform_price", "unpriced_conversations"),
)


def by_direction(groups: Iterable[CallGroup], currency: str) -> Table[TwilioTotals]:
    return _of_calls("Direction", groups, lambda group: group.direction, currency)


def by_status(groups: Iterable[CallGroup], currency: str) -> Table[TwilioTotals]:
    return _of_calls("Status", groups, lambda group: group.status, currency)


def _of_calls(
    heading: str, groups: Iterable[CallGroup], kind: Callable[[CallGroup], str], currency: str
) -> Table[TwilioTotals]:
    added: dict[str, TwilioTotals] = {}
    for group in groups:
        name = kind(group) or UNKNOWN
        added[name] = added.get(name, TwilioTotals()) + group.totals
    ranked = sorted(added.items(), key=lambda item: (-item[1].total_cost, -item[1].total_legs, item[0]))
    rows = [Row(name=name, totals=totals) for name, totals in ranked]
    total = Row(name=TOTAL, totals=total_of(added.values(), TwilioTotals()))
    return Table(heading=heading, metrics=_only(twilio(currency), OF_CALLS), rows=[*rows, total])


def by_agent(groups: Sequence[AgentGroup], workspace_names: Mapping[int, str]) -> Table[ElevenLabsTotals]:
    """Return one row per agent and workspace; the workspace is named where an agent works for several."""
    ranked = sorted(groups, key=lambda group: (-group.totals.total_cost, -group.totals.total_conversations))
    shared = _names_of_several(groups)
    rows = [
        Row(
            name=_name(group, workspace_names, is_shared=_agent(group) in shared),
            totals=group.totals,
            is_quiet=group.workspace_id == UNASSIGNED,
        )
        for group in ranked
    ]
    nothing = ElevenLabsTotals()
    total = Row(name=TOTAL, totals=total_of((group.totals for group in groups), nothing))
    return Table(heading="Agent", metrics=_only(elevenlabs(), OF_AGENTS), rows=[*rows, total])


def _agent(group: AgentGroup) -> str:
    return group.agent_name or group.agent_id or UNKNOWN


def _names_of_several(groups: Iterable[AgentGroup]) -> set[str]:
    return {name for name, number in Counter(map(_agent, groups)).items() if number > 1}


def _name(group: AgentGroup, workspace_names: Mapping[int, str], *, is_shared: bool) -> str:
    agent = _agent(group)
    return f"{agent} · {workspace_names.get(group.workspace_id, UNKNOWN)}" if is_shared else agent


def _only(metrics: Iterable[Metric[T]], keys: Sequence[str]) -> list[Metric[T]]:
    return [metric for metric in metrics if metric.key in keys]
