"""Whether mail flows again after an outage, whatever had failed."""

from __future__ import annotations

from tests.support.world import World, job, wait_for

__all__ = ["goes_on"]


def goes_on(world: World) -> None:
    """More to do, however far the processor was, and it is done."""
    accepted = world.sandbox.accepted_count()
    world.publish(job(f"more{len(world.published)}-{n}") for n in range(50))
    wait_for(lambda: world.sandbox.accepted_count() > accepted + 20, "sending again")
