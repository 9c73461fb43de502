"""Verification: the checks of `sync/verify.py`, run on a click, each green, amber or red."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, formats
from sync.errors import VoiceLedgerError
from sync.sentences import counted
from sync.verify import Finding

RESULT, PROBLEM = "result of the verification", "problem of the verification"

# Colour, icon and word each say the same.
GOOD = ":green-badge[:material/check_circle: Good]"
TO_DO = ":orange-badge[:material/warning: To do]"
WRONG = ":red-badge[:material/error: Wrong]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the checks found, and when they ran."""

    findings: list[Finding]
    checked_at: datetime


def show(zone: ZoneInfo) -> None:
    """Draw the section, with the last result of this session."""
    st.subheader("Verification", anchor="verification")
    st.caption(
        "Checks tables, duplicates, data, registered numbers and currencies, and that every balance is the sum of its"
        " records. On a large database it takes some seconds."
    )
    if st.button("Verify now", icon=":material/fact_check:", key="verify"):
        _verify()
    if problem := st.session_state.get(PROBLEM):
        st.error(formats.literal(problem), icon=":material/error:")
    result: Verification | None = st.session_state.get(RESULT)
    if result:
        _show(result, zone)


def _verify() -> None:
    st.session_state.pop(PROBLEM, None)
    st.session_state.pop(RESULT, None)
    with st.spinner("Adding up every record…"):
        try:
            st.session_state[RESULT] = Verification(findings=data.verify(), checked_at=data.now())
        except VoiceLedgerError as exc:
            st.session_state[PROBLEM] = f"The checks could not be finished: {exc}"


def _show(result: Verification, zone: ZoneInfo) -> None:
    checked = formats.clock(result.checked_at, zone, now=data.now())
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{_summary(result)}** Checked at {formats.literal(checked)}.")
        for finding in result.findings:
            st.markdown(f"{verdict(finding)} {formats.literal(finding.message)}")


def verdict(finding: Finding) -> str:
    if finding.ok:
        return GOOD
    return WRONG if finding.is_error else TO_DO


def _summary(result: Verification) -> str:
    number = Counter(verdict(finding) for finding in result.findings)
    if number[WRONG]:
        return f"{number[WRONG]} of {counted(len(result.findings), 'check')} found something wrong."
    if number[TO_DO]:
        return f"Nothing is wrong; {counted(number[TO_DO], 'check')} found something to do."
    return f"All {len(result.findings)} checks are good."
