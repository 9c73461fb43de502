"""The HTTP server: both providers' routes on one port, and the way to run it beside a test."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread
from time import sleep

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo.elevenlabs_wire import ElevenLabsWire
from demo.faults import DETAIL, LIST, Faults
from demo.fleet import Fleet
from demo.gate import Gate
from demo.providers import ElevenLabs, Twilio
from demo.refusals import twilio_not_found
from demo.responses import json_response
from demo.timeline import Timeline
from demo.twilio_wire import TwilioWire

Clock = Callable[[], datetime]
TWILIO = "/2010-04-01/Accounts/{account_sid}"
ELEVENLABS = "/v1/convai"
STARTING = 0.005  # seconds between two looks whether the server is up


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    fleet: Fleet, *, faults: Faults | None = None, clock: Clock = utc_now, made_beforehand: bool = False
) -> Starlette:
    """Serve `fleet` as it is at `clock()`. Change `faults` at any time to make the next answers go wrong.

    Records are made when they are first asked for, or else all of them `made_beforehand`, which takes a while.
    """

    def now() -> int:
        return int(clock().timestamp())

    timeline, faults = Timeline(fleet), faults or Faults()
    if made_beforehand:
        timeline.make_until(now())
    twilio, elevenlabs = Gate(Twilio(), faults), Gate(ElevenLabs(), faults)

    async def counts(_: Request) -> Response:
        return json_response({"twilio": twilio.counts, "elevenlabs": elevenlabs.counts})

    routes = [
        *_twilio(twilio, TwilioWire(timeline, now)),
        *_elevenlabs(elevenlabs, ElevenLabsWire(timeline, now)),
        Route("/demo/requests", counts),  # of no provider: how often each operation was asked for, for measurements
    ]
    return Starlette(routes=routes, exception_handlers={404: _unknown_path})


@contextmanager
def running(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` in a thread and yield its base URL. A taken port raises OSError; port 0 takes a free one."""
    listener = socket.create_server((host, port))
    # asyncio does this for sockets of its own only; without it each answer waits 40 ms for the client's acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", ws="none"))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            sleep(STARTING)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True  # do not wait for clients, nor for answers that hang
        thread.join()
        listener.close()


def _twilio(gate: Gate, wire: TwilioWire) -> list[Route]:
    def call(request: Request, *, stuck: bool) -> object:
        return wire.call(request.path_params["sid"])

    def calls(request: Request, *, stuck: bool) -> object:
        return wire.calls(request.query_params, stuck=stuck)

    def numbers(request: Request, *, stuck: bool) -> object:
        return wire.numbers(request.query_params, stuck=stuck)

    def accounts(request: Request, *, stuck: bool) -> object:
        return wire.accounts(request.query_params, stuck=stuck)

    return [
        Route("/2010-04-01/Accounts.json", gate.guard(LIST, accounts)),
        Route(f"{TWILIO}/Calls.json", gate.guard(LIST, calls)),
        Route(f"{TWILIO}/Calls/{{sid}}.json", gate.guard(DETAIL, call)),
        Route(f"{TWILIO}/IncomingPhoneNumbers.json", gate.guard(LIST, numbers)),
    ]


def _elevenlabs(gate: Gate, wire: ElevenLabsWire) -> list[Route]:
    def conversation(request: Request, *, stuck: bool) -> object:
        return wire.conversation(request.path_params["conversation_id"])

    def conversations(request: Request, *, stuck: bool) -> object:
        return wire.conversations(request.query_params, stuck=stuck)

    def agents(request: Request, *, stuck: bool) -> object:
        return wire.agents(request.query_params, stuck=stuck)

    def numbers(request: Request, *, stuck: bool) -> object:
        return wire.numbers()

    return [
        Route(f"{ELEVENLABS}/conversations", gate.guard(LIST, conversations)),
        Route(f"{ELEVENLABS}/conversations/{{conversation_id}}", gate.guard(DETAIL, conversation)),
        Route(f"{ELEVENLABS}/agents", gate.guard(LIST, agents)),
        Route(f"{ELEVENLABS}/phone-numbers", gate.guard(LIST, numbers)),
    ]


async def _unknown_path(request: Request, _: Exception) -> Response:
    if request.url.path.startswith("/v1/"):
        return json_response({"detail": "Not Found"}, 404)
    refusal = twilio_not_found(request.url.path)
    return json_response(refusal.body, refusal.status)
