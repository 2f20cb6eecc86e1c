"""What the processes of a failed test were doing: the ends of their logs, and where each of their threads is."""

from __future__ import annotations

import time

import pytest

from tests.support.fork_server import WHERE
from tests.support.processes import Forked
from tests.support.world import Process, World

__all__ = ["tell"]

SHOWN = 6_000
"""Characters of a log, and of the threads after it."""
TELLS_S = 5.0
"""One that does not run cannot tell."""


def tell(item: pytest.Item, report: pytest.TestReport) -> None:
    """Adds a section to `report` for each process that the test's worlds have started."""
    fixtures = getattr(item, "funcargs", {}).values()
    for world in (fixture for fixture in fixtures if isinstance(fixture, World)):
        for process in world.processes:
            state = "runs" if process.running else f"ended with {process.wait(0)}"
            report.sections.append((f"{process.log.name}: {state}", _end(process)))


def _end(process: Process) -> str:
    log = process.log.read_text(errors="replace")
    threads = _threads(process, len(log))
    return f"{log[-SHOWN:]}\n{threads[:SHOWN]}"


def _threads(process: Process, after: int) -> str:
    """What it writes of its threads, where it can."""
    if not isinstance(process.itself, Forked) or not process.running or process.stopped:
        return ""
    process.signal(WHERE)
    deadline = time.monotonic() + TELLS_S
    written = ""
    while "Current thread" not in written and time.monotonic() < deadline:
        time.sleep(0.02)
        written = process.log.read_text(errors="replace")[after:]
    return written
