"""Lines that only a run with real servers shows, commands' above all; and what their tests say without them."""

from __future__ import annotations

from tests.mutants.mutant import mutants

__all__: list[str] = []

_OPS, _FORGET = "processor/ops/", "processor/ops/forget.py"

mutants(
    "tests/integration/test_group.py",
    [
        (
            "test_a_second_instance_of_the_same_name_fences_the_first",
            "processor/adapters/kafka_transactions.py",
            'f"another processor runs as instance {self._instance!r}, or this one was stopped for too long: "',
            '"this one was stopped for too long: "',
        ),
    ],
)
mutants(
    "tests/integration/test_latest.py",
    [
        (
            "test_a_cancel_without_redis_says_what_stands",
            _OPS + "cancel.py",
            "    partition, offset = publish_tombstone(settings, key)\n",
            "    await dedup.server()\n    partition, offset = publish_tombstone(settings, key)\n",
        ),
        (
            "test_many_rows_are_corrected_while_a_processor_runs",
            "processor/core/newest.py",
            '        return reading is not None and reading.newest.get(record.key or b"", -1) > record.offset\n',
            "        return False\n",
        ),
        (
            "test_partitions_are_added_between_a_month_and_its_cancels",
            "processor/adapters/months.py",
            "return opened.partition_of(record.key) if opened else BY_KEY",
            "return BY_KEY",
        ),
    ],
)
mutants(
    "tests/integration/test_dead_letters.py",
    [
        (
            "test_what_was_sent_meanwhile_is_refused_by_name",
            "processor/core/requeue.py",
            '    if mail.outcome is Outcome.SENT:\n        return "was sent meanwhile"\n',
            "",
        ),
        (
            "test_a_hundred_at_once_by_reason",
            _OPS + "dead_letters.py",
            "            and wanted.state in {None, entry.state}\n",
            "",
        ),
    ],
)
mutants(
    "tests/integration/test_dashboard.py",
    [
        (
            "test_what_was_not_committed_is_not_shown",
            "processor/dashboard/faust_transport.py",
            'consumer._isolation_level = "read_committed"',
            'consumer._isolation_level = "read_uncommitted"',
        ),
    ],
)
mutants(
    "tests/integration/test_forget.py",
    [
        (
            "test_a_person_is_forgotten_and_the_others_are_not",
            _FORGET,
            "return (self.known & self.stands.keys()) - self.held - self.uncertain",
            "return self.known & self.stands.keys()",
        ),
        (
            "test_one_that_was_broken_off_goes_on",
            _OPS + "moving.py",
            "    _cut(settings, partition, last + 1)\n",
            "    _cut(settings, partition, last)\n",
        ),
    ],
)
mutants(
    "tests/integration/test_kafka_faults.py",
    [
        (
            "test_a_wrong_policy_is_refused_at_the_start",
            "processor/core/kept.py",
            '    if policy != wanted and not (policy == {"compact"} and "compact" in wanted):\n',
            "    if False:\n",
        ),
    ],
)
mutants(
    "tests/integration/test_feedback.py",
    [
        (
            "test_what_redis_knows_reaches_the_ledger",
            "processor/evidence/sweep.py",
            "            if claim.state is State.SENT:\n",
            "            if False:\n",
        ),
        (
            "test_people_decide_about_doubt",
            "processor/adapters/lua/claim.lua",
            "    free = free or (ARGV[at + 4] ~= '' and string.match(value, '^[UuR]([^:]+)') == ARGV[at + 4])\n",
            "",
        ),
    ],
)
mutants(
    "tests/unit/test_topic_changes.py",
    [
        (
            "test_topics_of_0_1_become_as_new_ones_are",
            "processor/core/topic_changes.py",
            "key=lambda change: 1 if change.topic == topics.jobs else 2 * begins_to_age(change)",
            "key=lambda change: change.topic",
        ),
        (
            "test_whatever_was_set_the_rules_hold_afterwards",
            "processor/core/topic_changes.py",
            'max(int(wanted["retention.ms"]), least_ms, now_ms)',
            'max(int(wanted["retention.ms"]), now_ms)',
        ),
    ],
)
mutants(
    "tests/integration/test_topics_upgrade.py",
    [
        (
            "test_a_month_whose_ledger_has_begun_to_go_is_not_published_again",
            _OPS + "months.py",
            "    if any(begins[number] > offset for number, offset in began.items()):\n",
            "    if False:\n",
        ),
    ],
)
