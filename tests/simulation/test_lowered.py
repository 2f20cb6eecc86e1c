"""What a drain does about a `sent` that something else followed in the ledger."""

from __future__ import annotations

from schemas.codec import encode
from schemas.identity import Key
from schemas.records import Delivery, Outcome, Source
from tests.simulation.story import drain, sent
from tests.simulation.world import MONTH, World


def test_a_drain_writes_sent_again_where_it_was_lowered() -> None:
    """G6: whoever committed the other outcome did not know of the mail; compaction would keep only that."""
    key = Key("u0", MONTH).to_bytes()

    async def story(world: World) -> list[list[Delivery]]:
        await sent(world, 2)
        lowered = Delivery(outcome=Outcome.CANCELLED, at_ms=1, source=Source("sim-jobs", 0, 0), instance="stale")
        world.kafka.publish(world.settings.topics.deliveries, key, encode(lowered))
        looks = []
        for slot in ("d0", "d1"):
            assert await drain(world, slot) == []
            looks.append([delivery for raw, delivery, *_ in world.deliveries() if raw == key])
        return looks

    with World.made(1) as world:
        first, second = world.run(story(world))
    assert [delivery.outcome for delivery in first] == [Outcome.SENT, Outcome.CANCELLED, Outcome.SENT]
    assert first[2] == first[0], "with its message id and content"
    assert second == first, "once is enough"
