"""What every benchmark needs: a stack of its own, months of jobs, processors whose CPU is counted, SES's record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import uuid4

import boto3
import msgspec
import psutil
from botocore.config import Config
from confluent_kafka import Producer
from rich.console import Console

from infra.embedded import Stack
from schemas.codec import encode
from schemas.identity import Key
from schemas.records import Job

__all__ = ["MONTH", "TEMPLATE", "Bench", "Command", "Measured", "Month", "Usage", "a_bench", "job", "say", "ses_client"]

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


def ses_client(url: str, connections: int) -> Any:
    """boto3's client, as a careful user sets it up for one attempt a call."""
    return boto3.client(
        "sesv2",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=connections),
    )


class _Time(msgspec.Struct):
    at_ms: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What some processes did, from the moment when a tenth of the mails was accepted to the last one."""

    mails: int
    wall_s: float
    """by SES's record"""
    cpu_s: float
    """of the client processes, their end included"""
    started_at_ms: int
    times_ms: list[int]
    """of all mails"""
    peak_mb: float
    """the largest of the client processes"""

    @property
    def per_s(self) -> float:
        return self.mails / self.wall_s

    @property
    def steady_per_s(self) -> float:
        """Mails a second while all processors were there: from a third of the mails to four fifths."""
        first, last = len(self.times_ms) // 3, len(self.times_ms) * 4 // 5
        return (last - first) / (self.times_ms[last] - self.times_ms[first]) * 1000

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
        self.record = next(folder.rglob("accepted.jsonl"))
        ses_client(self.url, 1).create_email_template(TemplateName="bench", TemplateContent=TEMPLATE)

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

    def count(self) -> int:
        """Messages accepted so far."""
        return int(self.admin("GET", "summary")["accepted"])

    def times_ms(self) -> list[int]:
        """When each message was accepted."""
        decode = msgspec.json.Decoder(_Time).decode
        with self.record.open("rb") as lines:
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

    def run(self, *arguments: str, **settings: str) -> Usage:
        """One command to its end."""
        return self.start(*arguments, **settings).wait()

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

    def send(self, mails: int, processors: int = 1, **settings: str) -> Measured:
        """Processors to the end of the `mails` that were published."""
        started = time.time()
        commands = [self.start("process", "--drain", "--instance", f"p{n}", **settings) for n in range(processors)]
        while not (warm := self.bench.count()) >= mails // 10:
            if any(command.ended() for command in commands):
                break
            time.sleep(0.02)
        cpu = sum(command.cpu_s() for command in commands)
        usages = [command.wait() for command in commands]
        times = self.bench.times_ms()
        if len(times) != mails:
            raise RuntimeError(f"{len(times)} of {mails} mails were accepted")
        return Measured(
            mails - warm,
            (times[-1] - times[warm]) / 1000,
            sum(usage.cpu_s for usage in usages) - cpu,
            int(started * 1000),
            times,
            max(usage.peak_mb for usage in usages),
        )

    def start(self, *arguments: str, **settings: str) -> Command:
        return Command(self.env | settings, "mailonce", *arguments)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an ended process used."""

    cpu_s: float
    peak_mb: float
    said: str


class Command:
    """A Python module as a process."""

    def __init__(self, env: Mapping[str, str], module: str, *arguments: str, own_session: bool = False) -> None:
        self._arguments = [module, *arguments]
        self._said, self.complaint = TemporaryFile(), TemporaryFile()  # noqa: SIM115 - as long as it
        command = [sys.executable, "-m", *self._arguments]
        self.process = subprocess.Popen(
            command, env=dict(env), stdout=self._said, stderr=self.complaint, start_new_session=own_session
        )
        self._usage: Usage | None = None
        self._peak_kb = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Its whole lines so far."""
        return _read(self.complaint).rpartition("\n")[0]

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        if self._usage is not None:
            return self._usage.cpu_s
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def ended(self) -> bool:
        if self._usage is None:
            # Not `ru_maxrss`: that knows the parent's memory too, from between fork and exec.
            status = Path(f"/proc/{self.pid}/status").read_text()
            if peak := re.search(r"VmHWM:\s+(\d+) kB", status):
                self._peak_kb = int(peak[1])
            pid, code, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(code)
                used = usage.ru_utime + usage.ru_stime
                self._usage = Usage(used, self._peak_kb / 1024, _read(self._said))
        return self._usage is not None

    def wait(self) -> Usage:
        """To its end; raises when it failed."""
        while not self.ended():
            time.sleep(0.05)
        if self.process.returncode:
            raise RuntimeError(f"{self._arguments} ended with {self.process.returncode}: {self.log[-2000:]}")
        assert self._usage is not None
        return self._usage


def _read(file: IO[bytes]) -> str:
    """All of it, without moving the position that the child shares."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


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
