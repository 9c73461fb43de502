"""A schedule, played: bad hours, then an ordinary sync, and what must be true after it."""

import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from itertools import pairwise
from random import Random

import httpx

from sync.models import SOURCES, RunKind, RunState, Source
from sync.store import Store
from tests.faults import truth
from tests.faults.plans import BACKFILLS, OF_THE_DEMO, BadHour, Plan
from tests.faults.weather import Change
from tests.faults.world import ROOT, Place, Program, World

UNTIL_A_SWEEP_IS_DUE = timedelta(hours=40)  # a day, and the longest that our clock was ahead
CHANGED_WITHIN = timedelta(hours=20)  # providers change young records; a sweep sees those of three days
CHANGED_AFTER = timedelta(hours=2)
CHANGED_AT_ONCE = 6
STOPS_WITHIN = 2.0
DASHBOARD_WITHIN = 60.0
AT_WORK_WITHIN = 5.0

Befall = Callable[[str, list[Program]], None]


def play(world: World, plan: Plan, befall: Befall) -> None:
    """Let all bad hours pass. Afterwards nothing runs, nothing is broken, and the clocks are right."""
    random = Random(plan.seed)
    world.weather.page_size, world.weather.latency = plan.page_size, plan.latency
    if plan.by_backfill:  # all was well until a person wished for more than the last days
        _run_to_the_end(world, "all")
    if plan.has_dashboard:
        _bring(world, plan.hours[0])
        play_dashboard(world, random)
        _clear(world)
    for hour in plan.hours:
        world.note(f"-- {hour}")
        _change_records(world, hour, random)
        _play_hour(world, plan, hour, befall)
        if hour.later:
            world.travel(hour.later)
            world.weather.hidden.clear()


def _play_hour(world: World, plan: Plan, hour: BadHour, befall: Befall) -> None:
    _bring(world, hour)
    if hour.skew and not hour.jumps_midway:
        world.set_skew(hour.skew)
    programs = [_start(world, plan, name) for name in hour.programs]
    world.await_request(AT_WORK_WITHIN)
    if hour.jumps_midway:
        world.set_skew(hour.skew)
    began = time.monotonic()
    for at, trouble in hour.troubles:
        time.sleep(max(0.0, began + at - time.monotonic()))
        world.note(trouble)
        befall(trouble, programs)
    time.sleep(max(0.0, began + hour.lasts - time.monotonic()))
    if hour.ending == "wait":
        _clear(world)
    for program in programs:
        _end(world, program, hour)
    _clear(world)
    if hour.skew:
        world.set_skew(timedelta(0))


def _bring(world: World, hour: BadHour) -> None:
    """Let the providers answer as badly as in this hour."""
    world.faults.rates = {name: rate for name, rate in hour.answers.items() if name in OF_THE_DEMO}
    world.weather.rates = {name: rate for name, rate in hour.answers.items() if name not in OF_THE_DEMO}


def _clear(world: World) -> None:
    world.faults.rates = {}
    world.weather.clear()


def _start(world: World, plan: Plan, name: str) -> Program:
    arguments = name.split()
    if name in BACKFILLS:
        arguments += ["--since", f"{first_day(world)}"]
    if plan.has_genuine_commands and world.has_ordinary_time():
        return world.start_command(*arguments)
    return world.start(*arguments)


def first_day(world: World) -> str:
    return f"{world.began_at.date() - timedelta(days=world.fleet.days)}"


def _end(world: World, program: Program, hour: BadHour) -> None:
    if not program.is_running():
        world.note(f"{program.name} has ended with {program.wait()}")
    elif hour.ending == "kill":
        program.kill()
        world.note(f"{program.name} is killed")
    elif hour.ending == "stop" or program.name.endswith("scheduler"):
        program.tell(signal.SIGTERM)
        with suppress(TimeoutError):  # a request that hangs: a person would kill it too
            program.wait(STOPS_WITHIN)
        world.note(f"{program.name} is stopped")
    else:
        world.note(f"{program.name} ends with {program.wait()}")


def _change_records(world: World, hour: BadHour, random: Random) -> None:
    """Let the providers change some of their young records, and forget others for as long as the hour lasts."""
    if not hour.changes:
        return
    there = truth.truth(world.fleet, world.now(), world.weather.shown, world.registered_at)
    known = [*there.calls.values(), *there.conversations.values()]
    young = [
        fact.record_id
        for fact in known
        if world.now() - CHANGED_WITHIN < fact.started_at < world.now() - CHANGED_AFTER
        and fact.record_id not in world.weather.changes
    ]
    for change in hour.changes:
        for record_id in random.sample(young, min(len(young), CHANGED_AT_ONCE)):
            if change == "hide":
                world.weather.hidden.add(record_id)
            elif change == "price":
                world.weather.changes[record_id] = Change(price_factor=random.randint(2, 5))
            else:
                world.weather.changes[record_id] = Change(moved_by=timedelta(minutes=random.randint(-40, 40)))
    world.note(f"the providers change {len(world.weather.changes)} records and hide {len(world.weather.hidden)}")


