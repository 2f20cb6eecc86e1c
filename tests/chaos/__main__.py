"""The chaos run: ``python -m tests.chaos --seeds 20``. Exit code 1 when a seed went badly.

Each seed: a month of 3,000 mails, two to four processors, and a random schedule of deaths, stalls, losses, cuts and
refusals; then the audit holds SES's own record of accepted messages against the ledger.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.plan import make_plan
from tests.chaos.run import Result, Servers, run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed; the same seed makes the same schedule")
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--report", type=Path, default=Path(".mailonce/chaos.json"), help="where the JSON goes")
    parser.add_argument("--dry-run", action="store_true", help="print the schedules, start nothing")
    options = parser.parse_args()
    plans = [make_plan(seed, options.users) for seed in range(options.first, options.first + options.seeds)]
    if options.dry_run:
        for plan in plans:
            print(f"seed {plan.seed}: {plan.processors} processors, SES answers in {plan.latency_ms} ms")
            print("\n".join(f"  {step}" for step in plan.steps))
        return 0
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="mailonce-chaos-") as folder:
        servers = Servers(Path(folder))
        try:
            for plan in plans:
                results.append(run_seed(servers, plan))
                print(results[-1].line(), flush=True)
                write_report(options.report, results)
        finally:
            servers.close()
    print(summary(results))
    return 0 if all(result.good for result in results) else 1


def write_report(path: Path, results: list[Result]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"summary": summary(results), "seeds": [result.to_dict() for result in results]}, indent=1)
    )


def summary(results: list[Result]) -> str:
    def total(name: str) -> int:
        return sum(getattr(result, name) for result in results)

    return (
        f"{len(results)} seeds, {sum(result.good for result in results)} good: {total('faults'):,} steps of faults, "
        f"{total('jobs'):,} jobs, {total('accepted'):,} accepted; duplicates {total('duplicates')}, lost "
        f"{total('lost')}, wrong outcomes {total('wrong')}, in doubt at some time {total('doubts'):,} (at most "
        f"{total('doubts_max'):,} calls were in flight), uncertain after evidence {total('uncertain_after_evidence')}, "
        f"at the end {total('uncertain')}"
    )


if __name__ == "__main__":
    sys.exit(main())
