"""Processes of the tests: Python ones by fork where that is the same (`tests.support.fork_server`), others by exec.

``MAILONCE_TEST_PROCESSES=exec`` starts all of them by exec: slower by two seconds each.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.support.fork_server import START, Job

__all__ = ["Forked", "run", "start", "warm"]

ROOT = Path(__file__).parents[2]
FORKS = sys.platform == "linux" and os.environ.get("MAILONCE_TEST_PROCESSES", "fork") != "exec"
RUN_S = 300.0
"""Ten times what a command may take: it ends a command that hangs."""


class Forked:
    """A process that the fork server made, with what tests use of ``subprocess.Popen``."""

    def __init__(self, args: Sequence[str], report: socket.socket) -> None:
        self.args = args
        self.returncode: int | None = None
        self._report = report
        told, handles, _, _ = socket.recv_fds(report, 100, 1)
        if not told:
            raise RuntimeError("the fork server is gone")
        self.pid = int(told)
        self._handle = handles[0]

    def poll(self) -> int | None:
        """Its exit code once it has ended; minus the signal's number if a signal ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ready, _, _ = select.select([self._report], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            told = self._report.recv(100)
            # The server's end is every child's end.
            self.returncode = os.waitstatus_to_exitcode(int(told)) if told else -signal.SIGKILL
            self._report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing happens to one that has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        self._report.close()
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._handle)


class _Server:
    """This process's fork server."""

    def __init__(self) -> None:
        self.env = dict(os.environ)
        self._asking = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for who asks; then everything here ends
            )
        atexit.register(self.close)

    def fork(self, job: Job, args: Sequence[str], out: int, err: int) -> Forked:
        ours, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with report, self._asking:
            socket.send_fds(self._control, [job.to_bytes()], [out, err, report.fileno()])
        return Forked(args, ours)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


@functools.cache
def _server() -> _Server:
    return _Server()


def warm() -> None:
    """Lets the fork server import while something else is waited for."""
    if FORKS:
        _server()


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    out: IO[Any],
    err: IO[Any] | None = None,
    *,
    folder: Path = ROOT,
    new_session: bool = False,
) -> Forked | subprocess.Popen[bytes]:
    """Starts `command`, its errors going to its output unless `err` is given; ``[sys.executable, "-m", …]`` by fork."""
    err = err or out
    if FORKS and list(command[:2]) == [sys.executable, "-m"] and _starts_alike(env):
        job = Job(command[2], list(command[3:]), dict(env), str(folder), new_session)
        return _server().fork(job, command, out.fileno(), err.fileno())
    return subprocess.Popen(
        command,
        env=dict(env),
        cwd=folder,
        stdout=out,
        stderr=err,
        stdin=subprocess.DEVNULL,
        start_new_session=new_session,
    )


def _starts_alike(env: Mapping[str, str]) -> bool:
    """Whether a process started with `env` would have been started as the server was."""
    at_start = [{n: v for n, v in variables.items() if n.startswith(START)} for variables in (env, _server().env)]
    return at_start[0] == at_start[1]


def run(
    command: Sequence[str], env: Mapping[str, str], *, folder: Path = ROOT, timeout_s: float = RUN_S
) -> subprocess.CompletedProcess[str]:
    """`command` to its end, with its output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(command, env, out, err, folder=folder)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return subprocess.CompletedProcess(list(command), code, *texts)
