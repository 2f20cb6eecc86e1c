"""Stops end: whatever moment the signal chooses, and whichever server does not answer. `make stops` does it by the
hundred."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded import Stack
from infra.embedded.service import free_port
from tests.integration.test_redis_lost import Valkey
from tests.stops.run import Plan, run
from tests.support.cluster import OwnKafka
from tests.support.dashboard import start_dashboard
from tests.support.sandbox import SandboxAdmin
from tests.support.world import CALLS_AT_ONCE, Process, World, job, wait_for


@pytest.mark.timeout(600)
def test_drains_and_sigterms_at_any_moment(stack: Stack, sandbox: SandboxAdmin, tmp_path: Path) -> None:
    """G1, G2 and that each stop ends, with a client that is cancelled in the middle of its writes all the time."""
    report = run(stack, sandbox, tmp_path, Plan(drains=6, terms=6, lanes=2))
    assert not report.wrong
    assert len(report.took_s["term"]) == 6


# ---- servers that take a connection and say nothing ----


class Mute:
    """A server that never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._taken: list[socket.socket] = []

    def asked(self) -> bool:
        """Whether somebody has sent it something."""
        with contextlib.suppress(BlockingIOError):
            self._taken.append(self._socket.accept()[0])
        for taken in self._taken:
            taken.setblocking(False)
            try:
                if taken.recv(1, socket.MSG_PEEK):
                    return True
            except BlockingIOError:
                continue
        return False

    def forget(self) -> None:
        """Those who asked so far are gone."""
        for taken in self._taken:
            taken.close()
        self._taken.clear()

    def close(self) -> None:
        for one in (self._socket, *self._taken):
            one.close()


@pytest.fixture
def mute() -> Iterator[Mute]:
    mute = Mute()
    yield mute
    mute.close()


@pytest.mark.parametrize(
    ("command", "setting", "value"),
    [
        (("process",), "MAILONCE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:{}"),
        (("process", "--drain"), "MAILONCE_REDIS_URL", "redis://127.0.0.1:{}/0"),
        (("process",), "AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:{}"),
        (("evidence",), "AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:{}"),
        (("evidence",), "MAILONCE_REDIS_URL", "redis://127.0.0.1:{}/0"),
    ],
    ids=["kafka", "redis", "ses", "sqs", "redis-evidence"],
)
def test_sigterm_while_a_server_is_waited_for(
    world: World, mute: Mute, command: tuple[str, ...], setting: str, value: str
) -> None:
    """A stop ends with 0 whoever is waited for, at the start too: that server's time-outs are much longer."""
    env = {"MAILONCE_EVENTS_QUEUE_URL": "http://127.0.0.1:1/queue", setting: value.format(mute.port)}
    if setting == "AWS_ENDPOINT_URL_SQS":
        env["MAILONCE_EVENTS_QUEUE_URL"] = f"{env[setting]}/queue"
    for _ in range(3):
        mute.forget()
        process = world.start(*command, **env)
        wait_for(mute.asked, "the question")
        if (code := process.terminate()) == 0:
            return
        # On a machine that stood still for so long the server's time-out was first.
        assert code == 7, process.log.read_text()[-2000:]
    raise AssertionError(f"the signal was not obeyed: {process.log.read_text()[-2000:]}")


# ---- Redis ----


def test_sigterm_while_redis_is_away(world: World, tmp_path: Path) -> None:
    """G1, G2: calls end, what SES said stands in the ledger, and the stop ends though Redis can be told nothing."""
    valkey = Valkey(tmp_path / "valkey")
    try:
        world.env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}/0"
        world.sandbox.set(latency_ms=300)
        world.publish(job(f"u{n}") for n in range(60))
        process = world.processor("p1")
        wait_for(lambda: world.sandbox.accepted_count() > CALLS_AT_ONCE, "sending")
        valkey.kill()
        wait_for(lambda: process.says("redis unavailable"), "the outage")
        assert process.terminate() == 0, process.log.read_text()[-2000:]
        world.sandbox.set(latency_ms=0)
        valkey.start()
        world.drain("p2")
        # A claim whose answer got lost with Redis comes back with its file, and the withdrawal of its attempt frees it.
        world.audit().check(uncertain_max=0)
    finally:
        world.close()
        valkey.close()


# ---- Kafka ----


def last_line(process: Process) -> str:
    return process.log.read_text().splitlines()[-1]


@pytest.mark.parametrize(
    "fault",
    [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.long)],
    ids=["frozen", "gone"],
)
def test_an_idle_processor_notices_that_kafka_has_gone(own: OwnKafka, on_own: World, fault: int) -> None:
    """Exit code 7 and the cause, also when there is nothing to do; a poll of a client without brokers says nothing."""
    on_own.publish(job(f"u{n}") for n in range(5))
    process = on_own.processor("p1", MAILONCE_PATIENCE_S="6")
    wait_for(lambda: len(on_own.deliveries()) == 5, "the outcomes")
    own.signal("kafka", fault)
    assert process.wait(180) == 7
    assert "Kafka has not answered for" in last_line(process)


@pytest.mark.long  # an idle processor notices it in `make test`
def test_a_drain_that_waits_notices_that_kafka_has_gone(own: OwnKafka, on_own: World) -> None:
    """A job that backs off keeps the drain from its end, and nothing from the topic wakes it."""
    on_own.sandbox.fault("throttle")
    on_own.publish([job("u1")])
    slow = '{"throttled": {"interval_s": 600, "backoff_rate": 2, "max_attempts": 20, "max_delay_s": 600}}'
    process = on_own.processor("p1", drain=True, MAILONCE_PATIENCE_S="6", MAILONCE_RETRY=slow)
    wait_for(lambda: process.says("retrying"), "the back-off")
    own.kill()
    assert process.wait(180) == 7
    assert "Kafka" in last_line(process)
    on_own.sandbox.clear_faults()
    own.start()
    on_own.drain("p2")
    on_own.audit().check()


@pytest.mark.long  # it waits by the same limit as a processor
def test_evidence_notices_that_kafka_has_gone(world: World) -> None:
    """It looks at the ledger now and then."""
    nobody = {"MAILONCE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    queue = {"MAILONCE_EVENTS_QUEUE_URL": "http://127.0.0.1:1/q"}
    process = world.start("evidence", "--drain", MAILONCE_PATIENCE_S="1", **nobody, **queue)
    assert process.wait(180) == 7


def test_a_dashboard_stops_without_kafka(own: OwnKafka, on_own: World) -> None:
    """Faust's worker and aiokafka wait for a broker that is frozen; the process does not."""
    dashboard = start_dashboard(on_own)
    own.signal("kafka", signal.SIGSTOP)
    assert dashboard.process.terminate() == 0
