"""The worker's loop on twins in memory: transactions that end badly, partitions that come and go, and every end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from processor.adapters.clock import SystemClock
from processor.core import gates
from processor.core.answer_codes import TEMPLATE_MISSING
from processor.core.answers import Accepted, Answer, ServiceError, Unanswered
from processor.core.engine import Engine
from processor.core.newest import Look
from processor.core.states import Claim, State
from processor.ports import Item, Poll, Scanned, Transaction
from processor.shell import attempts, drain, pulse, worker
from processor.shell.ahead import RECORDS_MAX, LookAhead
from processor.shell.assembly import Parts, Ports, assemble
from processor.shell.intake import Intake, IntakeConfig
from processor.shell.ledger import Scribe
from processor.shell.scan import Scan
from processor.shell.templates import SesTemplates
from processor.shell.worker import Worker
from processor.telemetry.meter import Meter
from schemas.codec import decode_delivery, encode
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Job, Outcome
from schemas.runtime.errors import (
    BadRecord,
    BrokerUnavailable,
    Halted,
    RedisUnavailable,
    SesAway,
    TransactionAborted,
    TransactionUnknown,
)
from schemas.runtime.settings import load_settings
from schemas.topics import Topics
from tests.simulation.dedup import MemoryDedup
from tests.simulation.log import MemoryJobLog, MemoryKafka
from tests.support.parts import NO_MONTHS, FakePace, NoLetters, NoOutcomes, Ses, no_canary, until, whole
from tests.support.world import MONTH, job

TOPICS = Topics("t-")
Commit = Callable[[Transaction], Awaitable[None]]


def scan_of(engine: Engine) -> Scan:
    return Scan(engine, MemoryJobLog(MemoryKafka(1), "one"), SystemClock(), lambda: None)


class OddLog(MemoryJobLog):
    """Its first transactions end as they are told to; another member may come."""

    def __init__(
        self,
        kafka: MemoryKafka,
        *ends: type[Exception],
        visible: bool = False,
        joined: Callable[[OddLog], bool] = lambda _log: False,
    ) -> None:
        super().__init__(kafka, "one")
        self.bad_ends = [*ends]
        self.commits = 0
        self._visible = visible
        self._joined = joined

    async def commit(self, transaction: Transaction) -> None:
        self.commits += 1
        if not self.bad_ends:
            await super().commit(transaction)
            return
        end = self.bad_ends.pop(0)
        if self._visible:
            await super().commit(transaction)
        raise end("the test says so")

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        if self._joined(self) and self in self._kafka.members and len(self._kafka.members) == 1:
            # It comes first in the order of members, so partition 0 is its own from now on.
            self._kafka.members.insert(0, MemoryJobLog(self._kafka, "two"))
        poll = await super().poll(records_max, timeout_s, paused)
        await asyncio.sleep(0.001)
        return poll


def publish(kafka: MemoryKafka, user: str, partition: int = 0, *, n: int = 1, month: str = MONTH, **about: Any) -> None:
    log = kafka.jobs[partition]
    value = about.get("value", encode(job(user, n=n, month=month)))
    log.append(Record(partition, len(log), about.get("key", f"{user}:{month}".encode()), value, [], partition))


def made(log: MemoryJobLog, ses: Ses, dedup: MemoryDedup | None = None, **about: Any) -> Worker:
    clock = about.pop("clock", None) or SystemClock()
    meter = about.pop("meter", None) or Meter()
    intake = about.pop("intake", None) or IntakeConfig(13)
    templates = about.pop("templates", None) or SesTemplates(ses)
    compose = about.pop("compose", lambda attempt: {"ticket": attempt.ticket})
    letters = about.pop("letters", None) or NoLetters()
    outcomes = about.pop("outcomes", None) or NoOutcomes()
    is_drain = about.pop("drain", False)
    return assemble(
        load_settings(**({"breaker_consecutive": 0, "breaker_share": 0} | about)),
        Ports(log, dedup or whole(), ses, FakePace(), clock),
        Parts(
            intake=intake,
            templates=templates,
            compose=compose,
            make_whole=lambda: asyncio.sleep(0),
            scribe=Scribe(TOPICS, "one", "1", clock.now_ms),
            letters=letters,
            outcomes=outcomes,
            this_month=lambda: MONTH,
            canary=no_canary(),
            months=NO_MONTHS,
            meter=meter,
            drain=is_drain,
        ),
    )


@contextlib.asynccontextmanager
async def running(one: Worker) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(one.run())
    try:
        yield task
    finally:
        one.stop()
        one.stop()
        await task


def visible(kafka: MemoryKafka, topic: str) -> int:
    return sum(record.topic == topic for record in kafka.visible)


async def test_a_record_behind_one_whose_partition_leaves_is_attempted() -> None:
    """G2: a key's records stand in two partitions after partitions were added. The later one must not wait for ever."""
    kafka, ses = MemoryKafka(2), Ses()
    for partition in (0, 1):
        publish(kafka, "u1", partition, n=partition)
    async with running(made(OddLog(kafka, TransactionAborted, joined=lambda log: log.commits > 0), ses)):
        await until(lambda: kafka.partitions[1].committed[0] == 1)
    assert [request["ticket"].record.partition for request in ses.asked] == [1]


