"""One processor beside boto3 with no guarantee at all, in one run: ``make bench``.

All on this machine, the SES sandbox included, at zero SES latency. Rounds alternate; medians are printed, and all of
it is written to ``benchmarks/results/quick.json``.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from infra.embedded import Stack
from processor.core.mail import MailConfig, compose
from schemas.codec import encode
from schemas.identity import Key, Place
from schemas.records import Job

ROUNDS, MAILS = 3, 3000
MONTH = "2026-11"
RESULTS = Path(__file__).parent / "results"


def job(n: int) -> Job:
    data = {"name": f"User {n}", "usage": "42", "plan": "Plus", "device": "Heat pump"}
    return Job(v=1, user_id=f"u{n}", month=MONTH, email=f"u{n}@mail.example.net", template="bench", data=data)


def cpu_s() -> float:
    """CPU seconds of this process and its ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Bench:
    def __init__(self, stack: Stack) -> None:
        self.env = stack.env()
        self.url = self.env["AWS_ENDPOINT_URL_SESV2"]
        self.requests = [
            compose(job(n), f"attempt{n}", Place(n % 12, n), MailConfig("usage@example.com")) for n in range(MAILS)
        ]

    def client(self, threads: int) -> Any:
        return boto3.client(
            "sesv2",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=threads),
        )

    def loop(self) -> tuple[float, float]:
        """boto3 in a loop: what the classic Lambda does."""
        client = self.client(1)
        client.send_email(**self.requests[0])
        began, cpu = time.monotonic(), cpu_s()
        for request in self.requests:
            client.send_email(**request)
        return time.monotonic() - began, cpu_s() - cpu

    def pool(self, threads: int) -> tuple[float, float]:
        """boto3 in a thread pool, without any guarantee."""
        client = self.client(threads)
        client.send_email(**self.requests[0])
        with ThreadPoolExecutor(threads) as pool:
            began, cpu = time.monotonic(), cpu_s()
            list(pool.map(lambda request: client.send_email(**request), self.requests))
            return time.monotonic() - began, cpu_s() - cpu

    def mailonce(self) -> tuple[float, float]:
        """One processor, everything included; timed from the first accepted mail to the last."""
        name = f"b{uuid4().hex[:8]}"
        env = (
            os.environ
            | self.env
            | {"MAILONCE_TOPIC_PREFIX": f"{name}-", "MAILONCE_GROUP_ID": name, "MAILONCE_LOG_FORMAT": "json"}
        )
        command = [sys.executable, "-m", "mailonce"]
        subprocess.run([*command, "topics", "create"], env=env, check=True, capture_output=True)
        producer = Producer(
            {"bootstrap.servers": self.env["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"], "partitioner": "murmur2_random"}
        )
        for n in range(MAILS):
            producer.produce(f"{name}-jobs", encode(job(n)), Key(f"u{n}", MONTH).to_bytes())
        producer.flush()
        first = self.summary()["accepted"]
        cpu = cpu_s()
        subprocess.run([*command, "process", "--drain"], env=env, check=True, capture_output=True)
        used = cpu_s() - cpu
        mails = self.admin(f"accepted?since={first}")
        assert len(mails) == MAILS
        return (mails[-1]["at_ms"] - mails[0]["at_ms"]) / 1000, used

    def sandbox(self) -> tuple[float, float]:
        """The sandbox alone: raw keep-alive requests from a process of their own."""
        body = json.dumps(self.requests[1]).encode()
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "benchmarks.flood", self.url, str(MAILS * 4)], input=body, check=True)
        return (time.monotonic() - began) / 4, 0.0

    def admin(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_sandbox/{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = self.admin("summary")
        return summary


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), tied=True)
        stack.up(("kafka", "valkey", "ses"))
        try:
            results = _rounds(Bench(stack), console)
        finally:
            stack.down()
    _report(results, console)


def _rounds(bench: Bench, console: Console) -> dict[str, dict[str, float]]:
    bench.client(1).create_email_template(
        TemplateName="bench",
        TemplateContent={
            "Subject": "Hi {{name}}",
            "Text": "{{device}}: {{usage}}",
            "Html": "<p>{{device}}: {{usage}} {{plan}}</p>",
        },
    )
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "boto3 loop": bench.loop,
        **{f"boto3, {n} threads": (lambda n=n: bench.pool(n)) for n in (8, 16, 32)},  # type: ignore[misc]
        "mailonce, one processor": bench.mailonce,
        "(the sandbox itself)": bench.sandbox,
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_ in range(ROUNDS):
        for name, way in ways.items():
            measured[name].append(way())
            console.print(f"round {round_ + 1}: {name}: {MAILS / measured[name][-1][0]:.0f}/s", highlight=False)
    return {
        name: {
            "mails_per_s": MAILS / statistics.median(wall for wall, _ in rounds),
            "cpu_us_per_mail": statistics.median(cpu for _, cpu in rounds) / MAILS * 1e6,
        }
        for name, rounds in measured.items()
    }


def _report(results: dict[str, dict[str, float]], console: Console) -> None:
    best = max(about["mails_per_s"] for name, about in results.items() if name.startswith("boto3"))
    table = Table("", "mails/s", "client CPU µs/mail", "against the best boto3")
    for name, about in results.items():
        cpu = f"{about['cpu_us_per_mail']:.0f}" if about["cpu_us_per_mail"] else ""
        table.add_row(name, f"{about['mails_per_s']:.0f}", cpu, f"{about['mails_per_s'] / best:.2f}")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    about_run = {"rounds": ROUNDS, "mails": MAILS, "python": platform.python_version(), "cores": os.cpu_count()}
    (RESULTS / "quick.json").write_text(json.dumps(about_run | {"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
