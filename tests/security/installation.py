"""The program as it is used, with made-up secrets: command line, scheduler and API, while all goes well and not."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.fleet import WORKSPACES
from tests.browser.conftest import ROOT
from tests.security.echoing_providers import FAILURES, EchoingProviders
from tests.security.witness import Evidence

ASKED = ("sync-runs", "sync-runs/1", "twilio-stats", "elevenlabs-stats", "workspaces", "health", "openapi.json")
POSTED = ("sync-hourly", "sync-elevenlabs-hourly", "sync-elevenlabs")
BY_TOKEN = {"TWILIO_API_KEY": "", "TWILIO_API_SECRET": ""}
PATIENCE = 60.0  # seconds
ENDED = re.compile(rb"(?:ElevenLabs|Twilio): (?!sync started)")  # the line about a run that is over


@dataclass
class Installation:
    """Its folder, what it is told by its environment, the providers it asks, and what left it."""

    folder: Path
    secrets: dict[str, str]
    providers: EchoingProviders
    variables: dict[str, str]
    evidence: Evidence

    def command(self, *arguments: str, place: str = "command line", **variables: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "sync", *arguments],
            cwd=ROOT,
            env=self.variables | variables,
            capture_output=True,
            timeout=PATIENCE,
        )
        self.evidence.add(place, done.stdout + done.stderr)

    def use_command_line(self) -> None:
        """Sync with the API key and with the token, register numbers, verify, back up."""
        numbers = self.folder / "numbers.csv"
        rows = [f"{owner.name},{line.number},{line.label}" for owner in WORKSPACES for line in owner.lines[:2]]
        numbers.write_text("\n".join(["workspace,phone_number,label", *rows, "Nobody,+1 202 555 01774444444444,"]))
        self.command("all")
        self.command("all", "--json", **BY_TOKEN)
        self.command("phones", "import", str(numbers))
        self.command("phones", "import", str(numbers), "--dry-run", "--json")
        self.command("verify", "--json", place="verification")
        self.command("backup", str(self.folder / "backup.db"))

    def fail_on_command_line(self) -> None:
        """Sync while the providers fail in every way; then with a store that fails, and a setting in a wrong place."""
        for failure in FAILURES:
            self.providers.failure = failure
            self.command("all")
        self.providers.failure = "unauthorized"
        self.command("twilio", **BY_TOKEN)
        elsewhere = {"SUPABASE_URL": self.variables["TWILIO_BASE_URL"], "SUPABASE_KEY": self.secrets["SUPABASE_KEY"]}
        self.command("verify", "--json", place="verification", **elsewhere)
        self.command("all", TWILIO_ACCOUNT_SID=self.secrets["TWILIO_AUTH_TOKEN"])
        self.providers.failure = None

    def schedule(self) -> None:
        """Let a scheduler catch up, once well and once not."""
        log = self.folder / "scheduler.log"
        for failure in (None, "unauthorized"):
            self.providers.failure = failure
            with log.open("wb") as output:
                command = [sys.executable, "-m", "sync", "scheduler"]
                process = subprocess.Popen(command, cwd=ROOT, env=self.variables, stdout=output, stderr=output)
            wait_until(lambda: len(ENDED.findall(log.read_bytes())) > 1)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            self.evidence.add("scheduler's log", log.read_bytes())
        self.providers.failure = None

    def ask(self, address: str) -> None:
        """Ask all that the API answers, with the secret and with a wrong one."""
        with httpx.Client(base_url=f"{address}/api/", trust_env=False, timeout=PATIENCE) as client:
            for secret in (self.secrets["CRON_SECRET"], "wrong"):
                client.headers["Authorization"] = f"Bearer {secret}"
                answers = [client.post(path) for path in POSTED] + [client.get(path) for path in ASKED]
                for answer in answers:
                    self.evidence.add("answers of the API", f"{answer.headers} {answer.text}")


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nothing came of it within {PATIENCE} seconds.")
        time.sleep(0.05)
