"""What each language model took, as a table: tokens by kind and their price."""

from dashboard.tables import TOTAL, Row, Table
from sync.elevenlabs_metrics import ModelUsage, model_usage, models, models_together
from sync.models import LlmUsage


def table(usage: LlmUsage) -> Table[ModelUsage]:
    """Return one row per model, the highest price first, then the total."""
    rows = [Row(name=model, totals=model_usage(used)) for model, used in usage.items()]
    rows.sort(key=lambda row: (-(row.totals.price or 0), row.name))
    return Table(heading="Model", metrics=models(usage), rows=[*rows, Row(name=TOTAL, totals=models_together(usage))])
