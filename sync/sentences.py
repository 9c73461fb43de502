"""Runs, and what a change moves, in one line each: for logs, terminals and pages."""

from decimal import Decimal

from sync.models import PROVIDER_NAMES, RunState, SyncRun
from sync.registry import Effect


def describe(run: SyncRun) -> str:
    """Return e.g. `Twilio: 128 records saved in 2.1 s, 18:45 to 20:00 UTC`."""
    name = PROVIDER_NAMES[run.source]
    if run.state is RunState.OK:
        done = f"{name}: {_records(run.saved)} saved in {_seconds(run)}, {_window(run)}"
        return f"{done}; {run.message}" if run.message else done
    return f"{name} {run.state}: {run.message or _window(run)}"


def describe_progress(run: SyncRun) -> str:
    """Return e.g. `ElevenLabs: 2,400 of 9,652 records`; Twilio does not tell how many there are."""
    of_all = f" of {run.total:,}" if run.total else ""
    return ", ".join(filter(None, [f"{PROVIDER_NAMES[run.source]}: {run.done:,}{of_all} records", pace(run)]))


def pace(run: SyncRun) -> str:
    """Return e.g. `612/s, 45 % of the period`; nothing before the first second."""
    rate, share = run.records_per_second, run.share_walked
    parts = [f"{rate:,.0f}/s" if rate else "", f"{share:.0%} of the period" if share is not None else ""]
    return ", ".join(filter(None, parts))


def describe_effect(effect: Effect, currency: str | None) -> str:
    """Return e.g. `Acme: +12 calls, +0.102 USD; -3 conversations, -0.2 USD`; `currency` is Twilio's."""
    twilio, elevenlabs = effect.twilio, effect.elevenlabs
    moved = [
        _moved(twilio.total_calls, "call", twilio.total_cost, currency) if twilio != type(twilio)() else "",
        _moved(elevenlabs.total_conversations, "conversation", elevenlabs.total_cost, "USD")
        if elevenlabs != type(elevenlabs)()
        else "",
    ]
    return f"{effect.workspace}: {'; '.join(filter(None, moved))}"


def _moved(count: int, noun: str, cost: Decimal, currency: str | None) -> str:
    counted = f"{count:+,} {noun}{'' if abs(count) == 1 else 's'}"
    return f"{counted}, {cost.normalize():+,f} {currency}" if currency else counted


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _seconds(run: SyncRun) -> str:
    took = ((run.finished_at or run.heartbeat_at) - run.started_at).total_seconds()
    return f"{took:.1f} s"


def _window(run: SyncRun) -> str:
    start, end = run.window_start, run.window_end
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {until} UTC"
