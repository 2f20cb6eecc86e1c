"""The network is cut, and stands still, between a processor and each of its servers while mail flows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.embedded import Stack
from infra.embedded.service import free_port
from schemas.records import Outcome
from tests.support.cluster import OwnKafka
from tests.support.outage import goes_on
from tests.support.proxy import Proxy
from tests.support.sandbox import SandboxAdmin
from tests.support.world import CALLS_AT_ONCE, Process, World, job, wait_for

CUTS = 3


@pytest.fixture
def kafka_proxy(stack: Stack, tmp_path: Path) -> Iterator[tuple[OwnKafka, Proxy]]:
    """A broker that is known by its proxy's address alone."""
    port = free_port()
    own = OwnKafka(tmp_path, stack, seen_at=port)
    proxy = Proxy(own.port, port)
    yield own, proxy
    proxy.close()
    own.close()


@contextmanager
def behind_proxy(world: World, name: str) -> Iterator[Proxy]:
    """The world reaches the server that this variable names through a proxy."""
    address = urlsplit(world.env[name])
    proxy = Proxy(address.port or 0)
    world.env[name] = address._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
    yield proxy
    proxy.close()


@pytest.fixture
def redis_proxy(world: World) -> Iterator[Proxy]:
    with behind_proxy(world, "MAILONCE_REDIS_URL") as proxy:
        yield proxy


@pytest.fixture
def ses_proxy(world: World) -> Iterator[Proxy]:
    with behind_proxy(world, "AWS_ENDPOINT_URL_SESV2") as proxy:
        yield proxy


def sending(world: World, **env: str) -> Process:
    world.sandbox.set(latency_ms=50)
    world.publish(job(f"u{n}") for n in range(300))
    process = world.processor("p1", **env)
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    return process


def finish(world: World, process: Process, *, uncertain_max: int) -> None:
    assert process.terminate() == 0, process.log.read_text()[-2000:]
    world.sandbox.set(latency_ms=0)
    world.drain("p2")
    audit = world.audit()
    audit.check(uncertain_max=uncertain_max)
    assert audit.count(Outcome.SENT) + audit.count(Outcome.UNCERTAIN) == len(world.published)


def test_the_way_to_kafka_is_cut(kafka_proxy: tuple[OwnKafka, Proxy], sandbox: SandboxAdmin, tmp_path: Path) -> None:
    """G1 to G4: again and again; transactions fail or have an unknown end, and no mail is in doubt for it."""
    own, proxy = kafka_proxy
    world = own.world(sandbox, tmp_path)
    try:
        process = sending(world)
        for _ in range(CUTS):
            proxy.cut()
            goes_on(world)
        finish(world, process, uncertain_max=0)
    finally:
        world.close()


def test_the_way_to_redis_is_cut_and_stands_still(redis_proxy: Proxy, world: World) -> None:
    """G1, G2, G4: a script whose answer is lost, or comes late, is asked for again; nobody is in doubt for it."""
    process = sending(world)
    for _ in range(CUTS):
        redis_proxy.cut()
        goes_on(world)
    redis_proxy.hold()
    wait_for(lambda: process.says("redis unavailable"), "that the silence is noticed")
    redis_proxy.release()
    goes_on(world)
    finish(world, process, uncertain_max=0)


def test_the_way_to_ses_is_cut_and_stands_still(ses_proxy: Proxy, world: World) -> None:
    """G1, G4: a call whose answer is lost is in doubt and not repeated; only those in the air are."""
    process = sending(world, MAILONCE_SES_READ_TIMEOUT_S="2", MAILONCE_BREAKER_CONSECUTIVE="0")
    for _ in range(CUTS):
        ses_proxy.cut()
        goes_on(world)
    before = uncertain(world)
    ses_proxy.hold()
    world.publish(job(f"silence-{n}") for n in range(50))
    wait_for(lambda: uncertain(world) > before + CALLS_AT_ONCE, "that answers are missed")
    ses_proxy.release()
    goes_on(world)
    # A cut meets the calls of one moment. While nothing passes, each call that is made is in doubt; so are the last.
    held = uncertain(world) - before
    finish(world, process, uncertain_max=CUTS * CALLS_AT_ONCE + held + CALLS_AT_ONCE)


def uncertain(world: World) -> int:
    return sum(entries[-1].outcome is Outcome.UNCERTAIN for entries in world.deliveries().values())
