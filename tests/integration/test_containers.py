"""The containers' files, checked without an engine: by schema and linter, and each command run as it is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.embedded import Stack
from schemas.runtime.settings import Settings
from tests.support.json_schema import environment_without
from tests.support.sandbox import SandboxAdmin
from tests.support.world import MONTH, ROOT, Process, wait_for

INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("mailonce:")}


def tool(name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_fits_the_specification(tmp_path: Path) -> None:
    """The compose specification's own schema."""
    env = environment_without(tmp_path / "without")
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "infra/docker-compose.yml", env=env)


def test_the_dockerfile_passes_its_linter() -> None:
    """hadolint, with no rule left out."""
    tool("hadolint", "infra/Dockerfile")


def test_images_are_pinned_and_ports_are_loopback() -> None:
    """No tag that moves; nothing reachable from outside; what waits for a server waits for its health."""
    for name, service in COMPOSE["services"].items():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-\w+)?", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for other, about in (
            (service.get("depends_on") or {}).items() if isinstance(service.get("depends_on"), dict) else ()
        ):
            if "healthcheck" in COMPOSE["services"][other] and not COMPOSE["services"][other]["healthcheck"].get(
                "disable"
            ):
                assert about["condition"] == "service_healthy", f"{name} waits for {other}"


def test_our_containers_run_with_as_little_as_they_need() -> None:
    """Not as root, on a read-only root file system, without capabilities."""
    assert len(OURS) >= 7
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["tmpfs"] == ["/tmp"], name
    assert re.search(r"^USER 10001", (INFRA / "Dockerfile").read_text(), re.MULTILINE)


def test_settings_in_the_files_are_settings() -> None:
    """A misspelt variable would be ignored in silence."""
    known = {f"MAILONCE_{name.upper()}" for name in Settings.model_fields}
    text = (INFRA / "docker-compose.yml").read_text() + (INFRA / "Dockerfile").read_text()
    named = set(re.findall(r"\bMAILONCE_[A-Z0-9_]+", text))
    assert named <= known, named - known


def test_a_processor_has_time_to_end() -> None:
    """Longer than a call to SES may take: nothing is left in doubt by a deployment."""
    grace_s = float(COMPOSE["services"]["processor"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_fields["ses_read_timeout_s"].default


def command_of(service: dict[str, Any], places: dict[str, str]) -> list[str]:
    """As the container would run it, with this machine's places for the container's."""
    entry = service.get("entrypoint", ["mailonce"])
    words = [*entry, *service["command"]]
    words = [sys.executable, "-m", "mailonce", *words[1:]] if entry == ["mailonce"] else [sys.executable, *words[1:]]
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in words]
    for inside, outside in places.items():
        words = [word.replace(inside, outside) for word in words]
    return words


def env_of(service: dict[str, Any], hosts: dict[str, str]) -> dict[str, str]:
    env = {}
    for name, value in service["environment"].items():
        text = re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", str(value))
        for inside, outside in hosts.items():
            text = text.replace(inside, outside)
        env[name] = text
    return env


@pytest.fixture
def own_stack(tmp_path: Path) -> Any:
    stack = Stack(tmp_path / "stack", tied=True)
    try:
        stack.up(("kafka", "valkey", "ses", "sqs"))
        yield stack
    finally:
        stack.down()


@pytest.mark.long
def test_every_command_runs_as_it_is_written(own_stack: Stack, tmp_path: Path) -> None:
    """The compose file's own month: topics, templates, events, producer, workers, evidence, dashboard, health."""
    known = own_stack.env()
    sandbox = SandboxAdmin(known["AWS_ENDPOINT_URL_SESV2"], own_stack.folder / "ses")
    hosts = {
        "kafka:9092": known["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"],
        "redis://redis:6379/0": known["MAILONCE_REDIS_URL"],
        "http://ses-sandbox:8579": known["AWS_ENDPOINT_URL_SESV2"],
        "http://sqs:9324": known["AWS_ENDPOINT_URL_SQS"],
        "/000000000000/": "/123456789012/",
    }
    places = hosts | {
        "/templates": str(INFRA / "demo/templates"),
        "/sources": str(INFRA / "demo"),
        "0.0.0.0": "127.0.0.1",
    }
    base = {name: value for name, value in os.environ.items() if not name.startswith(("MAILONCE_", "AWS_"))}
    image = dict(re.findall(r"(MAILONCE_\w+)=(\S+)", (INFRA / "Dockerfile").read_text()))
    image |= {
        "MAILONCE_METRICS_HOST": "127.0.0.1",
        "MAILONCE_METRICS_PORT": "0",
        "MAILONCE_DASHBOARD_HOST": "127.0.0.1",
    }
    running: list[Process] = []

    def start(name: str, **more: str) -> Process:
        service = OURS[name]
        own = {"MAILONCE_DASHBOARD_PORT": "0", "MAILONCE_DASHBOARD_DIR": str(tmp_path / "board")}
        env = base | image | env_of(service, hosts) | own | more
        process = Process(command_of(service, places), env, tmp_path / f"{name}.log")
        running.append(process)
        return process

    try:
        for name in ("topics", "templates", "events"):
            process = start(name)
            assert process.wait() == 0, process.log.read_text()
        processor, evidence = start("processor"), start("evidence")
        dashboard = start("dashboard", MAILONCE_DASHBOARD_TOKEN="t", MAILONCE_METRICS_PORT="")
        producer = start("producer")
        assert producer.wait() == 3, producer.log.read_text()  # the demo's source holds bad rows
        wait_for(lambda: sandbox.accepted_count() >= 1000, "the month", timeout_s=120)
        wait_for(lambda: dashboard.says("dashboard served"), "the dashboard")
        ports = [
            wait_for(lambda p=p: [e["port"] for e in p.events() if e["event"] == "metrics served"], "metrics")[0]
            for p in (processor, evidence)
        ]
        for port in ports:
            health = [sys.executable, "-m", "mailonce.health"]
            done = subprocess.run(health, env=base | {"MAILONCE_METRICS_PORT": str(port)}, check=False, cwd=ROOT)
            assert done.returncode == 0
        nobody = base | {"MAILONCE_METRICS_PORT": "9", "MAILONCE_DASHBOARD_PORT": "9"}
        assert subprocess.run(health, env=nobody, check=False, cwd=ROOT).returncode == 1
        assert [process.terminate() for process in (processor, evidence, dashboard)] == [0, 0, 0]
        status = [sys.executable, "-m", "mailonce", "status", "--month", MONTH, "--json"]
        done = subprocess.run(
            status, env=base | image | known, capture_output=True, text=True, check=True, cwd=tmp_path
        )
        facts = json.loads(done.stdout)
        assert (facts["jobs"], facts["sent"], facts["pending"]) == (1000, 1000, 0)
    finally:
        for process in running:
            if process.running:
                process.kill()