async def test_a_partition_leaves_with_what_is_settled() -> None:
    """G3: its calls end, outcome and offset go in the transaction before it does."""
    kafka, ses = MemoryKafka(2), Ses()
    publish(kafka, "u1", 0)
    publish(kafka, "u2", 1)
    one = made(OddLog(kafka, joined=lambda _log: len(ses.asked) == 2), ses)
    async with running(one):
        await until(lambda: one.joined and one.prefixes() == {1: 1})
    assert (kafka.partitions[0].committed[0], kafka.partitions[1].committed[0]) == (1, 1)
    assert visible(kafka, TOPICS.deliveries) == len(ses.asked) == 2


async def test_what_evidence_knew_better_is_recorded_before_its_partition_leaves() -> None:
    """G2: whoever comes next reads on behind it. Here the answer comes while another call is waited for."""
    kafka, ses, dedup = MemoryKafka(2), Ses(Unanswered("ReadTimeoutError", "no answer"), Accepted("m2")), whole()
    leaving, asked, proven, answered = (asyncio.Event() for _ in range(4))
    send, record_uncertain = ses.send, dedup.record_uncertain

    async def sent(request: Any, forbidden: Any) -> Answer:
        answer = await send(request, forbidden)
        if isinstance(answer, Accepted):
            await answered.wait()
        return answer

    async def recorded(items: Sequence[Item]) -> list[Claim]:
        asked.set()
        await proven.wait()
        return await record_uncertain(items)

    ses.send, dedup.record_uncertain = sent, recorded  # type: ignore[method-assign]
    publish(kafka, "u1")
    one = made(OddLog(kafka, joined=lambda _log: leaving.is_set()), ses, dedup)
    async with running(one):
        await asyncio.wait_for(asked.wait(), 60)
        publish(kafka, "u2")
        await until(lambda: one.calling)
        leaving.set()
        await until(lambda: len(kafka.members) == 2)
        dedup.claims[Key("u1", MONTH)] = Claim(State.SENT, message_id="m1")
        proven.set()
        await until(lambda: not one._after_commit._tasks)
        answered.set()
        await until(lambda: one.prefixes() == {1: 0})
    ledger = [decode_delivery(record.value or b"") for record in kafka.visible if record.topic == TOPICS.deliveries]
    assert {delivery.message_id for delivery in ledger if delivery.outcome is Outcome.SENT} == {"m1", "m2"}


