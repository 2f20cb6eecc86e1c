"""How long `mailonce evidence` waits for Kafka and Redis, and that a stop does not."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest

from processor.evidence import run as evidence_run
from processor.evidence.run import Evidence
from schemas.runtime import ending
from schemas.runtime.errors import BrokerUnavailable, MailonceError, RedisForeign, RedisUnavailable
from schemas.runtime.settings import Settings

NOTHING = cast(Any, None)


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    monkeypatch.setattr(evidence_run, "RETRY_S", 0.001)
    settings = Settings(_env_file=None, patience_s=0.01)  # type: ignore[call-arg]
    return Evidence(settings, NOTHING, NOTHING, NOTHING, lambda: 0, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)


class Away:
    """A step that a server keeps from being done."""

    def __init__(self, *errors: MailonceError) -> None:
        self._errors = list(errors)
        self.tried = asyncio.Event()
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        if self.times > 50:
            self.tried.set()
        raise self._errors[self.times % len(self._errors)]


async def test_kafka_away_for_longer_than_the_patience(evidence: Evidence) -> None:
    """Exit code 7, which says so, instead of warnings for ever."""
    with pytest.raises(BrokerUnavailable):
        await evidence._until_done(Away(BrokerUnavailable("away")))


async def test_redis_is_waited_for(evidence: Evidence) -> None:
    """Messages stay in the queue meanwhile; a stop ends the waiting."""
    step = Away(RedisUnavailable("away"))
    waiting = asyncio.ensure_future(evidence._until_done(step))
    await step.tried.wait()
    assert not waiting.done()
    evidence.stopping.set()
    await waiting


async def test_another_installations_redis_is_not_waited_for(evidence: Evidence) -> None:
    """Exit code 7 at once: somebody has to act."""
    with pytest.raises(RedisForeign):
        await evidence._until_done(Away(RedisForeign("theirs", "ours")))


async def test_a_stop_does_not_wait_for_the_queue(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long poll lasts ten seconds, and a queue that is away some minutes."""
    monkeypatch.setattr(ending, "_behind", set())
    asked, answer = threading.Event(), threading.Event()

    class Queue:
        def receive(self, _wait_s: int) -> list[Any]:
            asked.set()
            answer.wait()
            return ["a message"]

    receiving = asyncio.ensure_future(evidence._receive(cast(Any, Queue()), 10))
    await ending.in_thread(asked.wait)
    evidence.stopping.set()
    assert await receiving == []
    answer.set()
