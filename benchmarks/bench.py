"""What every benchmark needs: a stack of its own, months of jobs, processors whose CPU is counted, SES's record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import msgspec
from botocore.config import Config
from confluent_kafka import Producer
from rich.console import Console

from infra.embedded import Stack
from schemas.codec import encode
from schemas.identity import Key
from schemas.records import Job

__all__ = ["MONTH", "TEMPLATE", "Bench", "Measured", "Month", "a_bench", "job", "say", "start", "wait"]

MONTH = "2026-11"
TEMPLATE = {
    "Subject": "Hi {{name}}",
    "Text": "{{device}}: {{usage}}",
    "Html": "<p>{{device}}: {{usage}} {{plan}}</p>",
}
console = Console(highlight=False)
say = console.print


def job(n: int) -> Job:
    data = {"name": f"User {n}", "usage": "42", "plan": "Plus", "device": "Heat pump"}
    return Job(v=1, user_id=f"u{n}", month=MONTH, email=f"u{n}@mail.example.net", template="bench", data=data)


class _Time(msgspec.Struct):
    at_ms: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What some processes did."""

    mails: int
    wall_s: float
    """from the first accepted mail to the last, by SES's record"""
    cpu_s: float
    """of the client processes, their start included"""
    times_ms: list[int]

    @property
    def per_s(self) -> float:
        return self.mails / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.mails * 1e6


class Bench:
    """A stack, and the sandbox's admin API."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.env = stack.env()
        self.url = self.env["AWS_ENDPOINT_URL_SESV2"]
        self.bootstrap = self.env["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"]
        self._record = next(folder.rglob("accepted.jsonl"))
        self.ses(1).create_email_template(TemplateName="bench", TemplateContent=TEMPLATE)

    def ses(self, connections: int) -> Any:
        """boto3's client, as a careful user sets it up for one attempt a call."""
        return boto3.client(
            "sesv2",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=connections),
        )

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def sandbox(self, **settings: Any) -> None:
        """An empty record and these settings; the others are SES's without limits."""
        self.admin("DELETE", "accepted")
        plain = {"latency_ms": 0, "max_send_rate": -1, "max_24_hour_send": -1}
        self.admin("PATCH", "settings", plain | settings)

    def times_ms(self) -> list[int]:
        """When each message was accepted."""
        decode = msgspec.json.Decoder(_Time).decode
        with self._record.open("rb") as lines:
            return [decode(line).at_ms for line in lines]

    def month(self) -> Month:
        return Month(self)


class Month:
    """Topics and a group of its own."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.name = f"b{uuid4().hex[:8]}"
        names = {"MAILONCE_TOPIC_PREFIX": f"{self.name}-", "MAILONCE_GROUP_ID": self.name}
        self.env = os.environ | bench.env | names | {"MAILONCE_LOG_FORMAT": "json"}
        self.run("topics", "create")

    def run(self, *arguments: str, **settings: str) -> float:
        """One command to its end; returns its CPU seconds."""
        return wait(start(self.env | settings, "mailonce", *arguments))

    def publish(self, jobs: int) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.bench.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 50,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        for n in range(jobs):
            producer.produce(f"{self.name}-jobs", encode(job(n)), Key(f"u{n}", MONTH).to_bytes())
            if n % 10_000 == 0:
                producer.poll(0)
        producer.flush()

    def send(self, processors: int = 1, **settings: str) -> Measured:
        """Processors to the end of what was published."""
        commands = [
            start(self.env | settings, "mailonce", "process", "--drain", "--instance", f"p{n}")
            for n in range(processors)
        ]
        cpu = sum(wait(command) for command in commands)
        times = self.bench.times_ms()
        return Measured(len(times), (times[-1] - times[0]) / 1000, cpu, times)


def start(env: dict[str, str], module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python module as a process."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait(process: subprocess.Popen[bytes]) -> float:
    """Its CPU seconds; raises when it failed."""
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {said.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def a_bench(*services: str) -> Iterator[Bench]:
    """Servers for one benchmark, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), tied=True)
        began = time.monotonic()
        stack.up(services or ("kafka", "valkey", "ses"))
        say(f"[dim]servers up in {time.monotonic() - began:.1f} s[/]")
        try:
            yield Bench(stack, Path(folder))
        finally:
            stack.down()
