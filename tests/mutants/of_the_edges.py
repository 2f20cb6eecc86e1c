"""Lines of what speaks to Kafka, SES and SQS, and of how things end; and what their tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_KAFKA, _CONTROL = "processor/adapters/kafka.py", "processor/adapters/control.py"
_EVENTS = "processor/core/evidence.py"

mutants(
    "tests/contracts/test_job_log.py",
    [
        (
            "test_facts_need_no_partition",
            _KAFKA,
            'membership = b"" if transaction.facts else self._membership(transaction)',
            "membership = self._membership(transaction)",
        ),
        (
            "test_a_record_that_is_too_large_aborts_the_whole",
            _KAFKA,
            "    KafkaError.MSG_SIZE_TOO_LARGE,\n",
            "",
        ),
        (
            "test_a_partition_that_left_while_paused_flows_when_it_comes_back",
            _KAFKA,
            "        if wanted == self._paused:\n            return\n        owned = self._owned()\n",
            "        owned = self._owned() | wanted\n        if wanted == self._paused or not wanted:\n            return\n",
        ),
        (
            "test_an_aborted_transaction_is_invisible",
            _KAFKA,
            "                self._producer.abort_transaction(ABORT_TIMEOUT_S)\n",
            "                self._producer.commit_transaction(ABORT_TIMEOUT_S)\n",
        ),
    ],
)
mutants(
    "tests/contracts/test_control_log.py",
    [
        (
            "test_of_two_changes_on_the_same_reading_one_is_written",
            _CONTROL,
            "            producer.init_transactions(min(INIT_S, settings.patience_s))\n            control = read_control(settings)\n"
            "            if not (records := decide(control)):\n                return control\n",
            "            control = read_control(settings)\n            if not (records := decide(control)):\n"
            "                return control\n            producer.init_transactions(min(INIT_S, settings.patience_s))\n",
        ),
    ],
)
mutants(
    "tests/contracts/test_ses_sender.py",
    [
        (
            "test_a_forbidden_call_does_not_leave",
            "processor/adapters/ses.py",
            "        if why := self._asked.forbidden():\n            raise MayNotLeave(why)\n",
            "        pass\n",
        ),
        (
            "test_an_acceptance_is_read",
            "processor/adapters/ses.py",
            "        return Accepted(message_id)\n",
            "        return Accepted(message_id[:4])\n",
        ),
        (
            "test_lost_answers_are_doubt_and_never_repeated",
            "processor/adapters/ses.py",
            'retries={"total_max_attempts": 1, "mode": "standard"}',
            'retries={"total_max_attempts": 2, "mode": "standard"}',
        ),
        (
            "test_refusals_are_read_and_never_repeated",
            "processor/adapters/ses.py",
            'retries={"total_max_attempts": 1, "mode": "standard"}',
            'retries={"total_max_attempts": 3, "mode": "standard"}',
        ),
    ],
)
mutants(
    "tests/contracts/test_sandbox.py",
    [
        (
            "test_a_configuration_set_that_is_paused",
            "processor/core/answers.py",
            "    if listed and _PAUSED.search(message):\n",
            "    if False:\n",
        ),
    ],
)
mutants(
    "tests/contracts/test_answers.py",
    [
        (
            "test_each_answer_means_what_its_source_says",
            "processor/core/answers.py",
            "    if listed and _SUSPENDED.search(message):\n",
            "    if False:\n",
        ),
    ],
)
mutants(
    "tests/contracts/test_dedup.py",
    [
        (
            "test_a_server_that_evicts_is_refused",
            "processor/adapters/redis/client.py",
            "if policy and policy not in _POLICIES:",
            "if False:",
        ),
        (
            "test_a_server_that_tells_no_id_is_refused",
            "processor/adapters/redis/client.py",
            "    if not run:\n        raise nameless()\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_ending.py",
    [
        (
            "test_a_task_that_loses_its_cancellations_ends",
            "schemas/runtime/ending.py",
            "timeout=min(AGAIN_S, by_s - now))",
            "timeout=by_s - now)",
        ),
        (
            "test_a_call_that_hangs_is_left_behind",
            "schemas/runtime/ending.py",
            "        _behind.add(token)\n",
            "        pass\n",
        ),
    ],
)
mutants(
    "tests/unit/test_reading.py",
    [
        (
            "test_an_open_transaction_is_not_the_end",
            "schemas/kafka/reading.py",
            "                    if offset >= ends[number]:\n",
            "                    if offset >= 0:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_evidence.py",
    [
        (
            "test_events_are_read_in_each_envelope",
            _EVENTS,
            '        if isinstance(value.get("detail"), dict):\n',
            '        if False and isinstance(value.get("detail"), dict):\n',
        ),
        (
            "test_what_is_no_event_is_said_so",
            _EVENTS,
            '        raise _bad("it has no `mail`")\n',
            '        return Foreign("no event")\n',
        ),
        (
            "test_cloudtrail_proves_acceptance",
            "processor/core/cloudtrail.py",
            '    if record.get("errorCode"):\n        return Foreign("the call was refused")\n',
            "",
        ),
        (
            "test_only_lasting_feedback_counts",
            _EVENTS,
            'lasting = Feedback.BOUNCED if about.get("bounceType") == "Permanent" else None',
            "lasting = Feedback.BOUNCED",
        ),
    ],
)
