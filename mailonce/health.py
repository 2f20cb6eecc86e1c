"""A container's health: ``python -m mailonce.health`` asks the process beside it; exit code 1 when it is not well."""

from __future__ import annotations

import os
import sys

from mailonce.origin import leave_folder

__all__ = ["main"]

TIMEOUT_S = 4


def main() -> int:
    """The first port that answers decides: metrics of a worker, or the dashboard's own."""
    leave_folder()
    import urllib.error
    import urllib.request

    from schemas.runtime.entry import enter

    enter()
    ports = [os.environ.get("MAILONCE_METRICS_PORT", ""), os.environ.get("MAILONCE_DASHBOARD_PORT", "8600")]
    for port in filter(None, ports):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT_S) as answer:
                return 0 if answer.status == 200 else 1
        except urllib.error.HTTPError:
            return 1
        except OSError:
            continue
    print("nothing answers /healthz", file=sys.stderr)  # noqa: T201 - the reason
    return 1


if __name__ == "__main__":
    sys.exit(main())
