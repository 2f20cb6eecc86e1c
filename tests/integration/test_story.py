"""The crash at e-mail 55: whoever dies, wherever, nobody gets the mail twice and nobody is forgotten."""

from __future__ import annotations

import signal

import pytest

from schemas.records import Outcome
from tests.support.killer import DOUBTS, STEPS
from tests.support.world import CALLS_AT_ONCE, World, job, wait_for

pytestmark = pytest.mark.short_lives

# The step at which the processor dies, the how manieth time, and whether a call can be in doubt then.
DEATHS = {
    "before_intent_commit": (1, False),
    "after_intent_commit": (1, False),
    "after_claim": (7, True),
    "inside_call": (55, True),
    "after_answer": (55, True),
    "after_note": (55, True),
    "before_settling_commit": (1, True),
    "after_settling_commit": (1, True),
}


def test_every_step_is_tried() -> None:
    """The table above names every step at which a processor can be made to die."""
    assert set(DEATHS) == set(STEPS)


TRIED_ALWAYS = {"after_claim", "inside_call", "after_note", "before_settling_commit"}
"""Steps that differ in what a key's claim says then; the simulator kills at all of them."""


@pytest.mark.parametrize(
    "step", [step if step in TRIED_ALWAYS else pytest.param(step, marks=pytest.mark.long) for step in STEPS]
)
def test_processor_killed_at_each_step(world: World, step: str) -> None:
    """G1, G2, G4: a processor killed at any step of the protocol leaves no duplicate, no loss, little doubt."""
    nth, doubt = DEATHS[step]
    world.sandbox.set(latency_ms=20)
    world.publish(job(f"u{n}") for n in range(100))
    victim = world.processor("p1", at=step, nth=nth)
    assert victim.wait() == -9, f"it did not die: {victim.log.read_text()[-2000:]}"
    accepted_before = world.sandbox.accepted_count()
    world.sandbox.set(latency_ms=0)
    world.drain("p1")

    audit = world.audit()
    audit.check(uncertain_max=CALLS_AT_ONCE if doubt else 0)
    assert audit.count(Outcome.SENT) + audit.count(Outcome.UNCERTAIN) == 100
    if step == "inside_call":
        assert accepted_before >= 55
        # What was in the air is held, not repeated: SES did take it.
        assert audit.count(Outcome.UNCERTAIN) >= 1
        held = [key for key, delivery in audit.outcomes.items() if delivery.outcome is Outcome.UNCERTAIN]
        assert sum(audit.accepted[key] for key in held) >= 1
    if step.endswith("intent_commit"):
        assert accepted_before == 0
        assert audit.count(Outcome.SENT) == 100


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize("nth", [2, *(pytest.param(nth, marks=pytest.mark.long) for nth in (1, 4))])
def test_a_transaction_whose_end_is_unknown(world: World, doubt: str, nth: int) -> None:
    """G1, G2: a new producer, and everything read again from what is committed; no call is repeated."""
    world.sandbox.set(latency_ms=30)
    world.publish(job(f"u{n}") for n in range(150))
    process = world.processor("p1", drain=True, at=doubt, nth=nth)
    assert process.wait() == 0, process.log.read_text()[-2000:]
    assert process.says("transaction's end unknown")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 150


@pytest.mark.long  # each step is tried above
def test_killed_again_and_again(world: World) -> None:
    """G1, G2: five processors in a row, each killed while it is sending."""
    world.sandbox.set(latency_ms=30)
    for life in range(5):
        world.publish(job(f"u{life}-{n}") for n in range(40))
        before = world.sandbox.accepted_count()
        process = world.processor(f"p{life}")
        wait_for(lambda before=before: world.sandbox.accepted_count() > before + 15, "sending")
        process.kill()
    world.sandbox.set(latency_ms=0)
    world.drain("last")
    audit = world.audit()
    audit.check(uncertain_max=5 * CALLS_AT_ONCE)
    assert audit.count(Outcome.SENT) >= 200 - 5 * CALLS_AT_ONCE


def test_stopped_gracefully_leaves_no_doubt(world: World) -> None:
    """G4: SIGTERM lets calls end, settles them and withdraws unused intents."""
    world.sandbox.set(latency_ms=400)
    world.publish(job(f"u{n}") for n in range(200))
    process = world.processor("p1")
    wait_for(lambda: world.sandbox.accepted_count() > 40, "sending")
    assert process.terminate() == 0
    accepted = world.sandbox.accepted_count()
    assert accepted < 200
    middle = world.audit()
    assert middle.count(Outcome.SENT) == accepted, "a graceful stop records what it sent"
    world.sandbox.set(latency_ms=0)
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 200


@pytest.mark.long  # test_stops does it at any moment
def test_stopped_right_after_the_start(world: World) -> None:
    """A SIGTERM at any moment ends the processor; once a cancellation got lost there and it hung."""
    world.sandbox.set(latency_ms=100)
    world.publish(job(f"u{n}") for n in range(500))
    for number in range(5):
        process = world.processor(f"p{number}")
        wait_for(lambda process=process: process.says("partitions assigned"), "partitions")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    world.sandbox.set(latency_ms=0)
    world.drain("last")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 500
