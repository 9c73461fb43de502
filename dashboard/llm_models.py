"""What each language model took, as a table: tokens by kind and their price."""

from dashboard.tables import TOTAL, Row, Table
from sync.elevenlabs_metrics import ModelUsage, models, models_together
from sync.models import LlmUsage


def table(usage: LlmUsage) -> Table[ModelUsage]:
    """Return one row per model, the highest price first, then the total."""
    rows = [Row(name=model, totals=ModelUsage(categories=dict(used))) for model, used in usage.items()]
    rows.sort(key=lambda row: (-row.totals.price, row.name))
    return Table(heading="Model", metrics=models(usage), rows=[*rows, Row(name=TOTAL, totals=models_together(usage))])
