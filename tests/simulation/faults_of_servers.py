"""SES, Redis and Kafka: away, lossy, restarted with less, wiped, compacted, cut."""

from __future__ import annotations

import random
from collections.abc import Callable

from processor.ports import Produced
from tests.simulation.audit import Audit
from tests.simulation.faults_of_processes import STEPS, kill
from tests.simulation.loop import Owner
from tests.simulation.world import SLOTS, UNTIL_S, World

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
        step = chance.choice(("redis.claim >", "redis.note_sent >", "redis.record_sent >", "redis.record_uncertain >"))
        world.when(chance.choice(SLOTS), step, chance.randint(1, 4), lambda _process: _restart(world, lag))


def wiped_by_a_restart(world: World, audit: Audit, chance: random.Random) -> None:
    """Redis starts again with an empty disk, at any step, a rebuild's included."""
    world.when(chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), lambda _p: _restart(world, 1_000_000))


def flushed(world: World, audit: Audit, chance: random.Random) -> None:
    """FLUSHALL, while nobody rebuilds, nor stands still in a rebuild: there are scenarios for the rest."""

    def flush() -> None:
        server = world.redis.at("redis")
        if not server.rebuilding and all(process.running or process.dead for process in world.processes):
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


def _produced(world: World, about: tuple[int, bytes, bytes]) -> Produced:
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


def _lossy(world: World, prefix: str, requests: float, answers: float) -> None:
    usual, rng = world.net.loses, world.net.rng

    def loses(what: str, owner: Owner | None) -> str:
        if world.calm or not what.startswith(prefix):
            return usual(what, owner)
        share = rng.random()
        return "request" if share < requests else "answer" if share < requests + answers else usual(what, owner)

    world.net.loses = loses
