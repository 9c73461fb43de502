"""Seconds from an empty SQLite file to the demo's 90 days, over HTTP, beside the bare requests in the same order.

python -m benchmarks.first_fill [--scale 1.0]
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import httpx
import typer

from demo import credentials
from sync.bootstrap import build
from sync.demo_providers import DemoProviders
from sync.settings import Settings

CONCURRENCY = 8


def bare_requests(address: str) -> int:
    """Fetch every list page and every detail as the sync does, and throw them away. Return how many there were."""
    login = (credentials.ACCOUNT_SID, credentials.AUTH_TOKEN)
    requests = 0
    with httpx.Client(base_url=address, auth=login, timeout=60) as http:
        uri = f"/2010-04-01/Accounts/{credentials.ACCOUNT_SID}/Calls.json?PageSize=1000"
        while uri:
            uri, requests = http.get(uri).json()["next_page_uri"], requests + 1
    headers = {"xi-api-key": credentials.ELEVENLABS_API_KEY}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as http, ThreadPoolExecutor(CONCURRENCY) as pool:
        cursor, ids = "", []
        while cursor is not None:
            params = {"page_size": 100} | ({"cursor": cursor} if cursor else {})
            page = http.get("/v1/convai/conversations", params=params).json()
            ids += [entry["conversation_id"] for entry in page["conversations"]]
            cursor, requests = page["next_cursor"], requests + 1
        return requests + sum(pool.map(lambda i: http.get(f"/v1/convai/conversations/{i}").is_success, ids))


def main(folder: Annotated[str, typer.Option(help="Where the file goes.")] = "") -> None:
    """Print both times and their ratio."""
    demo = DemoProviders(None)
    address = demo.settings().twilio_base_url
    bare_requests(address)  # lets the server make its records, which neither side should wait for
    start = time.perf_counter()
    requests = bare_requests(address)
    bare = time.perf_counter() - start
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        settings = Settings.model_validate(
            {"DATABASE_PATH": Path(place) / "demo.db", "demo_port": httpx.URL(address).port}
        )
        services = build(settings)
        start = time.perf_counter()
        runs = [services.sync(source) for source in services.sources()]
        filled = time.perf_counter() - start
        services.close()
    demo.close()
    records = sum(run.saved for run in runs)
    typer.echo(
        f"{records:,} records in {filled:.1f} s; {requests:,} bare requests in {bare:.1f} s; {filled / bare:.2f}x"
    )


if __name__ == "__main__":
    typer.run(main)
