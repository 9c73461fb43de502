"""Changes of the registry: checked here, carried out by one function, told in the words of both stores."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sync import registry
from sync.answers import plain
from sync.errors import RegistryError
from sync.models import AnyTotals, ElevenLabsTotals, TwilioTotals
from sync.registry import Outcome, RegistryChange
from sync.supabase_store.functions import Functions
from sync.supabase_store.rows import Json, totals


def change_registry(functions: Functions, changes: Sequence[RegistryChange], *, dry_run: bool) -> Outcome:
    refusals: list[str | None] = []
    sound: list[tuple[int, RegistryChange]] = []
    for place, change in enumerate(changes):
        try:
            sound.append((place, registry.cleaned(change)))
            refusals.append(None)
        except RegistryError as exc:
            refusals.append(str(exc))
    answer = functions.call(
        "change_registry",
        p_changes=[{"kind": type(change).__name__} | plain(change) for _, change in sound],
        p_dry_run=dry_run,
        p_request=str(uuid4()),  # the same when the call is repeated, since its answer was lost
    )
    for (place, change), reason in zip(sound, answer["refusals"], strict=True):
        if reason is not None:
            refusals[place] = str(registry.refused(change, reason))
    return Outcome(refusals=refusals, effects=registry.effects(_state(answer["before"]), _state(answer["after"])))


def _state(row: Json) -> registry.State:
    return registry.State(
        names={int(workspace_id): name for workspace_id, name in row["names"].items()},
        twilio=_by_workspace(TwilioTotals, row["twilio"]),
        elevenlabs=_by_workspace(ElevenLabsTotals, row["elevenlabs"]),
    )


def _by_workspace(kind: type[AnyTotals], rows: dict[str, Any]) -> dict[int, AnyTotals]:
    return {int(workspace_id): totals(kind, row) for workspace_id, row in rows.items()}
