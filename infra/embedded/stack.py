"""The embedded stack as a whole: up, down, status, and the settings that point mailonce at it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.embedded import record
from infra.embedded.deferred import deferred
from infra.embedded.folder import absolute, check_name, check_owner
from infra.embedded.jars import check_disk
from infra.embedded.kafka import Cluster, kafka_server
from infra.embedded.others import connect_events, queue_url, sandbox_server, sqs_server, valkey_server
from infra.embedded.record import Running
from infra.embedded.service import Server, is_alive, stop
from infra.ses_sandbox.connect import CONFIGURATION_SET
from schemas.runtime.errors import SetupError, UsageError

__all__ = ["SERVICES", "Stack"]

SERVICES = ("kafka", "valkey", "ses", "sqs")


class Stack:
    """Services whose data, logs and pids live in one folder.

    Args:
        folder: for everything; a later `up` there finds its data and ports again.
        tied: whether the services must end with this process (for tests and the demo).
        sandbox_options: command-line options of the SES sandbox.
        kafka_seen_at: the port at which clients reach a single broker: a proxy's, when there is one before it.
        brokers: Kafka nodes of a new stack; ``None``: as many as the folder's data is for, or one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tied: bool = False,
        sandbox_options: tuple[str, ...] = (),
        brokers: int | None = None,
        kafka_seen_at: int | None = None,
    ) -> None:
        self.folder = absolute(folder)
        self._brokers = brokers
        self._kafka_seen_at = kafka_seen_at
        self._tied = tied
        self._sandbox_options = sandbox_options

    @property
    def _state_file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def _events_file(self) -> Path:
        return self.folder / "events-connected"

    def connect_events(self) -> None:
        """Lets the SES sandbox publish its events into the SQS queue; raises `UsageError` when one of them is down."""
        known = self.known()
        if not all(name in known and is_alive(known[name]) for name in ("ses", "sqs")):
            raise UsageError("events need both ses and sqs: start them too")
        connect_events(known["ses"].port, known["sqs"].port)
        self._events_file.touch()

    @property
    def brokers(self) -> tuple[str, ...]:
        """The names of the Kafka nodes: kafka, kafka-2, kafka-3…"""
        count = self._brokers
        if count is None:
            count = sum(name.startswith("kafka") for name in self.known()) or 1
        return ("kafka", *(f"kafka-{number}" for number in range(2, count + 1)))

    def _nodes(self, only: Iterable[str]) -> list[str]:
        """Servers of the named services, in the order of their start."""
        wanted = set(only)
        names = [node for name in SERVICES if name in wanted for node in (self.brokers if name == "kafka" else (name,))]
        return names + [name for name in self.brokers[1:] if name in wanted and name not in names]

    def known(self) -> dict[str, Running]:
        """Services that were started here, running or not. Raises `SetupError`."""
        known = record.read(self._state_file)
        for one in record.noted_in(self.folder):
            if one.name not in known or not is_alive(known[one.name]):
                known[one.name] = one
        return known

    def status(self) -> dict[str, tuple[Running | None, bool]]:
        """Each service, as last started, and whether it runs."""
        known = self.known()
        names = self._nodes(SERVICES)
        return {name: (known.get(name), name in known and is_alive(known[name])) for name in names}

    def up(self, only: Iterable[str] = SERVICES, say: Callable[[str], None] = lambda _: None) -> None:
        """Starts what does not run and waits until all of it answers; raises `SetupError` and stops what it began."""
        wanted = set(only)
        if unknown := wanted - set(SERVICES) - set(self.brokers):
            raise UsageError(f"no such service: {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
        check_name(self.folder)
        check_owner(self._state_file)
        known, recorded = self.known(), record.read(self._state_file)
        begun: list[tuple[Server, Running]] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            check_disk(self.folder / "any")
            # Kafka takes longest: it comes up while the others do.
            for name in self._nodes(wanted):
                found = known[name] if name in known and is_alive(known[name]) else None
                if found and found == recorded.get(name):
                    continue
                # Whoever started one that nobody recorded was killed before it had waited for its answer.
                say(f"{name} was started before" if found else f"starting {name}")
                server = self._server(name, known[name].port if name in known else None, say)
                with deferred():  # a server that runs and is not known would be left to itself
                    known[name] = found or server.start()
                    begun.append((server, known[name]))
                    record.save(self._state_file, known)
            for server, running in begun:
                server.wait(running)
                say(f"{running.name} answers on 127.0.0.1:{running.port}")
        except BaseException as error:
            for _, running in begun:
                stop(running)
            if isinstance(error, OSError):
                raise SetupError(
                    f"the stack could not be started in {self.folder}: {error}; mend that or use another --dir"
                ) from error
            raise

    def _server(self, name: str, port: int | None, say: Callable[[str], None]) -> Server:
        folder = self.folder / name
        match name:
            case _ if name in self.brokers:
                cluster, node = Cluster.of(self.folder, len(self.brokers)), self.brokers.index(name) + 1
                return kafka_server(
                    folder,
                    port,
                    cluster=cluster,
                    node=node,
                    advertised=self._kafka_seen_at,
                    tied=self._tied,
                    say=say,
                )
            case "valkey":
                return valkey_server(folder, port, tied=self._tied)
            case "ses":
                return sandbox_server(folder, port, tied=self._tied, options=self._sandbox_options)
            case _:
                return sqs_server(folder, port, tied=self._tied, say=say)

    def down(self, only: Iterable[str] = SERVICES) -> list[str]:
        """Stops services; their data and ports stay. Returns those that ran. Raises `SetupError`."""
        if os.geteuid():
            check_owner(self._state_file)
        known = self.known()
        chosen = [known[name] for name in reversed(self._nodes(only)) if name in known]
        ran = [running.name for running in chosen if is_alive(running)]
        for running in chosen:
            stop(running)
        return ran

    def env(self) -> dict[str, str]:
        """Environment variables that point mailonce and boto3 at this stack."""
        ports = {name: running.port for name, running in self.known().items()}
        if not ports:
            raise UsageError(f"no stack was started in {self.folder}: run `mailonce stack up` first")
        env = {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "MAILONCE_FROM_ADDRESS": "usage@example.com",
        }
        if "kafka" in ports:
            nodes = (f"127.0.0.1:{ports[name]}" for name in self.brokers if name in ports)
            env["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"] = ",".join(nodes)
        if "valkey" in ports:
            env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{ports['valkey']}/0"
        if "ses" in ports:
            env["AWS_ENDPOINT_URL_SESV2"] = f"http://127.0.0.1:{ports['ses']}"
        if "sqs" in ports:
            endpoint = f"http://127.0.0.1:{ports['sqs']}"
            env["AWS_ENDPOINT_URL_SQS"] = endpoint
            env["MAILONCE_EVENTS_QUEUE_URL"] = queue_url(ports["sqs"])
        if self._events_file.exists():
            env["MAILONCE_CONFIGURATION_SET"] = CONFIGURATION_SET
        return env
