"""What goes wrong in a random history: each class of fault by name, arranged by a source of randomness of its own.

Only classes that the product survives stand in `FAULTS`. Those that break it are scenarios of their own
(`scenarios.py`), each with the violation that it must show.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.audit import Audit
from tests.simulation.loop import Owner
from tests.simulation.process import Process, processor
from tests.simulation.world import World

__all__ = ["FAULTS", "SLOTS", "UNTIL_S", "Fault", "arrange", "freeze", "kill"]

UNTIL_S = 30.0
"""Faults happen before this moment."""
SLOTS = ("p0", "p1")
STEPS = (
    "redis.claim <",
    "redis.claim >",
    "redis.mark_sent <",
    "redis.mark_sent >",
    "redis.record_sent <",
    "redis.record_sent >",
    "redis.restore >",
    "redis.set_whole <",
    "redis.lock_rebuild >",
    "ses.checked",
    "ses.send <",
    "ses.send >",
    "kafka.produce >",
    "kafka.offsets >",
    "kafka.commit <",
    "kafka.commit >",
    "kafka.init >",
    "kafka.committed <",
)
EVIDENCE_STEPS = ("sqs.delete <", "redis.prove >", "kafka.produce >", "kafka.commit >", "redis.note <", "redis.noted <")
STALLS_S = (0.4, 1.5, 4.0, 8.0, 16.0, 22.0)

Fault = Callable[[World, Audit, random.Random], None]


def kill(world: World, audit: Audit, process: Process) -> None:
    if not process.dead:
        audit.excuse(process, "killed")
        process.die()


def freeze(world: World, audit: Audit, process: Process, seconds: float) -> None:
    if process.running:
        audit.excuse(process, "stalled")
        process.freeze(seconds)


# ---- processes ----


def killed(world: World, audit: Audit, chance: random.Random) -> None:
    world.when(
        chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), lambda process: kill(world, audit, process)
    )


def killed_at_a_moment(world: World, audit: Audit, chance: random.Random) -> None:
    slot = chance.choice(SLOTS)
    world.at(chance.uniform(0.1, UNTIL_S), f"kill {slot}", lambda: kill(world, audit, world.slots[slot]))


def stalled(world: World, audit: Audit, chance: random.Random) -> None:
    seconds = chance.choice(STALLS_S)
    world.when(
        chance.choice(SLOTS),
        chance.choice(STEPS),
        chance.randint(1, 5),
        lambda process: freeze(world, audit, process, seconds),
    )


def stopped(world: World, audit: Audit, chance: random.Random) -> None:
    slot = chance.choice(SLOTS)
    world.at(chance.uniform(0.1, UNTIL_S), f"stop {slot}", lambda: world.slots[slot].stop())


def scaled(world: World, audit: Audit, chance: random.Random) -> None:
    """A third processor comes and goes."""
    begin_s = chance.uniform(0.1, UNTIL_S - 10)
    world.at(begin_s, "one more processor", lambda: world.start("p2"))
    world.at(begin_s + chance.uniform(1, 9), "one less", lambda: world.slots["p2"].stop())


def doubled(world: World, audit: Audit, chance: random.Random) -> None:
    """A second process under the same instance name: one of them is fenced."""
    slot = chance.choice(SLOTS)

    def again() -> None:
        first = world.slots[slot]
        world.start(slot, instance=first.instance)

    world.at(chance.uniform(0.1, UNTIL_S), f"{slot} started twice", again)


def zombie(world: World, audit: Audit, chance: random.Random) -> None:
    """Stalled past everything, with a successor of the same name at work when it goes on."""
    seconds = chance.choice((4.0, 16.0))

    def act(process: Process) -> None:
        freeze(world, audit, process, seconds)
        world.loop.later(1.0, lambda: world.start(process.name.partition(".")[0], instance=process.instance))

    world.when(chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), act)


def evidence_killed(world: World, audit: Audit, chance: random.Random) -> None:
    world.when("ev", chance.choice(EVIDENCE_STEPS), chance.randint(1, 3), lambda process: process.die())


# ---- SES ----


def ses_troubled(world: World, audit: Audit, chance: random.Random) -> None:
    fates = [fate for fate in ("throttled", "unreachable", "broken", "broken after") if chance.random() < 0.5]
    share, usual = chance.uniform(0.05, 0.3), world.ses.fate

    def fate() -> str:
        if world.calm or not fates or world.net.rng.random() >= share:
            return usual()
        return world.net.rng.choice(fates)

    world.ses.fate = fate


def answers_lost(world: World, audit: Audit, chance: random.Random) -> None:
    share = chance.uniform(0.05, 0.3)
    _lossy(world, "ses.send", share, share)


def quota_used_up(world: World, audit: Audit, chance: random.Random) -> None:
    world.ses.quota = float(chance.randint(2, 6))


def sending_paused(world: World, audit: Audit, chance: random.Random) -> None:
    begin_s = chance.uniform(0.1, 15)

    def pause(paused: bool) -> Callable[[], None]:
        return lambda: setattr(world.ses, "paused", paused)

    world.at(begin_s, "SES pauses sending", pause(True))
    world.at(begin_s + chance.uniform(1, 10), "SES goes on", pause(False))


def events_unruly(world: World, audit: Audit, chance: random.Random) -> None:
    """Late, doubled, out of order; none is lost."""
    rng = world.net.rng
    world.ses.tells = lambda: [rng.uniform(0.01, 8.0) for _ in range(rng.choice((1, 1, 2, 3)))]


# ---- Redis ----


def redis_lossy(world: World, audit: Audit, chance: random.Random) -> None:
    share = chance.uniform(0.005, 0.05)
    _lossy(world, "redis.", share, share)


def redis_away(world: World, audit: Audit, chance: random.Random) -> None:
    begin_s = chance.uniform(0.1, UNTIL_S - 8)

    def down(is_down: bool) -> Callable[[], None]:
        return lambda: setattr(world.redis.at("redis"), "down", is_down)

    world.at(begin_s, "Redis does not answer", down(True))
    world.at(begin_s + chance.uniform(0.2, 7), "Redis answers", down(False))


def redis_fault(world: World) -> None:
    """What the audit must know of: from now on open intents may be in doubt."""
    world.redis_faults_s.append(world.loop.time())


def _restart(world: World, lag: int) -> None:
    redis_fault(world)
    world.redis.point("redis", world.redis.replica("redis", lag)).down = True


def restarted(world: World, audit: Audit, chance: random.Random) -> None:
    """Redis starts again with a prefix of its history, or is replaced by a replica that lacks the last scripts."""
    lag = chance.choice((0, 1, 2, 3, 5, 10, 40))
    if chance.random() < 0.5:
        world.at(chance.uniform(0.1, UNTIL_S), f"Redis back without {lag}", lambda: _restart(world, lag))
    else:
        step = chance.choice(("redis.claim >", "redis.mark_sent >", "redis.record_sent >", "redis.record_doubt >"))
        world.when(chance.choice(SLOTS), step, chance.randint(1, 4), lambda _process: _restart(world, lag))


def wiped_by_a_restart(world: World, audit: Audit, chance: random.Random) -> None:
    """Redis starts again with an empty disk, at any step, a rebuild's included."""
    world.when(chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), lambda _p: _restart(world, 1_000_000))


