"""One month: published, corrected, cancelled, poisoned, failed over, killed, run again, replayed; then what it left."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from schemas.codec import encode
from schemas.identity import Key
from schemas.partitions import partition_of
from schemas.records import Outcome
from tests.support import processes
from tests.support.world import WAIT_S, Process, World, job, wait_for
from tests.year.clock import PRESENT, moved
from tests.year.servers import Pair
from tests.year.topics import RETENTION_MONTHS

__all__ = ["USERS", "Month", "Opened"]

USERS = 40
CORRECTED, CANCELLED, CHANGED_LATER = 1, 2, 3
"""These users' rows: corrected before anything runs, cancelled then, changed once the mail is out."""
GROUPS = 3
"""Groups take turns: each has been idle for longer than Kafka keeps its offsets when it is its turn again."""
KILLED_EVERY = 4
LATENCY_MS = 250
NOTE_BYTES = 300
Opened = dict[str, int]
"""Each month's number of partitions."""


class Month:
    def __init__(self, world: World, pair: Pair, number: int, name: str, opened: Opened) -> None:
        self._world = world
        self._pair = pair
        self.number = number
        self.name = name
        self._opened = opened
        self._env = {PRESENT: name, "MAILONCE_GROUP_ID": f"{world.settings.group_id}-{number % GROUPS}"}
        self._addresses = {user: f"u{user}@mail.example.net" for user in range(USERS)}
        self.killed = False
        self.failed_over = ("left behind", "cleanly", "and back")[number % 3]

    def run(self, grow_to: int = 0) -> None:
        """The whole month; with `grow_to` the jobs topic gets so many partitions while jobs wait."""
        self._forgotten()
        self._publish()
        self._pair.follow()
        self._world.sandbox.set(latency_ms=LATENCY_MS)
        process = self._process("--instance", f"p{self.number}")
        self._accepted_beyond(USERS // 8)
        if grow_to:
            self._grow(grow_to)
        self._fail_over()
        self._end(process)
        self._world.sandbox.set(latency_ms=0)
        self._drain("d")
        self._after()
        self._pair.lose_the_other()

    # ---- what is asked for ----

    def _publish(self) -> None:
        world, before = self._world, self._world.sandbox.accepted_count()
        facts = self._produce()
        assert facts["published"] == USERS, facts
        self._opened[self.name] = self._partitions()
        self._addresses[CORRECTED] = "corrected@mail.example.net"
        facts = self._produce()
        assert (facts["published"], facts["changed"]) == (1, 1), facts
        self._run("cancel", f"u{CANCELLED}", self.name)
        # Neither is a job: each gets one letter.
        world.publish_raw([(f"nobody-{self.number}".encode(), b"junk", [])])
        poison = Key("poison", self.name)
        self._write(poison, b"{junk")
        world.published.add(poison)
        if closed := self._closed():
            late = Key(f"late-{self.number}", closed)
            self._write(late, encode(job(late.user_id, month=closed)))
            world.published.add(late)
        assert world.sandbox.accepted_count() == before, "nobody runs, and something was sent"

    def _closed(self) -> str:
        """A month below the floor whose jobs somebody publishes all the same."""
        names = sorted(self._opened)
        return names[-RETENTION_MONTHS - 2] if len(names) > RETENTION_MONTHS + 1 else ""

    def _produce(self) -> dict[str, Any]:
        source = self._world.folder / f"{self.name}.csv"
        rows = [f"u{user},{address},User {user},42,{self._note(user)}" for user, address in self._addresses.items()]
        source.write_text("\n".join(["user_id,email,name,usage,note", *rows]) + "\n")
        self._world.published |= {Key(f"u{user}", self.name) for user in self._addresses}
        done = self._run("produce", "--month", self.name, "--yes", "--source", str(source), "--json")
        found: dict[str, Any] = json.loads(done)
        return found

    def _note(self, user: int) -> str:
        """So long that a small segment of the jobs topic is full after a month or two."""
        return random.Random(f"{self.name}:{user}").randbytes(NOTE_BYTES).hex()

    # ---- what goes wrong ----

    def _forgotten(self) -> None:
        """Kafka has forgotten the group's offsets by itself."""
        admin = AdminClient({"bootstrap.servers": self._world.settings.kafka_bootstrap_servers, "log_level": 0})
        group = self._env["MAILONCE_GROUP_ID"]

        def gone() -> bool:
            asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
            try:
                found = asked.result(WAIT_S).topic_partitions
            except KafkaException:
                return True  # there is no such group
            return all(place.offset < 0 for place in found)

        wait_for(gone, "the expiry of the group's offsets")

    def _grow(self, count: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._world.settings.kafka_bootstrap_servers, "log_level": 0})
        for made in admin.create_partitions([NewPartitions(self._world.settings.topics.jobs, count)]).values():
            made.result(WAIT_S)
        wait_for(lambda: self._partitions() == count, "growing")
        self._run("topics", "create")

    def _fail_over(self) -> None:
        """The replica takes over: with everything, without the last claims, or for a while only."""
        self._pair.part()
        if self.failed_over == "left behind":
            self._accepted_beyond(USERS // 4)
        self._pair.fail_over()
        self._accepted_beyond(USERS // 2)
        if self.failed_over == "and back":
            self._pair.fail_over()
            self._accepted_beyond(USERS * 3 // 4)

    def _end(self, process: Process) -> None:
        if self.number % KILLED_EVERY == KILLED_EVERY - 1:
            self.killed = True
            process.kill()
        else:
            assert process.terminate() == 0, process.log.read_text()[-2000:]

    # ---- afterwards ----

    def _after(self) -> None:
        """Changed when the mail was out, run again unchanged, replayed: nothing more is sent."""
        accepted = self._world.sandbox.accepted_count()
        self._addresses[CHANGED_LATER] = "too-late@mail.example.net"
        facts = self._produce()
        assert facts["changed"] == 1, facts
        self._drain("e")
        facts = self._produce()
        assert (facts["published"], facts["changed"]) == (0, 0), facts
        self._run("replay", "--from-beginning", "--json")
        assert self._world.sandbox.accepted_count() == accepted, "a re-run or a replay sent something"

    def outcomes(self) -> dict[Outcome, int]:
        """What the ledger says of the month's keys."""
        found: dict[Outcome, int] = {}
        for key, entries in self._world.deliveries().items():
            if key.month == self.name:
                found[entries[-1].outcome] = found.get(entries[-1].outcome, 0) + 1
        return found

    # ---- how ----

    def _process(self, *args: str) -> Process:
        return self._world.start("process", *args, module="tests.year.clock", **self._env)

    def _drain(self, name: str) -> None:
        process = self._process("--instance", f"{name}{self.number}", "--drain")
        assert process.wait() == 0, process.log.read_text()[-3000:]

    def _run(self, *args: str) -> str:
        if args[0] != "replay":
            with moved(self.name):
                return self._world.run(*args, **self._env).stdout
        command = [sys.executable, "-m", "tests.year.clock", *args]
        done = processes.run(command, self._world.env | self._env, folder=Path(self._world.folder), timeout_s=WAIT_S)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def _write(self, key: Key, value: bytes) -> None:
        """Into the partition to which its month's keys go."""
        producer = Producer({"bootstrap.servers": self._world.settings.kafka_bootstrap_servers})
        partition = partition_of(key.to_bytes(), self._opened[key.month])
        producer.produce(self._world.settings.topics.jobs, value, key.to_bytes(), partition)
        assert producer.flush(WAIT_S) == 0

    def _partitions(self) -> int:
        admin = AdminClient({"bootstrap.servers": self._world.settings.kafka_bootstrap_servers, "log_level": 0})
        topic = self._world.settings.topics.jobs
        return len(admin.list_topics(topic, timeout=WAIT_S).topics[topic].partitions)

    def _accepted_beyond(self, count: int) -> None:
        """So many mails of this month are out, or its processor has no more to send."""
        wait_for(lambda: self._sent() > count, f"{count} mails of {self.name}")

    def _sent(self) -> int:
        return sum(key.month == self.name for key in self._world.sandbox.by_key())
