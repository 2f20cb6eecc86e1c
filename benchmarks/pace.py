"""As fast as SES allows, never faster: ``python -m benchmarks.pace [--seconds 60]``.

SES answers after 50 ms and allows so many mails a second; one processor, and four. The rate is counted over the given
seconds, from one second after the first mail; the fastest second is any second, not a second of the clock.
"""

from __future__ import annotations

import argparse
from itertools import count
from typing import Any

from benchmarks.bench import Bench, a_bench, say

__all__ = ["pace"]

LATENCY_MS = 50
RATES = (500, 14)


def pace(bench: Bench, rate: int, processors: int, seconds: float, transport: str) -> dict[str, Any]:
    """A month a little longer than `seconds`, at an account's `rate`."""
    bench.sandbox(latency_ms=LATENCY_MS, max_send_rate=rate)
    month = bench.month()
    month.publish(int(rate * (seconds + 3)))
    done = month.send(processors, MAILONCE_RATE_HEADROOM="1", MAILONCE_SES_TRANSPORT=transport)
    first = done.times_ms[0] + 1000
    within = sum(first <= at < first + seconds * 1000 for at in done.times_ms)
    return {
        "rate": rate,
        "processors": processors,
        "transport": transport,
        "share_of_allowed": round(within / seconds / rate, 4),
        "fastest_second": fastest_second(done.times_ms),
        "refused": bench.admin("GET", "summary")["refused"],
    }


def fastest_second(times_ms: list[int]) -> int:
    """The most mails within any 1,000 ms."""
    times, most, begin = sorted(times_ms), 0, 0
    for end, at in zip(count(1), times, strict=False):
        while times[begin] <= at - 1000:
            begin += 1
        most = max(most, end - begin)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--transport", default="lean")
    options = parser.parse_args()
    with a_bench() as bench:
        for rate in RATES:
            for processors in (1, 4):
                say(pace(bench, rate, processors, options.seconds, options.transport))


if __name__ == "__main__":
    main()
