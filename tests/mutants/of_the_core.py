"""Lines of the core and of the shell, and what their unit tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_CORE, _SHELL = "processor/core/", "processor/shell/"

mutants(
    "tests/unit/test_attempts.py",
    [
        (
            "test_a_bar_whose_time_is_over_is_looked_up",
            _CORE + "decide.py",
            "over = claim.state is State.BARRED and not claim.since_ms",
            "over = False",
        ),
    ],
)
mutants(
    "tests/unit/test_worker.py",
    [
        (
            "test_after_an_unknown_end_a_refused_record_is_closed_or_free",
            _SHELL + "rebalances.py",
            "        self._after_commit.recorded(recorded)\n",
            "",
        ),
        (
            "test_what_ses_accepts_of_a_lost_partition_is_told_by_itself",
            _CORE + "batch.py",
            "        self.keep_facts(gone)\n",
            "",
        ),
        (
            "test_a_record_behind_one_whose_partition_leaves_is_attempted",
            _CORE + "engine.py",
            "        for ticket in [*gone, *self.batches.forget_closed()]:\n            self._start_next(ticket)\n",
            "        self.batches.forget_closed()\n",
        ),
    ],
)
mutants(
    "tests/unit/test_times.py",
    [
        (
            "test_a_settling_that_may_come_too_late_is_refused",
            _CORE + "times.py",
            "if lifetime_s > late_s:",
            "if lifetime_s > poll_s:",
        ),
    ],
)
mutants(
    "tests/unit/test_decide.py",
    [
        (
            "test_what_only_the_set_knows_is_recorded_by_whoever_settles_the_key",
            _CORE + "decide.py",
            '            return Settle(Outcome.UNCERTAIN, reason="answer-lost", attempt=claim.attempt)\n',
            "            return None\n",
        ),
    ],
)
mutants(
    "tests/unit/test_outcomes.py",
    [
        (
            "test_sent_is_lowered_by_ses_alone",
            _CORE + "standing.py",
            "    if not entry.by_ses and known is State.SENT_RECORDED:\n        return False\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_checkpoint.py",
    [
        (
            "test_a_checkpoint_never_passes_an_open_intent",
            _CORE + "checkpoint.py",
            "            self._open[partition] = min(offset, self._open.get(partition, offset))\n",
            "            self._open[partition] = offset + 1\n",
        ),
        (
            "test_what_voids_a_checkpoint",
            _CORE + "checkpoint.py",
            "Log(now.end, topic_id, now.epoch_before)",
            "Log(now.end, topic.id, now.epoch_before)",
        ),
        (
            "test_what_the_set_knows_is_left_as_it_is",
            _CORE + "checkpoint.py",
            "    found = folded([*before, *entries], intents)\n",
            "    found = folded(entries, intents)\n",
        ),
    ],
)
mutants(
    "tests/unit/test_lapses.py",
    [
        (
            "test_who_reads_late_takes_nobody_for_silent",
            _CORE + "lapses.py",
            "_Heard(now_s + max(current_s, self._current_s), lapsed_s)",
            "before or _Heard(now_s + max(current_s, self._current_s), lapsed_s)",
        ),
    ],
)
mutants(
    "tests/unit/test_withdraw.py",
    [
        (
            "test_a_claim_of_nobody_is_never_withdrawn",
            _CORE + "withdraw.py",
            "others = [] if NOBODYS in claim.attempt else [",
            "others = [",
        ),
    ],
)
mutants(
    "tests/unit/test_after_commit.py",
    [
        (
            "test_what_is_lowered_waits_for_a_set_that_is_whole",
            _SHELL + "after_commit.py",
            "            self._start(self._when_whole(step), self._freeing)\n",
            "            pass\n",
        ),
    ],
)
mutants(
    "tests/unit/test_calls.py",
    [
        (
            "test_in_a_set_that_is_not_whole_nothing_is_lowered",
            _SHELL + "calls.py",
            "                with contextlib.suppress(NotWhole):\n                    await self._dedup.note_refused",
            "                if True:\n                    await self._dedup.note_refused",
        ),
    ],
)
mutants(
    "tests/unit/test_deliver.py",
    [
        (
            "test_a_set_that_is_not_whole_is_waited_for",
            _SHELL + "deliver.py",
            "            self._engine.starts.freed(renounced)\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_letters.py",
    [
        (
            "test_any_letter_fits",
            _CORE + "letters.py",
            "(made for made in tried if _size(made) <= bytes_max)",
            "(made for made in tried)",
        ),
    ],
)
mutants(
    "tests/unit/test_hearing.py",
    [
        (
            "test_one_begun_since_shows_it",
            _CORE + "hearing.py",
            "begun_since = heartbeat.position > self._since",
            "begun_since = True",
        ),
    ],
)
mutants(
    "tests/unit/test_engine.py",
    [
        (
            "test_what_was_read_while_a_claim_was_on_its_way_is_not_told_yet",
            _CORE + "starts.py",
            "return self._newest.positions if self._claiming is None else self._claiming",
            "return self._newest.positions",
        ),
    ],
)
mutants(
    "tests/unit/test_newest.py",
    [
        (
            "test_keys_that_are_alike_decide_nothing",
            _CORE + "newest.py",
            'reading.newest.get(record.key or b"", -1) > record.offset',
            "max(reading.newest.values(), default=-1) > record.offset",
        ),
    ],
)
mutants(
    "tests/unit/test_floor.py",
    [
        (
            "test_what_was_intended_before_its_month_was_closed",
            _CORE + "starts.py",
            "        self._batches.withdraw(attempt)\n",
            "",
        ),
        (
            "test_it_rises_to_the_earlier_of_newest_and_present_month_less_the_retention",
            _CORE + "floor.py",
            "months_later(min(newest, this_month), -retention_months)",
            "months_later(newest, -retention_months)",
        ),
    ],
)
mutants(
    "tests/unit/test_control.py",
    [
        (
            "test_a_lapse_ends_the_tenure",
            _CORE + "control.py",
            "            self._lapses += 1\n",
            "            pass\n",
        ),
        (
            "test_a_newer_lineage_ends_the_tenure",
            _CORE + "control.py",
            "return self.tenure(control, now_s) == tenure",
            "return self.current(now_s)",
        ),
    ],
)
mutants(
    "tests/unit/test_silence.py",
    [
        (
            "test_a_cluster_that_has_gone",
            "processor/adapters/silence.py",
            "            if silent_s >= self._patience_s:\n",
            "            if False:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_months.py",
    [
        (
            "test_a_job_waits_until_it_is_known_how_its_month_was_opened",
            _SHELL + "intake.py",
            "        return asked is None\n",
            "        return True\n",
        ),
        (
            "test_a_record_where_its_key_does_not_belong",
            _SHELL + "intake.py",
            "        if partition != record.partition:\n",
            "        if False:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_standing.py",
    [
        (
            "test_two_partitions",
            _CORE + "standing.py",
            "    if entry.overrides and entry.overrides == before.attempt:\n        return True\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_rebuild.py",
    [
        (
            "test_a_mail_in_doubt_is_barred_in_every_partition",
            _CORE + "claims.py",
            "        opened = [intent for intent in opened if intent.overrides == known.claim[1:]]\n",
            "        opened = list(opened)\n",
        ),
    ],
)
mutants(
    "tests/unit/test_symmetry.py",
    [
        (
            "test_what_stands_for_a_world_goes_where_it_goes",
            "tests/simulation/model_symmetry.py",
            "        ended=_by_user(known.ended, jobs, _held_first),\n",
            "        ended=(),\n",
        )
    ],
)
