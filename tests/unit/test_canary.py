"""A month's first mails at the gate: who has a place among them, and what a wait looks at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from processor.adapters import first_mails, followed, month_events
from processor.adapters.first_mails import FirstMails, canary_gate
from processor.core.canary import Rule
from processor.core.control import Control
from processor.core.engine import Engine
from processor.core.outcomes import Arrivals, MonthCounts
from processor.ports import Item
from processor.shell.brake import BrakeLever
from processor.shell.canary import CanaryGate, Looks
from processor.shell.control import Permission
from processor.telemetry.meter import Meter
from schemas.codec import encode
from schemas.control import Brake, Canary, CanaryState
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome, Source
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings
from tests.support.parts import ALWAYS, FakeClock, FakePace, Made, attempt, no_canary, whole
from tests.support.world import MONTH

RULE = Rule(2, 0.9, 60.0)


def presence(**canaries: Canary) -> Any:
    control = Control()
    control.canaries = {canary.month: canary for canary in canaries.values()}
    return SimpleNamespace(control=control, known=dict, tenure=ALWAYS.tenure, refusal=ALWAYS.refusal)


async def test_so_many_go_and_the_rest_waits_without_an_intent() -> None:
    """Of another month none waits; what waits is withdrawn, and goes on when the month is let go."""
    pace = FakePace()
    made = Made(pace=pace, canary=no_canary(pace, rule=RULE))
    made.submit([attempt(f"u{number}") for number in range(5)])
    await made.attempts.start(5)
    assert await made.attempts.quiesce(lambda _ticket: False) == []
    assert pace.first[MONTH] == 2
    assert made.engine.starts.paused == {MONTH}
    await made.attempts.start(5)
    assert (made.engine.due.ready, made.engine.batches.parked, made.engine.batches.renounced) == (0, 3, 3)
    assert made.engine.waits_for_resume
    assert made.engine.batches.parked_months == {MONTH}
    made.engine.starts.pause(frozenset())
    assert (made.engine.batches.fresh, made.engine.batches.parked) == (3, 0)


async def test_a_place_that_was_not_used_is_anothers() -> None:
    """The mail was sent before: no call, and no place among the first."""
    dedup, pace = whole(), FakePace()
    await dedup.record_sent([Item(Key("u0", MONTH), "a", fingerprint="f")])
    made = Made(dedup, pace=pace, canary=no_canary(pace, rule=RULE))
    made.submit([attempt(f"u{number}") for number in range(3)])
    await made.attempts.start(2)
    assert pace.first[MONTH] == 1
    await made.attempts.start(1)
    assert pace.first[MONTH] == 2


async def test_who_is_put_off_keeps_its_place() -> None:
    """A throttled mail is one of the first when it comes again."""
    pace, gate = FakePace(), no_canary(None, rule=RULE)
    gate._pace = pace
    throttled = attempt("u0")
    assert await gate.admit([throttled]) == ([throttled], [])
    assert await gate.admit([throttled.waiting()]) != ([], [])
    assert pace.first[MONTH] == 1
    gate.ended(throttled)
    others = [attempt("u1"), attempt("u2")]
    assert await gate.admit(others) == (others[:1], others[1:])


@pytest.mark.parametrize(("state", "goes"), [("waiting", False), ("passed", True), ("failed", True)])
async def test_the_topic_remembers_who_waits(state: str, *, goes: bool) -> None:
    """Whatever Redis has forgotten; of a month that failed the brake decides."""
    begun = Canary(month=MONTH, state=CanaryState(state))
    gate = no_canary(rule=RULE, presence=presence(begun=begun))
    one = attempt("u0")
    assert await gate.admit([one]) == (([one], []) if goes else ([], [one]))
    assert gate.waiting == (frozenset() if goes else {MONTH})


class Turns(FakeClock):
    """So many, then no more."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns

    async def sleep(self, seconds: float) -> None:
        if not self.turns:
            raise EOFError
        self.turns -= 1
        self.s += seconds


async def looked(control: Control, counts: MonthCounts | None, turns: int) -> list[str]:
    """What is said while a month waits."""

    async def change(decide: Any) -> None:
        for _, content in decide(control):
            if isinstance(content, Canary):
                control.canaries[content.month] = content

    async def alive() -> int:
        return 1

    def month(_month: str) -> MonthCounts:
        if counts is None:
            raise BrokerUnavailable("away")
        return counts

    on: Permission = SimpleNamespace(control=control)  # type: ignore[assignment]
    gate = CanaryGate(RULE, FakePace(), on, Looks(month, alive, change), Turns(turns), "p1")
    gate.waiting = frozenset({MONTH})
    with capture_logs() as said, pytest.raises(EOFError):
        await gate.run()
    return [f"{entry['log_level']} {entry.get('state') or entry.get('error') or entry.get('mails')}" for entry in said]


