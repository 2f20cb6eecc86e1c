"""Kafka's classes as Java leaves them when it has read, checked and linked them: ``python -m infra.embedded.archive``.

A Kafka that starts from them needs less than half the CPU. Making the archive takes some twenty seconds of it, once for
an environment: worth it for the tests, which start Kafka thirty times, not for a stack that is started once a day. A
Kafka runs, is used a little, and when it ends Java writes down the classes that it had.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.embedded.jars import archive, java
from infra.embedded.kafka import KAFKA, Cluster, kafka_server
from infra.embedded.service import stop
from schemas.runtime.errors import SetupError

__all__ = ["main", "make"]

_MADE = "made.aot"
_PATIENCE_S = 180.0


def make(jars: Path) -> None:
    """Makes the archive of `jars` where it is missing, or older than a jar or Java itself. Raises `SetupError`."""
    target = archive(jars)
    sources = [*jars.glob("jars/*.jar"), Path(java(jars)[0])]
    if target.is_file() and target.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return
    target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        server = kafka_server(
            folder,
            None,
            cluster=Cluster.of(folder, 1),
            node=1,
            advertised=None,
            tied=True,
            say=print,
            options=(f"-XX:AOTCacheOutput={_MADE}",),
        )
        running = server.start()
        try:
            server.wait(running)
            _use(running.port)
        finally:
            stop(running, _PATIENCE_S)  # it writes before it ends
        if not (folder / _MADE).is_file():
            raise SetupError(f"Java made no archive of {jars}; without one Kafka starts as well, only slower")
        (folder / _MADE).replace(target)


def _use(port: int) -> None:
    """A topic, a transaction with an offset, and a member of a group who reads it."""
    place: dict[str, str | int | float | bool] = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
    admin = AdminClient(place)
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(_PATIENCE_S)
    consumer = Consumer(place | {"group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe(["t"])
    producer = Producer(place | {"transactional.id": "p"})
    producer.init_transactions(_PATIENCE_S)
    producer.begin_transaction()
    producer.produce("t", b"value", b"key")
    metadata = consumer.consumer_group_metadata()
    producer.send_offsets_to_transaction([TopicPartition("t", 0, 0)], metadata, _PATIENCE_S)
    producer.commit_transaction(_PATIENCE_S)
    consumer.poll(_PATIENCE_S)
    consumer.close()


def main() -> None:
    make(KAFKA.fetch(print))


if __name__ == "__main__":
    main()
