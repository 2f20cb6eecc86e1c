"""Python processes for tests without Python's start: a process that has imported everything forks itself.

``python -m tests.support.fork_server FD``, by `tests.support.processes`; FD is its end of a socket pair. A request is a
`Job` and three open files: standard output, standard error, and a socket for what becomes of the child. It is started
anew by each worker of the tests, makes no client, no thread and no event loop, and so has nothing that a fork could
break; it ends when whoever started it does, and its children end with it.

A child runs its module as ``python -m`` would: its own session if asked, environment, folder, arguments, ``__main__``,
``atexit``, every way to exit. Not so: what Python reads only at its start (`START`: who asks for another value of those
gets a process by exec), and the order in which modules are torn down, because a child leaves by ``os._exit``.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

__all__ = ["START", "WHERE", "Job", "imports"]

PACKAGES = ("mailonce", "schemas", "producer", "processor", "infra")
"""Every module of ours, and what those import."""
LATER = (
    "boto3.session", "botocore.client", "duckdb", "encodings.idna", "faust.cli.base", "opentelemetry.sdk.trace.export", "pydantic_settings",
    "redis.asyncio", "rich.progress", "rich.traceback", "sqlalchemy", "uvloop",
)  # fmt: skip
"""What commands import only when they run."""

START = ("LANG", "LC_", "LD_", "MALLOC", "PYTHON")
"""How the names of variables begin that matter only when a process starts."""

WHERE = signal.SIGUSR1
"""Lets a child write to its standard error where each of its threads is."""

MESSAGE_MAX = 200_000
_PR_SET_PDEATHSIG = 1
_FLUSH_FAILED = 120


@dataclass(frozen=True, slots=True)
class Job:
    """One process that somebody wants."""

    module: str
    args: list[str]
    env: dict[str, str]
    folder: str
    new_session: bool = False

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def imports() -> Iterator[str]:
    """The names of what is imported before the first fork; a package's ``__main__`` runs and so is none of it."""
    for package in PACKAGES:
        yield package
        where = importlib.import_module(package).__path__
        yield from (
            found.name for found in pkgutil.walk_packages(where, f"{package}.") if not found.name.endswith("__main__")
        )
    yield from LATER


def main() -> None:
    for name in imports():
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the children's collectors leave those pages alone: they stay shared
    assert threading.active_count() == 1, "a thread would not be there after the fork"
    control = socket.socket(fileno=int(sys.argv[1]))
    if job := _serve(control):
        _leave(_run(job))


class _Children:
    """Those that run: each by the descriptor that tells of its end, with the socket that passes it on."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, socket.socket]] = {}
        self.poll = select.poll()

    def add(self, pid: int, report: socket.socket) -> None:
        handle = os.pidfd_open(pid)
        report.sendmsg([str(pid).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))])
        self._known[handle] = (pid, report)
        self.poll.register(handle, select.POLLIN)

    def ended(self, handle: int) -> None:
        pid, report = self._known.pop(handle)
        self.poll.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        with report, contextlib.suppress(OSError):  # nobody waits for it any more
            report.send(str(status).encode())


def _serve(control: socket.socket) -> Job | None:
    """Forks as asked; returns the job in a child, nothing when whoever asks has gone."""
    children = _Children()
    children.poll.register(control, select.POLLIN)
    while True:
        for handle, _ in children.poll.poll():
            if handle != control.fileno():
                children.ended(handle)
                continue
            message, files, _, _ = socket.recv_fds(control, MESSAGE_MAX, 3)
            if not message:
                return None
            out, err, report = files
            server = os.getpid()
            if not (pid := os.fork()):
                job = Job(**json.loads(message))
                _settle_in(job, server, out, err)
                return job
            os.close(out)
            os.close(err)
            children.add(pid, socket.socket(fileno=report))


def _settle_in(job: Job, server: int, out: int, err: int) -> None:
    """In the new child: everything a process is given at its start."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    if job.new_session:
        os.setsid()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    faulthandler.register(WHERE, file=2)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.env)
    time.tzset()
    sys.path[0] = os.getcwd()  # as for python -m
    sys.argv = [job.module, *job.args]


def _run(job: Job) -> int:
    """The module to its end; returns its exit code, negative for a signal that it must die of."""
    sys.modules.pop(job.module, None)  # imported before; as itself it is imported anew
    try:
        runpy.run_module(job.module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return (left.code or 0) & 0xFF
        print(left.code, file=sys.stderr)
        return 1
    except BaseException as error:  # noqa: BLE001 - told as Python tells it
        sys.excepthook(type(error), error, error.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _leave(code: int) -> None:
    """What Python does at its end, but for the modules' teardown, which would cost more than all the rest."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or _FLUSH_FAILED
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
