"""Servers that age quickly: a Kafka that soon forgets groups and producers, and a Valkey that fails over."""

from __future__ import annotations

import shutil
from pathlib import Path

import redis

from infra.embedded import Stack
from infra.embedded.jars import java
from infra.embedded.kafka import KAFKA, Cluster, format_storage, kafka_answers
from infra.embedded.service import free_port, spawn, stop, wait_until
from tests.support.proxy import Proxy
from tests.support.servers import kill_server
from tests.support.world import wait_for

__all__ = ["AgingKafka", "Pair"]

QUICK = """\
offsets.retention.minutes=1
offsets.retention.check.interval.ms=2000
transactional.id.expiration.ms=60000
transaction.remove.expired.transaction.cleanup.interval.ms=5000
producer.id.expiration.ms=60000
producer.id.expiration.check.interval.ms=5000
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
log.cleaner.backoff.ms=500
log.segment.delete.delay.ms=500
"""
"""A group without members is forgotten after a minute (a week by default), a transactional id as well."""


class AgingKafka:
    """One broker, whose offsets and transactional ids expire after a minute."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        cluster, properties = Cluster.of(folder, 1), folder / "server.properties"
        properties.write_text(cluster.properties(1, self.port, self.port, folder / "data") + QUICK)
        command = java(KAFKA.fetch(print))
        format_storage(command, properties, cluster.cluster_id)
        self.data = folder / "data"
        self._running = spawn("kafka", [*command, "kafka.Kafka", str(properties)], self.port, folder, tied=True)
        wait_until(self._running, kafka_answers(self.port), folder)

    def bytes_of(self, topic: str) -> int:
        """What its records take on disk, without the room that indexes are given beforehand."""
        logs = (log for place in self.data.glob(f"{topic}-[0-9]*") for log in place.glob("*.log"))
        return sum(log.stat().st_size for log in logs)

    def close(self) -> None:
        stop(self._running)


class Pair:
    """Two Valkeys behind one address: a primary, and a replica that takes its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._primary = self._fresh()
        self._replica: Stack | None = None
        self._address = Proxy(_port(self._primary))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._address.port}/0"

    def follow(self) -> None:
        """A replica of the primary joins, and has all of it."""
        self._replica = self._fresh()
        _call(self._replica, "REPLICAOF", "127.0.0.1", str(_port(self._primary)))
        wait_for(
            lambda: "'master_link_status': 'up'" in str(_call(self._replica, "INFO", "replication")), "replication"
        )

    def part(self) -> None:
        """The replica hears of nothing more, and may be written to."""
        _call(self._replica, "REPLICAOF", "NO", "ONE")

    def fail_over(self) -> None:
        """The address is the replica's; the primary lives on, and hears of nothing."""
        assert self._replica is not None
        self._primary, self._replica = self._replica, self._primary
        self._address.switch(_port(self._primary))

    def lose_the_other(self) -> None:
        """Whoever is not the primary dies, and its disk is lost."""
        if self._replica is not None:
            kill_server(self._replica, "valkey")
            shutil.rmtree(self._replica.folder)
            self._replica = None

    def bytes_used(self) -> int:
        """By keys and values alone."""
        with redis.Redis(port=_port(self._primary)) as client:
            return int(client.memory_stats()["dataset.bytes"])  # type: ignore[index]

    def names(self) -> list[str]:
        with redis.Redis(port=_port(self._primary), decode_responses=True) as client:
            return list(client.scan_iter(count=1000))

    def close(self) -> None:
        self._address.close()
        for stack in (self._primary, self._replica):
            if stack is not None:
                stack.down()

    def _fresh(self) -> Stack:
        self._count += 1
        stack = Stack(self._folder / f"valkey-{self._count}", tied=True)
        stack.up(("valkey",))
        return stack


def _port(stack: Stack) -> int:
    return stack.known()["valkey"].port


def _call(stack: Stack | None, *words: str) -> object:
    assert stack is not None
    with redis.Redis(port=_port(stack)) as client:
        return client.execute_command(*words)
