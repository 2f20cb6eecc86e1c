"""The speed of one processor and of a few: ``python -m benchmarks.speed [--only NAME…] [--rounds 3]``.

Everything on this machine, the SES sandbox included; zero SES latency unless said; warm; medians. Figures with their
goals are printed and written to ``benchmarks/results/speed.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median

from benchmarks import chart
from benchmarks.bench import Bench, Command, a_bench, say
from benchmarks.figure import Figure, keep, show
from benchmarks.takeover import takeover
from benchmarks.volume import producer, volume

__all__ = ["main"]

PLAIN_MAILS, LEAN_MAILS, NOOP_MAILS = 3_000, 20_000, 40_000
THREADS = (1, 8, 16, 32)


def calls(bench: Bench, rounds: int) -> list[Figure]:
    """Exactly-once against boto3 with no guarantee at all."""
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}

    def note(name: str, per_s: float, cpu_us: float) -> None:
        rates.setdefault(name, []).append(per_s)
        cpu.setdefault(name, []).append(cpu_us)
        say(f"{name}: {per_s:,.0f}/s, {cpu_us:,.0f} µs of CPU a mail")

    for _ in range(rounds):
        for threads in THREADS:
            bench.sandbox()
            done = _printed(bench, "benchmarks.plain", bench.url, str(threads), str(PLAIN_MAILS))
            name = "boto3 loop" if threads == 1 else f"boto3, {threads} threads"
            note(name, PLAIN_MAILS / done["wall_s"], done["cpu_s"] / PLAIN_MAILS * 1e6)
        for transport, mails in (("boto3", PLAIN_MAILS), ("lean", LEAN_MAILS)):
            bench.sandbox()
            month = bench.month()
            month.publish(mails)
            sent = month.send(mails, MAILONCE_SES_TRANSPORT=transport)
            note(f"mailonce, {transport}", sent.per_s, sent.cpu_us)
    middle = {name: median(values) for name, values in rates.items()}
    best = max((name for name in middle if name.startswith("boto3")), key=lambda name: middle[name])
    detail = {
        name: {"mails_per_s": round(middle[name]), "cpu_us_per_mail": round(median(cpu[name]))} for name in middle
    }
    return [
        Figure(
            "one processor, boto3 transport, against the best of boto3 alone",
            middle["mailonce, boto3"] / middle[best],
            "x",
            1.0,
            detail={"best": best, "ways": detail},
        ),
        Figure("the same, lean transport", middle["mailonce, lean"] / middle[best], "x", 4.0),
        Figure("client CPU a mail, lean transport", median(cpu["mailonce, lean"]), "µs", 350, at_most=True),
    ]


def protocol(bench: Bench, rounds: int) -> list[Figure]:
    """What is left when a call costs nothing."""
    done = []
    for _ in range(rounds):
        month = bench.month()
        month.publish(NOOP_MAILS)
        command = Command(month.env | {"MAILONCE_CALLS_AT_ONCE": "500"}, "benchmarks.noop")
        done.append(json.loads(command.wait().said))
        say(f"no-op call: {done[-1]['mails'] / done[-1]['wall_s']:,.0f}/s")
    return [
        Figure("the call a no-op", median(one["mails"] / one["wall_s"] for one in done), "mails/s", 15_000),
        Figure("the call a no-op: CPU a mail", median(one["cpu_s"] / one["mails"] for one in done) * 1e6, "µs"),
    ]


def latency(bench: Bench, rounds: int) -> list[Figure]:
    """SES answers after 50 ms; no rate."""
    shares = []
    for _ in range(rounds):
        shares.append(_at_latency(bench, processors=1, calls=50, mails=15_000) / (50 / 0.05))
        say(f"50 ms, 50 calls at once: {shares[-1]:.1%} of 1,000/s")
    one, four = [], []
    for _ in range(rounds):
        one.append(_at_latency(bench, processors=1, calls=32, mails=8_000))
        four.append(_at_latency(bench, processors=4, calls=32, mails=40_000))
        say(f"50 ms, 32 calls at once: {one[-1]:,.0f}/s, four processors {four[-1]:,.0f}/s")
    detail = {"one": round(median(one)), "four": round(median(four))}
    return [
        Figure("50 ms SES latency, 50 calls at once: of 1,000/s", median(shares) * 100, "%", 90),
        Figure("four processors against one at 50 ms", median(four) / median(one), "x", 3.6, detail=detail),
    ]


def start_up(bench: Bench, rounds: int) -> list[Figure]:
    """From the command to the first accepted mail."""
    seconds = []
    for _ in range(rounds):
        bench.sandbox()
        month = bench.month()
        month.publish(50)
        sent = month.send(50, MAILONCE_SES_TRANSPORT="lean")
        seconds.append((sent.times_ms[0] - sent.started_at_ms) / 1000)
    return [Figure("start of a processor until its first call", median(seconds), "s", 2, at_most=True)]


def _at_latency(bench: Bench, processors: int, calls: int, mails: int) -> float:
    bench.sandbox(latency_ms=50)
    month = bench.month()
    month.publish(mails)
    settings = {"MAILONCE_CALLS_AT_ONCE": str(calls), "MAILONCE_SES_TRANSPORT": "lean"}
    return month.send(mails, processors, **settings).steady_per_s


def _printed(bench: Bench, module: str, *arguments: str) -> dict[str, float]:
    printed: dict[str, float] = json.loads(Command(bench.env, module, *arguments).wait().said)
    return printed


PARTS: dict[str, Callable[[Bench, int], list[Figure]]] = {
    part.__name__: part for part in (calls, protocol, latency, start_up, takeover, volume, producer)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    figures: list[Figure] = []
    with a_bench() as bench:
        for name in options.only:
            say(f"[bold]{name}[/]")
            figures += PARTS[name](bench, options.rounds)
    show(figures)
    say(f"written to {keep('speed', figures)}")
    chart.main()


if __name__ == "__main__":
    main()