def flushed(world: World, audit: Audit, chance: random.Random) -> None:
    """FLUSHALL, while nobody rebuilds: the scenario "flushed while it is rebuilt" has the rest."""

    def flush() -> None:
        server = world.redis.at("redis")
        if not server.rebuilding:
            redis_fault(world)
            world.net.history.note("redis", "!FLUSHALL")
            server.flush()

    world.at(chance.uniform(0.1, UNTIL_S), "somebody is at Redis's console", flush)


# ---- Kafka ----


def commits_end_badly(world: World, audit: Audit, chance: random.Random) -> None:
    share = chance.uniform(0.02, 0.15)
    _lossy(world, "kafka.commit", share, share)
    world.kafka.refuses = lambda: not world.calm and world.net.rng.random() < share


def compacted(world: World, audit: Audit, chance: random.Random) -> None:
    topics = world.settings.topics

    def compact() -> None:
        for topic in (topics.jobs, topics.attempts, topics.deliveries):
            world.kafka.compact(topic)

    world.at(chance.uniform(1, UNTIL_S), "compaction", compact)


def cut(world: World, audit: Audit, chance: random.Random) -> None:
    """Retention: the jobs topic begins later, behind what the group has settled."""

    def delete() -> None:
        offsets = world.kafka.group("mailonce").offsets
        for log in world.kafka.topic(world.settings.topics.jobs):
            log.cut(min(offsets.get(log.number, (0, ""))[0], log.end))

    world.at(chance.uniform(5, UNTIL_S), "retention", delete)


def foreign_transactions(world: World, audit: Audit, chance: random.Random) -> None:
    """Somebody else writes to the jobs topic in transactions: markers between jobs, readers held up."""

    def begin() -> None:
        epoch = world.kafka.init("stranger")
        place = world.kafka.partition_of(b"x"), b"stranger", b"{}"
        world.kafka.add("stranger", epoch, [_produced(world, place)])
        world.loop.later(chance.uniform(0.1, 6), lambda: _end(world, epoch))

    world.at(chance.uniform(0.1, UNTIL_S - 10), "a stranger's transaction", begin)


