"""``python -m tests.stops --drains 300 --terms 300``: exit code 1 when one hung, took too long or mailed twice."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from infra.embedded import Stack
from tests.stops import __doc__ as about
from tests.stops.run import Plan, Report, run
from tests.support.sandbox import SandboxAdmin


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=about)
    parser.add_argument("--drains", type=int, default=300, help="processors that drain (300)")
    parser.add_argument("--terms", type=int, default=300, help="processors that are sent SIGTERM at any moment (300)")
    parser.add_argument("--lanes", type=int, default=3, help="processors at once (3)")
    parser.add_argument("--limit", type=float, default=10.0, help="a stop may take so long, in seconds (10)")
    parser.add_argument("--refresh", type=float, default=0.02, help="MAILONCE_ACCOUNT_REFRESH_S (0.02)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments (1)")
    parser.add_argument("--transport", choices=("boto3", "lean"), default="boto3", help="MAILONCE_SES_TRANSPORT")
    parser.add_argument("--bare", action="store_true", help="cancel once and wait: shows that this program finds hangs")
    options = parser.parse_args()
    plan = Plan(
        options.drains,
        options.terms,
        lanes=options.lanes,
        refresh_s=options.refresh,
        seed=options.seed,
        transport=options.transport,
        bare=options.bare,
    )
    with tempfile.TemporaryDirectory(prefix="stops-") as folder:
        stack = Stack(Path(folder, "stack"), tied=True)
        try:
            stack.up(("kafka", "valkey", "ses"))
            sandbox = SandboxAdmin(stack.env()["AWS_ENDPOINT_URL_SESV2"], stack.folder / "ses")
            report = run(stack, sandbox, Path(folder), plan)
        finally:
            stack.down()
    sys.exit(_say(report, options.limit))


def _say(report: Report, limit_s: float) -> int:
    wrong = report.wrong
    for kind, took in report.took_s.items():
        if took:
            ordered = sorted(took)
            middle, slowest = ordered[len(ordered) // 2], ordered[-1]
            print(f"{kind}s: {len(took)}, median {middle:.2f} s, slowest {slowest:.2f} s")
            if slowest > limit_s:
                wrong.append(f"a {kind} took {slowest:.1f} s, more than {limit_s:g} s")
    print(f"hung: {len(report.hung)}; ended with: {dict(report.left)}; outcomes: {dict(report.outcomes)}")
    for sentence in wrong:
        print(f"WRONG {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