def play_dashboard(world: World, random: Random) -> None:
    """Start syncs through the dashboard's API, and kill the dashboard in the middle of them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = str(ROOT / "streamlit_app.py")
    options = ["--server.port", str(port), "--server.headless", "true", "--browser.gatherUsageStats", "false"]
    dashboard = world.start_command("run", script, *options, program=("streamlit",))
    deadline = time.monotonic() + DASHBOARD_WITHIN
    while time.monotonic() < deadline and dashboard.is_running():
        with suppress(httpx.HTTPError):
            if world.ask("GET", "/api/health", port).status_code == httpx.codes.OK:
                break
        time.sleep(0.1)
    world.note("the dashboard answers")
    answer = world.ask("POST", "/api/sync-elevenlabs", port, json={"since": f"{first_day(world)}T00:00:00Z"})
    world.note(f"a historical sync is asked for: {answer.status_code} {answer.text[:200]}")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    with suppress(httpx.HTTPError):
        time.sleep(random.uniform(0, 0.5))
        httpx.post(
            f"http://127.0.0.1:{port}/api/sync-hourly",
            headers={"Authorization": f"Bearer {world.environment['CRON_SECRET']}"},
            timeout=random.uniform(0.1, 0.6),
            trust_env=False,
        )
    dashboard.kill()
    world.note("the dashboard is killed")


def finish(world: World, plan: Plan) -> None:
    """Do what a person, or the next hours, would: finish a historical sync that was begun, and sync once more."""
    world.weather.hidden.clear()
    world.travel(UNTIL_A_SWEEP_IS_DUE)
    world.stand_still()
    for source in _unfinished(world, plan):
        _run_to_the_end(world, "backfill", source, "--since", first_day(world))
    _run_to_the_end(world, "all")
    for source in _with_work_left(world):
        _run_to_the_end(world, "backfill", source, "--since", first_day(world))


def _run_to_the_end(world: World, *arguments: str) -> None:
    program = world.start(*arguments)
    code = program.wait()
    log = world.folder / f"{'-'.join(arguments[:2])}.log"
    assert code == 0, f"{program.name} ended with {code}: {log.read_text()[-2000:] if log.exists() else 'no word'}"


def _unfinished(world: World, plan: Plan) -> list[Source]:
    """Return the sources whose last historical sync did not come to its end, or never began although it is needed."""
    with closing(world.place.open()) as store:
        last = {source: store.runs(source, kind=RunKind.BACKFILL, limit=1) for source in SOURCES}
    return [
        source
        for source, runs in last.items()
        if (runs and runs[0].state is not RunState.OK) or (plan.by_backfill and not runs)
    ]


def _with_work_left(world: World) -> list[Source]:
    """Return the sources of which the product says that a stretch is missing, or that records could not be read."""
    since = world.began_at - timedelta(days=world.fleet.days)
    with closing(world.place.open()) as store:
        return [source for source in SOURCES if store.gaps(source, since=since) or store.failures(source)]


def check(world: World, place: Place) -> None:
    """Assert that nothing is lost, nothing is counted twice, and the history tells what happened."""
    there = truth.truth(world.fleet, world.now(), world.weather.shown, world.registered_at)
    found = truth.stored(place.sql)
    expected = truth.as_far_as_shown(there, found, truth.gone(place.sql))
    wrong = truth.differences(expected, found)
    assert not wrong, f"{len(wrong)} records are not as the providers have them: {wrong[:5]}"
    with closing(place.open()) as store:
        _check_balances(store, expected)
        _check_history(store)


def _check_balances(store: Store, expected: truth.Truth) -> None:
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    for source in SOURCES:
        assert store.wrong_snapshots(source) == []
        assert store.workspaces_to_refresh(source) == 0
        assert store.duplicate_snapshots(source) == []
        assert store.failures(source) == [], "a record is still listed as one that could not be read"
    (twilio,), (elevenlabs,) = store.twilio_balances([None]), store.elevenlabs_balances([None])
    assert {names[id_]: totals for id_, totals in twilio.items() if totals.total_legs} == truth.twilio_totals(
        expected.calls
    )
    sums = truth.elevenlabs_sums(expected.conversations)
    found = {names[id_]: totals for id_, totals in elevenlabs.items() if totals.total_conversations}
    assert found.keys() == sums.keys()
    for name, totals in found.items():
        for field in ("total_conversations", "total_cost", "total_duration", "unpriced_conversations"):
            assert getattr(totals, field) == getattr(sums[name], field), (name, field)


def _check_history(store: Store) -> None:
    runs = store.runs(limit=1000)
    assert {run.source for run in runs} == set(SOURCES)
    for run in runs:
        assert run.state is not RunState.RUNNING, f"run {run.id} is still open: a lock is left behind"
        assert run.finished_at is not None
        if run.state in (RunState.FAILED, RunState.INTERRUPTED):
            assert run.message, f"run {run.id} does not say why it {run.state}"
            assert run.message.endswith("."), run.message
            assert "error in the program" not in run.message, run.message
    for source in SOURCES:
        last = store.last_success(source)
        assert last is not None
        assert last.kind is RunKind.SWEEP
        newest = [run.id for run in runs if run.source == source]
        assert all(later > earlier for later, earlier in pairwise(newest))
