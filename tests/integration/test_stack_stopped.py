"""The embedded stack's start is stopped at its narrowest moments: no server is left that nobody knows of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.embedded import Stack
from infra.embedded.deferred import deferred
from infra.embedded.kafka import Cluster
from infra.embedded.stack import SERVICES
from tests.support.world import ROOT


@pytest.fixture
def stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[psutil.Process]]:
    """Ctrl-C as soon as a server runs, before anybody can have noted it; the servers."""
    servers: list[psutil.Process] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if options.get("start_new_session"):
                servers.append(psutil.Process(self.pid))
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    yield servers
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            server.kill()


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_that_was_just_started_is_stopped(
    tmp_path: Path, stopped_at_once: list[psutil.Process], name: str
) -> None:
    """Whichever it is; and it is known, so that a second Ctrl-C that breaks this off leaves it to `stack down`."""
    stack = Stack(tmp_path, tied=True)
    with pytest.raises(KeyboardInterrupt):
        stack.up((name,))
    assert len(stopped_at_once) == 1
    assert not stopped_at_once[0].is_running()
    assert [running.pid for running in stack.known().values()] == [stopped_at_once[0].pid]


KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from infra.embedded import Stack

class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if options.get("start_new_session"):
            os.kill(os.getpid(), signal.SIGKILL)

subprocess.Popen = Popen
Stack(Path(sys.argv[1])).up(("valkey",))
"""


def test_a_server_whose_starter_was_killed_is_found(tmp_path: Path) -> None:
    """SIGKILL before anybody can have noted that it runs: it noted so itself. `up` takes it and `down` stops it."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (server,) = (one for one in psutil.process_iter() if one.pid != os.getpid() and _stands_in(one, tmp_path))
    try:
        stack, said = Stack(tmp_path), list[str]()
        assert stack.status()["valkey"] == (stack.known()["valkey"], True)
        stack.up(("valkey",), said.append)
        assert any("answers" in line for line in said), "the killed start had not waited for that"
        assert stack.known()["valkey"].pid == server.pid
        said.clear()
        stack.up(("valkey",), said.append)
        assert said == []
        assert stack.down() == ["valkey"]
        assert not server.is_running()
        assert stack.down() == []
    finally:
        with suppress(psutil.NoSuchProcess):
            server.kill()


@pytest.mark.parametrize("text", ["", "6379 ", "6379 x", "6379 {ours}", "6379 999999999", "\0"])
def test_a_note_of_nobody_names_nobody(tmp_path: Path, text: str) -> None:
    """Cut off before the start, garbled, or of a process that is another by now."""
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey/valkey.pid").write_text(text.format(ours=os.getpid()))
    assert Stack(tmp_path).known() == {}


def _stands_in(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return Path(process.cwd()).is_relative_to(folder)
    return False


def test_a_cluster_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of its record would be taken for a damaged stack at every later start."""

    def broken_off(path: Path, text: str, **_: Any) -> int:
        path.write_bytes(text[:5].encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", broken_off)
        with pytest.raises(KeyboardInterrupt):
            Cluster.of(tmp_path, 1)
    made = Cluster.of(tmp_path, 1)
    assert made == Cluster.of(tmp_path, 1)
    assert json.loads((tmp_path / "kafka-cluster.json").read_text())["cluster_id"] == made.cluster_id


# ---- signals that wait ----


def test_signals_wait_for_the_end_of_a_step() -> None:
    """Then they take the way that they would have taken."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with deferred():
            signal.raise_signal(signal.SIGTERM)
            assert came == []
        assert came == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_step_that_fails_is_told_with_the_signal() -> None:
    def step() -> None:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            raise OSError("full")

    with pytest.raises(KeyboardInterrupt) as stopped:
        step()
    assert isinstance(stopped.value.__context__, OSError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_so() -> None:
    """A server inherits that (``nohup``), where a handler would be its default again."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_are_not_interrupted_anyway() -> None:
    """Python gives signals to the main thread alone, and lets no other set handlers."""
    ran: list[int] = []

    def step() -> None:
        with deferred():
            ran.append(os.getpid())

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert ran == [os.getpid()]
