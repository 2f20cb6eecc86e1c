"""Lines of what speaks to Kafka, SES and SQS, and of how things end; and what their tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_TRANSACTIONS, _CONTROL = "processor/adapters/kafka_transactions.py", "processor/adapters/control.py"
_ENVELOPES = "processor/core/envelopes.py"

mutants(
    "tests/contracts/test_job_log.py",
    [
        (
            "test_facts_need_no_partition",
            _TRANSACTIONS,
            'metadata = b"" if transaction.facts else self._member.metadata(touched)',
            "metadata = self._member.metadata(touched)",
        ),
        (
            "test_a_record_that_is_too_large_aborts_the_whole",
            _TRANSACTIONS,
            "_REFUSED_HERE = {\n    KafkaError.MSG_SIZE_TOO_LARGE,\n",
            "_REFUSED_HERE = {\n",
        ),
        (
            "test_a_batch_that_the_broker_never_takes_ends_the_processor",
            _TRANSACTIONS,
            "                self._refused()\n",
            "                pass\n",
        ),
        (
            "test_a_partition_that_left_while_paused_flows_when_it_comes_back",
            "processor/adapters/kafka_member.py",
            "            self.consumer.resume(self._places(held))\n",
            "            pass\n",
        ),
        (
            "test_an_aborted_transaction_is_invisible",
            _TRANSACTIONS,
            "                producer.abort_transaction(ABORT_TIMEOUT_S)\n",
            "                producer.commit_transaction(ABORT_TIMEOUT_S)\n",
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
            "                if offset >= ends[number]:\n",
            "                if offset >= 0:\n",
        ),
    ],
)
mutants(
    "tests/unit/test_evidence.py",
    [
        (
            "test_events_are_read_in_each_envelope",
            _ENVELOPES,
            '        elif isinstance(value.get("detail"), dict):\n',
            "        elif False:\n",
        ),
        (
            "test_what_is_no_event_is_said_so",
            _ENVELOPES,
            '            raise bad_event("it has no `mail`")\n',
            '            return Notice("no event")\n',
        ),
        (
            "test_cloudtrail_proves_acceptance",
            "processor/core/cloudtrail.py",
            '    if record.get("errorCode"):\n        return Foreign("the call was refused")\n',
            "",
        ),
        (
            "test_only_lasting_feedback_counts",
            "processor/core/arrivals.py",
            'lasting = about.get("bounceType") == "Permanent"',
            "lasting = True",
        ),
    ],
)
