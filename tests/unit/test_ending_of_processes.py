"""The end of a process: by Python's own exit, and at once where that would wait for what was left behind."""

from __future__ import annotations

import io
import os
import queue
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.runtime import ending
from schemas.runtime.ending import leave, leave_within
from schemas.runtime.logs import Event
from tests.support.world import ROOT

STUCK = """
import asyncio, threading
from schemas.runtime import ending

async def main():
    calls = [asyncio.ensure_future(ending.in_thread(threading.Event().wait))]
    await ending.end(*calls, limit_s=0.1)

ending.run(main())
print("left")
{leave}
"""


def test_a_process_leaves_without_its_hanging_thread() -> None:
    """The exit code and what was printed are kept."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK.format(leave="ending.leave(7)")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "left\n")


def test_a_framework_that_does_not_end_is_ended() -> None:
    """The dashboard's last resort."""
    source = (
        "import threading\nfrom schemas.runtime import ending\nending.leave_within(0.1, 5)\nthreading.Event().wait()"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 5


# ---- the same within this process ----


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> queue.SimpleQueue[int]:
    """The codes with which this process would have ended at once."""
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    monkeypatch.setattr(os, "_exit", codes.put)
    return codes


def test_a_process_leaves_as_always_when_nothing_is_left_behind(
    ends: queue.SimpleQueue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own exit runs what was registered for it."""
    monkeypatch.setattr(ending, "_behind", set())
    with pytest.raises(SystemExit) as usual:
        leave(7)
    assert (usual.value.code, ends.empty()) == (7, True)


@pytest.mark.parametrize("closed", [False, True])
def test_a_process_leaves_at_once_when_something_is(
    closed: bool, ends: queue.SimpleQueue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was printed is read, and the code is kept, also when nobody reads any more."""
    monkeypatch.setattr(ending, "_behind", {"a call"})
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    print("left")
    if closed:
        output.close()
    with pytest.raises(SystemExit):
        leave(7)
    assert ends.get_nowait() == 7
    assert closed or output.getvalue() == b"left\n"


def test_the_last_resort_says_what_it_does(ends: queue.SimpleQueue[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends with the code that was given, and the log tells why."""
    said: list[dict[str, Any]] = []
    log = SimpleNamespace(error=lambda event, **about: said.append(about | {"event": event}))
    monkeypatch.setattr(ending, "log", log)
    leave_within(0, 5)
    assert ends.get(timeout=600) == 5
    assert [(entry["event"], entry["what"]) for entry in said] == [(Event.NOT_ENDED, "the process")]