async def test_a_wait_is_said_and_so_is_its_end() -> None:
    """Begun once, looked at until somebody has a verdict; what cannot be read is tried again."""
    good = MonthCounts(MONTH, sent=2, arrivals=Arrivals(delivered=2))
    assert await looked(Control(), good, 4) == ["warning 2", "info passed"]
    bad = MonthCounts(MONTH, sent=2, arrivals=Arrivals(hard_bounced=2))
    assert await looked(Control(), bad, 4) == ["warning 2", "error failed"]
    assert await looked(Control(), None, 2) == ["warning 2", "warning away"]


def test_without_a_configuration_set_nobody_can_look() -> None:
    """It says so, and every month goes on."""
    for sets, count in (("", 0), ("events", 5)):
        settings = Settings(_env_file=None, canary=5, configuration_set=sets)  # type: ignore[call-arg]
        with capture_logs() as said:
            log: Any = SimpleNamespace(change=None)
            gate = canary_gate(settings, FakePace(), ALWAYS, lambda: None, log, FakeClock(), "p1")  # type: ignore[arg-type,return-value]
        assert gate._rule.count == count
        assert any("nobody can look" in str(entry.get("error")) for entry in said) == (not count)


def test_ledger_and_events_tell_of_the_first_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read on from look to look; other months' records, tombstones and junk say nothing."""
    key, other = f"u1:{MONTH}".encode(), b"u1:2027-01"
    sent = Delivery(outcome=Outcome.SENT, at_ms=1, source=Source("j", 0, 0), instance="i", message_id="m1")
    event = b'{"eventType":"Delivery","mail":{"messageId":"m1"},"delivery":{}}'
    told: dict[str, list[tuple[bytes, bytes | None]]] = {
        "email-deliveries": [(key, encode(sent)), (other, encode(sent)), (key, None), (key, b"junk")],
        "email-events": [(other, event), (key, event), (key, b"junk")],
    }

    class Follower:
        def __init__(self, _settings: Settings, topic: str, _starts: object) -> None:
            self.topic = topic

        def news(self) -> list[Record]:
            return [Record(0, n, k, v, [], 0) for n, (k, v) in enumerate(told.pop(self.topic, []))]

    for module in (followed, month_events):
        monkeypatch.setattr(module, "Follower", Follower)
    monkeypatch.setattr(first_mails, "read_months", lambda _s: SimpleNamespace(starts=lambda *_: {}))
    mails = FirstMails(Settings(_env_file=None))  # type: ignore[call-arg]
    for _ in range(2):
        counts = mails.look(MONTH)
        assert (counts.jobs, counts.sent, counts.arrivals.delivered) == (1, 1, 1)


async def test_what_redis_does_not_answer_leaves_nothing_behind() -> None:
    """The attempts are given back."""

    class Broken(FakePace):
        async def take_first(self, month: str, wanted: int, most: int) -> int:
            raise ConnectionError

    pace = Broken()
    made = Made(pace=pace, canary=no_canary(pace, rule=RULE))
    made.submit([attempt("u0")])
    with pytest.raises(ConnectionError):
        await made.attempts.start(1)
    assert made.engine.due.ready == 1


def test_each_pause_and_resume_is_told_once() -> None:
    """Aloud, with what to do; other months stay as they are."""
    control, meter = Control(), Meter()
    lever = BrakeLever(Engine(), presence(), no_canary(), FakeClock(), meter)
    lever._presence = SimpleNamespace(control=control)  # type: ignore[assignment]
    with capture_logs() as said:
        for paused in ({}, {MONTH: "a"}, {MONTH: "a"}, {MONTH: "a", "*": "b"}, {"*": "b"}):
            control.brake = Brake(paused=paused)
            lever.look()
    assert [(entry["event"], entry["month"]) for entry in said] == [
        ("month paused", MONTH),
        ("month paused", "*"),
        ("month resumed", MONTH),
    ]
    assert said[1]["follows"].endswith("`mailonce resume`")
    assert meter.registry.get_sample_value("mailonce_month_paused", {"month": MONTH}) == 0
