"""One test's own world on the shared stack: topics, group, processors as real processes, and the audit.

The audit trusts only the sandbox's record and the topics.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import psutil
import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

import mailonce
from processor.adapters.topics import create_topics
from schemas.codec import decode_dead_letter, decode_delivery, encode
from schemas.identity import Key
from schemas.kafka.reading import Record, read_topic
from schemas.records import DeadLetter, Delivery, Job, Outcome
from schemas.runtime.settings import Settings
from tests.support import processes
from tests.support.sandbox import SandboxAdmin

MONTH = "2026-11"
TEMPLATE = {
    "Subject": "Hello {{name}}",
    "Text": "Hello {{name}}, {{usage}} kWh",
    "Html": "<p>Hello {{name}}, {{usage}} kWh</p>",
}
ROOT = Path(__file__).parents[2]
WAIT_S = 300.0
"""Ten times what anything here takes on two quiet cores: a limit ends what hangs, it does not measure."""


def job(user: str, *, email: str | None = None, month: str = MONTH, **data: Any) -> Job:
    return Job(
        v=1,
        user_id=user,
        month=month,
        email=email or f"{re.sub('[^a-z0-9]', '-', user)}@mail.example.net",
        template="monthly-usage",
        data={"name": f"User {user}", "usage": "42"} | data,
    )


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Waits until `condition` is true and returns its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.02)
    return value


WORKERS = {"process", "evidence", "replay", "dashboard", "stack"}


def meant(args: Iterable[str]) -> list[str]:
    """A producer's month is right on any day, and rows that lack something are published all the same."""
    return [*args, "--yes"] if next(iter(args), "") == "produce" else [*args]


def run_here(args: list[str], env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """``mailonce`` with these arguments, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in list(os.environ):
            if name not in env:
                patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["mailonce", *args])
        code: Any = 0
        try:
            mailonce.main()
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess(args, 0 if code is None else code, out.getvalue(), err.getvalue())


class Process:
    """A processor, or another command, as a process of its own."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.itself = processes.start(command, env, out)

    def signal(self, number: int) -> None:
        self.itself.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.itself.wait(WAIT_S)

    def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = WAIT_S) -> int:
        return self.itself.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self.itself.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return self.running and psutil.Process(self.itself.pid).status() == psutil.STATUS_STOPPED

    def events(self) -> list[dict[str, Any]]:
        """Its log, parsed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def says(self, event: str) -> bool:
        return any(entry.get("event") == event for entry in self.events())


@dataclass
class Audit:
    """What really happened, by the sandbox's record and the ledger."""

    jobs: set[Key]
    outcomes: dict[Key, Delivery]
    accepted: Counter[Key]
    message_ids: dict[Key, set[str]]
    dead_letters: list[tuple[Record, DeadLetter]]

    def count(self, outcome: Outcome) -> int:
        return sum(delivery.outcome is outcome for delivery in self.outcomes.values())

    def check(self, *, uncertain_max: int = 0) -> None:
        """G1 no duplicate, G2 nothing lost, and outcomes that agree with SES's record."""
        twice = {str(key): count for key, count in self.accepted.items() if count > 1}
        assert not twice, f"accepted more than once: {twice}"
        lost = self.jobs - set(self.outcomes)
        assert not lost, f"{len(lost)} jobs without an outcome, for example {sorted(lost)[:3]}"
        for key, delivery in self.outcomes.items():
            match delivery.outcome:
                case Outcome.SENT if delivery.by:
                    pass  # somebody said so
                case Outcome.SENT:
                    assert delivery.message_id in self.message_ids.get(key, set()), (
                        f"{key}: sent, but SES never took it"
                    )
                case Outcome.UNCERTAIN:
                    pass
                case Outcome.DEAD if delivery.message_id or delivery.held:
                    pass  # SES took it and dropped it, or nobody knows
                case _:
                    assert not self.accepted[key], f"{key}: {delivery.outcome}, but SES took it"
        wrong = [str(key) for key in self.accepted if key not in self.outcomes]
        assert not wrong, f"SES took mails that nobody asked for: {wrong[:3]}"
        uncertain = self.count(Outcome.UNCERTAIN)
        assert uncertain <= uncertain_max, f"{uncertain} uncertain, {uncertain_max} calls can have been in flight"


