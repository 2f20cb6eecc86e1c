"""As fast as SES allows, never faster: ``python -m benchmarks.pace [--seconds 60]``.

SES answers after 50 ms and allows so many mails a second; one processor, and four. The rate is counted over the given
seconds, from one second after the first mail; the fastest second is any second, not a second of the clock.
"""

from __future__ import annotations

import argparse
from itertools import count

from benchmarks.bench import Bench, a_bench, say
from benchmarks.figure import Figure, keep, show

__all__ = ["pace"]

LATENCY_MS = 50
RATES = (500, 14)


def pace(bench: Bench, rate: int, processors: int, seconds: float, transport: str) -> list[Figure]:
    """A month a little longer than `seconds`, at an account's `rate`."""
    bench.sandbox(latency_ms=LATENCY_MS, max_send_rate=rate)
    month = bench.month()
    mails = int(rate * (seconds + 3))
    month.publish(mails)
    done = month.send(mails, processors, MAILONCE_RATE_HEADROOM="1", MAILONCE_SES_TRANSPORT=transport)
    first = done.times_ms[0] + 1000
    within = sum(first <= at < first + seconds * 1000 for at in done.times_ms)
    name = f"{rate}/s allowed, {processors} processor{'s' * (processors > 1)}"
    detail = {"transport": transport, "seconds": seconds, "refused": bench.admin("GET", "summary")["refused"]}
    return [
        Figure(f"{name}: of the allowed rate", within / seconds / rate * 100, "%", 98, detail=detail),
        Figure(f"{name}: the fastest second", fastest_second(done.times_ms), "mails", 2 * rate, at_most=True),
    ]


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
    figures: list[Figure] = []
    with a_bench() as bench:
        for rate in RATES:
            for processors in (1, 4):
                figures += pace(bench, rate, processors, options.seconds, options.transport)
    show(figures)
    say(f"written to {keep('pace', figures)}")


if __name__ == "__main__":
    main()
