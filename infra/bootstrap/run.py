"""The order of the set-up, and what the user is told.

Interrupted anywhere and run again, it completes: without a stamp the environment is made anew, which the caches make
cheap, and the jars go on where they were. A second one in the same checkout waits for the first, and for whatever a
killed first one left running: the programs it started hold its lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from infra import jars
from infra.bootstrap import stamp
from infra.bootstrap.index import Untranslatable
from infra.bootstrap.jobs import Failed, Jobs, Stop
from infra.bootstrap.platforms import facts, refusal, source_only
from infra.bootstrap.steps import WORK, Steps
from schemas.runtime.errors import SetupError

__all__ = ["Refused", "main", "set_up"]

ROOT = Path(__file__).parents[2]
DISK_MIN_MB = 2500
DISK_CACHE_MIN_MB = 300


class Refused(Exception):
    """This cannot be set up; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """``--no-jars`` leaves the stack's jars for later. Returns the exit code."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop.ask)
    try:
        if reason := refusal(facts()):
            raise Refused(reason)
        set_up(ROOT, stop, with_jars="--no-jars" not in arguments)
    except KeyboardInterrupt:
        return _fail("the set-up was stopped; run it again, and it completes", 130)
    except (Refused, Failed, SetupError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"the set-up stopped: {error}", 1)
    return 0


def set_up(root: Path, stop: Stop, *, with_jars: bool) -> None:
    """Does what is left to do; at once when that is nothing. Raises `Refused`, `Failed`, `SetupError`."""
    if _complete(root, with_jars):
        return
    _look_round(root, with_jars)
    with _alone(root) as lock:
        if not _complete(root, with_jars):
            _make(root, Jobs(sys.stderr, root, stop, [lock.fileno()]), with_jars)


def _complete(root: Path, with_jars: bool) -> bool:
    return _made(root) and not (with_jars and any(map(jars.wrong, jars.locks())))


def _made(root: Path) -> bool:
    return stamp.read(root) == stamp.expected(root)


def _look_round(root: Path, with_jars: bool) -> None:
    """Whatever would fail only after minutes. Raises `Refused`."""
    if stamp.kind_of(root) == "foreign":
        raise Refused(f"{root / '.venv'} is there and is no virtual environment: move it away")
    _need(root, DISK_MIN_MB, "the virtual environment")
    if with_jars:
        cache = jars.cache_folder()
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                pass
        except OSError as error:
            raise Refused(
                f"cannot write in {cache}: {error.strerror}. XDG_CACHE_HOME names another folder for caches, "
                "for this and for every later command"
            ) from error
        _need(cache, DISK_CACHE_MIN_MB, "Kafka's jars")


def _need(folder: Path, megabytes: int, what: str) -> None:
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes:
        raise Refused(f"only {free} MB are free at {folder}; {what} may need {megabytes} MB")


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[IO[str]]:
    folder = root / ".mailonce"
    folder.mkdir(exist_ok=True)
    with (folder / "setup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another set-up is at work in this folder: waiting for its end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _make(root: Path, jobs: Jobs, with_jars: bool) -> None:
    steps = Steps(root, stamp.base_python(), os.environ, source_only(*os.uname()[::4]))
    if _made(root):
        jobs.run(steps.jars())
        return
    jobs.say(f"setting up {root / '.venv'} with Python {sys.version.split()[0]} (once)")
    stamp.clear(root)
    jobs.run(steps.environment())
    _packages(jobs, steps)
    rest = [steps.ourselves(), steps.bytecode(), *([steps.jars()] if with_jars else [])]
    jobs.run(*rest)
    shutil.rmtree(root / ".venv" / WORK, ignore_errors=True)
    stamp.write(root, stamp.expected(root))


def _packages(jobs: Jobs, steps: Steps) -> None:
    """By uv, which needs a tenth of pip's time; whatever hinders it, by pip."""
    for tools in steps.tools():
        jobs.run(tools)
    try:
        jobs.run(steps.installer())
        jobs.run(steps.by_uv())
    except (Failed, Untranslatable) as reason:
        jobs.say(f"uv cannot do it, pip goes on (some minutes). {reason}")
        jobs.run(steps.by_pip())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the progress


def _fail(text: str, code: int) -> int:
    _say(f"mailonce: {text}")
    return code
