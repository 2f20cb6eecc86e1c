"""A deliverer on twins whose answers a test writes down, and the engine that it drives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from processor.core.answers import Accepted, Answer
from processor.core.breaker import Breaker
from processor.core.canary import Rule
from processor.core.control import NO_TENURE, Control, Tenure
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.offsets import Window
from processor.core.outage import Outage
from processor.core.outcomes import MonthCounts
from processor.core.pace import Account, Limits
from processor.core.standing import Entry
from processor.core.suspects import Suspects
from processor.core.ticket import Attempt, Finished, Ticket, examine
from processor.ports import Forbidden, Lease
from processor.shell.allowance import Allowance
from processor.shell.attempts import Attempts
from processor.shell.bars import Bars
from processor.shell.calls import Calls
from processor.shell.canary import CanaryGate, Looks
from processor.shell.deliver import Deliverer
from processor.shell.judge import Judge
from processor.shell.past import Past
from processor.telemetry.meter import Meter
from schemas.codec import encode
from schemas.control import MonthOpened
from schemas.kafka.reading import Record
from schemas.runtime.backoff import RetryTable
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from schemas.templates.template import Needs
from tests.simulation.dedup import MemoryDedup
from tests.support.world import MONTH, job

__all__ = [
    "ALWAYS",
    "FLOOR",
    "NO_MONTHS",
    "OLD",
    "Away",
    "FakeClock",
    "FakePace",
    "Made",
    "NoLetters",
    "NoOutcomes",
    "Ses",
    "attempt",
    "no_canary",
    "ticket",
    "until",
    "whole",
]

FLOOR = "2025-11"
OLD = "2025-10"
"""a month below it"""


def ticket(
    user: str = "u1",
    offset: int = 0,
    *,
    partition: int = 0,
    key: bytes | None = b"",
    value: bytes | None = b"",
    window: Window | None = None,
    month: str = MONTH,
) -> Ticket:
    """Of a good job; of another `key` or `value`, where one is given."""
    found = encode(job(user, month=month)) if value == b"" else value
    record = Record(partition, offset, f"{user}:{month}".encode() if key == b"" else key, found, [], 0)
    return examine(record, window or Window(0), floor=FLOOR, suppressed=())


def attempt(user: str = "u1", **about: Any) -> Attempt:
    return Attempt(ticket(user, **about), "attempt-1")


def whole(dedup: MemoryDedup | None = None) -> MemoryDedup:
    """A dedup set in which nothing expires by itself."""
    dedup = dedup or MemoryDedup(30.0, lambda: 1)
    dedup.mark()
    return dedup


class _Always:
    """Of tests that know no control topic."""

    known: Callable[[], Mapping[int, int]] = dict

    def __init__(self) -> None:
        self.control = Control()

    def tenure(self) -> Tenure | None:
        return NO_TENURE

    def refusal(self, tenure: Tenure) -> str:
        return ""


ALWAYS = _Always()


class _NoMonths:
    """Of tests that know no control topic."""

    def opened(self, month: str) -> MonthOpened | None:
        return None

    @property
    def floor(self) -> str:
        return ""

    def ask(self) -> int:
        return 0

    def answered(self, number: int) -> bool:
        return True


NO_MONTHS = _NoMonths()


class FakeClock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now_ms(self) -> int:
        return int(self.s * 1000)

    def boot_s(self) -> float:
        return self.s

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.s += seconds
        await asyncio.sleep(0)


class Ses:
    """Gives the answers it was told, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Answer, account: Account | None = None) -> None:
        self.answers = [*answers] or [Accepted("m1")]
        self.accounts = [account or Account()]
        self.asked: list[Mapping[str, Any]] = []

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        self.asked.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def account(self) -> Account:
        return self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0]

    async def template_needs(self, name: str) -> Needs:
        return Needs()


class NoLetters:
    """Nothing was told; of these places it was."""

    def __init__(self, *places: tuple[int, int]) -> None:
        self.places = {*places}
        self.away = False
        """whether Kafka does not answer"""

    async def told(self, records: Sequence[Record]) -> set[tuple[int, int]]:
        if self.away:
            raise BrokerUnavailable("Kafka does not answer")
        return self.places & {(record.partition, record.offset) for record in records}


