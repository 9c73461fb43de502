"""Runs, and what a change moves, in one line each, and things with their number: for logs, terminals and pages."""

from decimal import Decimal

from sync.models import PROVIDER_NAMES, RunState, SyncRun
from sync.registry import Effect

# After "the last sync".
ENDED = {RunState.FAILED: "failed", RunState.INTERRUPTED: "was interrupted", RunState.SKIPPED: "was skipped"}


def counted(number: int, noun: str, *, verb: tuple[str, str] | None = None) -> str:
    """Return e.g. `1 call` or `3 calls`; with `verb` as `("is", "are")` also `1 call is` or `3 calls are`."""
    words = f"{number:,} {noun}{'' if number == 1 else 's'}"
    return f"{words} {verb[number != 1]}" if verb else words


def subaccounts_left_out(count: int) -> str:
    return (
        f"The Twilio account has {counted(count, 'subaccount')}, and the calls made there are not in the ledger, which "
        "reads one account; give each an installation of its own, with its own SID, token and database."
    )


def describe(run: SyncRun) -> str:
    """Return e.g. `Twilio: 128 records saved in 2.1 s, 18:45 to 20:00 UTC`."""
    name = PROVIDER_NAMES[run.source]
    if run.state is RunState.OK:
        seconds = run.duration.total_seconds()
        done = f"{name}: {counted(run.saved, 'record')} saved in {seconds:.1f} s, {_window(run)}"
        return f"{done}; {run.message}" if run.message else done
    return f"{name} {run.state}: {run.message or _window(run)}"


def describe_progress(run: SyncRun) -> str:
    """Return e.g. `ElevenLabs: 2,400 of 9,652 records, 612/s`."""
    return ", ".join(filter(None, [describe_count(run), pace(run)]))


def describe_count(run: SyncRun) -> str:
    """Return e.g. `ElevenLabs: 2,400 of 9,652 records`; Twilio does not tell how many there are."""
    done = f"{run.done:,} of {counted(run.total, 'record')}" if run.total else counted(run.done, "record")
    return f"{PROVIDER_NAMES[run.source]}: {done}"


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
    calls = f"{'-' if count < 0 else '+'}{counted(abs(count), noun)}"
    return f"{calls}, {cost.normalize():+,f} {currency}" if currency else calls


def _window(run: SyncRun) -> str:
    start, end = run.window_start, run.window_end
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {until} UTC"
