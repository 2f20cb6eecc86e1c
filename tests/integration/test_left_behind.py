"""What dead processors leave in the attempts topic, on real servers: the checkpoint's mover withdraws it."""

from __future__ import annotations

from schemas.codec import decode_attempt
from schemas.kafka.reading import read_topic
from schemas.records import Attempt, Outcome
from tests.support.world import World, job, wait_for


def attempts(world: World) -> list[Attempt]:
    topic = world.settings.topics.attempts
    return [decode_attempt(record.value) for record in read_topic(world.settings, topic) if record.value is not None]


def test_intents_that_a_dead_processor_left_are_withdrawn(world: World) -> None:
    """G4: nobody called under them; the checkpoint and every later rebuild pass them. Nobody is mailed twice."""
    world.publish(job(f"u{n}") for n in range(20))
    assert world.processor("dead", at="after_intent_commit").wait() == -9
    left = {attempt.attempt: attempt for attempt in attempts(world)}
    assert left
    assert {attempt.instance for attempt in left.values()} == {"dead"}
    assert all(attempt.process for attempt in left.values())
    # One goes out; for the others the next processor waits, with intents of its own.
    world.sandbox.set(max_24_hour_send=1, quota_window_s=3600)
    process = world.processor("mover", MAILONCE_ACCOUNT_REFRESH_S="0.5")

    def withdrawn() -> set[str]:
        return {attempt.attempt for attempt in attempts(world) if attempt.withdrawn} & left.keys()

    wait_for(lambda: len(withdrawn()) >= len(left) - 1, "the withdrawals")
    assert process.says("settled what a process left behind")
    world.sandbox.set(max_24_hour_send=50_000)
    wait_for(lambda: world.sandbox.accepted_count() == 20, "the others")
    assert process.terminate() == 0
    world.drain("last")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 20
