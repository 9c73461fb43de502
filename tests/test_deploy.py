"""What deploy/ offers, followed as a stranger would: units, image, composition, cron, proxy, workflow."""

import configparser
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from sync.ports import free_port
from tests.scripted_server import Answer, ScriptedServer

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/voice-ledger/"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PATIENCE = 60  # seconds


def service_of(unit: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names of settings keep their case
    parser.read(unit)
    return parser["Service"]


def instructions(name: str) -> list[str]:
    """Return what follows an instruction of the Dockerfile, wherever it stands, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^\s*{name} (.*)", text, re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_starts_is_there_and_understands_its_options(unit: Path) -> None:
    program, *arguments = shlex.split(service_of(unit)["ExecStart"])

    installed = ROOT / program.removeprefix(INSTALLED)
    done = subprocess.run([str(installed), *arguments, "--help"], cwd=ROOT, capture_output=True, text=True)

    assert program.startswith(INSTALLED)
    assert (done.returncode, "Usage:" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_as_a_user_of_its_own_who_writes_nothing_but_data(unit: Path) -> None:
    service = service_of(unit)

    assert service["User"] == "voice-ledger"
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == f"{INSTALLED}data"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_has_files_for_many_visitors_and_leaves_memory_to_the_machine(unit: Path) -> None:
    service = service_of(unit)

    assert int(service["LimitNOFILE"]) >= 65536
    assert service["MemoryMax"] == "2G"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder laid out as the Dockerfile does, from its COPY lines alone."""
    folder = tmp_path_factory.mktemp("app")
    for line in instructions("COPY"):
        if line.startswith("--from"):
            continue
        source, target = line.split()
        if (ROOT / source).is_dir():
            copytree(ROOT / source, folder / target, ignore=lambda *_: ["__pycache__"])
        else:
            place = folder / target / Path(source).name if target == "./" else folder / target
            place.parent.mkdir(exist_ok=True)
            place.write_bytes((ROOT / source).read_bytes())
    (folder / "data").mkdir()
    return folder


@contextmanager
def container(image: Path, command: list[str], **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command in the layout of the image, with this Python in place of its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(image),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FIRST_SYNC_DAYS": "1",
        **variables,
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=image, env=environment, text=True, start_new_session=True, **pipes
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def files_of(image: Path) -> dict[Path, int]:
    return {
        path.relative_to(image): path.stat().st_mtime_ns
        for path in image.rglob("*")
        if path.is_file() and path.relative_to(image).parts[0] != "data"
    }


def test_the_image_serves_from_what_it_copies_and_writes_nothing_but_data(image: Path) -> None:
    before, port = files_of(image), free_port()
    check = [sys.executable, *(word.replace("3093", str(port)) for word in words(instructions("HEALTHCHECK")[0])[1:])]

    with container(image, [*words(instructions("CMD")[0]), f"--server.port={port}"], ALLOW_OPEN_DASHBOARD="true"):
        is_healthy = any(succeeds(check) for _ in range(PATIENCE))

    assert is_healthy
    assert files_of(image) == before
    assert (image / "data" / "demo.db").exists()


def words(instruction: str) -> list[str]:
    """Return the command of an instruction in its JSON form, without the options before it."""
    return [str(word) for word in json.loads(instruction[instruction.index("[") :])]


def succeeds(command: list[str]) -> bool:
    time.sleep(1)
    return subprocess.run(command, capture_output=True).returncode == 0


def test_the_image_refuses_to_serve_others_without_a_login(image: Path) -> None:
    with container(image, [*words(instructions("CMD")[0]), f"--server.port={free_port()}"]) as process:
        said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "set up [auth] as docs/access.md explains" in said


def test_what_the_image_copies_passes_the_ignore_file() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    copied = {line.split()[0] for line in instructions("COPY") if not line.startswith("--from")}

    assert copied == let_in


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def test_only_the_proxy_of_the_composition_can_be_reached(composition: dict[str, Any]) -> None:
    published = [name for name, service in composition["services"].items() if "ports" in service]

    assert published == ["proxy"]
    assert composition["services"]["proxy"]["environment"]["DASHBOARD"] == "dashboard:3093"


def test_dashboard_and_scheduler_share_data_and_settings_and_may_do_little(composition: dict[str, Any]) -> None:
    dashboard, scheduler = (composition["services"][name] for name in ("dashboard", "scheduler"))

    for service in (dashboard, scheduler):
        assert service["volumes"][0] == "data:/app/data"
        assert service["env_file"] == "../.env"
        assert service["read_only"] is True
        assert service["volumes"][1]["target"] == "/app/.streamlit/secrets.toml", "the settings of both"
        assert service["cap_drop"] == ["ALL"]
        assert (service["mem_limit"], service["ulimits"]) == ("2g", {"nofile": 65536})
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert dashboard["volumes"][1]["bind"] == {"create_host_path": False}


def test_cron_calls_the_api_at_the_minutes_of_the_scheduler() -> None:
    lines = [line.split() for line in (DEPLOY / "cron" / "voice-ledger").read_text().splitlines() if "curl -" in line]

    called = {line[0]: next(word.split("3093")[1] for word in line if word.startswith("http")) for line in lines}
    assert called == {"0": "/api/sync-hourly", "5": "/api/sync-elevenlabs-hourly"}
    assert all(line[1:6] == ["*", "*", "*", "*", "root"] for line in lines)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (401, 22)])
