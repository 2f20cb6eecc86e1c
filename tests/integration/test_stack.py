"""The embedded stack: up, down, kept data, clear errors, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from infra.embedded import Stack
from infra.embedded.jars import check_disk
from infra.embedded.service import is_alive
from schemas.errors import SetupError, UsageError
from tests.support.world import ROOT, wait_for


def mailonce(*args: str, cwd: Path, ok: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mailonce", *args], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == ok, done.stderr
    return done


def test_up_is_quick_and_a_restart_keeps_the_data(tmp_path: Path) -> None:
    """Everything within seconds, also on a machine with other work; ports, topics, keys and messages are there again; env is all a shell needs."""
    began = time.monotonic()
    mailonce("stack", "up", cwd=tmp_path)
    assert time.monotonic() - began < 30
    try:
        first = mailonce("stack", "env", cwd=tmp_path).stdout
        show = 'eval "$("$0" -m mailonce stack env)"; "$0" -m mailonce topics create --json'
        env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        done = subprocess.run(
            ["sh", "-c", show, sys.executable],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert [topic["created"] for topic in json.loads(done.stdout)] == [True] * 7
        known = Stack(tmp_path / ".mailonce/stack").known()
        client = redis.Redis(port=known["valkey"].port)
        client.set("kept", "yes")
        assert client.config_get("appendfsync")["appendfsync"] == "always"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        client.close()
        assert all(
            about["running"]
            for about in json.loads(mailonce("stack", "status", "--json", cwd=tmp_path).stdout).values()
        )
        mailonce("stack", "down", cwd=tmp_path)
        assert not any(is_alive(running) for running in known.values())
        mailonce("stack", "status", cwd=tmp_path, ok=1)
        mailonce("stack", "up", "--only", "kafka,valkey", cwd=tmp_path)
        assert mailonce("stack", "env", cwd=tmp_path).stdout == first
        done = subprocess.run(
            ["sh", "-c", show, sys.executable],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert [topic["created"] for topic in json.loads(done.stdout)] == [False] * 7
        client = redis.Redis(port=known["valkey"].port)
        assert client.get("kept") == b"yes"
        client.close()
    finally:
        mailonce("stack", "down", cwd=tmp_path)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Which service, which port, what to do; what had been started is stopped."""
    stack = Stack(tmp_path, tied=True)
    stack.up(("valkey",))
    port = stack.known()["valkey"].port
    stack.down()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(SetupError, match=f"valkey: port {port} is taken"):
            stack.up(("valkey",))


def test_a_service_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    """The end of its log is in the error."""
    (tmp_path / "ses").mkdir()
    (tmp_path / "ses/account.json").write_text("junk")
    with pytest.raises(SetupError, match=r"(?s)ses ended at once.*malformed"):
        Stack(tmp_path, tied=True).up(("ses",))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """No traceback about the disk."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="could not be started in"):
        Stack(tmp_path / "file", tied=True).up(("valkey",))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is free, and how much is needed."""
    monkeypatch.setattr("infra.embedded.jars._DISK_FREE_MIN", 1 << 60)
    with pytest.raises(SetupError, match="MB are free"):
        check_disk(tmp_path / "x")


def test_a_failed_download_is_named(tmp_path: Path) -> None:
    """What could not be fetched, why, and what to do."""
    env = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-m", "mailonce", "stack", "up", "--only", "kafka", "--dir", str(tmp_path / "s")]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 8
    assert "could not be downloaded from Maven Central" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_services_and_stacks_that_never_ran(tmp_path: Path) -> None:
    """Usage errors say what there is."""
    with pytest.raises(UsageError, match="there are kafka, valkey, ses, sqs"):
        Stack(tmp_path).up(("mysql",))
    assert "no such service" in mailonce("stack", "up", "--only", "mysql", cwd=tmp_path, ok=2).stderr
    assert "stack up" in mailonce("stack", "env", cwd=tmp_path, ok=2).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_demo_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    """Ctrl-C, a kill, even SIGKILL in the middle: no process stays."""
    with (tmp_path / "out").open("wb") as out:
        demo = subprocess.Popen([sys.executable, "-m", "infra.demo"], cwd=tmp_path, stdout=out, stderr=out)

    def children() -> list[psutil.Process]:
        return psutil.Process(demo.pid).children(recursive=True)

    wait_for(lambda: len(children()) >= 4, "the demo's processes", 40)
    family = children()
    demo.send_signal(number)
    code = demo.wait(30)
    assert code == (130 if number != signal.SIGKILL else -9)
    _, alive = psutil.wait_procs(family, timeout=15)
    # Processes that ended with their parent are zombies until init reaps them.
    assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_the_demo_runs(tmp_path: Path) -> None:
    """The main job, with the crash at e-mail 55: no duplicate, every job with an outcome, within two minutes beside other tests."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 120
    for says in (
        "producer killed (SIGKILL)",
        "processor one killed (SIGKILL)",
        "duplicates accepted",
        "message-rejected",
    ):
        assert says in done.stdout
