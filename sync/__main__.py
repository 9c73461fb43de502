"""`python -m sync`: see `python -m sync --help`."""

from sync import stopping
from sync.cli import app

stopping.interrupt_on_signals()
app(prog_name="python -m sync")
