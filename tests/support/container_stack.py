"""The session's Kafka, Redis and SES sandbox in containers, by testcontainers: for who has a container engine.

They stand in the host's network on loopback, with the settings of the embedded stack. SQS stays embedded.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from infra.embedded import Stack
from infra.embedded.kafka import KAFKA_VERSION, Cluster, kafka_answers
from infra.embedded.others import sandbox_answers, valkey_answers
from infra.embedded.service import Running, Server, free_port, wait_until
from schemas.runtime.errors import SetupError

__all__ = ["ContainerStack", "chosen_stack", "engine_answers"]

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
REDIS_IMAGE = "redis:7.4.6-alpine"
MAILONCE_IMAGE = os.environ.get("MAILONCE_TEST_IMAGE", "mailonce:test")
ROOT = Path(__file__).parents[2]


def engine_answers() -> bool:
    """Whether a container engine can be asked; only Linux has the host's network for containers."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not sys.platform.startswith("linux") or (host.startswith("unix://") and not _listens(host[7:])):
        return False
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env(timeout=60)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


def _listens(place: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(place) == 0


def chosen_stack(asked: str) -> str:
    """``containers`` or ``embedded``, by ``MAILONCE_TEST_STACK``: ``auto`` asks for an engine."""
    assert asked in {"auto", "containers", "embedded"}, f"MAILONCE_TEST_STACK={asked}: auto, containers or embedded"
    if asked == "auto":
        return "containers" if engine_answers() else "embedded"
    assert asked == "embedded" or engine_answers(), (
        "MAILONCE_TEST_STACK=containers, but no engine answers (DOCKER_HOST?)"
    )
    return asked


class ContainerStack(Stack):
    """A stack whose servers are containers; their processes are known by the pids that the host sees."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, tied=True, brokers=1)
        self._containers: dict[str, Any] = {}

    def _server(self, name: str, port: int | None, say: Callable[[str], None]) -> Server:
        server = self._contained(name, port or free_port(), say)

        def wait_or_tell(running: Running) -> None:
            try:
                server.wait(running)
            except SetupError as error:
                if name not in self._containers:
                    raise
                told = self._containers[name].get_wrapped_container().logs().decode(errors="replace")
                raise SetupError(f"{error}\n{told[-2000:]}") from error

        return Server(server.start, wait_or_tell)

    def _contained(self, name: str, port: int, say: Callable[[str], None]) -> Server:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        match name:
            case "kafka":
                return self._kafka(folder, port)
            case "valkey":
                return self._redis(port)
            case "ses":
                return self._sandbox(folder, port)
            case _:
                return super()._server(name, port, say)

    def _run(
        self,
        name: str,
        port: int,
        image: str,
        command: list[str],
        env: dict[str, str] | None = None,
        data: Path | None = None,
        **options: object,
    ) -> Running:
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(image, command=command, env=env).with_kwargs(network_mode="host", **options)
        if data is not None:
            container.with_volume_mapping(str(data), "/record", "rw")
        container.start()
        self._containers[name] = container
        inner = container.get_wrapped_container()
        inner.reload()
        pid = int(inner.attrs["State"]["Pid"])
        return Running(name, pid, psutil.Process(pid).create_time(), port)

    def _kafka(self, folder: Path, port: int) -> Server:
        cluster = Cluster.of(self.folder, 1)
        lines = cluster.properties(1, port, port, Path("/tmp/kafka-data")).splitlines()
        pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
        env = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, _, value in pairs}
        env |= {"CLUSTER_ID": cluster.cluster_id}
        return Server(
            lambda: self._run("kafka", port, KAFKA_IMAGE, [], env),
            lambda running: wait_until(running, kafka_answers(port), folder, 60),
        )

    def _redis(self, port: int) -> Server:
        options = {"bind": "127.0.0.1", "port": str(port), "appendonly": "yes", "appendfsync": "always", "save": ""}
        flags = [
            part
            for name, value in (options | {"maxmemory-policy": "noeviction"}).items()
            for part in (f"--{name}", value)
        ]
        return Server(
            lambda: self._run("valkey", port, REDIS_IMAGE, ["redis-server", *flags]),
            lambda running: wait_until(running, lambda: valkey_answers(port), self.folder),
        )

    def _sandbox(self, folder: Path, port: int) -> Server:
        _build_once()
        return Server(
            lambda: self._run(
                "ses",
                port,
                MAILONCE_IMAGE,
                ["--port", str(port), "--dir", "/record"],
                entrypoint=["python", "-m", "infra.ses_sandbox"],
                user=f"{os.getuid()}:{os.getgid()}",
                data=folder,
            ),
            lambda running: wait_until(running, lambda: sandbox_answers(port), folder),
        )

    def down(self, only: object = ()) -> list[str]:
        ran = super().down()
        for container in self._containers.values():
            container.stop()
        return ran


def _build_once() -> None:
    """The image, from the repository's Dockerfile, unless it is there."""
    import docker
    from docker.errors import ImageNotFound

    with closing(docker.from_env(timeout=900)) as client:
        try:
            client.images.get(MAILONCE_IMAGE)
        except ImageNotFound:
            client.images.build(path=str(ROOT), dockerfile="infra/Dockerfile", tag=MAILONCE_IMAGE, rm=True)
