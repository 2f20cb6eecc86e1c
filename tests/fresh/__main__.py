"""``make fresh``: prints the table; exit code 1 when something failed."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.fresh.conditions import conditions
from tests.fresh.place import ROOT, Place, a_place
from tests.fresh.pythons import Python, at_hand, found
from tests.fresh.runner import Runner
from tests.fresh.table import Result, failed, notes, table

LOGS = Path(".mailonce/fresh")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description=__doc__)
    parser.add_argument("--pythons", default="", help="`all`, or versions: 3.12,3.13; without it the one at hand")
    parser.add_argument("--only", default="", help="conditions by name, with commas")
    parser.add_argument("--keep", action="store_true", help="leave the clones")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logs = LOGS.absolute()
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.iterdir():
        old.unlink()
    _say(_what_is_tried())
    began = time.monotonic()
    results: list[Result] = []
    with a_place(keep=options.keep) as place:
        try:
            for python in _pythons(options.pythons):
                results += _tried(python, place, logs, set(filter(None, options.only.split(","))))
        except KeyboardInterrupt:
            _say("stopped")
            return 130
    text = table(results)
    (logs / "table.txt").write_text(text + "\n")
    _say(f"\n{text}\n\n{time.monotonic() - began:.0f} s; logs in {LOGS}")
    for note in notes(results):
        _say(note)
    return 1 if failed(results) else 0


def _tried(python: Python, place: Place, logs: Path, only: set[str]) -> Iterable[Result]:
    """The results of every condition; a clone goes when no later condition needs it."""
    home = place.home(f"bare {at_hand().name}")
    runner = Runner(python, place, logs, home / ".cache", _say)
    (home / ".cache").mkdir(exist_ok=True)
    todo = [one for one in conditions(whole=python == at_hand()) if not only or one.name in only]
    for number, condition in enumerate(todo):
        _say(f"{python.name} {condition.name}")
        yield from runner.run(condition)
        later = {name for other in todo[number + 1 :] for name in other.checkouts}
        for name in set(condition.checkouts) - later:
            place.remove(f"{name} {python.name}")


def _pythons(wanted: str) -> list[Python]:
    if not wanted:
        return [at_hand()]
    names = set(wanted.split(","))
    chosen = [python for python in found() if wanted == "all" or python.name in names]
    # The one at hand fills the caches.
    return sorted(chosen, key=lambda python: python != at_hand())


def _what_is_tried() -> str:
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "log", "-1", "--format=%h %s"], capture_output=True, text=True, check=False)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    except OSError:
        return "a copy of these files is tried (no git here)"
    if commit.returncode:
        return "a copy of these files is tried (no commit here)"
    return f"tried is the last commit, {commit.stdout.strip()}" + (
        "; what is not committed is left out" if changed.stdout.strip() else ""
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
