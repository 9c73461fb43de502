"""Logs of real processes: text on a terminal, JSON on every line elsewhere, and never what must not be in a log."""

import json
import logging
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from streamlit import logger as streamlits

from dashboard import streamlit_logs
from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.times import utc_now
from tests.browser.conftest import free_port, wait_for_answer

ROOT = Path(__file__).parent.parent
PATIENCE = 40  # seconds

EVENTS = """
import logging, sys, threading, warnings
import structlog
from sync import logs

logs.configure(sys.argv[1])
log = structlog.get_logger("sync.test")
log.info("Twilio: 3 records saved", source="twilio", run_id=7)
log.debug("not worth a line")
logging.getLogger("httpx").warning("%s is called from +12025550101, %%2B12025550101", "a page")
logging.getLogger("httpx").info("not worth a line")
warnings.warn("something is old")
log.warning("refused: \\x1b[2Ja\\nb\\x85c\\u2028d")

def fail():
    key = "-".join(["secret", "7c21"])
    raise RuntimeError("a bug")

try:
    fail()
except RuntimeError as exc:
    log.error("It failed", exc_info=exc)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def environment(folder: Path, **variables: str) -> dict[str, str]:
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_PATH": str(folder / "ledger.db")}
    return plain | variables


def events(form: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", EVENTS, form], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert done.stdout == "", "answers only"
    assert "secret-7c21" not in done.stderr, "no local variables"
    return done.stderr.splitlines()


def on_a_terminal(*command: str, folder: Path, **variables: str) -> str:
    """Return what a command writes when all its output is a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder, **variables), stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    said = b""
    try:
        while chunk := os.read(ours, 10_000):
            said += chunk
    except OSError:  # Linux' way to say that the other side is closed
        pass
    finally:
        os.close(ours)
        process.wait(PATIENCE)
    return said.decode()


@pytest.fixture
def provided() -> Iterator[dict[str, str]]:
    """Give the settings of an account at simulated providers, with a day of records."""
    with running(create_app(Fleet(opened_at=utc_now(), days=1, scale=0.2))) as url:
        yield {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": url,
            "ELEVENLABS_API_KEY": ELEVENLABS_API_KEY,
            "ELEVENLABS_BASE_URL": url,
            "FIRST_SYNC_DAYS": "1",
        }


def read(lines: list[str]) -> list[dict[str, Any]]:
    """Return the objects; a line that is none fails here."""
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("form", ["auto", "json"])
def test_on_a_pipe_every_line_is_a_json_object_also_those_of_libraries_and_of_bugs(form: str, tmp_path: Path) -> None:
    told = read(events(form, tmp_path))

    assert [(each["level"], each["logger"]) for each in told] == [
        ("info", "sync.test"),
        ("warning", "httpx"),
        ("warning", "py.warnings"),
        ("warning", "sync.test"),
        *[("error", "sync.test"), ("error", "sync"), ("error", "sync")],
    ]
    assert told[0] | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "event": "Twilio: 3 records saved",
        "logger": "sync.test",
        "source": "twilio",
        "run_id": 7,
    }
    assert told[0]["timestamp"].endswith("Z")
    assert all(each["exception"].endswith("RuntimeError: a bug") for each in told[4:])


def test_text_has_the_sentence_alone_and_says_which_library_speaks(tmp_path: Path) -> None:
    first, second, *_ = events("text", tmp_path)

    assert first.endswith("[info     ] Twilio: 3 records saved")
    assert second.endswith("[warning  ] a page is called from …0101, …0101 [httpx]")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_caller_wrote_neither_begins_a_line_nor_moves_the_cursor(form: str, tmp_path: Path) -> None:
    [told] = [line for line in events(form, tmp_path) if "refused: " in line]

    assert told.replace("\\\\", "\\").count(r"refused: \x1b[2Ja\nb\x85c\u2028d") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_of_a_phone_number_four_digits_are_left(form: str, tmp_path: Path) -> None:
    told = "\n".join(events(form, tmp_path))

    assert "12025550101" not in told
    assert "…0101" in told


def test_on_a_terminal_people_read_text(tmp_path: Path) -> None:
    told = on_a_terminal(sys.executable, "-c", EVENTS, "auto", folder=tmp_path)

    assert "Twilio: 3 records saved" in told
    assert "run_id" not in told
    assert '{"' not in told


