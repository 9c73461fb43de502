"""An OpenID provider of our own, and the secrets file of a dashboard that people sign in to there."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.browser.conftest import STARTED_WITHIN, ended_afterwards

COOKIE_SECRET, CLIENT_SECRET = "0123456789abcdef0123456789abcdef", "secret-of-the-client"
PEOPLE = {
    "ana": {"email": "ana@agency.example", "email_verified": True},
    "carla": {"email": "carla@agency.example", "email_verified": True},
    "boss": {"email": "boss@acme.example", "email_verified": True},
    "liar": {"email": "ana@agency.example", "email_verified": False},
    "stranger": {"email": "stranger@evil.example", "email_verified": True},
}


@contextmanager
def provider(port: int) -> Iterator[str]:
    """Run an OpenID provider that asks for a name and nothing else."""
    claims = [f"--user-claims={json.dumps({'sub': name, **said})}" for name, said in PEOPLE.items()]
    command = [sys.executable, "-m", "oidc_provider_mock", f"--port={port}", *claims]
    address = f"http://127.0.0.1:{port}"
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ended_afterwards(subprocess.Popen(command, text=True, **pipes)) as process:
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield address


def secrets_file(
    folder: Path, port: int, provider: str, *, cookie_secret: str = COOKIE_SECRET, client_secret: str = CLIENT_SECRET
) -> Path:
    path = folder / "secrets.toml"
    path.write_text(
        f"""
        [auth]
        redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
        cookie_secret = "{cookie_secret}"
        client_id = "ledger"
        client_secret = "{client_secret}"
        server_metadata_url = "{provider}/.well-known/openid-configuration"

        [access]
        admins = ["ana@agency.example"]
        analysts = ["@agency.example"]
        clients = {{ "boss@acme.example" = ["Acme"] }}
        """,
        encoding="utf-8",
    )
    return path
