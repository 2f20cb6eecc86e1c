"""Lines of what follows on SES's answers and events, and what their unit tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_CORE, _SHELL = "processor/core/", "processor/shell/"

mutants(
    "tests/unit/test_suspects.py",
    [
        (
            "test_no_job_dies_of_an_outage",
            _CORE + "answered.py",
            "    if retry is RetryClass.UNREACHABLE and others.away:\n        return GiveBack(detail)\n",
            "",
        ),
        (
            "test_where_nothing_else_is_accepted_it_is_everybodys",
            _CORE + "suspects.py",
            "others_were_fine = self.accepted > 0 and (named or template not in self._templates)",
            "others_were_fine = named or template not in self._templates",
        ),
        (
            "test_a_wrong_clock_halts_at_the_second_signature",
            _CORE + "answered.py",
            "if others.signed_anew else Resign(detail)",
            "if False else Resign(detail)",
        ),
    ],
)
mutants(
    "tests/unit/test_outage.py",
    [
        (
            "test_one_call_at_a_time_tries_whether_ses_is_back",
            _CORE + "outage.py",
            "return 1 if now_s >= self.probe_s and active == 0 else 0",
            "return at_once - active if now_s >= self.probe_s else 0",
        ),
        (
            "test_a_probes_doubt_does_not_trip_the_breaker",
            _CORE + "gates.py",
            "if self.outage.away and result.outcome is Outcome.UNCERTAIN:",
            "if False:",
        ),
    ],
)
mutants(
    "tests/unit/test_answers.py",
    [
        (
            "test_every_answer_has_its_class",
            _CORE + "answers.py",
            '        or Unknown(f"unlisted-{code}", detail)\n',
            '        or RefusedMessage(f"unlisted-{code}", detail)\n',
        ),
    ],
)
mutants(
    "tests/unit/test_evidence.py",
    [
        (
            "test_another_installations_events_prove_nothing_and_are_told_once_a_minute",
            "processor/evidence/origin.py",
            "(sort.ours if who is Owner.OURS or intended else sort.others).append(event)",
            "sort.ours.append(event)",
        ),
    ],
)
mutants(
    "tests/unit/test_uncertain.py",
    [
        (
            "test_a_doubt_about_what_ses_dropped_is_overtaken",
            _CORE + "standing.py",
            "    if same and not entry.by_ses and known is State.DROPPED:\n        return False\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_calls.py",
    [
        (
            "test_what_redis_cannot_be_told_at_the_end_is_settled",
            _SHELL + "calls.py",
            "            _say_away(error, attempt)\n            return None\n",
            "            raise\n",
        ),
        (
            "test_a_refused_message_bars_its_key",
            _SHELL + "calls.py",
            "await self._dedup.note_refused([Item.of(attempt)])",
            "await self._dedup.release([Item.of(attempt)])",
        ),
        (
            "test_what_was_refused_too_often_is_dead",
            _CORE + "answered.py",
            "    if tries >= tries_max and not",
            "    if False and not",
        ),
    ],
)
mutants(
    "tests/unit/test_resume.py",
    [
        (
            "test_in_another_log_it_counts_for_nothing",
            _CORE + "resume.py",
            "if 0 <= committed.epoch < log.epoch_before:",
            "if False:",
        ),
    ],
)
mutants(
    "tests/unit/test_allowance.py",
    [
        (
            "test_a_quota_that_is_used_up_closes_the_gate",
            _SHELL + "allowance.py",
            "            self._gates.quota_used_up = True\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_arrivals.py",
    [
        (
            "test_events_in_any_order_and_often_end_the_same",
            _CORE + "outcomes.py",
            "    if further(mail.arrival, told.arrival) is not told.arrival:\n        return mail\n",
            "",
        ),
        (
            "test_word_on_another_message_says_nothing",
            _CORE + "outcomes.py",
            "if mail is None or mail.message_id != message_id:",
            "if mail is None:",
        ),
    ],
)
mutants(
    "tests/unit/test_dashboard.py",
    [
        (
            "test_how_far_a_mail_came_is_the_same_in_any_order",
            "processor/dashboard/view.py",
            '    if (said := view.heard.get(delivery.message_id or "")) is not None:\n',
            "    if (said := None) is not None:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_outcomes.py",
    [
        (
            "test_what_ses_dropped_goes_back_with_leave_to_call_again",
            _CORE + "requeue.py",
            ", *_leave(overrides, note)])",
            "])",
        ),
        (
            "test_of_what_ses_dropped_the_newest_record_goes_out",
            _CORE + "requeue.py",
            "        record, headers = newest, newest.headers\n",
            "        pass\n",
        ),
        (
            "test_only_what_ses_dropped_has_leave",
            _CORE + "requeue.py",
            "mail is not None and mail.outcome is Outcome.DEAD and mail.message_id is not None",
            "mail is not None and mail.outcome is Outcome.DEAD",
        ),
    ],
)
mutants(
    "tests/unit/test_attachments.py",
    [
        (
            "test_one_mails_fault_is_its_dead_letter",
            "processor/adapters/attachments.py",
            "        if not path.is_relative_to(self.folder.resolve()):\n",
            "        if False:\n",
        ),
    ],
)
