"""Carries conditions out: each step as a process group of its own, with a log, a limit and an end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fresh.conditions import ENVIRONMENT, Cache, Condition, Step
from tests.fresh.place import Place, give
from tests.fresh.pythons import Python, reachable
from tests.fresh.table import Result

__all__ = ["NOBODY", "Runner", "environment", "words"]

NOBODY = 12345
"""A user that no machine has."""
LIMIT_S = 1800.0
UMASK = 0o077
_ALONE = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_KEPT = re.compile(r"PATH|(PIP|UV)_\w+|\w*(CERT|CA_BUNDLE|CAINFO)\w*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)


def environment(outer: Mapping[str, str], condition: Condition, home: Path, cache: Path | None) -> dict[str, str]:
    """Of a bare machine: from outside only the ways to programs and registries."""
    kept = {name: value for name, value in outer.items() if _KEPT.fullmatch(name)}
    where = {} if cache is None else {"XDG_CACHE_HOME": str(cache)}
    own = {"HOME": str(home), "MAILONCE_TEST_STACK": "embedded", "SKIP_TOOLS": "1"}
    return kept | ENVIRONMENT | own | where | condition.environment


def words(step: Step, python: str, checkout: Path, prefix: Sequence[str]) -> list[str]:
    """The command, its placeholders filled in."""
    filled = (word.replace("{python}", python).replace("{bin}", str(checkout / ".venv/bin")) for word in step.command)
    return [*prefix, *filled]


@dataclass(frozen=True, slots=True)
class _Running:
    """A step at work in one checkout."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def problem(self, step: Step) -> str:
        """Why it did not end as it should; empty when it did."""
        code, text = self.process.returncode, self.log.read_text(errors="replace")
        if step.fails_with:
            good = code not in {0, None} and step.fails_with in text and "Traceback" not in text
            return "" if good else f"it should have failed with a word of {step.fails_with}"
        if code == 0:
            return ""
        last = next(reversed([line for line in text.splitlines() if line.strip()]), "no word")
        return f"ended with {code}: {last[:200]}"


class Runner:
    """Tries conditions with one Python.

    Args:
        python: the interpreter.
        place: for clones and homes.
        logs: a folder; a file a step and checkout.
        caches: the folder of downloads of the first condition of all; the later ones share it.
        say: told what goes on.
    """

    def __init__(self, python: Python, place: Place, logs: Path, caches: Path, say: Callable[[str], None]) -> None:
        self._python = python
        self._place = place
        self._logs = logs
        self._caches = caches
        self._say = say
        self._setup_s = 60.0
        """What the first set-up took: the measure for those that are killed."""

    def run(self, condition: Condition) -> Iterator[Result]:
        """A result a step; one in all when the condition cannot be had here."""
        python, prefix, why_not = self._means(condition)
        if why_not:
            yield Result(self._python.name, condition.name, "", "skipped", note=why_not)
            return
        if self._user(condition) is not None:
            give(self._caches, NOBODY)
        state = "ok"
        for step in condition.steps:
            if state == "failed":
                yield Result(self._python.name, condition.name, step.name, "skipped", note="after a failure")
                continue
            began = time.monotonic()
            problem = self._try(condition, step, python, prefix)
            seconds = time.monotonic() - began
            state = "failed" if problem else "ok"
            if step.name == "setup" and condition.cache is Cache.OWN:
                self._setup_s = seconds
            self._say(f"  {condition.name}, {step.name}: {state}, {seconds:.0f} s{problem and ': '}{problem}")
            yield Result(self._python.name, condition.name, step.name, state, seconds, problem)

    @staticmethod
    def _user(condition: Condition) -> int | None:
        """Another than the one who runs this, where that is root."""
        return NOBODY if condition.ordinary and os.geteuid() == 0 else None

    def _means(self, condition: Condition) -> tuple[str, list[str], str]:
        """The interpreter, what stands before a command, and why the condition cannot be had, if so."""
        python, prefix = self._python.path, list[str]()
        if self._user(condition) is not None:
            other = reachable(self._python, NOBODY)
            if other is None:
                return python, prefix, f"no Python here can be started by an ordinary user: {python} belongs to root"
            python = other.path
        if condition.offline:
            prefix = ["unshare", "-n" if os.geteuid() == 0 else "-rn", *_ALONE]
            with suppress(OSError):
                if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
                    return python, prefix, ""
            return python, prefix, "no network namespace can be made here; the dead proxy stands for it"
        return python, prefix, ""

    def _try(self, condition: Condition, step: Step, python: str, prefix: Sequence[str]) -> str:
        """Runs the step in every checkout at once; what went wrong."""
        home = self._place.home(f"{condition.name} {self._python.name}")
        cache = None if (step.cache or condition.cache) is Cache.OWN else self._caches
        env = environment(os.environ, condition, home, cache)
        user = self._user(condition)
        checkouts = [self._place.checkout(f"{name} {self._python.name}") for name in condition.checkouts]
        if user is not None:
            for folder in (*checkouts, home):
                give(folder, user)
        with _mode(home, 0o555 if step.home_read_only else 0o755):
            running = [self._start(condition, step, python, prefix, checkout, env, user) for checkout in checkouts]
            limit_s = step.killed_after * self._setup_s or LIMIT_S
            return self._end(step, running, time.monotonic() + limit_s)

    def _start(
        self,
        condition: Condition,
        step: Step,
        python: str,
        prefix: Sequence[str],
        checkout: Path,
        env: dict[str, str],
        user: int | None,
    ) -> _Running:
        name = f"{self._python.name} {condition.name} {step.name} {checkout.name.split()[0]}"
        log = self._logs / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                words(step, python, checkout, prefix),
                cwd=checkout,
                env=env,
                umask=UMASK,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return _Running(process, log)

    @staticmethod
    def _end(step: Step, running: Sequence[_Running], deadline: float) -> str:
        try:
            for one in running:
                with suppress(subprocess.TimeoutExpired):
                    one.process.wait(max(0.0, deadline - time.monotonic()))
                    continue
                if not step.killed_after:
                    return f"not done after {LIMIT_S:.0f} s; {one.log}"
        finally:
            for one in running:
                one.kill()
        if step.killed_after:
            return ""
        problems = [f"{problem}; {one.log}" for one in running if (problem := one.problem(step))]
        return " and ".join(problems)


@contextmanager
def _mode(folder: Path, mode: int) -> Iterator[None]:
    folder.chmod(mode)
    try:
        yield
    finally:
        folder.chmod(0o755)