async def test_a_claim_whose_answer_was_lost_does_not_bar_the_record_that_replaced_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G4, G5: no call was made under it; held for its lifetime, it would make a doubt of the corrected mail."""
    monkeypatch.setattr(attempts, "LOOK_AGAIN_S", 0.001)
    monkeypatch.setattr(gates, "REDIS_RETRY_S", 0.001)
    kafka, ses, dedup = MemoryKafka(1), Ses(), whole()
    claim = dedup.claim

    async def lost(items: Sequence[Item]) -> list[Claim]:
        await claim(items)
        dedup.claim = claim  # type: ignore[method-assign]
        publish(kafka, "u1", n=1)
        await until(lambda: one._engine.assigned.read_ahead == 2)
        raise RedisUnavailable("the test says so")

    dedup.claim = lost  # type: ignore[method-assign]
    publish(kafka, "u1")
    one = made(OddLog(kafka), ses, dedup)
    async with running(one):
        await until(lambda: kafka.partitions[0].committed[0] == 2)
    assert [request["ticket"].record.offset for request in ses.asked] == [1]


@pytest.mark.parametrize("committed", [True, False])
async def test_after_an_unknown_end_everything_is_read_again(committed: bool) -> None:
    """G1, G2: nobody knows whether intents are visible, so their attempts are never made; others are."""
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u1")
    async with running(made(OddLog(kafka, TransactionUnknown, visible=committed), ses)):
        await until(lambda: kafka.partitions[0].committed[0] == 1)
    assert len(ses.asked) == 1
    assert visible(kafka, TOPICS.attempts) == 1 + committed


@pytest.mark.parametrize("committed", [True, False])
async def test_after_an_unknown_end_a_refused_record_is_closed_or_free(committed: bool) -> None:
    """G6: once the next producer has begun, the committed offsets tell whether its dead letter has."""
    kafka, dedup = MemoryKafka(1), whole()
    log = OddLog(kafka, visible=committed)
    first = log.commit

    async def commit(transaction: Transaction) -> None:
        log.bad_ends = [TransactionUnknown] if log.commits == 1 else []
        await first(transaction)

    log.commit = commit  # type: ignore[method-assign]
    publish(kafka, "u1")
    async with running(made(log, Ses(ServiceError(400, "MessageRejected", "content")), dedup)):
        await until(lambda: kafka.partitions[0].committed[0] == 1)
        await until(lambda: dedup.claims.get(Key("u1", MONTH)) == Claim(State.CLOSED, partition=0, offset=0))
    assert visible(kafka, TOPICS.dead_letters) == 1


@pytest.mark.parametrize(
    ("bad_end", "leaves"),
    [(None, False), (None, True), (TransactionAborted, False), (TransactionAborted, True), (TransactionUnknown, False)],
)
async def test_what_ses_accepts_of_a_lost_partition_is_told_by_itself(
    bad_end: type[Exception] | None, leaves: bool
) -> None:
    """G2, G3: as `sent`, without offsets, though the transaction ends badly at first or the processor is stopped."""
    kafka, ses, dedup = MemoryKafka(1), Ses(), whole()
    gate, calling = asyncio.Event(), asyncio.Event()
    send = ses.send

    async def slow(*about: Any) -> Any:
        calling.set()
        await gate.wait()
        return await send(*about)

    ses.send = slow  # type: ignore[method-assign]
    publish(kafka, "u1")
    log = OddLog(kafka, joined=lambda _log: calling.is_set())
    one = made(log, ses, dedup)
    async with running(one):
        await calling.wait()
        # Taken for dead: it is not asked to give anything up first.
        log._mine.clear()
        kafka.partitions[0] = kafka.partitions[0].left()
        await one._rebalances.lost(frozenset({0}))
        log.bad_ends = [bad_end] if bad_end else []
        if leaves:
            one.stop()
        gate.set()
        await until(lambda: visible(kafka, TOPICS.deliveries) > 0)
        await until(lambda: dedup.claims[Key("u1", MONTH)].state is State.SENT_RECORDED)
    assert visible(kafka, TOPICS.deliveries) == 1
    assert kafka.partitions[0].committed[0] == 0
    assert one._engine.idle


async def test_who_has_no_partition_loses_none() -> None:
    """An unknown end may come after the last one was taken away."""
    meter = Meter()
    await made(OddLog(MemoryKafka(1)), Ses(), meter=meter)._rebalances.lost(frozenset())
    assert not next(iter(meter._rebalances.collect())).samples


async def test_a_stop_settles_what_was_called_for_and_withdraws_the_rest() -> None:
    """G4: an intent that is left open would be doubt; and the last transaction may abort once."""
    kafka, ses, meter = MemoryKafka(1), Ses(), Meter()
    gate = asyncio.Event()
    send = ses.send

    async def slow(request: Any, forbidden: Any) -> Any:
        await gate.wait()
        return await send(request, forbidden)

    ses.send = slow  # type: ignore[method-assign]
    for n in range(20):
        publish(kafka, f"u{n}")
    log = OddLog(kafka)
    one = made(log, ses, calls_at_once=2, meter=meter)
    task = asyncio.create_task(one.run())
    await until(lambda: one.calling)
    one.stop()
    log.bad_ends = [TransactionAborted]
    gate.set()
    await task
    intents = visible(kafka, TOPICS.attempts)
    outcomes = visible(kafka, TOPICS.deliveries)
    assert outcomes == len(ses.asked) == one.settled_count > 0
    withdrawn = sum(b'"withdrawn":true' in (record.value or b"") for record in kafka.visible)
    assert intents - withdrawn == outcomes + withdrawn
    assert meter.partitions._value.get() == 1


async def test_a_stop_whose_transaction_ends_nowhere_is_left_as_it_is() -> None:
    """Whoever takes over reads from what is committed."""
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u1")
    log = OddLog(kafka)
    one = made(log, ses)
    task = asyncio.create_task(one.run())
    await until(lambda: ses.asked != [])
    one.stop()
    log.bad_ends = [TransactionUnknown]
    await task
    assert len(ses.asked) == 1


async def test_no_more_is_read_at_once_than_a_commit_can_tell_of() -> None:
    """G6: all of one fetch may be settled but its first record, whatever gaps lie between them."""
    engine = Engine()
    engine.assign({0: (0, "")})
    look = LookAhead(whole())
    look.wake()
    intake = Intake(IntakeConfig(13), engine, look, scan_of(engine), SesTemplates(Ses()), lambda: MONTH, NO_MONTHS)
    window = engine.assigned.get(0)
    assert window is not None
    assert intake.count(5_000) == window.room < RECORDS_MAX
    window.add(0)
    window.add(15_000)
    assert intake.count(5_000) == window.room < 500
    assert intake.count(0) == 1


async def test_a_record_that_comes_twice_or_of_nobodys_partition_is_no_news() -> None:
    """G6: a reader that was sent back, or a partition that left meanwhile."""
    engine = Engine()
    engine.assign({0: (0, "")})
    intake = Intake(
        IntakeConfig(13), engine, LookAhead(whole()), scan_of(engine), SesTemplates(Ses()), lambda: MONTH, NO_MONTHS
    )
    records = [Record(partition, 0, b"junk", b"", [], 0) for partition in (0, 0, 1)]
    assert await intake.take(records) == (0, None)
    window = engine.assigned.get(0)
    assert window is not None
    assert not window.idle
    assert engine.assigned.get(1) is None


async def test_a_drain_that_only_lacks_what_cannot_be_read_says_so() -> None:
    """G2: it neither hangs nor claims to be done; what could be read is settled."""

    class Damaged(OddLog):
        async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
            poll = await super().poll(records_max, timeout_s, paused)
            return Poll(poll.records, {}, {0: 1})

        async def ends(self) -> dict[int, int]:
            return {0: 4}

        async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
            await asyncio.sleep(0)
            return Scanned([], {0: 4})

    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u1")
    one = made(Damaged(kafka), ses, drain=True)
    with pytest.raises(BrokerUnavailable, match="0:1"):
        await one.run()
    assert visible(kafka, TOPICS.deliveries) == 1
    assert one.unreadable == {0: 1}


async def test_a_drain_ends_when_every_job_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """G2: jobs, a cancelled one, another month's, and one without a key that has its letter already."""
    monkeypatch.setattr(drain, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(pulse, "PROGRESS_EVERY_S", 0.0)
    kafka, ses, meter = MemoryKafka(1), Ses(), Meter()
    publish(kafka, "u1")
    publish(kafka, "u2", value=None)
    publish(kafka, "u3", month="2026-10")
    publish(kafka, "u4", key=b"nonsense", value=b"{")
    publish(kafka, "u5", key=f"u5:{MONTH}".encode(), value=b"{")
    intake = IntakeConfig(13, MONTH, frozenset({(0, 3)}))
    one = made(OddLog(kafka), ses, intake=intake, drain=True, meter=meter)
    await asyncio.wait_for(one.run(), 60)
    assert (one.settled_count, len(ses.asked), one.prefixes()) == (5, 1, {0: 5})
    assert visible(kafka, TOPICS.dead_letters) == 1
    assert meter.settled_by_outcome() == {"sent": 1, "cancelled": 1, "dead": 1, "skipped": 2}
    assert one.turned_s > 0


async def test_a_record_that_was_told_as_broken_is_passed_over() -> None:
    """G6: one letter for one record, also where no key says so."""
    kafka = MemoryKafka(1)
    publish(kafka, "u1", key=b"nonsense", value=b"{")
    publish(kafka, "u2", key=b"nonsense", value=b"{")
    one = made(OddLog(kafka), Ses(), intake=IntakeConfig(13, told_before=frozenset({(0, 0)})), drain=True)
    await asyncio.wait_for(one.run(), 60)
    assert (one.settled_count, visible(kafka, TOPICS.dead_letters)) == (2, 1)


async def test_what_has_its_letter_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """G6: a nameless record, and a job whose content changed after the mail; nobody's memory says that they were told."""
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u1")
    await asyncio.wait_for(made(OddLog(kafka), ses, dedup := whole(), drain=True).run(), 60)
    publish(kafka, "u1", n=2)
    publish(kafka, "u2", key=b"nonsense", value=b"{")
    kafka.partitions[0] = kafka.partitions[0].settled((0, ""))
    letters = NoLetters((0, 1), (0, 2))
    await asyncio.wait_for(made(OddLog(kafka), ses, dedup, drain=True, letters=letters).run(), 60)
    assert visible(kafka, TOPICS.dead_letters) == 0
    kafka.partitions[0] = kafka.partitions[0].settled((0, ""))
    dedup.telling.clear()  # a lifetime later
    await asyncio.wait_for(made(OddLog(kafka), ses, dedup, drain=True).run(), 60)
    assert visible(kafka, TOPICS.dead_letters) == 2
    assert len(ses.asked) == 1


class Choosy:
    """Templates that miss something for one user, are not there for another, and of one nothing is known at first."""

    asked = False

    async def check(self, job: Job) -> None:
        if job.user_id == "u1":
            raise BadRecord("missing-data", "city")
        if job.user_id == "u2":
            raise Halted("template-missing", "no template of this name")
        if job.user_id == "u3":
            raise Halted(TEMPLATE_MISSING, "SES has no template of this name")
        if job.user_id == "u5" and not self.asked:
            self.asked = True
            raise SesAway("SES does not answer")

    def content(self, job: Job) -> dict[str, Any]:
        raise AssertionError


async def test_a_template_that_is_missing_is_judged_by_others_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mail is dead while another is accepted, without a call, and the month goes on."""
    monkeypatch.setattr("processor.shell.calls.SUSPECT_S", 0.01)
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u3")
    publish(kafka, "u4")
    await asyncio.wait_for(made(OddLog(kafka), ses, templates=Choosy(), drain=True).run(), 60)
    assert (visible(kafka, TOPICS.deliveries), visible(kafka, TOPICS.dead_letters)) == (2, 1)
    assert len(ses.asked) == 1


async def test_a_template_that_nobody_knows_is_asked_for_again() -> None:
    """The mail waits unchecked, and is checked before its call."""
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u5")
    await asyncio.wait_for(made(OddLog(kafka), ses, templates=(choosy := Choosy()), drain=True).run(), 60)
    assert choosy.asked
    assert (visible(kafka, TOPICS.deliveries), len(ses.asked)) == (1, 1)


async def test_a_mail_that_cannot_be_made_is_dead_and_a_missing_template_halts() -> None:
    """One is this mail's fault, the other is nobody's: nothing is dead-lettered for it."""
    kafka = MemoryKafka(1)
    publish(kafka, "u1")
    publish(kafka, "u2")
    one = made(OddLog(kafka), Ses(), templates=Choosy())
    with pytest.raises(Halted, match="no template"):
        await asyncio.wait_for(one.run(), 60)
    assert visible(kafka, TOPICS.deliveries) <= 1


async def test_a_reason_that_is_everybodys_ends_it() -> None:
    """Redis may evict keys: the processor leaves with that reason."""
    one = made(OddLog(MemoryKafka(1)), Ses())
    task = asyncio.create_task(one.run())
    await until(lambda: one.joined)
    one.halt(Halted("redis-evicts", "the test says so"))
    with pytest.raises(Halted, match="the test says so"):
        await asyncio.wait_for(task, 60)


async def test_a_processor_that_must_leave_gives_back_what_was_not_called_for() -> None:
    """Fenced: nothing is committed any more, and its calls end all the same."""
    kafka, ses = MemoryKafka(1), Ses()
    publish(kafka, "u1")
    one = made(OddLog(kafka), ses)
    task = asyncio.create_task(one.run())
    await until(lambda: one.joined)
    kafka.new_epoch("one")
    with pytest.raises(Exception, match="another processor"):
        await asyncio.wait_for(task, 60)
    assert not one.calling


async def test_a_defect_of_the_deliverer_ends_the_worker() -> None:
    """It must not read on in silence while nothing is sent."""

    class Broken(FakePace):
        async def leased(self) -> int:
            raise KeyError("a defect")

    one = assemble(
        load_settings(),
        Ports(OddLog(MemoryKafka(1)), whole(), Ses(), Broken(), SystemClock()),
        Parts(
            intake=IntakeConfig(13),
            templates=Choosy(),
            compose=lambda _attempt: {},
            make_whole=lambda: asyncio.sleep(0),
            scribe=Scribe(TOPICS, "one", "1", lambda: 0),
            letters=NoLetters(),
            outcomes=NoOutcomes(),
            this_month=lambda: MONTH,
            canary=no_canary(),
            months=NO_MONTHS,
            meter=Meter(),
        ),
    )
    with pytest.raises(KeyError):
        await asyncio.wait_for(one.run(), 60)


async def test_nothing_new_is_read_while_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a limit: what is in back-off counts."""
    from processor.shell import back_pressure

    monkeypatch.setattr(back_pressure, "WAITING_MAX", 1)
    monkeypatch.setattr(worker, "REST_S", 0.001)
    throttled = ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
    kafka, ses = MemoryKafka(1), Ses(throttled, Accepted("m1"))
    publish(kafka, "u1")
    slow = {name: {"interval_s": 0.1, "backoff_rate": 1, "max_attempts": 9, "max_delay_s": 0.1} for name in RETRIES}
    async with running(made(OddLog(kafka), ses, retry=slow)):
        await until(lambda: len(ses.asked) == 1)
        publish(kafka, "u2")
        await until(lambda: kafka.partitions[0].committed[0] == 2)
    assert len(ses.asked) == 3


RETRIES = ("throttled", "unreachable")
