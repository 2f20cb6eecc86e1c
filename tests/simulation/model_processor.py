"""What drives the engine in the model: a processor's steps, each as if nothing else happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core import answered, decide
from processor.core.answers import Accepted
from processor.core.states import Claim
from processor.ports import Item
from schemas.records import Outcome
from tests.simulation import machine
from tests.simulation.machine import KEYS, Committed, Held, Jobs, Known, Result
from tests.simulation.model_world import (
    ANSWERS,
    TRIES_MAX,
    Call,
    Note,
    Processor,
    Rules,
    Steps,
    World,
    claimed,
    item,
    replaced,
    with_processor,
)

__all__ = ["BARRED_MS", "assigned", "attempts_of", "left", "processor_steps", "untold_by"]


BARRED_MS = 1
"""Since when a bar stands, as long as its time is not over."""


def processor_steps(world: World, rules: Rules, number: int) -> Steps:
    processor = world.processors[number]
    known = processor.known
    if known.window is not None and known.window[1] < len(world.jobs):
        read = processor._replace(known=machine.read(known, world.jobs))
        yield f"poll {number}", with_processor(world, number, read)
    if known.fresh or known.ended or known.renounced:
        yield from _commits(world, rules, number, processor)
    for index in range(len(known.ready)):
        yield from _claims(world, rules, number, index)
    yield from _calls(world, rules, number)
    if known.facts:
        yield from _tells(world, number, processor)
    for index in range(len(processor.notes)):
        yield _note_recorded(world, rules, number, index)
    if processor.freeing and _takes_releases(world, rules):
        waiting = with_processor(world, number, processor._replace(freeing=()))
        yield f"free {number}", _freed(waiting, number, processor.freeing, rules)


def _calls(world: World, rules: Rules, number: int) -> Steps:
    processor = world.processors[number]
    known = processor.known
    for index, call in enumerate(processor.calls):
        others = (*processor.calls[:index], *processor.calls[index + 1 :])
        for name, after, goes_on, result in _call_steps(world, rules, call, ours=True):
            mine = processor._replace(calls=(*others, goes_on) if goes_on else others)
            if goes_on is None:
                mine = mine._replace(known=_ended(world, known, call.held, result))
            yield f"{name} {number}/{call.offset}", with_processor(after, number, mine)
    for index, call in enumerate(processor.orphans):
        others = (*processor.orphans[:index], *processor.orphans[index + 1 :])
        for name, after, goes_on, result in _call_steps(world, rules, call, ours=False):
            orphaned = processor._replace(orphans=(*others, goes_on) if goes_on else others)
            if result is not None:
                orphaned = orphaned._replace(known=machine.orphan_ended(known, world.jobs, call.held, result))
            yield f"orphan {name} {number}/{call.offset}", with_processor(after, number, orphaned)


def attempts_of(processor: Processor) -> Iterator[str]:
    """Attempts that it may still make, or makes."""
    yield from (attempt for _, attempt in processor.known.ready)
    yield from (call.attempt for call in (*processor.calls, *processor.orphans))


def untold_by(processor: Processor, jobs: Jobs) -> frozenset[int]:
    """Keys of which it alone may know that SES accepted them."""
    known = processor.known
    keys = {call.key for call in (*processor.calls, *processor.orphans)}
    return frozenset(keys | {jobs[offset][0] for (offset, _), _ in (*known.ended, *known.facts)})


def _ended(world: World, known: Known, held: Held, result: Result | None) -> Known:
    """A call has ended; without a result it is given back."""
    if result is None:
        return machine.given_back(known, world.jobs, held)
    return machine.ended(known, world.jobs, held, result)


# ---- claim, call, answer ----


def _claims(world: World, rules: Rules, number: int, index: int) -> Steps:
    processor = world.processors[number]
    known, held = machine.taken(processor.known, world.jobs, index)
    if held is None:
        skipped = with_processor(world, number, processor._replace(known=known))
        yield f"skip {number}/{processor.known.ready[index][0]}", skipped
        return
    call = Call(held[0], *world.jobs[held[0]], held[1])
    if not rules.claim_first:
        mine = processor._replace(known=known, calls=(*processor.calls, call))
        yield f"take {number}/{call.offset}", with_processor(world, number, mine)
    elif world.whole or not rules.needs_marker:
        claim = rules.scripts.claim(world.claims[call.key], item(world.jobs, held), 0)
        after = claimed(world, call.key, claim)
        match rules.after_claim(claim, call):
            case decide.Call():
                mine = processor._replace(known=known, calls=(*processor.calls, call))
                yield f"claim {number}/{call.offset}", with_processor(after, number, mine)
            case decide.Renounce():
                mine = processor._replace(known=machine.renounced(known, world.jobs, held))
                yield (
                    f"renounce {number}/{call.offset}",
                    _freed(with_processor(after, number, mine), number, (held,), rules),
                )
            case decide.AskLetters(attempt):
                told = any(entry[0] == Outcome.DEAD and entry[3] == call.offset for entry in world.ledger[call.key])
                over = rules.scripts.close if told else rules.scripts.release
                yield (
                    f"ask {number}/{call.offset}",
                    claimed(after, call.key, over(claim, item(world.jobs, held, attempt))),
                )
            case decide.WaitForOther():
                pass  # put off, and in front again when its time has come: as before
            case result:
                mine = processor._replace(known=machine.ended(known, world.jobs, held, result))
                yield f"look {number}/{call.offset}", with_processor(after, number, mine)


def _call_steps(
    world: World, rules: Rules, call: Call, *, ours: bool
) -> Iterator[tuple[str, World, Call | None, Result | None]]:
    """Each with the call as it goes on, or, where it has ended, its result; `ours`: its partition has not gone."""
    if call.phase == "air":
        yield "answer", *_answered(world, rules, call, ours=ours)
        return
    for name, after, changed in _sent(world, rules, call):
        yield name, after, changed, None


def _sent(world: World, rules: Rules, call: Call) -> Iterator[tuple[str, World, Call]]:
    """The request leaves, unless it is too late; SES takes it or not; the answer is on its way."""
    if call.attempt in world.late and rules.deadline_checked:
        yield "too late", world, call._replace(phase="air", answer="late")
        return
    if call.key == world.rejects:
        yield "call", world, call._replace(phase="air", answer="refused")
        return
    accepted = replaced(world.accepted, call.key, (*world.accepted[call.key], call.attempt))
    news = () if call.key in world.missed else ((call.key, call.attempt),)
    took = world._replace(accepted=accepted, events=tuple(sorted((*world.events, *news))))
    yield "call", took, call._replace(phase="air", answer="ok")
    if world.faults:
        one_less = {"faults": world.faults - 1}
        doubt = {"excused": world.excused | {call.key}}
        untold = world.untold | {call.key}
        yield (
            "!answer lost",
            took._replace(**one_less, **doubt, untold=untold),
            call._replace(phase="air", answer="lost"),
        )
        yield "!never came", world._replace(**one_less, **doubt), call._replace(phase="air", answer="lost")
        yield "!throttled", world._replace(**one_less), call._replace(phase="air", answer="throttled")


def _answered(world: World, rules: Rules, call: Call, *, ours: bool) -> tuple[World, None, Result | None]:
    answer = Accepted(call.attempt) if call.answer == "ok" else ANSWERS[call.answer]
    follows = answered.after_answer(rules.verdict(answer), attempt=call.attempt, tries=1, tries_max=TRIES_MAX)
    claim, told = world.claims[call.key], item(world.jobs, call.held)
    match follows:
        case answered.Finish(answered.NoteSent(message_id), settle):
            claim = rules.scripts.note_sent(claim, told) if rules.note_at_once else claim
            better = decide.after_note(claim, message_id=message_id, attempt=call.attempt)
        case answered.Finish(answered.NoteUncertain(), settle):
            claim = rules.scripts.note_uncertain(claim, told)
            better = decide.after_uncertain(claim, call.attempt)
        case answered.Finish(answered.NoteRefused(), settle) if ours:
            claim, better = rules.scripts.note_refused(claim, told, BARRED_MS), None
        case answered.Finish(_, settle):
            claim, better = _released(world, rules, claim, told), None
        case _:
            return claimed(world, call.key, _released(world, rules, claim, told)), None, None
    return claimed(world, call.key, claim), None, better or settle


def _takes_releases(world: World, rules: Rules) -> bool:
    """A set that is not whole is about to be put back: what is freed in it would come again."""
    return world.whole or not rules.release_needs_whole


def _released(world: World, rules: Rules, claim: Claim, told: Item) -> Claim:
    """A call's own claim; under a set that is not whole it stays, for the attempt's next claim or withdrawal."""
    return rules.scripts.release(claim, told) if _takes_releases(world, rules) else claim


def _note_recorded(world: World, rules: Rules, number: int, index: int) -> tuple[str, World]:
    """Redis hears of one outcome that the ledger holds, in any order; the ledger hears if Redis knows better."""
    processor = world.processors[number]
    note, rest = processor.notes[index], (*processor.notes[:index], *processor.notes[index + 1 :])
    attempt = note.result.attempt or note.held[1]
    key = world.jobs[note.held[0]][0]
    told, claim, better = item(world.jobs, note.held, attempt), world.claims[key], None
    match note.result.outcome:
        case Outcome.SENT:
            claim = rules.scripts.record_sent(claim, told)
            better = decide.after_note(claim, message_id=attempt, attempt=attempt)
        case Outcome.UNCERTAIN:
            claim = rules.scripts.record_uncertain(claim, told)
            better = decide.after_uncertain(claim, attempt)
        case _:
            claim = rules.scripts.close(claim, told)
    known = processor.known
    if better and note.ours:
        known = machine.corrected(known, world.jobs, note.held, better)
    changed = processor._replace(notes=rest, known=known)
    return f"note {number}/{note.held[0]}", with_processor(claimed(world, key, claim), number, changed)


# ---- transactions ----


def _commits(world: World, rules: Rules, number: int, processor: Processor) -> Steps:
    batch = machine.transacted(processor.known, world.jobs, _new_attempts(world, rules, number, processor.known))
    if not world.log.admits(number, processor.generation) and rules.owner_checked:
        yield f"refused {number}", _lost(world, rules, number)
        return
    if not rules.outcomes_with_offsets and batch.finished and batch.offset and world.faults:
        # The mutation: the offsets go first, the outcomes would follow in a transaction of their own.
        early = world._replace(log=world.log.settled(batch.offset), faults=world.faults - 1)
        yield f"!crash between offsets and outcomes {number}", with_processor(early, number, Processor())
    visible = _visible(world, batch, intents=rules.intent_first)
    notes = (*processor.notes, *_notes(batch))
    yield f"commit {number}", with_processor(visible, number, processor._replace(known=batch.after, notes=notes))
    if world.faults:
        less = world._replace(faults=world.faults - 1)
        yield f"!aborted {number}", with_processor(less, number, processor._replace(known=batch.aborted))
        # Unknown: a new producer, everything read again.
        yield (
            f"!unknown, not committed {number}",
            assigned(_lost(less, rules, number), rules, number, processor.generation),
        )
        seen = _lost(visible._replace(faults=world.faults - 1), rules, number)
        yield f"!unknown, committed {number}", assigned(seen, rules, number, processor.generation)


def _new_attempts(world: World, rules: Rules, number: int, known: Known) -> tuple[str, ...]:
    keys = [world.jobs[offset][0] for offset in known.fresh]
    if rules.intent_first:
        return tuple(f"{KEYS[key].user_id}{len(world.intents[key])}" for key in keys)
    return tuple(f"{KEYS[key].user_id}{number}x{world.log.generation}" for key in keys)


def _visible(world: World, batch: Committed, *, intents: bool = True) -> World:
    """What a transaction holds, all of it visible together."""
    written, ledger = list(world.intents), list(world.ledger)
    for offset, attempt in batch.intended if intents else ():
        key, overrides = world.jobs[offset]
        written[key] = (*written[key], (attempt, offset, overrides, False))
    for offset, attempt in batch.withdrawn:
        key, overrides = world.jobs[offset]
        written[key] = (*written[key], (attempt, offset, overrides, True))
    for (offset, attempt), result in batch.finished:
        if isinstance(result, decide.Settle):
            key = world.jobs[offset][0]
            entry = (result.outcome.value, result.attempt or attempt, result.message_id or "", offset)
            ledger[key] = (*ledger[key], entry)
    log = world.log.settled(batch.offset) if batch.offset else world.log
    return world._replace(intents=tuple(written), ledger=tuple(ledger), log=log)


def _tells(world: World, number: int, processor: Processor) -> Steps:
    """What SES accepted of partitions that have left, without offsets and whoever owns them now."""
    known, ledger = processor.known, list(world.ledger)
    notes = tuple(Note(held, result, ours=False) for held, result in known.facts if isinstance(result, decide.Settle))
    for (offset, attempt), result, _ in notes:
        key = world.jobs[offset][0]
        ledger[key] = (*ledger[key], (result.outcome.value, result.attempt or attempt, result.message_id or "", offset))
    visible = world._replace(ledger=tuple(ledger))
    told = processor._replace(known=machine.told(known, world.jobs), notes=(*processor.notes, *notes))
    yield f"tell {number}", with_processor(visible, number, told)
    if world.faults:
        # It is told again.
        yield f"!told, end unknown {number}", visible._replace(faults=world.faults - 1)


def _notes(batch: Committed) -> Iterator[Note]:
    for held, result in batch.finished:
        if isinstance(result, decide.Settle):
            yield Note(held, result)


# ---- partitions ----


def assigned(world: World, rules: Rules, number: int, generation: int) -> World:
    """The partition comes, in a new life, and is read from what is committed."""
    world = _lost(world, rules, number)
    processor = world.processors[number]
    known = machine.assigned(world.jobs, world.log.committed, processor.known.facts)
    return with_processor(world, number, processor._replace(generation=generation, known=known))


def _lost(world: World, rules: Rules, number: int) -> World:
    """Everything of the partition is forgotten; calls in flight go on; what never started is given back."""
    known, dropped = machine.lost(world.processors[number].known, world.jobs)
    world = _freed(world, number, dropped, rules)
    processor = world.processors[number]
    notes = tuple(note._replace(ours=False) for note in processor.notes)
    orphans = processor.orphans + processor.calls
    return with_processor(
        world, number, processor._replace(generation=0, known=known, calls=(), orphans=orphans, notes=notes)
    )


def _freed(world: World, number: int, dropped: tuple[Held, ...], rules: Rules) -> World:
    """A rebuild may have put back their claims; while one is due they wait for it."""
    if not _takes_releases(world, rules):
        processor = world.processors[number]
        return with_processor(world, number, processor._replace(freeing=(*processor.freeing, *dropped)))
    for held in dropped:
        key = world.jobs[held[0]][0]
        world = claimed(world, key, rules.scripts.release(world.claims[key], item(world.jobs, held)))
    return world


def left(world: World, rules: Rules, number: int) -> World:
    """Scaled down gracefully: settles, withdraws the intents it did not use, frees their claims."""
    processor = world.processors[number]
    batch = machine.left(processor.known, world.jobs)
    gone = _freed(_visible(world, batch), number, batch.withdrawn, rules)
    gone = gone._replace(log=gone.log.left())
    processor = gone.processors[number]
    notes = tuple(note._replace(ours=False) for note in (*processor.notes, *_notes(batch)))
    return with_processor(gone, number, processor._replace(generation=0, known=batch.after, notes=notes))
