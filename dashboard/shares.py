"""Which part of each provider's cost is one workspace's."""

import streamlit as st

from dashboard import access, data
from dashboard.both_providers import BothProviders
from dashboard.filters import View
from dashboard.formats import UNKNOWN, literal
from sync.metrics import Amount, elevenlabs_cost, ratio, twilio_cost
from sync.models import PROVIDER_NAMES, Source


def show(view: View, both: BothProviders) -> None:
    """Draw one line, e.g. `12.5% of all Twilio cost · 8.0% of all ElevenLabs cost`."""
    if access.current_user().is_client:
        return  # what there is in all is not told
    of_all = []
    if "twilio" in both.sources:
        whole = twilio_cost(data.twilio(view.period, None).total)
        of_all.append(_share("twilio", twilio_cost(both.usage.total.twilio), whole))
    if "elevenlabs" in both.sources:
        whole = elevenlabs_cost(data.elevenlabs(view.period, None).total)
        of_all.append(_share("elevenlabs", elevenlabs_cost(both.usage.total.elevenlabs), whole))
    st.caption(literal(" · ".join(of_all)))


def _share(source: Source, cost: Amount | None, whole: Amount | None) -> str:
    share = ratio(cost, whole or 0)
    return f"{UNKNOWN if share is None else f'{share:.1%}'} of all {PROVIDER_NAMES[source]} cost"
