"""Nothing is lost: real programs, killed and hurt on seeded schedules, always end with the providers' own records.

`FAULT_SEED` is the first schedule and `FAULT_SCHEDULES` how many are played; docs/reliability.md says more.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from pathlib import Path
from random import Random

import pytest

from sync.sqlite_store import SqliteStore
from sync.supabase_store import SupabaseStore
from tests.cutting_proxy import CuttingProxy
from tests.faults import schedules, troubles
from tests.faults.plans import TROUBLES, Plan, kind_of, plan
from tests.faults.world import Place, Program, World
from tests.local_supabase import LocalSupabase

pytestmark = pytest.mark.slow

FIRST = int(os.environ.get("FAULT_SEED", "1"))
NUMBER = int(os.environ.get("FAULT_SCHEDULES", "20"))
SEEDS = range(FIRST, FIRST + NUMBER)
WHOLE_HISTORY = 3650
KILLED_COPIES = 2
MANY = 100_000


@pytest.fixture(scope="session")
def project() -> Iterator[LocalSupabase]:
    """Give a project of our own: it is restarted in the middle of things."""
    with LocalSupabase() as started:
        yield started


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"{kind_of(seed)}-{seed}") for seed in SEEDS])
def test_nothing_is_lost_whatever_happens(seed: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    schedule = plan(seed)
    world = World(tmp_path, Random(seed), days=schedule.days, scale=schedule.scale)
    first_sync = {"FIRST_SYNC_DAYS": "1" if schedule.by_backfill else str(WHOLE_HISTORY)}
    try:
        if schedule.kind == "sqlite":
            place = on_sqlite(tmp_path)
            with world.inhabited(place, first_sync):
                play_on_sqlite(world, schedule, place)
        else:
            project = request.getfixturevalue("project")
            project.forget_records()
            with CuttingProxy(project.url) as proxy:
                play_on_supabase(world, schedule, project, proxy, first_sync)
    except BaseException as exc:
        exc.add_note(f"Replay it: FAULT_SEED={seed} FAULT_SCHEDULES=1 pytest tests/faults/test_schedules.py")
        exc.add_note(f"{schedule}\n\nWhat was done when:\n" + "\n".join(world.log))
        raise
    finally:
        (tmp_path / "what was done when.log").write_text("\n".join([str(schedule), *world.log]))


def on_sqlite(folder: Path) -> Place:
    database = folder / "data" / "ledger.db"

    def sql(statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(database)) as db, db:
            return db.execute(statement).fetchall()

    return Place(environment={"DATABASE_PATH": str(database)}, open=lambda: SqliteStore(database), sql=sql)


def on_supabase(project: LocalSupabase, url: str) -> Place:
    return Place(
        environment={"SUPABASE_URL": url, "SUPABASE_KEY": project.secret_key},
        open=lambda: SupabaseStore(project.url, project.secret_key),
        sql=project.sql,
    )


def play_on_sqlite(world: World, schedule: Plan, place: Place) -> None:
    database = Path(place.environment["DATABASE_PATH"])

    def befall(trouble: str, programs: list[Program]) -> None:
        if trouble == "full disk":
            troubles.fill_disk(database, programs)
        else:
            troubles.lock(database, world.weather.random.uniform(*troubles.LOCKED_FOR))

    schedules.play(world, schedule, befall)
    schedules.finish(world, schedule)
    schedules.check(world, place)
    assert place.sql("pragma integrity_check") == [("ok",)]
    left = {file.name for file in database.parent.iterdir()} - {f"{database.name}-wal", f"{database.name}-shm"}
    assert left == {database.name}, "a half file is left behind"


def play_on_supabase(
    world: World, schedule: Plan, project: LocalSupabase, proxy: CuttingProxy, first_sync: dict[str, str]
) -> None:
    place = on_supabase(project, proxy.url)

    def befall(trouble: str, programs: list[Program]) -> None:
        troubles.trouble_supabase(trouble, project, proxy)

    if schedule.has_copy:
        origin = on_sqlite(world.folder)
        with world.inhabited(origin, first_sync):
            play_on_sqlite(world, schedule, origin)
            copy_with_kills(world, origin, place, befall)
            troubles.await_supabase(project)
            schedules.check(world, place)
        return
    with world.inhabited(place, first_sync):
        schedules.play(world, schedule, befall)
        troubles.await_supabase(project)
        schedules.finish(world, schedule)
        schedules.check(world, place)


def copy_with_kills(world: World, origin: Place, target: Place, befall: schedules.Befall) -> None:
    """Move house to Supabase, which has its troubles, with `python -m sync copy`, which is killed twice on the way."""
    world.environment |= target.environment
    for kills in range(KILLED_COPIES + 1):
        copy = world.start_command("copy", "--from", "sqlite", "--to", "supabase")
        world.sleep_at_random(longest=1.5)
        trouble = world.weather.random.choice(TROUBLES["supabase"])
        world.note(trouble)
        befall(trouble, [copy])
        if kills < KILLED_COPIES:
            world.sleep_at_random(longest=1.5)
            copy.kill()
            world.note("the copy is killed")
    code, log = copy.wait(), world.folder / "sync-copy.log"
    assert code == 0, f"{log.read_text()} {different_records(origin, target)[:4]}"


def different_records(one: Place, other: Place) -> list[object]:
    """Return what two stores do not have in common."""
    with closing(one.open()) as here, closing(other.open()) as there:
        calls = set(here.calls_after(None, MANY)) ^ set(there.calls_after(None, MANY))
        listed = [here.conversations_after(None, MANY), there.conversations_after(None, MANY)]
    conversations = [
        talk for one_list, other_list in permutations(listed) for talk in one_list if talk not in other_list
    ]
    return sorted([*calls, *conversations], key=lambda record: record.started_at)
