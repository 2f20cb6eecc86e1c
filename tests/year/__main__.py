"""``python -m tests.year --months 14``: exit code 1 when anything of the promise did not hold."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from schemas.records import Outcome
from tests.year.run import Left, findings, run
from tests.year.topics import MONTHS_KEPT, RETENTION_MONTHS

SHOWN = ("jobs", "attempts", "deliveries", "dead-letters", "control", "redis")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--months", type=int, default=14, help="how many, the last of them the present one (14)")
    options = parser.parse_args()
    kept = ", ".join(f"{name} {months}" for name, months in MONTHS_KEPT.items())
    print(f"kept at a month's end, in months, that one included: {kept}; control is compacted alone")
    print(f"Redis: the present month and {RETENTION_MONTHS} before it; Kafka forgets a group after one minute")
    outcomes = "".join(f"{outcome.value:>11}" for outcome in Outcome)
    print(f"{'':8}{outcomes}  {'failed over':<12}{'':7}{''.join(f'{name:>13}' for name in SHOWN)}  beyond  seconds")
    with tempfile.TemporaryDirectory(prefix="mailonce-year-") as folder:
        year = run(Path(folder), options.months, lambda left: print(line(left), flush=True))
    found = findings(year)
    for sentence in found:
        print(f"WRONG {sentence}")
    twice = sum(count > 1 for count in year.accepted.values())
    print(
        f"{len(year.months)} months: {len(year.published):,} jobs, {sum(year.accepted.values()):,} accepted, {twice} twice, "
        f"{len(year.published - set(year.outcomes))} lost, {len(year.letters)} letters, "
        f"{len(year.letters) - len(set(year.letters.values()))} told again"
    )
    return 1 if found else 0


def line(left: Left) -> str:
    counts = "".join(f"{left.outcomes.get(outcome, 0):>11}" for outcome in Outcome)
    sizes = "".join(f"{left.bytes_of[name] / 1000:>10,.0f} kB" for name in SHOWN)
    beyond = sum(left.late.values())
    killed = "killed" if left.killed else ""
    return f"{left.name:8}{counts}  {left.failed_over:<12}{killed:<7}{sizes}{beyond:>8}  {left.seconds:7.0f}"


if __name__ == "__main__":
    sys.exit(main())
