"""A Kafka of the test's own, to be mistreated: one broker or three."""

from __future__ import annotations

import signal
from pathlib import Path

from infra.embedded import Stack
from tests.support.sandbox import SandboxAdmin
from tests.support.servers import kill_server, server_runs, signal_server
from tests.support.world import SHORT, World, make_world

__all__ = ["OwnKafka"]


class OwnKafka:
    """Kafka in a folder of its own; Valkey and the sandbox are the session's."""

    def __init__(self, folder: Path, shared: Stack, brokers: int = 1, seen_at: int | None = None) -> None:
        self._stack = Stack(folder / "kafka-of-its-own", tied=True, brokers=brokers, kafka_seen_at=seen_at)
        self._seen_at = seen_at
        self._shared = shared
        self._frozen: set[str] = set()
        self._stack.up(("kafka",))

    def world(self, sandbox: SandboxAdmin, folder: Path) -> World:
        """A world whose topics are here."""
        world = make_world(self._shared.env() | self.env(), sandbox, folder, SHORT)
        # Its brokers die and come back, which on a busy machine takes longer than anybody's patience.
        world.env["MAILONCE_PATIENCE_S"] = "200"
        return world

    def env(self) -> dict[str, str]:
        name = "MAILONCE_KAFKA_BOOTSTRAP_SERVERS"
        return {name: f"127.0.0.1:{self._seen_at}" if self._seen_at else self._stack.env()[name]}

    @property
    def folder(self) -> Path:
        """Where the brokers keep their logs."""
        return self._stack.folder

    @property
    def port(self) -> int:
        """Where the broker listens, whatever stands before it."""
        return self._stack.known()["kafka"].port

    @property
    def names(self) -> tuple[str, ...]:
        return self._stack.brokers

    def pid(self, name: str = "kafka") -> int:
        return self._stack.known()[name].pid

    def alive(self, name: str = "kafka") -> bool:
        return server_runs(self._stack, name)

    def signal(self, name: str, number: int) -> None:
        if number == signal.SIGSTOP:
            self._frozen.add(name)
        signal_server(self._stack, name, number)

    def kill(self, name: str = "kafka") -> None:
        kill_server(self._stack, name)

    def start(self, name: str = "kafka") -> None:
        self._stack.up((name,))

    def heal(self) -> None:
        """All brokers run. One that was frozen needs a while until it is a member of its own cluster: a new one is quicker."""
        for name in self._frozen:
            self.kill(name)
        self._frozen.clear()
        self._stack.up(self.names)

    def close(self) -> None:
        for name in self._stack.known():
            self.signal(name, signal.SIGCONT)
        self._stack.down()
