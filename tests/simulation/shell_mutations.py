"""Guarding lines of evidence, of what resumes reading and of the marks after a commit, each taken out by a patch."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

import processor.core.letters
import processor.core.outcomes
import processor.core.resume
import processor.core.standing
import processor.core.uncertain
import processor.ops.closing
import processor.shell.after_commit
import processor.shell.calls
import processor.shell.intake
import tests.simulation.job_log
import tests.simulation.process
import tests.simulation.world
from processor.adapters.letters import Letters
from processor.core.hearing import Hearing
from processor.core.resume import Log
from processor.core.standing import Entry
from processor.core.starts import Starts
from processor.core.states import ABSENT, Claim, State
from processor.evidence.run import Evidence
from processor.evidence.sweep import Sweeper
from processor.ports import Item
from processor.shell.after_commit import AfterCommit
from tests.simulation.dedup import Scripts
from tests.simulation.job_log import SimJobLog
from tests.simulation.mutating import Patch, mutation, survives
from tests.simulation.mutation_stories import (
    beyond_the_end,
    changed_and_replayed,
    doubt_after_proof_and_redis_lost,
    made_anew,
    moved_to_the_end,
    proof_before_our_time_out,
)
from tests.simulation.scenarios_kafka import a_letter_too_large
from tests.simulation.scenarios_latest import (
    a_cancel_during_a_back_off,
    a_correction_without_redis_during_a_back_off,
    a_correction_without_redis_of_one_that_stands_still,
    newer_records_where_the_key_does_not_belong,
)
from tests.simulation.scenarios_many import (
    a_correction_among_many_and_redis_lost,
    a_correction_among_many_of_what_is_in_flight,
)
from tests.simulation.scenarios_months import (
    cancelled_after_it_had_ended,
    cancelled_and_never_published,
    doubt_over_a_drop,
    resent_while_the_event_is_invisible,
    sent_of_another_content,
)
from tests.simulation.scenarios_redis import a_claim_that_nobody_heard_of

__all__: list[str] = []

# ---- after the commit ----


@mutation(story=a_claim_that_nobody_heard_of, alone=True)
def claims_are_not_released_on_drop(patch: Patch) -> None:
    patch.setattr(AfterCommit, "give_back", lambda *_: None)


@mutation(story=proof_before_our_time_out)
def after_doubt_is_always_none(patch: Patch) -> None:
    """With evidence at work its next sweep would write the proof once more."""
    patch.setattr(processor.shell.calls.decide, "after_uncertain", lambda *_: None)
    patch.setattr(processor.shell.after_commit, "after_uncertain", lambda *_: None)


@mutation(story=a_cancel_during_a_back_off)
def a_place_bars_nothing(patch: Patch) -> None:
    patch.setattr(Scripts, "superseded", lambda *_: False)


@mutation(story=newer_records_where_the_key_does_not_belong)
def a_key_belongs_wherever_it_stands(patch: Patch) -> None:
    patch.setattr(processor.shell.intake, "belongs", lambda record, _opened: record.partition)


@mutation(story=a_correction_without_redis_during_a_back_off)
def nobody_listens_before_a_correction_is_said_to_hold(patch: Patch) -> None:
    patch.setattr(Hearing, "listen", lambda *_: [])


@mutation(story=a_correction_without_redis_during_a_back_off)
def heartbeats_tell_of_nothing_read(patch: Patch) -> None:
    patch.setattr(Starts, "known_to", lambda _self: {})


@mutation(story=a_correction_without_redis_of_one_that_stands_still)
def the_silent_are_not_waited_for(patch: Patch) -> None:
    listen = Hearing.listen
    patch.setattr(Hearing, "listen", lambda self, control, now_s: listen(self, control, now_s + 1_000))


@mutation(story=a_correction_among_many_of_what_is_in_flight)
def what_is_in_flight_is_not_waited_for(patch: Patch) -> None:
    patch.setattr(processor.ops.closing, "PATIENCE_S", 0.0)


@mutation(story=a_correction_among_many_and_redis_lost)
def a_set_that_is_not_whole_says_that_nothing_was_sent(patch: Patch) -> None:
    superseded = processor.ops.closing._superseded

    async def absent(*about: Any) -> list[Claim]:
        return [claim or ABSENT for claim in await superseded(*about)]

    patch.setattr(processor.ops.closing, "_superseded", absent)


@mutation(story=cancelled_after_it_had_ended)
def a_tombstone_leaves_what_had_ended(patch: Patch) -> None:
    cancel = Scripts.cancel
    patch.setattr(Scripts, "cancel", lambda self, claim, *to: cancel(self, claim, *to) if claim is ABSENT else claim)


@mutation(story=cancelled_and_never_published, strict=True)
def nobody_asks_whether_there_is_a_job(patch: Patch) -> None:
    patch.setattr(tests.simulation.world, "has_job", lambda *_: True)


@mutation(only=("redis_lossy", "redis_away"))
def a_claim_is_granted_once(patch: Patch) -> None:
    """Whoever asks again, because the answer was lost, finds a stranger's claim."""
    claim = Scripts.claim

    def once(self: Scripts, held: Claim, item: Item, now_ms: int) -> Claim:
        return replace(held, attempt="another's") if held.state is State.SENDING else claim(self, held, item, now_ms)

    patch.setattr(Scripts, "claim", once)