def test_the_curl_of_cron_sends_the_secret_from_its_file_and_shows_the_answer(
    tmp_path: Path, status: int, code: int
) -> None:
    config = tmp_path / "curl.conf"
    config.write_text((DEPLOY / "cron" / "curl.conf").read_text().replace("REPLACE-BY-CRON_SECRET", "s3cret"))
    with ScriptedServer() as server:
        server.on("/api/sync-hourly", Answer(status=status, body={"status": "said"}))

        done = subprocess.run(
            ["curl", "--config", str(config), "--noproxy", "*", f"{server.url}/api/sync-hourly"],
            capture_output=True,
            text=True,
        )

    (request,) = server.requests
    assert (request.method, request.headers["authorization"]) == ("POST", "Bearer s3cret")
    assert (done.returncode, done.stdout) == (code, '{"status": "said"}\n')


def test_the_proxy_speaks_of_tls_and_leads_to_the_dashboard() -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text()

    assert "Strict-Transport-Security" in caddyfile
    assert "reverse_proxy {$DASHBOARD:127.0.0.1:3093}" in caddyfile
    assert re.search(r"timeouts \{\s+read_header 10s", caddyfile), "else half a request keeps a connection"
    [idle_seconds] = re.findall(r"keepalive (\d+)s", caddyfile)
    assert int(idle_seconds) < uvicorn.Config("streamlit_app:app").timeout_keep_alive


def test_nginx_passes_on_what_the_dashboard_needs_as_caddy_does() -> None:
    told = (DEPLOY / "nginx.conf").read_text()

    for line in (
        "proxy_set_header Host $http_host;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_http_version 1.1;",
    ):
        assert line in told
    assert "Strict-Transport-Security" in told
    assert "server 127.0.0.1:3093;" in told
    [idle_seconds] = re.findall(r"keepalive_timeout (\d+)s", told)
    assert int(idle_seconds) < uvicorn.Config("streamlit_app:app").timeout_keep_alive


@pytest.mark.slow  # nginx is what `make test` installs
def test_nginx_takes_the_file_and_hands_host_and_upgrade_on(tmp_path: Path) -> None:
    port, key, certificate = free_port(), tmp_path / "key.pem", tmp_path / "certificate.pem"
    make_certificate(key, certificate)
    with ScriptedServer() as dashboard:
        dashboard.on("/_stcore/stream", Answer(body="came"))
        told = (DEPLOY / "nginx.conf").read_text().replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        told = told.replace("listen 443", f"listen 127.0.0.1:{port}").replace("127.0.0.1:3093", dashboard.url[7:])
        told = re.sub(r"/etc/letsencrypt/\S*privkey.pem", str(key), told)
        told = re.sub(r"/etc/letsencrypt/\S*fullchain.pem", str(certificate), told)
        places = " ".join(
            f"{kind}_temp_path {tmp_path};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi", "client_body")
        )
        whole = tmp_path / "whole.conf"
        whole.write_text(f"pid {tmp_path}/pid; daemon off; events {{}} http {{ access_log off; {places}\n{told}\n}}")
        nginx = ["nginx", "-p", str(tmp_path), "-c", str(whole), "-e", "stderr"]

        tested = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
        assert tested.returncode == 0, tested.stderr
        with subprocess.Popen(nginx, stderr=subprocess.PIPE) as running:
            try:
                answer = upgrade_through(port, certificate)
            finally:
                running.terminate()

    assert answer == "came"
    [request] = dashboard.requests
    assert request.headers["host"] == "ledger.example.com"
    assert (request.headers["upgrade"], request.headers["connection"]) == ("websocket", "upgrade")


def make_certificate(key: Path, certificate: Path) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=ledger.example.com",
    ]
    command += ["-addext", "subjectAltName=DNS:ledger.example.com", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


def upgrade_through(port: int, certificate: Path) -> str:
    """Ask for a WebSocket as a browser does, and return what comes back."""
    address = f"https://127.0.0.1:{port}/_stcore/stream"
    headers = {"Host": "ledger.example.com", "Upgrade": "websocket", "Connection": "Upgrade"}
    context = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=context, trust_env=False) as client:
        for _ in range(PATIENCE):
            try:
                request = client.build_request(
                    "GET", address, headers=headers, extensions={"sni_hostname": "ledger.example.com"}
                )
                return client.send(request).text
            except httpx.ConnectError:
                time.sleep(0.2)
    raise TimeoutError("nginx does not answer")


# The first of each that runs on node24: runners no longer have node20.
OLDEST_MAJOR = {"actions/checkout": 5, "actions/setup-python": 6, "actions/upload-artifact": 6}
RUNNERS = {"ubuntu-24.04", "ubuntu-latest"}


@pytest.mark.parametrize("name", ["ci.yml", "audit.yml"])
def test_workflows_use_runners_and_actions_that_there_are(name: str) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())

    for job in workflow["jobs"].values():
        assert job["runs-on"] in RUNNERS
        for action, major in (step["uses"].split("@v") for step in job["steps"] if "uses" in step):
            assert int(major) >= OLDEST_MAJOR[action]


def test_the_workflow_runs_the_script_of_ci() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())

    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {"contents": "read"}
    assert any(".ci/run" in step.get("run", "") for step in job["steps"])
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
