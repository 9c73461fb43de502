"""Rows per second into a local Supabase, with attribution and balances, beside a bare upsert of the same rows.

python -m benchmarks.supabase_ingest [--calls 100000] [--conversations 33800]
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import psycopg
import simplejson
import typer

from supabase import Client, create_client
from sync.batches import in_batches
from sync.models import CallLeg, Conversation
from sync.registry import RegisterAgent, RegisterNumber
from sync.supabase_store import SupabaseStore
from sync.supabase_store.rows import to_batch
from tests.local_supabase.stack import LocalSupabase
from tests.records import OUR_AGENT, OUR_NUMBER, TEN, make_conversation, make_leg

BATCH = 1000
MONTHS = timedelta(days=395)


def calls(count: int) -> Iterator[CallLeg]:
    """Yield answered calls, oldest first, over thirteen months."""
    for number in range(count):
        yield make_leg(sid=f"CA{number:032x}", started_at=TEN + number * MONTHS / count, cost=Decimal("0.0085"))


def conversations(count: int) -> Iterator[Conversation]:
    for number in range(count):
        yield make_conversation(conversation_id=f"conv_{number:026x}", started_at=TEN + number * MONTHS / count)


def measured(records: Sequence[Any], save: Callable[[list[Any]], object]) -> float:
    """Return rows per second."""
    start = time.perf_counter()
    for batch in in_batches(records, BATCH):
        save(batch)
    return len(records) / (time.perf_counter() - start)


def bare_upsert(client: Client, table: str, key: str) -> Callable[[list[Any]], object]:
    """Return what a program without a ledger would do: upsert into a table of the same shape, without triggers."""
    return lambda batch: (
        client.table(table).upsert(simplejson.loads(to_batch(batch)), on_conflict=key, returning="minimal").execute()
    )


def make_bare_tables(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        for table in ("calls", "elevenlabs_conversations"):
            db.execute(f"create table bare_{table} (like {table} including all)")
            db.execute(f"grant all on bare_{table} to service_role")
        db.execute("notify pgrst, 'reload schema'")
    time.sleep(1)


def direct_sums(dsn: str) -> tuple[Decimal, Decimal]:
    """Return the cost of all calls and of all conversations, straight from Postgres."""
    with psycopg.connect(dsn) as db:
        of_calls = db.execute("select sum(cost) from calls").fetchone()
        of_conversations = db.execute("select sum(cost) from elevenlabs_conversations").fetchone()
    return (of_calls or (Decimal(0),))[0], (of_conversations or (Decimal(0),))[0]


def report(name: str, ledger: float, bare: float) -> None:
    typer.echo(
        f"{name:<14} ledger {ledger:>7,.0f} rows/s   bare upsert {bare:>7,.0f} rows/s   ratio {bare / ledger:.2f}"
    )


def main(
    call_count: Annotated[int, typer.Option("--calls")] = 100_000,
    conversation_count: Annotated[int, typer.Option("--conversations")] = 33_800,
) -> None:
    """Measure both in one run, and compare the balances with direct sums."""
    legs, talks = list(calls(call_count)), list(conversations(conversation_count))
    with LocalSupabase() as stack:
        make_bare_tables(stack.dsn())
        client = create_client(stack.url, stack.secret_key)
        store = SupabaseStore(stack.url, stack.secret_key)
        store.change_registry(
            [
                RegisterNumber(workspace="Bench", phone_number=OUR_NUMBER),
                RegisterAgent(workspace="Bench", agent_id=OUR_AGENT),
            ]
        )

        report("calls", measured(legs, store.save_calls), measured(legs, bare_upsert(client, "bare_calls", "sid")))
        report(
            "conversations",
            measured(talks, store.save_conversations),
            measured(talks, bare_upsert(client, "bare_elevenlabs_conversations", "conversation_id")),
        )

        twilio = sum(snapshot.totals.total_cost for snapshot in store.twilio_snapshots())
        elevenlabs = sum(snapshot.totals.total_cost for snapshot in store.elevenlabs_snapshots())
        is_equal = (twilio, elevenlabs) == direct_sums(stack.dsn())
        typer.echo(f"balances equal to direct sums: {is_equal} (Twilio {twilio}, ElevenLabs {elevenlabs})")


if __name__ == "__main__":
    typer.run(main)
