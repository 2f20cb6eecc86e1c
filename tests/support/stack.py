"""The stack of a session of tests: Kafka and SQS are one for all of its workers, Valkey and the sandbox each worker's own.

A test's topics, groups and queues have names of their own. Redis and SES are wiped, slowed and reset by tests, one
after the other. What is Python among the servers comes from the fork server.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.embedded import SERVICES, Stack
from infra.embedded.others import sandbox_answers
from infra.embedded.service import Running, Server, free_port, is_alive, wait_until
from tests.support import processes

__all__ = ["SessionStack", "common_of"]

COMMON = ("kafka", "sqs")


def common_of(folder: Path) -> Path:
    """The folder that all workers of the session share, by one that this worker made for the session."""
    # The workers of pytest-xdist have folders of their own in the session's.
    return (folder.parent.parent if "PYTEST_XDIST_WORKER" in os.environ else folder.parent) / "common-stack"


class SessionStack(Stack):
    """A worker's view of the session's servers.

    Args:
        folder: this worker's.
        common: the folder that all workers of the session share.
    """

    def __init__(self, folder: Path, common: Path) -> None:
        super().__init__(folder, tied=True)
        self.common = common
        self._common = Stack(common, tied=True)
        self._ours: list[str] = []
        """Common servers that this worker started, and so has to stop; they would end with it anyhow."""
        common.mkdir(parents=True, exist_ok=True)
        self._users = (common / "users.lock").open("w")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def down(self, only: Iterable[str] = SERVICES) -> list[str]:
        """Stops what is this worker's own; the common servers it started when no worker needs them any more."""
        ran = super().down([name for name in only if name not in COMMON])
        if self._ours:
            fcntl.flock(self._users, fcntl.LOCK_EX)
            self._common.down(self._ours)
        self._users.close()
        return ran

    def _server(self, name: str, port: int | None, say: Callable[[str], None]) -> Server:
        if name in COMMON:
            found = self._find(name, say)
            return Server(lambda: found, lambda _: None)
        if name == "ses" and processes.FORKS:
            return self._fork_sandbox(self.folder / name, port or free_port())
        return super()._server(name, port, say)

    def _find(self, name: str, say: Callable[[str], None]) -> Running:
        with self._turn():
            known = self._common.known()
            if name not in known or not is_alive(known[name]):
                self._common.up((name,), say)
                self._ours.append(name)
            return self._common.known()[name]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with (self._common.folder / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _fork_sandbox(self, folder: Path, port: int) -> Server:
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(port), "--dir", str(folder), *self._sandbox_options]
        command = [sys.executable, "-m", "infra.ses_sandbox", *options]

        def start() -> Running:
            with (folder / "ses.log").open("ab") as log:
                process = processes.start(command, os.environ, log, new_session=True)
            return Running("ses", process.pid, psutil.Process(process.pid).create_time(), port)

        return Server(start, lambda running: wait_until(running, lambda: sandbox_answers(port), folder))
