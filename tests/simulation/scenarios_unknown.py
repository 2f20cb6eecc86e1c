"""A settling transaction that nobody knows the end of, and that never was: what becomes of the keys of its outcomes."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.audit import Audit
from tests.simulation.process import Process
from tests.simulation.story import done, keeps, until
from tests.simulation.world import World

__all__ = ["a_doubt_in_a_lost_set_and_a_commit_that_never_was", "a_refusal_and_a_commit_that_never_was"]

SOON_S = 7.0
"""Half of a lifetime, which a bar would stand."""


def second_commit_lost(*, answer_lost: bool) -> Callable[[str, object], str]:
    """The first transaction intends, the second settles: its request is lost; and so is the answer to the first call."""
    seen = {"kafka.commit": 0, "ses.send": 0}

    def loses(what: str, _owner: object) -> str:
        if what in seen:
            seen[what] += 1
        if what == "kafka.commit" and seen[what] == 2:
            return "request"
        return "answer" if answer_lost and what == "ses.send" and seen[what] == 1 else ""

    return loses


@keeps(r"G1 u0\S* was accepted 2 times", "what SES may have taken keeps its claim, whatever became of the transaction")
async def a_doubt_in_a_lost_set_and_a_commit_that_never_was(world: World, audit: Audit) -> None:
    """The answer is lost, and Redis before the doubt can be marked: the rebuild puts the claim back as one that calls."""

    def lose(_process: Process) -> None:
        world.redis_faults_s.append(world.loop.time())
        world.redis.at("redis").flush()

    audit.events_come = False
    world.net.loses = second_commit_lost(answer_lost=True)
    world.when("p0", "redis.note_uncertain <", 1, lose)
    world.publish("u0")
    world.start("p0")
    await done(world, 60)


@keeps(r"G2 u0 waits", "its key is free again if its dead letter never comes")
async def a_refusal_and_a_commit_that_never_was(world: World, audit: Audit) -> list[str]:
    """SES refused the mail and its letter was not written: the record is attempted again at once, not a lifetime later."""
    world.ses.refuses.add("u0")
    world.net.loses = second_commit_lost(answer_lost=False)
    world.publish("u0")
    world.start("p0")
    refused = await until(world, lambda: bool(world.letters()), SOON_S)
    await done(world)
    return [] if refused else ["G2 u0 waits for a bar that nobody needs"]
