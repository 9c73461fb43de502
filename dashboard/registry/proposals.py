"""Changes that somebody asks for: what they would move, the button that carries them out, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import data, formats
from dashboard.registry import effects
from sync.errors import VoiceLedgerError
from sync.metrics import CombinedTotals
from sync.registry import Effect, RegistryChange

Changes = Sequence[RegistryChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What was asked for at one place of the page, and what the store says to it."""

    asked: Changes
    accepted: Changes = ()
    problems: Sequence[str] = ()
    effects: Sequence[Effect] = ()
    before: Mapping[str, CombinedTotals] = field(default_factory=dict)


def key(place: str, name: str) -> str:
    """Return the key of a widget, which is another one after each success: then the form is empty again."""
    return f"{place} {name} {st.session_state.get(_turn(place), 0)}"


def row() -> DeltaGenerator:
    """Return a container whose inputs stand beside each other; on a phone, below each other."""
    return st.container(horizontal=True, vertical_alignment="bottom")


def choose_action(place: str, actions: Sequence[str], chosen: object) -> str:
    """Draw the choice of what to do with what is chosen; nothing while nothing is."""
    if chosen is None:
        return ""
    return st.segmented_control(
        "What to do with it", actions, default=actions[0], required=True, key=key(place, f"action {chosen}")
    )


def preview_button(place: str, *, label: str = "Preview", disabled: bool = False) -> bool:
    """Draw the button that asks what would move."""
    return st.button(label, disabled=disabled, icon=":material/visibility:", key=key(place, "preview"))


def preview(place: str, changes: Changes) -> None:
    """Ask the store what the changes would move."""
    with st.spinner("Adding up what would move…"):
        st.session_state[_proposal(place)] = _dry_run(changes)


def show(place: str, changes: Changes, *, confirm: str = "", done: str = "", typed: str = "") -> None:
    """Draw what became of the last click at this place, while `changes` are still what it was about.

    After a preview, `confirm` is the button that carries them out; with `typed` it waits until that text is typed.
    """
    tell(place)
    proposal = st.session_state.get(_proposal(place))
    if not proposal or list(proposal.asked) != list(changes):
        return
    for problem in proposal.problems:
        st.error(formats.literal(problem), icon=":material/error:")
    if not proposal.accepted:
        return
    effects.show(proposal.effects, proposal.before)
    is_sure = not typed or st.text_input(f"Type {formats.literal(typed)} to confirm", key=key(place, "typed")) == typed
    if st.button(
        formats.literal(confirm), type="primary", disabled=not is_sure, icon=":material/check:", key=key(place, "go")
    ):
        carry_out(place, proposal.accepted, done=done, asked=changes)


def carry_out(place: str, changes: Changes, *, done: str, asked: Changes | None = None) -> None:
    """Make the changes (of those that were asked for), and draw the page anew: done, or with an error at the place."""
    with st.spinner("Moving the records…"):
        # Taken away first, and no st.* until all is written down: the second click of a double click may stop this run.
        st.session_state.pop(_proposal(place), None)
        if problems := _problems(changes):
            st.session_state[_proposal(place)] = Proposal(asked=asked or changes, problems=problems)
        else:
            finish(place, done)
    st.rerun()


def finish(place: str, done: str) -> None:
    """Empty the form, and remember what was done until it is told."""
    st.session_state[_done(place)] = done
    st.session_state[_turn(place)] = st.session_state.get(_turn(place), 0) + 1


def tell(place: str) -> None:
    """Say once what was done here."""
    if done := st.session_state.pop(_done(place), None):
        st.success(formats.literal(done), icon=":material/check_circle:")


def _dry_run(changes: Changes) -> Proposal:
    try:
        outcome = data.change_registry(changes, dry_run=True)
        return Proposal(
            asked=changes,
            accepted=[change for change, no in zip(changes, outcome.refusals, strict=True) if no is None],
            problems=[refusal for refusal in outcome.refusals if refusal],
            effects=outcome.effects,
            before=data.totals_by_workspace(),
        )
    except VoiceLedgerError as exc:
        return Proposal(asked=changes, problems=[str(exc)])


def _problems(changes: Changes) -> list[str]:
    try:
        refusals = [refusal for refusal in data.change_registry(changes).refusals if refusal]
    except VoiceLedgerError as exc:
        return [str(exc)]
    return [*refusals, "Everything else was carried out."] if 0 < len(refusals) < len(changes) else refusals


def _proposal(place: str) -> str:
    return f"{place}: proposal"


def _done(place: str) -> str:
    return f"{place}: done"


def _turn(place: str) -> str:
    return f"{place}: turn"
