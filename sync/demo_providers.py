"""The simulated providers as a process: the one that is running, or one started for as long as it is needed."""

import subprocess
import sys
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock

import httpx
from pydantic import SecretStr

from demo import credentials, registry
from sync.errors import ProviderDownError, StoppedError
from sync.registry import AddWorkspace, RegisterAgent, RegisterNumber
from sync.settings import Settings
from sync.store import Store

PROJECT = Path(__file__).parent.parent
START_TIME, LOOK_EVERY = timedelta(seconds=30), timedelta(seconds=0.3)
ADDRESS_LINE = "Demo providers on "


class DemoProviders:
    """Finds the demo server of `make run` on its port; without a port, starts one that ends with this process."""

    def __init__(self, port: int | None) -> None:
        self._shared = f"http://127.0.0.1:{port}" if port else None
        self._own: subprocess.Popen[str] | None = None
        self._own_address = ""
        self._lock = Lock()

    def close(self) -> None:
        if self._own:
            self._own.terminate()
            self._own.communicate()
            self._own = None

    def settings(self, should_stop: Event | None = None) -> Settings:
        """Return settings that lead to the simulated providers. They are waited for until `should_stop` is set."""
        address = self._address(should_stop or Event())
        return Settings.model_construct(
            twilio_account_sid=credentials.ACCOUNT_SID,
            twilio_auth_token=SecretStr(credentials.AUTH_TOKEN),
            twilio_base_url=address,
            elevenlabs_api_key=SecretStr(credentials.ELEVENLABS_API_KEY),
            elevenlabs_base_url=address,
        )

    def _address(self, should_stop: Event) -> str:
        if self._shared:
            return _awaited(self._shared, should_stop)
        with self._lock:  # Sync now asks for both providers at the same moment
            return self._own_address if self._own and self._own.poll() is None else self._start()

    def _start(self) -> str:
        """Start a server on a free port. The fleet is a function of the clock, so every server tells the same."""
        self._own = subprocess.Popen(
            [sys.executable, "-m", "demo", "--port", "0", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            start_new_session=True,  # Ctrl-C in a terminal is for us: it ends after us, when its input closes
        )
        line = self._own.stdout.readline() if self._own.stdout else ""
        if not line.startswith(ADDRESS_LINE):
            raise ProviderDownError("The simulated providers did not start; see the lines above.")
        self._own_address = line.removeprefix(ADDRESS_LINE).strip()
        return self._own_address


def _awaited(address: str, should_stop: Event) -> str:
    """Return the address once a server answers there: under `make run` all processes start at the same moment."""
    over = time.monotonic() + START_TIME.total_seconds()
    while True:
        try:
            httpx.get(f"{address}/v1/convai/agents", timeout=5, trust_env=False)
        except httpx.HTTPError as exc:
            if should_stop.wait(LOOK_EVERY.total_seconds()):
                raise StoppedError from exc
            if time.monotonic() > over:
                raise ProviderDownError(
                    f"The simulated providers do not answer on {address}; start them with `python -m demo`, or unset "
                    "DEMO_PORT."
                ) from exc
        else:
            return address


def register_demo_clients(store: Store, *, now: datetime) -> None:
    """Register what a user of the demo would have: workspaces, numbers with dates, agents.

    What is refused is there already: dashboard and scheduler start at the same moment.
    """
    store.change_registry(
        [
            *(AddWorkspace(name=name) for name in registry.WORKSPACES),
            *(RegisterNumber(**asdict(phone)) for phone in registry.phones(now)),
            *(RegisterAgent(**asdict(agent)) for agent in registry.agents()),
        ]
    )