class NoOutcomes:
    """The ledger holds nothing; of these keys it holds this."""

    def __init__(self, **entries: Entry) -> None:
        self.entries = {f"{user}:{OLD}".encode(): entry for user, entry in entries.items()}
        self.asked = 0
        self.away = 0
        """how often Kafka does not answer yet"""

    async def of(self, records: Sequence[Record]) -> list[Entry | None]:
        self.asked += 1
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("Kafka does not answer")
        return [self.entries.get(record.key or b"") for record in records]


class FakePace:
    """Gives the leases it was told, then all that is wanted."""

    def __init__(self, *leases: Lease, opens_s: float | None = None) -> None:
        self.leases = [*leases]
        self.opens_s = opens_s
        self.room: list[float] = []
        self.slowed = 0
        self.first: Counter[str] = Counter()

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        return self.leases.pop(0) if self.leases else Lease(wanted, 0.0, 1e9)

    async def leased(self) -> int:
        return 0

    async def set_room(self, left: float, leased_before: int) -> None:
        self.room.append(left)

    async def quota_opens_s(self) -> float | None:
        return self.opens_s

    async def throttled(self) -> float:
        self.slowed += 1
        return 0.5

    async def take_first(self, month: str, wanted: int, most: int) -> int:
        granted = max(0, min(wanted, most - self.first[month]))
        self.first[month] += granted
        return granted

    async def give_back_first(self, month: str, count: int) -> None:
        self.first[month] -= count


def no_canary(pace: Any = None, clock: Any = None, rule: Rule | None = None, presence: Any = ALWAYS) -> CanaryGate:
    """All go at once, unless a rule is given."""

    async def nothing(*_: object) -> Any:
        return 0

    looks = Looks(lambda month: MonthCounts(month), nothing, nothing)
    return CanaryGate(rule or Rule(), pace or FakePace(), presence, looks, clock or FakeClock(), "p1")


class Made:
    """A deliverer and its parts."""

    def __init__(
        self,
        dedup: MemoryDedup | None = None,
        ses: Any = None,
        *,
        pace: FakePace | None = None,
        clock: Any = None,
        make_whole: Callable[[], Awaitable[object]] | None = None,
        breaker: Breaker | None = None,
        canary: CanaryGate | None = None,
        compose: Callable[[Attempt], Mapping[str, Any]] = lambda _attempt: {},
        calls_at_once: int = 8,
        refresh_s: float = 60.0,
        **of_calls: Any,
    ) -> None:
        self.dedup = dedup or whole()
        self.ses, self.pace, self.clock, self.meter = ses or Ses(), pace or FakePace(), clock or FakeClock(), Meter()
        self.engine, self.gates = Engine(), Gates(breaker or Breaker(0, 0), Outage(RetryTable().unreachable))
        self.allowance = Allowance(Limits(), refresh_s, self.ses, self.pace, self.clock, self.meter, self.gates)
        suspects = Suspects(lambda: self.engine.others_wait)
        judge = Judge(RetryTable(), self.gates, suspects, self.clock, self.meter)
        about = compose, judge, self.allowance, self.gates, self.clock, self.meter
        self.calls = Calls(self.dedup, self.ses, *about, **of_calls)
        self.letters = NoLetters()
        bars = Bars(self.dedup, self.letters)
        past, gate = Past(NoOutcomes()), canary or no_canary(self.pace, self.clock)
        self.attempts = Attempts(
            self.engine, self.gates, self.calls, self.dedup, bars, past, gate, self.clock, self.meter
        )
        self.deliverer = Deliverer(
            self.engine,
            self.gates,
            self.attempts,
            self.allowance,
            make_whole or (lambda: asyncio.sleep(0)),
            self.clock,
            self.meter,
            calls_at_once,
        )

    @property
    def done(self) -> tuple[Finished, ...]:
        """What has its outcome."""
        return tuple(self.engine.batches._ended)

    def submit(self, attempts: Sequence[Attempt]) -> None:
        self.engine.due.submit(attempts)
        self.deliverer.wake()


class Away(MemoryDedup):
    """Redis does not answer these questions, so many times."""

    def __init__(self, *questions: str, times: int = 1_000_000) -> None:
        super().__init__(30.0, lambda: 0)
        self.mark()
        self.left = times
        for question in questions:
            setattr(self, question, self._silent(getattr(self, question)))

    def _silent(self, question: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def ask(*about: Any) -> Any:
            if self.left > 0:
                self.left -= 1
                raise RedisUnavailable("the test says so")
            return await question(*about)

        return ask


async def until(condition: Callable[[], bool]) -> None:
    """Lets others go on until it holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)
