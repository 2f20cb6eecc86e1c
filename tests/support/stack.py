"""The embedded stack as tests start it: what is Python in it comes from the fork server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import psutil

from infra.embedded import Stack
from infra.embedded.others import Started, sandbox_answers
from infra.embedded.service import Running, free_port, wait_until
from tests.support import processes

__all__ = ["QuickStack"]


class QuickStack(Stack):
    """The same servers on the same data; only the start of the sandbox costs less."""

    def _start(self, name: str, port: int | None, say: Callable[[str], None]) -> Started:
        if name != "ses" or not processes.FORKS:
            return super()._start(name, port, say)
        port, folder = port or free_port(), self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(port), "--dir", str(folder), *self._sandbox_options]
        command = [sys.executable, "-m", "infra.ses_sandbox", *options]
        with (folder / "ses.log").open("ab") as log:
            process = processes.start(command, os.environ, log, new_session=True)
        running = Running(name, process.pid, psutil.Process(process.pid).create_time(), port)
        return running, lambda: wait_until(running, lambda: sandbox_answers(port), folder)
