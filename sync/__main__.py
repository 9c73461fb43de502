"""`python -m sync`: see `python -m sync --help`."""

from sync.cli import app

app(prog_name="python -m sync")