def _end(world: World, epoch: int) -> None:
    if world.kafka.epochs.get("stranger") == epoch:
        world.kafka.end("stranger", epoch, commit=False)


def _produced(world: World, about: tuple[int, bytes, bytes]) -> object:
    from processor.ports import Produced

    partition, key, value = about
    return Produced(world.settings.topics.jobs, partition, key, value)


def offsets_vanish(world: World, audit: Audit, chance: random.Random) -> None:
    """A group that was idle for a week: everybody stops, its offsets are removed, everybody starts."""

    def vanish() -> None:
        world.nobody_until_s = world.loop.time() + 5
        for process in world.processes:
            if process.group == "mailonce" and process.worker is not None:
                kill(world, audit, process)
        world.loop.later(4.5, world.kafka.group("mailonce").forget_offsets)

    world.at(chance.uniform(5, UNTIL_S - 6), "group offsets vanish", vanish)


# ---- people ----


def replayed(world: World, audit: Audit, chance: random.Random) -> None:
    group = f"replay-{chance.randint(1, 99)}"
    world.at(
        chance.uniform(0.5, UNTIL_S),
        "replay",
        lambda: world.start("r", processor, group=group, drain=True) and None,
    )


def corrected(world: World, audit: Audit, chance: random.Random) -> None:
    user = f"u{chance.randint(0, 2)}"
    world.at(chance.uniform(0.1, 10), f"{user} corrected", lambda: world.publish(user, version=2))


def cancelled(world: World, audit: Audit, chance: random.Random) -> None:
    """Each key once; the scenario "cancelled after it had ended" has the rest."""
    user = f"u{chance.randint(0, 2)}"
    if user not in world.cancelled:
        world.cancelled.add(user)
        world.at(chance.uniform(0.1, 10), f"{user} cancelled", lambda: world.cancel(user))


def poisoned(world: World, audit: Audit, chance: random.Random) -> None:
    key = chance.choice((None, b"no-month", f"u0:{'2020-01'}".encode(), b"poison:2026-11"))
    partition = chance.randint(0, 1)
    world.at(chance.uniform(0.0, 10), "poison", lambda: world.publish_raw(key, b"{not json", partition))


def clock_jumps(world: World, audit: Audit, chance: random.Random) -> None:
    """The wall clock of one machine; less than SES would refuse."""
    slot, offset_ms = chance.choice(SLOTS), chance.choice((-9_000, -2_000, 2_000, 9_000))
    world.at(
        chance.uniform(0.1, UNTIL_S),
        f"{slot}'s clock jumps by {offset_ms} ms",
        lambda: setattr(world.slots[slot].host, "offset_ms", offset_ms),
    )


def _lossy(world: World, prefix: str, requests: float, answers: float) -> None:
    usual, rng = world.net.loses, world.net.rng

    def loses(what: str, owner: Owner | None) -> str:
        if world.calm or not what.startswith(prefix):
            return usual(what, owner)
        share = rng.random()
        return "request" if share < requests else "answer" if share < requests + answers else usual(what, owner)

    world.net.loses = loses


FAULTS: dict[str, tuple[int, Fault]] = {
    fault.__name__: (weight, fault)
    for weight, fault in (
        (4, killed),
        (2, killed_at_a_moment),
        (4, stalled),
        (2, stopped),
        (2, scaled),
        (1, doubled),
        (2, zombie),
        (2, evidence_killed),
        (2, ses_troubled),
        (2, answers_lost),
        (1, quota_used_up),
        (1, sending_paused),
        (2, events_unruly),
        (2, redis_lossy),
        (2, redis_away),
        (3, restarted),
        (2, wiped_by_a_restart),
        (2, flushed),
        (3, commits_end_badly),
        (1, cut),
        (1, compacted),
        (1, foreign_transactions),
        (1, offsets_vanish),
        (2, replayed),
        (2, corrected),
        (2, cancelled),
        (2, poisoned),
        (1, clock_jumps),
    )
}


def arrange(world: World, audit: Audit, chance: random.Random, *, only: tuple[str, ...] = ()) -> list[str]:
    """Draws a handful of faults, arranges them, and returns their names."""
    names = list(only or FAULTS)
    weights = [FAULTS[name][0] for name in names]
    drawn = chance.choices(names, weights, k=chance.randint(3, 9))
    for name in drawn:
        FAULTS[name][1](world, audit, chance)
    return drawn
