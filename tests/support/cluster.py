"""A Kafka of the test's own, to be mistreated: one broker or three."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from infra.embedded import Stack
from infra.embedded.service import is_alive, stop
from tests.support.sandbox import SandboxAdmin
from tests.support.world import World, make_world

__all__ = ["OwnKafka"]


class OwnKafka:
    """Kafka in a folder of its own; Valkey and the sandbox are the session's."""

    def __init__(self, folder: Path, shared: Stack, brokers: int = 1) -> None:
        self._stack = Stack(folder / "kafka-of-its-own", tied=True, brokers=brokers)
        self._shared = shared
        self._stack.up(("kafka",))

    def world(self, sandbox: SandboxAdmin, folder: Path) -> World:
        """A world whose topics are here."""
        return make_world(self._shared.env() | self.env(), sandbox, folder)

    def env(self) -> dict[str, str]:
        name = "MAILONCE_KAFKA_BOOTSTRAP_SERVERS"
        return {name: self._stack.env()[name]}

    @property
    def names(self) -> tuple[str, ...]:
        return self._stack.brokers

    def pid(self, name: str = "kafka") -> int:
        return self._stack.known()[name].pid

    def alive(self, name: str = "kafka") -> bool:
        return is_alive(self._stack.known()[name])

    def signal(self, name: str, number: int) -> None:
        os.kill(self._stack.known()[name].pid, number)

    def kill(self, name: str = "kafka") -> None:
        running = self._stack.known()[name]
        os.kill(running.pid, signal.SIGKILL)
        stop(running)

    def start(self, name: str = "kafka") -> None:
        self._stack.up((name,))

    def close(self) -> None:
        for name, running in self._stack.known().items():
            if is_alive(running):
                self.signal(name, signal.SIGCONT)
        self._stack.down()
