"""Apache Kafka in KRaft mode, without Docker: one node or a cluster on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.embedded.jars import JavaProgram, check_disk, java
from infra.embedded.service import SERVER_LOCALE, Server, free_port, spawn, wait_until
from schemas.runtime.errors import SetupError, UsageError

__all__ = ["KAFKA", "KAFKA_VERSION", "Cluster", "format_storage", "kafka_answers", "kafka_server"]

KAFKA_VERSION = "4.2.2"
_LOG4J = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="kafka-server.log" filePattern="kafka-server.log.%i">
      <PatternLayout pattern="%d %p %c{1} %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="20MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="file"/></Root></Loggers>
</Configuration>
"""

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={isr}
transaction.state.log.num.partitions=8
# A dead processor's open transaction holds up its successor: look for such often.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# A dead broker's partitions move on after this (default 9 s).
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
# The default of 128 MB would not fit the small heap.
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""


KAFKA = JavaProgram(
    "kafka",
    KAFKA_VERSION,
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    # Kafka logs by SLF4J 1.7, whose binding its POM leaves out; the version is that of its log4j-core.
    alone=("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the nodes of a KRaft cluster share. It is part of their data: it stays what it was."""

    cluster_id: str
    controllers: list[int]
    """The controllers' ports, one a node."""

    @classmethod
    def of(cls, folder: Path, nodes: int) -> Cluster:
        """The cluster whose data lives in `folder`, or a new one; raises `UsageError` when `nodes` is not its size."""
        kept = folder / "kafka-cluster.json"
        if kept.exists():
            cluster = cls(**json.loads(kept.read_text()))
        else:
            cluster = cls(_new_id(), [free_port() for _ in range(nodes)])
            folder.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(".part")
            partial.write_text(json.dumps(asdict(cluster)))
            partial.replace(kept)
        if len(cluster.controllers) != nodes:
            raise UsageError(f"{folder} holds a cluster of {len(cluster.controllers)} brokers: use another --dir")
        return cluster

    def properties(self, node: int, port: int, advertised: int, data: Path) -> str:
        replication = min(3, len(self.controllers))
        voters = (f"{number}@127.0.0.1:{place}" for number, place in enumerate(self.controllers, 1))
        return _PROPERTIES.format(
            node=node,
            voters=",".join(voters),
            controller=self.controllers[node - 1],
            port=port,
            advertised=advertised,
            data=data,
            replication=replication,
            isr=max(1, replication - 1),
        )


def kafka_server(
    folder: Path,
    port: int | None,
    *,
    cluster: Cluster,
    node: int,
    advertised: int | None,
    tied: bool,
    say: Callable[[str], None],
    options: tuple[str, ...] = (),
) -> Server:
    """A KRaft node: its jars are fetched and its storage is formatted, where that is still to be done.

    `options` are Java's, for the node alone.
    """
    jars = KAFKA.fetch(say)
    check_disk(folder)
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    properties, log4j = folder / "server.properties", folder / "log4j2.xml"
    properties.write_text(cluster.properties(node, port, advertised or port, Path("data")))
    log4j.write_text(_LOG4J)
    command = java(jars, f"-Dlog4j2.configurationFile={log4j.name}")
    if not (folder / "data/meta.properties").exists():
        format_storage(command, properties, cluster.cluster_id)
    return Server(
        lambda: spawn(folder.name, [*command, *options, "kafka.Kafka", properties.name], port, folder, tied=tied),
        lambda running: wait_until(running, kafka_answers(port, len(cluster.controllers)), folder),
    )


def _new_id() -> str:
    # Kafka's own tool takes an id that begins with a dash for an option.
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return name


def format_storage(command: list[str], properties: Path, cluster: str, *more: str) -> None:
    """Makes a node's storage, with `more` options of Kafka's own tool. Raises `SetupError`."""
    done = subprocess.run(
        [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties.name, *more],
        cwd=properties.parent,
        env=os.environ | SERVER_LOCALE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-500:]}")


def kafka_answers(port: int, nodes: int = 1) -> Callable[[], bool]:
    """Asks whether the node knows of a majority: a node that comes back need not wait for one that is dead."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, "reconnect.backoff.max.ms": 200})

    def answers() -> bool:
        with contextlib.suppress(KafkaException):
            return len(admin.list_topics(timeout=0.3).brokers) > nodes // 2
        return False

    return answers
