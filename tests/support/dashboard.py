"""A dashboard of a test's world, as a process, and its API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.support.world import WAIT_S, Process, World, wait_for

__all__ = ["TOKEN", "Dashboard", "start_dashboard"]

TOKEN = "a test's token"


@dataclass
class Dashboard:
    process: Process
    url: str

    def ask(self, path: str, token: str = TOKEN, data: bytes | None = None) -> tuple[int, str]:
        """Status and body."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def api(self, path: str) -> Any:
        status, body = self.ask(f"/api/{path}")
        assert status == 200, f"{status}: {body}"
        return json.loads(body)

    def metric(self, name: str) -> float:
        lines = [line for line in self.ask("/metrics")[1].splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    @property
    def ready(self) -> bool:
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False


def start_dashboard(world: World, port: str = "0", **env: str) -> Dashboard:
    """Waits until it has read what the topics hold."""
    own = {"MAILONCE_DASHBOARD_TOKEN": TOKEN, "MAILONCE_DASHBOARD_DIR": str(world.folder / "dashboard")}
    process = world.start("dashboard", "--port", port, **(own | env))

    def served() -> list[str]:
        assert process.running, process.log.read_text()[-3000:]
        return [event["url"] for event in process.events() if event["event"] == "dashboard served"]

    dashboard = Dashboard(process, wait_for(served, "the dashboard's start")[0].rstrip("/"))
    wait_for(lambda: dashboard.ready, "readiness")
    return dashboard
