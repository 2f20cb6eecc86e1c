"""Alerts: rules that Prometheus takes, that fire when they should, on metrics that are really there."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.dashboard import TOKEN, start_dashboard
from tests.support.feed import published
from tests.support.world import MONTH, ROOT, WAIT_S, World, job, wait_for

INFRA = ROOT / "infra"
needs_prometheus = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("prometheus")), reason="no Prometheus here: `make tools`"
)
needs_alertmanager = pytest.mark.skipif(
    not shutil.which("prometheus-alertmanager"), reason="no Alertmanager here: `make tools`"
)


def run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=INFRA / "prometheus", capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_prometheus
def test_the_rules_are_rules_and_fire_when_they_should() -> None:
    """promtool reads them, and every alert has a case in which it fires; each has a section in the runbook."""
    run("promtool", "check", "rules", "alerts.yml")
    run("promtool", "test", "rules", "alerts_test.yml")
    names = re.findall(r"- alert: (\w+)", (INFRA / "prometheus/alerts.yml").read_text())
    cases = (INFRA / "prometheus/alerts_test.yml").read_text()
    runbook = (ROOT / "docs/runbook.md").read_text()
    assert len(names) > 10
    for name in names:
        assert f"alertname: {name}\n" in cases, f"{name} is never seen to fire"
        assert f"### {name}\n" in runbook, f"{name} has no section in the runbook"


@needs_alertmanager
def test_the_example_route_is_one() -> None:
    """amtool reads it."""
    run("amtool", "check-config", str(INFRA / "alertmanager/alertmanager.yml"))


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bmailonce_[a-z_]+", text))


def test_every_metric_in_rules_and_panels_is_exposed(world: World, feed: Any) -> None:
    """What a processor, the evidence and the dashboard really tell holds every name that somebody relies on."""
    world.sandbox.fault("accept_drop", address="doubt*")
    world.sandbox.fault("throttle", address="slow*", count=1)
    world.publish([*(job(f"u{n}") for n in range(20)), job("doubt"), job("slow")])
    processor = world.start("process", "--metrics-port", "0")
    evidence = world.start("evidence", "--metrics-port", "0")
    dashboard = start_dashboard(world)
    published(world)
    ports = [
        wait_for(lambda p=p: [e["port"] for e in p.events() if e["event"] == "metrics served"], "metrics")[0]
        for p in (processor, evidence)
    ]
    wanted = metrics_in((INFRA / "prometheus/alerts.yml").read_text())
    panels = json.loads((INFRA / "grafana/dashboards/mailonce.json").read_text())["panels"]
    wanted |= {name for panel in panels for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert len(wanted) > 20
    bodies: list[str] = []

    def missing() -> set[str]:
        bodies[:] = [fetch(port) for port in ports] + [dashboard.ask("/metrics")[1]]
        told = {line.partition(" ")[0].partition("{")[0] for body in bodies for line in body.splitlines()}
        declared = {line.split()[2] for body in bodies for line in body.splitlines() if line.startswith("# TYPE")}
        return wanted - told - declared

    wait_for(lambda: not missing(), f"all metrics; missing {missing()}")


def fetch(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def pager() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A webhook that keeps the alerts it is told of."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.extend({"path": self.path, **alert} for alert in body["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port, told
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            process.wait(WAIT_S)


def faster(rules: str) -> str:
    """The same rules, with seconds where they say minutes."""
    return re.sub(r"(\bfor: |\[)(\d+)m\b", lambda found: f"{found[1]}{max(2, int(found[2]))}s", rules)


@pytest.mark.long
@needs_prometheus
@needs_alertmanager
def test_mail_that_stops_is_told_to_the_pager(world: World) -> None:
    """End to end: the shipped rules and route, a processor that dies in mid-month, and the alert that arrives."""
    world.sandbox.set(latency_ms=50, max_send_rate=40)
    world.publish(job(f"u{n}") for n in range(1500))
    processor = world.start("process", "--metrics-port", "0", "--instance", "only")
    dashboard = start_dashboard(world)
    (port,) = wait_for(lambda: [e["port"] for e in processor.events() if e["event"] == "metrics served"], "metrics")
    folder = world.folder
    (folder / "alerts.yml").write_text(faster((INFRA / "prometheus/alerts.yml").read_text()))
    (folder / "dashboard.token").write_text(TOKEN)
    manager_port, prometheus_port = free_port(), free_port()
    config = (INFRA / "prometheus/prometheus.yml").read_text()
    for ours, theirs in (
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("127.0.0.1:9093", f"127.0.0.1:{manager_port}"),
        ("127.0.0.1:9464", f"127.0.0.1:{port}"),
        ("127.0.0.1:8600", dashboard.url.removeprefix("http://")),
    ):
        assert ours in config
        config = config.replace(ours, theirs)
    (folder / "prometheus.yml").write_text(config)
    with pager() as (pager_port, told):
        route = (INFRA / "alertmanager/alertmanager.yml").read_text()
        route = route.replace("127.0.0.1:9099", f"127.0.0.1:{pager_port}").replace("group_wait: 30s", "group_wait: 1s")
        # Both alerts are wanted here: the one that the other would hide as well.
        (folder / "alertmanager.yml").write_text(re.sub(r"inhibit_rules:.*?\n\n", "", route, flags=re.DOTALL))
        manager = [
            "prometheus-alertmanager",
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/am",
            f"--web.listen-address=127.0.0.1:{manager_port}",
            "--cluster.listen-address=",
        ]
        prometheus = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
        ]
        with running(manager, folder / "am.log"), running(prometheus, folder / "prometheus.log"):
            wait_for(lambda: world.sandbox.accepted_count() > 200, "mail to flow")
            assert not [alert for alert in told if alert["labels"]["alertname"] == "MailonceNothingSent"]
            processor.kill()

            def alert(name: str) -> list[dict[str, Any]]:
                return [one for one in told if one["labels"]["alertname"] == name and one["status"] == "firing"]

            wait_for(lambda: alert("MailonceNothingSent") and alert("MailonceNoProcessor"), "the alerts")
    (nothing, *_) = alert("MailonceNothingSent")
    assert (nothing["path"], nothing["labels"]["month"]) == ("/page", MONTH)
    assert "mails of 2026-11 wait" in nothing["annotations"]["summary"]
