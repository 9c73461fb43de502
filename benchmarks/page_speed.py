"""How soon the pages stand, with 200 workspaces and two years of hours in the store, beside bare pages of the same run.

python -m benchmarks.page_speed [--workspaces 200] [--no-browser] [URL…]

First what each page asks of the store, with nothing cached: in two years of history, and in a tenth of them; "work" is
what the processor did of it, which other programs do not make longer, and "next run" what is asked again later. Then
Chromium with a warm cache: time to the last element, beside a bare Streamlit page with as many metrics, charts and
rows; and the time that a click on a filter takes. The files are kept in data/bench for the rest of the day.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.page_speed_browser import compare
from benchmarks.page_speed_store import built
from sync.times import utc_now

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "data" / "bench"
TWO_YEARS = timedelta(days=730)

URLS = ["/", "/twilio", "/elevenlabs", "/workspace?workspace=Client+001", "/calls", "/sync", "/settings"]


def reads_of(file: Path, urls: list[str]) -> dict[str, dict[str, Any]]:
    """Return what page_speed_queries.py finds, in a process of its own: one process has one store."""
    command = [sys.executable, "-m", "benchmarks.page_speed_queries", *urls]
    done = subprocess.run(  # noqa: S603 - our own module, and paths of our own pages
        command, cwd=ROOT, env=environment(file), check=True, capture_output=True, text=True
    )
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])  # the log comes before it
    return answer


def environment(file: Path) -> dict[str, str]:
    return {**os.environ, "DATABASE_PATH": str(file), "TIMEZONE": "UTC", "SUPABASE_URL": "", "SUPABASE_KEY": ""}


def show_reads(long: dict[str, dict[str, Any]], short: dict[str, dict[str, Any]]) -> None:
    typer.echo(
        f"{'page':<34}{'store':>9}{'(work)':>9}{'tenth':>9}{'(work)':>9}{'ratio':>7}{'(work)':>8}"
        f"{'queries':>9}{'next run':>9}{'script':>9}  slowest"
    )
    for url, read in long.items():
        typer.echo(
            f"{url:<34}{read['store']:>6.0f} ms{read['processor']:>6.0f} ms"
            f"{short[url]['store']:>6.0f} ms{short[url]['processor']:>6.0f} ms"
            f"{read['store'] / short[url]['store']:>7.2f}{read['processor'] / short[url]['processor']:>8.2f}"
            f"{sum(read['queries'].values()):>9}{sum(read['queries_of_next_run'].values()):>9}"
            f"{read['script']:>6.0f} ms  "
            + ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in read["slowest"].items())
        )
        for error in read["errors"]:
            typer.echo(f"    shows an error: {error}")


def main(
    urls: Annotated[list[str] | None, typer.Argument(help="Paths of pages; all of them by default.")] = None,
    workspaces: Annotated[int, typer.Option(help="How many there are, Unassigned among them.")] = 200,
    browser: Annotated[bool, typer.Option(help="Open the pages in Chromium, too.")] = True,
) -> None:
    """Print both tables."""
    pages = [url for url in urls or URLS if (ROOT / "pages" / f"{page_of(url)}.py").exists()]
    long = built(FOLDER, workspaces=workspaces, history=TWO_YEARS, now=utc_now())
    short = built(FOLDER, workspaces=workspaces, history=TWO_YEARS / 10, now=utc_now())
    reads = reads_of(long, pages)
    show_reads(reads, reads_of(short, pages))
    if browser:
        typer.echo("")
        compare(environment(long), reads)


def page_of(url: str) -> str:
    return url.partition("?")[0].strip("/") or "workspaces"


if __name__ == "__main__":
    typer.run(main)
