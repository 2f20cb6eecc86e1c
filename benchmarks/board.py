"""How fast the dashboard reads a month, and how soon a restart is back: ``python -m benchmarks.board [MAILS]``.

Sends a month with a call that costs nothing, then starts the dashboard three times: on everything, again with its table
in the changelog alone (memory), and again with its table on disk (RocksDB).
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

from benchmarks.bench import Bench, Command, Month, a_bench, say
from schemas.kafka.reading import read_topic
from schemas.runtime.settings import Settings

__all__: list[str] = []


def _until_ready(month: Month, **settings: str) -> tuple[float, float]:
    """Seconds from the start until it has read everything, and megabytes then; stops it."""
    began = time.monotonic()
    env = month.env | {"MAILONCE_DASHBOARD_PORT": "18600", "MAILONCE_DASHBOARD_DIR": f"{month.bench.folder}/board"}
    command = Command(env | settings, "mailonce", "dashboard")
    try:
        while not _ready():
            if command.ended():
                raise RuntimeError(command.log[-2000:])
            time.sleep(0.1)
        took = time.monotonic() - began
    finally:
        command.process.terminate()
    return took, command.wait().peak_mb


def _ready() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:18600/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def measure(bench: Bench, mails: int) -> None:
    month = bench.month()
    month.publish(mails)
    Command(month.env | {"MAILONCE_CALLS_AT_ONCE": "500"}, "benchmarks.noop").wait()
    settings = Settings(kafka_bootstrap_servers=bench.bootstrap, topic_prefix=f"{month.name}-")
    topics = (settings.topics.jobs, settings.topics.attempts, settings.topics.deliveries)
    records = sum(1 for topic in topics for _ in read_topic(settings, topic))
    for name, store in (("memory", "memory"), ("disk", "rocksdb")):
        own = {"MAILONCE_DASHBOARD_STORE": store, "MAILONCE_DASHBOARD_NAME": f"board-{name}"}
        took, peak_mb = _until_ready(month, **own)
        say(
            f"{name}: {records:,} records of {mails:,} mails in {took:.1f} s, {records / took:,.0f}/s, {peak_mb:.0f} MB"
        )
        took, peak_mb = _until_ready(month, **own)
        say(f"{name}, a restart: {took:.1f} s, {peak_mb:.0f} MB")


def main() -> None:
    with a_bench() as bench:
        measure(bench, int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)


if __name__ == "__main__":
    main()