def test_json_can_be_asked_for_on_a_terminal(tmp_path: Path) -> None:
    told = on_a_terminal(sys.executable, "-c", EVENTS, "json", folder=tmp_path)

    assert len(read(told.splitlines())) == 7


def test_a_command_that_fails_says_so_in_the_format_of_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sync", "all"]
    wrong = environment(tmp_path, TIMEZONE="Middle/Earth")

    piped = subprocess.run(command, cwd=tmp_path, env=wrong, capture_output=True, text=True)
    seen = on_a_terminal(*command, folder=tmp_path, TIMEZONE="Middle/Earth")

    sentence = "TIMEZONE must be a time zone such as Europe/Madrid. Correct it in .env or the environment."
    (told,) = read(piped.stderr.splitlines())
    assert (told["level"], told["event"]) == ("error", sentence)
    assert f"Error:\x1b[0m {sentence}" in seen


def test_a_malformed_format_is_told_and_the_log_is_written_as_if_there_was_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sync", "all"]
    wrong = environment(tmp_path, LOG_FORMAT="xml")

    (told,) = read(subprocess.run(command, env=wrong, cwd=tmp_path, capture_output=True, text=True).stderr.splitlines())

    assert told["event"].startswith("LOG_FORMAT input should be 'auto', 'text' or 'json'.")


def test_the_scheduler_tells_machines_which_run_it_was_and_how_it_went(
    tmp_path: Path, provided: dict[str, str]
) -> None:
    variables = environment(tmp_path, **provided) | {"ELEVENLABS_API_KEY": "wrong-key-7c21"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sync", "scheduler"], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    origins, *told = read([process.stderr.readline() for _ in range(5)])
    process.terminate()
    rest = process.communicate(timeout=PATIENCE)[1]

    assert rest == ""
    assert origins["event"].startswith("Settings come from the environment (TWILIO_ACCOUNT_SID, ")
    started, saved, _, refused = told
    assert started["source"] == "twilio"
    assert saved["event"].startswith("Twilio: ")
    assert (saved["source"], saved["kind"], saved["state"], saved["failed"]) == ("twilio", "sweep", "ok", 0)
    assert saved["saved"] > 0
    assert saved["seconds"] > 0
    assert (refused["level"], refused["state"], refused["error"]) == ("error", "failed", "WrongCredentialsError")
    assert refused["run_id"] == saved["run_id"] + 1
    assert AUTH_TOKEN not in str(told)
    assert "wrong-key-7c21" not in str(told)


@pytest.mark.slow  # the dashboard takes some seconds to start
def test_the_dashboard_writes_json_on_every_line(tmp_path: Path, provided: dict[str, str]) -> None:
    port = free_port()
    process = subprocess.Popen(
        [*(sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")), "--server.port", str(port)],
        cwd=tmp_path,
        env=environment(tmp_path, **provided, CRON_SECRET="cron-7c21-of-the-tests", HOME=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/api/health", process)
        secret = {"Authorization": "Bearer cron-7c21-of-the-tests"}
        httpx.post(f"http://127.0.0.1:{port}/api/sync-elevenlabs", headers=secret, timeout=PATIENCE)
        time.sleep(1)
    finally:
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE)

    told = read(err.splitlines())
    assert out == ""
    assert told[0]["event"] == f"Voice Ledger: dashboard and API on http://localhost:{port}"
    assert "cron-7c21" not in err


class RefusedError(Exception):
    error = "invalid_client"


@pytest.mark.parametrize(
    ("failure", "told"),
    [(RefusedError("User ana signed in"), "invalid_client"), (ValueError("User ana signed in"), "ValueError")],
)
def test_a_sign_in_that_failed_is_a_line_without_the_words_of_others(
    failure: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    streamlit_logs.hand_on()
    streamlit_logs.hand_on()
    logger = logging.getLogger(streamlit_logs.SIGN_INS)

    try:
        raise failure
    except Exception:
        logger.warning("The exchange with %s failed.", "google", exc_info=True)

    said = {(each.getMessage(), each.exc_info) for each in caplog.records if each.name == streamlit_logs.SIGN_INS}
    assert said == {(f"The exchange with google failed. ({told})", None)}


def test_loggers_that_streamlit_makes_later_have_no_handler_of_their_own() -> None:
    streamlit_logs.hand_on()

    later = streamlits.get_logger("streamlit.made_later")

    consoles = [h for each in streamlits._loggers.values() for h in each.handlers if type(h) is logging.StreamHandler]
    assert later.handlers == consoles == []
    assert later.propagate
