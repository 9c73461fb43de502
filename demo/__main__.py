"""`python -m demo`: run the simulated providers until they are told to stop."""

import os
import signal
import sys
from collections.abc import Callable
from threading import Event, Thread, Timer
from typing import Annotated

import typer

from demo.faults import Faults, parse_rates
from demo.fleet import Fleet
from demo.server import create_app, running, utc_now

GRACE = 3.0  # seconds


def main(
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 lets the system choose one.")] = 3094,
    seed: int = 7,
    days: Annotated[int, typer.Option(help="Length of the history.")] = 90,
    scale: Annotated[float, typer.Option(help="How much happens, beside the ordinary fleet.")] = 1.0,
    latency_ms: Annotated[int, typer.Option(help="Wait that long before each answer.")] = 0,
    max_concurrency: Annotated[int, typer.Option(help="Requests in flight per provider; 0 is no limit.")] = 0,
    faults: Annotated[str, typer.Option(help="NAME=RATE,… as in error500=0.01,hang=0.001.")] = "",
    made_beforehand: Annotated[bool, typer.Option(help="Make the whole history before the first answer.")] = False,
    until_stdin_closes: Annotated[bool, typer.Option(help="End when the parent process does.")] = False,
) -> None:
    """Serve a made-up agency in the wire format of Twilio and ElevenLabs."""
    try:
        rates = parse_rates(faults)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    over = _told_to_stop(until_stdin_closes)
    misbehaviour = Faults(rates, seed=seed, latency=latency_ms / 1000, max_concurrency=max_concurrency)
    fleet = Fleet(opened_at=utc_now(), seed=seed, days=days, scale=scale)
    try:
        with running(create_app(fleet, faults=misbehaviour, made_beforehand=made_beforehand), host, port) as url:
            typer.echo(f"Demo providers on {url}")
            sys.stdout.flush()
            over.wait()
    except OSError as exc:
        typer.echo(f"Cannot listen on {host}:{port} ({os.strerror(exc.errno or 0)}). Choose another --port.", err=True)
        raise typer.Exit(1) from exc


def _told_to_stop(until_stdin_closes: bool) -> Event:
    """Return what a signal, or the end of the input, will set; the process ends soon then, whatever it is doing."""
    over = Event()

    def end(*_: object) -> None:
        if over.is_set():
            os._exit(0)
        over.set()
        late = Timer(GRACE, os._exit, [0])
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if until_stdin_closes:
        Thread(target=_await_end_of_input, args=(end,), daemon=True).start()
    return over


def _await_end_of_input(end: Callable[[], None]) -> None:
    """Read past sys.stdin: its lock, held by a waiting thread, would break the interpreter's exit."""
    while os.read(0, 4096):
        pass
    end()


if __name__ == "__main__":
    typer.run(main)
