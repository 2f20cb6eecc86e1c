"""One seed, one history of the real shell on simulated servers; then the audit.

``python -m tests.simulation.simulate --seed 123 --print`` tells a history; ``--seeds 1000`` runs many, over all cores,
and names those that break a promise. The same seed is the same history to the last byte.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulation.audit import Audit
from tests.simulation.faults import arrange
from tests.simulation.loop import Deadlock
from tests.simulation.process import Process
from tests.simulation.world import SLOTS, UNTIL_S, World

__all__ = ["Result", "simulate"]

QUIET_S = 90.0
"""After the last fault everything must have come to rest within this time: six lifetimes."""
STOP_S = 40.0
RESTART_S = 1.5


@dataclass
class Result:
    """What one history came to."""

    seed: int
    faults: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    accepted: int = 0
    happened: int = 0
    digest: str = ""
    lines: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def line(self) -> str:
        verdict = "; ".join(self.findings) or "good"
        return f"seed {self.seed}: {self.accepted} accepted, faults {', '.join(self.faults) or 'none'}: {verdict}"


def simulate(
    seed: int, *, only: tuple[str, ...] = (), told: bool = False, prepare: Callable[[World, Audit], None] | None = None
) -> Result:
    """Runs one seed.

    Args:
        seed: of everything that is random in it.
        only: the classes of faults to draw from; all that the product survives unless given.
        told: whether the result keeps the history's lines.
        prepare: something done to the world before it begins.
    """
    began, result = time.process_time(), Result(seed)
    chance = random.Random(seed * 7919 + 1)
    with World.made(seed) as world:
        audit = Audit(world)
        if prepare:
            prepare(world, audit)
        try:
            world.run(_history(world, audit, chance, result, only))
        except Deadlock as error:
            result.findings.append(f"G2 stuck at {world.loop.time():.3f}: {error}")
        result.findings = unknown(world, [*result.findings, *audit.findings()])
        result.accepted = len(world.ses.accepted)
        result.happened = sum(entry.what.startswith("!") for entry in world.net.history.entries)
        result.digest = world.net.history.digest() if told else ""
        result.lines = world.net.history.lines() if told or result.findings else []
    result.cpu_s = time.process_time() - began
    return result


async def _history(world: World, audit: Audit, chance: random.Random, result: Result, only: tuple[str, ...]) -> None:
    _people(world, chance)
    result.faults = arrange(world, audit, chance, only=only)
    _excuse_losses(world, audit)
    for slot in SLOTS:
        world.start(slot)
    world.start_evidence()
    while world.loop.time() < UNTIL_S + 1:
        await asyncio.sleep(RESTART_S * world.net.rng.uniform(0.2, 1.5))
        _supervise(world)
    result.findings += await rest(world)


def _by_a_replay(world: World, match: re.Match[str]) -> bool:
    """By a replay, or by a group that had lost its offsets."""
    again = any(name.startswith(("r.", "again")) for name in match[1].split(", "))
    return again or any(entry.what == "offsets removed" for entry in world.net.history.entries)


KNOWN: tuple[tuple[str, re.Pattern[str], Callable[[World, re.Match[str]], bool]], ...] = ()
"""Findings that a random history may show until they are cured: each has a scenario of this name."""


def unknown(world: World, findings: list[str]) -> list[str]:
    """Without those that a scenario of its own shows."""

    def known(finding: str) -> bool:
        return any((match := pattern.match(finding)) and where(world, match) for _, pattern, where in KNOWN)

    return [finding for finding in findings if not known(finding)]


def _people(world: World, chance: random.Random) -> None:
    """Jobs: some before anybody runs, some while they do; one that SES refuses, one suppressed, one it cannot fill in."""
    users = [f"u{n}" for n in range(chance.randint(3, 7))]
    for user in users:
        at_s = chance.choice((0.0, 0.0, chance.uniform(0, 15)))
        if at_s:
            world.at(at_s, f"{user} published", lambda user=user: world.publish(user))  # type: ignore[misc]
        else:
            world.publish(user)
    # Not those who are corrected or cancelled (u0 to u2): see the scenario "cancelled after it had ended".
    for among in (world.ses.refuses, world.ses.drops):
        if chance.random() < 0.4:
            among.add(f"u{chance.randint(3, 6)}")
    if chance.random() < 0.4:
        world.suppressed.add(f"u{chance.randint(3, 6)}@mail.example.net")


def _excuse_losses(world: World, audit: Audit) -> None:
    """A call whose answer was lost, or that SES broke off, may be in doubt."""
    usual = world.net.loses

    def loses(what: str, owner: object) -> str:
        lost = usual(what, owner)  # type: ignore[arg-type]
        if what.startswith("ses.send") and (lost or "broken" in what):
            for key in world.ses.in_flight.values():
                audit.excuse_key(key, "answer lost")
        return lost

    world.net.loses = loses


def _supervise(world: World) -> None:
    """What died, or left by itself, is started again, as systemd would."""
    for slot in (*SLOTS, "ev"):
        before = world.slots[slot]
        if before.dead and (slot == "ev" or world.loop.time() >= world.nobody_until_s):
            main = before._main
            how = {"address": before.address, "host": before.host}
            world.start(slot, main, **how)


async def rest(world: World) -> list[str]:
    """Faults are over: everything must come to rest, stop, drain, and stay as it is in a replay. Returns what did not."""
    world.calm, world.ses.paused = True, False
    world.triggers.clear()
    world.net.history.note("world", "faults are over")
    for process in world.processes:
        process.thaw()
    world.redis.at("redis").down = False
    until_s = world.loop.time() + QUIET_S
    while not _quiet(world):
        if world.loop.time() > until_s:
            return [f"G2 no rest after {QUIET_S:g} s: {', '.join(_why(world))}"]
        _supervise(world)
        await asyncio.sleep(0.5)
    found: list[str] = []
    for process in world.processes:
        if not process.dead:
            process.stop()
    found += await _ended(world, [p for p in world.processes if not p.dead], "did not stop", well=False)
    for slot, group in (("drain", "mailonce"), ("again", "replay-all")):
        before = len(world.ses.accepted)
        process = world.start(slot, group=group, drain=True)
        found += await _ended(world, [process], "did not drain")
        if process.left == "" and world.pending():
            found.append(f"G2 {slot} ended well though {len(world.pending())} jobs have no outcome")
        if len(world.ses.accepted) > before:
            found.append(f"G2 {slot} found mails to send after everything was at rest")
    return found


async def _ended(world: World, processes: list[Process], what: str, *, well: bool = True) -> list[str]:
    """Waits for their ends. Who was fenced or halted may say so when it is asked to stop; a drain must end well."""
    until_s = world.loop.time() + STOP_S
    while not all(process.dead for process in processes):
        if world.loop.time() > until_s:
            return [f"G2 {process.name} {what} within {STOP_S:g} s" for process in processes if not process.dead]
        await asyncio.sleep(0.5)
    return [f"G2 {process.name} {what}: {process.left}" for process in processes if process.left and well]


def _quiet(world: World) -> bool:
    return not _why(world)


def _why(world: World) -> list[str]:
    group, jobs = world.kafka.group("mailonce"), world.settings.topics.jobs
    why = [f"{raw.decode()} pending" for raw in world.pending()]
    for log in world.kafka.topic(jobs):
        committed = group.offsets.get(log.number, (log.start, ""))[0]
        if committed < log.end and world.kafka.read(jobs, log.number, committed)[0]:
            why.append(f"partition {log.number} committed to {committed} of {log.end}")
    if world.sqs.coming or not world.sqs.empty:
        why.append("events wait")
    return why


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed, told in full with --print")
    parser.add_argument("--print", action="store_true", dest="told", help="every line of the history")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--only", default="", help="draw only from these classes of faults, by comma")
    options = parser.parse_args(list(arguments) if arguments is not None else None)
    only = tuple(filter(None, options.only.split(",")))
    if options.seed is not None:
        result = simulate(options.seed, only=only, told=True)
        print(
            *(result.lines if options.told or result.findings else []),
            result.line(),
            f"digest {result.digest}",
            sep="\n",
        )
        return bool(result.findings)
    return _many(range(options.first, options.first + options.seeds), only, options.processes)


def _many(seeds: range, only: tuple[str, ...], processes: int) -> int:
    began, bad, faults, cpu_s, done = time.monotonic(), 0, Counter[str](), 0.0, 0
    with multiprocessing.Pool(processes, maxtasksperchild=500) as pool:
        for result in pool.imap_unordered(_one, ((seed, only) for seed in seeds), chunksize=10):
            done += 1
            cpu_s += result.cpu_s
            faults.update(["in all"] * result.happened)
            if result.findings:
                bad += 1
                print(result.line(), flush=True)
    rate = done / max(time.monotonic() - began, 0.001)
    print(
        f"{done:,} seeds, {bad} bad, {faults['in all'] / max(done, 1):.1f} faults a seed, {cpu_s:.1f} s of CPU, "
        f"{rate:.1f} seeds/s"
    )
    return bool(bad)


def _one(task: tuple[int, tuple[str, ...]]) -> Result:
    seed, only = task
    result = simulate(seed, only=only)
    result.lines = []
    if seed % 20 == 0:
        gc.collect()
    return result


if __name__ == "__main__":
    sys.exit(main())
