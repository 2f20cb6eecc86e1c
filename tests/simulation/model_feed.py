"""SES's events in the model: evidence takes them, and looks at the mails in doubt."""

from __future__ import annotations

from processor.core.evidence import SesEvent
from processor.core.states import Claim, State
from processor.ports import Item
from schemas.records import Outcome
from tests.simulation.machine import KEYS
from tests.simulation.model_world import Rules, Steps, World, claimed, replaced, without

__all__ = ["evidence_steps"]


def evidence_steps(world: World, rules: Rules) -> Steps:
    if world.evidence is not None:
        key, attempt, told = world.evidence
        if not told:
            entry = (Outcome.SENT.value, attempt, attempt, -1)
            ledger = replaced(world.ledger, key, (*world.ledger[key], entry))
            yield "evidence commits", world._replace(ledger=ledger, evidence=(key, attempt, True))
        else:
            after = world._replace(evidence=None)
            again = rules.scripts.prove(world.claims[key], Item(KEYS[key], attempt, message_id=attempt))
            after = claimed(after, key, again)
            if rules.delete_after_commit:
                after = after._replace(events=without(after.events, (key, attempt)))
            yield "evidence deletes", after
        if world.faults:
            yield "!evidence dies", world._replace(evidence=None, faults=world.faults - 1)
    else:
        for key, attempt in dict.fromkeys(world.events):
            before = world.claims[key]
            item = Item(KEYS[key], attempt, message_id=attempt)
            event = SesEvent("Send", KEYS[key], attempt, attempt, 0, b"")
            taken, news = claimed(world, key, rules.scripts.prove(before, item)), rules.is_news(event, before)
            if not rules.delete_after_commit:
                taken = taken._replace(events=without(taken.events, (key, attempt)))
            if news:
                yield f"event {attempt}", taken._replace(evidence=(key, attempt, False))
            else:
                yield f"event {attempt}", taken._replace(events=without(taken.events, (key, attempt)))
    yield from _sweeps(world)


def _sweeps(world: World) -> Steps:
    """Evidence's look at the mails in doubt: what Redis or the ledger knows better, and what the policy sends again."""
    for key, entries in enumerate(world.ledger):
        if not entries or entries[-1][0] != Outcome.UNCERTAIN.value:
            continue
        claim, proofs = world.claims[key], [entry for entry in entries if entry[0] == Outcome.SENT.value]
        if proofs or claim.state is State.SENT:
            entry = proofs[-1] if proofs else (Outcome.SENT.value, entries[-1][1], claim.message_id, -1)
            yield f"sweep {KEYS[key]}", world._replace(ledger=replaced(world.ledger, key, (*entries, entry)))
        elif world.resends and _silent(world, key, claim, entries[-1][1]):
            # The window is no shorter than a lifetime: whoever may still hold an attempt of the key is too late by then.
            late = world.late | {claim.attempt} | {intent[0] for intent in world.intents[key]}
            yield f"resend {KEYS[key]}", world._replace(jobs=(*world.jobs, (key, claim.attempt)), late=late)


def _silent(world: World, key: int, claim: Claim, attempt: str) -> bool:
    """The window has passed and the feed lives: no event of the key is on its way."""
    doubt = claim.state in {State.UNCERTAIN, State.UNCERTAIN_RECORDED} and claim.attempt == attempt
    on_its_way = any(event[0] == key for event in world.events) or (world.evidence or (-1,))[0] == key
    asked = (key, claim.attempt) in world.jobs
    return doubt and not on_its_way and not asked and key not in world.missed
