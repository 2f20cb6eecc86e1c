"""Runs the set-up's programs, one or a few at a time, and never stays silent.

A terminal gets a live line, a pipe a line every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

__all__ = ["Failed", "Job", "Jobs", "Stop"]

_LOOK_EVERY_S = 0.05
_LINE_EVERY_S = 4.0
_STOP_WITHIN_S = 5.0
_TAIL = 2000


class Failed(Exception):
    """A program ended with an error; its last words are the message."""


class Stop:
    """A wish to stop, by a signal: it interrupts at once, but while programs run it waits for who runs them.

    A signal between the start of a program and the note of it would leave one that nobody ends.
    """

    def __init__(self) -> None:
        self._asked = False
        self.deferred = False

    def ask(self, *_: object) -> None:
        """The handler of a signal."""
        self._asked = True
        if not self.deferred:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raises `KeyboardInterrupt` when it was asked for."""
        if self._asked:
            raise KeyboardInterrupt


@dataclass(slots=True)
class Job:
    """A program, and how its state is told meanwhile."""

    title: str
    command: Sequence[str]
    environment: dict[str, str]
    state: Callable[[], str] | None = None
    """By default the last line that it printed."""
    may_fail: bool = False
    output: IO[bytes] | None = None
    started: float = 0.0

    def last_line(self) -> str:
        lines = self.tail().strip().splitlines()
        return lines[-1].strip() if lines else ""

    def tail(self) -> str:
        """The end of what it printed so far, read beside the program's own place in the file."""
        if self.output is None:
            return ""
        file = self.output.fileno()
        size = os.fstat(file).st_size
        return os.pread(file, _TAIL, max(0, size - _TAIL)).decode(errors="replace")

    def line(self) -> str:
        state = (self.state or self.last_line)()
        return f"{self.title} {time.monotonic() - self.started:.0f} s" + (f": {state}" if state else "")


class Jobs:
    """The one who talks to the user and who owns the running programs."""

    def __init__(self, stream: TextIO, root: Path, stop: Stop, inherited: Sequence[int] = ()) -> None:
        self._stop = stop
        self._stream = stream
        self._root = root
        self._live = stream.isatty()
        self._inherited = tuple(inherited)
        """Open files that the programs keep open: a lock holds until the last of them has ended."""

    def say(self, text: str) -> None:
        self._stream.write(f"\r\033[K{text}\n" if self._live else f"{text}\n")
        self._stream.flush()

    def run(self, *jobs: Job) -> None:
        """Runs them beside one another to their end. Raises `Failed` with the first that fails, the others stopped."""
        running: list[tuple[Job, subprocess.Popen[bytes]]] = []
        self._stop.deferred = True
        try:
            for job in jobs:
                running.append((job, self._start(job)))  # noqa: PERF401 - those that run are stopped if one cannot start
            self._watch(list(running))
        finally:
            for job, process in running:
                _end(process)
                if job.output:
                    job.output.close()
            self._stop.deferred = False
        self._stop.check()

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        if not self._live:
            self.say(f"{job.title} ...")
        job.started = time.monotonic()
        job.output = tempfile.TemporaryFile()  # noqa: SIM115 - read while the program runs, closed with it
        try:
            return self._popen(job)
        except OSError as error:
            raise Failed(f"{job.title}: {job.command[0]} cannot be started: {error}") from error

    def _popen(self, job: Job) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            job.command,
            cwd=self._root,
            env=job.environment,
            stdin=subprocess.DEVNULL,
            stdout=job.output,
            stderr=subprocess.STDOUT,
            # A Ctrl-C reaches the set-up alone, which stops them; and their own children go with them.
            start_new_session=True,
            pass_fds=self._inherited,
        )

    def _watch(self, running: list[tuple[Job, subprocess.Popen[bytes]]]) -> None:
        told = time.monotonic()
        while running:
            self._stop.check()
            for job, process in list(running):
                if process.poll() is not None:
                    running.remove((job, process))
                    self._ended(job, process.returncode)
            if running and (self._live or time.monotonic() - told >= _LINE_EVERY_S):
                told = time.monotonic()
                self._tell([job.line() for job, _ in running])
            time.sleep(_LOOK_EVERY_S)

    def _tell(self, lines: list[str]) -> None:
        if not self._live:
            self.say("\n".join(f"  {line}" for line in lines))
            return
        width = os.get_terminal_size(self._stream.fileno()).columns or 80
        self._stream.write("\r\033[K" + " | ".join(lines)[: width - 1])
        self._stream.flush()

    def _ended(self, job: Job, code: int) -> None:
        if code and not job.may_fail:
            raise Failed(f"{job.title}: {' '.join(job.command)}\nended with {code}:\n{job.tail().strip()}")
        self.say(f"{job.title}: {time.monotonic() - job.started:.1f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and its children, if they still run."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WITHIN_S)
            return