@mutation(story=doubt_over_a_drop)
def a_doubt_lowers_what_ses_dropped(patch: Patch) -> None:
    def lowered(entry: Entry, before: Entry | None) -> bool:
        dropped = before is not None and before.state is State.DROPPED and entry.state is State.UNCERTAIN_RECORDED
        return dropped or stands(entry, before)

    stands = processor.core.standing.stands
    patch.setattr(processor.core.outcomes, "stands", lowered)
    # Evidence's next sweep would write SES's word once more.
    patch.setattr(processor.core.uncertain, "stands", lowered)


@mutation(story=sent_of_another_content)
def the_mark_names_no_content(patch: Patch) -> None:
    mark = Scripts.note_sent
    patch.setattr(Scripts, "note_sent", lambda self, claim, item: mark(self, claim, replace(item, fingerprint="")))


@mutation(story=doubt_after_proof_and_redis_lost)
def a_doubt_lowers_sent(patch: Patch) -> None:
    patch.setattr(Entry, "by_ses", True)


# ---- letters ----


@mutation(story=a_letter_too_large)
def letters_are_not_cut(patch: Patch) -> None:
    patch.setattr(processor.core.letters, "_CUTS", ((),))


# ---- another log than the group remembers ----


@mutation(story=moved_to_the_end)
def a_drain_believes_the_offsets(patch: Patch) -> None:
    patch.setattr(tests.simulation.process, "compare", lambda *_: 0)


@mutation(story=beyond_the_end)
def a_commit_beyond_the_end_counts(patch: Patch) -> None:
    """Nor does the reader tell that it was sent elsewhere."""

    async def silent(self: SimJobLog) -> None: ...

    resume = processor.core.resume.resume
    endless = Log(1_000_000)
    patch.setattr(SimJobLog, "_begin_anew", silent)
    patch.setattr(tests.simulation.job_log, "resume", lambda committed, _log: resume(committed, endless))


@mutation(story=made_anew)
def one_topic_is_as_good_as_another(patch: Patch) -> None:
    patch.setattr(tests.simulation.job_log, "replaced", lambda _began, _found: False)


@mutation(story=made_anew)
def a_commit_for_another_topic_counts(patch: Patch) -> None:
    patch.setattr(tests.simulation.job_log, "tagged", lambda text, _topic_id: text)


@mutation(story=changed_and_replayed)
def nobody_asks_what_was_told(patch: Patch) -> None:
    async def nothing(self: Letters, records: Any) -> set[tuple[int, int]]:
        return set()

    patch.setattr(Letters, "told", nothing)


# ---- evidence ----


@mutation(story=resent_while_the_event_is_invisible)
def the_policy_asks_nobody_whether_the_queue_is_empty(patch: Patch) -> None:
    sweep = Sweeper.sweep
    patch.setattr(Sweeper, "sweep", lambda self, now_ms, **_: sweep(self, now_ms, queue_empty=True))


@mutation(only=("answers_lost", "evidence_killed"), seeds=100)
def events_are_deleted_before_kafka_knows(patch: Patch) -> None:
    take = Evidence._take

    async def hasty(self: Any, queue: Any, messages: Any) -> None:
        await asyncio.to_thread(queue.delete, messages)
        await take(self, queue, messages)

    patch.setattr(Evidence, "_take", hasty)


@survives("the next claim or rebuild tells Redis; what else it costs is the scenario `a_dead_record_attempted_again`")
def redis_is_not_told_what_the_ledger_holds(patch: Patch) -> None:
    patch.setattr(AfterCommit, "recorded", lambda *_: None)