@dataclass
class World:
    settings: Settings
    env: dict[str, str]
    sandbox: SandboxAdmin
    folder: Path
    processes: list[Process] = field(default_factory=list)
    published: set[Key] = field(default_factory=set)

    # ---- before ----

    def prepare(self) -> None:
        self.sandbox.reset()
        create_topics(self.settings)
        wait_for(self._topics_are_served, "the broker's taking over of its new topics")
        self.push_template("monthly-usage", TEMPLATE)

    def _topics_are_served(self) -> bool:
        """A busy broker knows of a partition a while before it answers for it."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "log_level": 0})
        found = admin.list_topics(timeout=WAIT_S).topics
        names = [spec.name for spec in self.settings.topics.specs()]
        if not all(name in found for name in names):
            return False
        places = {
            TopicPartition(name, number): OffsetSpec.latest() for name in names for number in found[name].partitions
        }
        with suppress(KafkaException):
            return all(asked.result(WAIT_S) for asked in admin.list_offsets(places).values())
        return False

    def ses(self) -> Any:
        """A plain boto3 client on the sandbox."""
        return boto3.client(
            "sesv2",
            endpoint_url=self.sandbox.url,
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
        )

    def push_template(self, name: str, content: dict[str, str]) -> None:
        client = self.ses()
        client.delete_email_template(TemplateName=name)
        client.create_email_template(TemplateName=name, TemplateContent=content)

    def publish(self, jobs: Iterable[Job]) -> None:
        records = []
        for entry in jobs:
            key = Key(entry.user_id, entry.month)
            self.published.add(key)
            records.append((key.to_bytes(), encode(entry), []))
        self.publish_raw(records)

    def publish_raw(self, records: Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]) -> None:
        """Records as they are, poison included."""
        producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap_servers,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "message.max.bytes": 16_000_000,
            }
        )
        failed: list[str] = []
        for key, value, headers in records:
            producer.produce(
                self.settings.topics.jobs,
                value,
                key,
                headers=headers,
                on_delivery=lambda error, _: failed.append(str(error)) if error else None,
            )
        assert producer.flush(WAIT_S) == 0
        assert not failed, failed

    # ---- processes ----

    def start(self, *args: str, module: str = "mailonce", **env: str) -> Process:
        name = f"{len(self.processes)}-{'-'.join(args[:2]).strip('-')}.log".replace("/", "_")
        process = Process([sys.executable, "-m", module, *meant(args)], self.env | env, self.folder / name)
        self.processes.append(process)
        return process

    def processor(
        self, instance: str, *fault: str, drain: bool = False, at: str = "", nth: int = 1, **env: str
    ) -> Process:
        """A processor; with `at` a fault happens at that step of the protocol, the `nth` time it comes there.

        The fault is its own death unless `fault` (the killer's other options) says more.
        """
        args = ["--instance", instance, *(["--drain"] if drain else [])]
        if at:
            return self.start("--at", at, "--nth", str(nth), *fault, *args, module="tests.support.killer", **env)
        return self.start("process", *args, **env)

    def drain(self, instance: str = "drainer", **env: str) -> Process:
        process = self.processor(instance, drain=True, **env)
        assert process.wait() == 0, f"the drain failed: {process.log.read_text()[-3000:]}"
        return process

    def run(
        self, *args: str, ok: tuple[int, ...] = (0,), timeout_s: float = WAIT_S, guarded: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end: in a process of its own if it works for a while, else in this one, which is quicker.

        With `guarded` a producer that wants to ask something is refused.
        """
        args = args if guarded else tuple(meant(args))
        if args[0] in WORKERS:
            command = [sys.executable, "-m", "mailonce", *args]
            done = processes.run(command, self.env | env, folder=self.folder, timeout_s=timeout_s)
        else:
            done = run_here(list(args), self.env | env, self.folder)
        assert done.returncode in ok, f"exit {done.returncode}: {done.stderr[-2000:]}"
        return done

    def close(self) -> None:
        for process in self.processes:
            if process.running:
                process.signal(signal.SIGCONT)
                process.kill()

    def remove_topics(self) -> None:
        """Thousands of them would fill the broker that all tests share; it removes them when it has time."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "log_level": 0})
        prefix = self.settings.topic_prefix
        if own := [name for name in admin.list_topics(timeout=WAIT_S).topics if name.startswith(prefix)]:
            for removed in admin.delete_topics(own).values():
                removed.result(WAIT_S)

    # ---- after ----

    def deliveries(self) -> dict[Key, list[Delivery]]:
        found: dict[Key, list[Delivery]] = {}
        for record in read_topic(self.settings, self.settings.topics.deliveries):
            assert record.value is not None
            found.setdefault(Key.from_bytes(record.key), []).append(decode_delivery(record.value))
        return found

    def dead_letters(self) -> list[tuple[Record, DeadLetter]]:
        topic = self.settings.topics.dead_letters
        return [(record, decode_dead_letter(record.headers)) for record in read_topic(self.settings, topic)]

    def audit(self) -> Audit:
        by_key = self.sandbox.by_key()
        return Audit(
            jobs=set(self.published),
            outcomes={key: entries[-1] for key, entries in self.deliveries().items()},
            accepted=Counter({key: len(mails) for key, mails in by_key.items()}),
            message_ids={key: {mail.message_id for mail in mails} for key, mails in by_key.items()},
            dead_letters=self.dead_letters(),
        )


@dataclass(frozen=True)
class Lives:
    """How long a silent processor keeps its partitions, SES takes a signature, and a claim counts, in seconds."""

    session_s: int
    signature_s: int
    attempt_s: int

    def env(self) -> dict[str, str]:
        return {
            "MAILONCE_SESSION_TIMEOUT_S": str(self.session_s),
            "MAILONCE_SIGNATURE_AGE_S": str(self.signature_s),
            "MAILONCE_ATTEMPT_LIFETIME_S": str(self.attempt_s),
        }


LONG = Lives(6, 30, 60)
"""Nothing expires, however busy the machine is."""
SHORT = Lives(3, 3, 6)
"""For tests in which somebody dies and others wait for the expiry: in the proportions of production."""


CALLS_AT_ONCE = 8
"""A processor's calls to SES at one moment: what a death, a cut or a silence can leave in doubt."""


def make_world(stack_env: dict[str, str], sandbox: SandboxAdmin, folder: Path, lives: Lives = LONG) -> World:
    """A world of its own: prefix, group, settings."""
    name = f"t{uuid4().hex[:8]}"
    own = {
        "MAILONCE_TOPIC_PREFIX": f"{name}-",
        "MAILONCE_GROUP_ID": name,
        "MAILONCE_PARTITIONS": "4",
        "MAILONCE_LOG_FORMAT": "json",
        "MAILONCE_CALLS_AT_ONCE": str(CALLS_AT_ONCE),
        # On a busy machine a stop takes longer: only tests of its limit keep the default.
        "MAILONCE_STOP_S": "100",
        **lives.env(),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAILONCE_", "AWS_"))}
    # Events are for those tests that ask for them.
    events = {"MAILONCE_CONFIGURATION_SET": "", "MAILONCE_EVENTS_QUEUE_URL": ""}
    env = inherited | stack_env | events | own
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        kafka_bootstrap_servers=env["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"],
        redis_url=env["MAILONCE_REDIS_URL"],  # type: ignore[arg-type]
        from_address=env["MAILONCE_FROM_ADDRESS"],
        topic_prefix=own["MAILONCE_TOPIC_PREFIX"],
        group_id=name,
        partitions=4,
        signature_age_s=lives.signature_s,
        attempt_lifetime_s=lives.attempt_s,
        session_timeout_s=lives.session_s,
    )
    world = World(settings, env, sandbox, folder)
    world.prepare()
    sandbox.set(signature_age_s=lives.signature_s)
    return world
