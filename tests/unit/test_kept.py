"""How long topics keep what they hold: what follows for records, and which settings are refused."""

from __future__ import annotations

import pytest

from processor.core.kept import FOR_EVER, FOR_EVER_MS, Kept, kept_ms, loses, too_short
from processor.core.offsets import Window
from processor.core.ticket import examine
from schemas.codec import encode
from schemas.kafka.reading import Record
from schemas.topics import Topics
from tests.support.world import MONTH, job

DAY_MS = 86_400_000
TOPICS = Topics("t-")
SPECS = {spec.name: spec for spec in TOPICS.specs()}
JOBS, LEDGER, ATTEMPTS = SPECS["t-jobs"], SPECS["t-deliveries"], SPECS["t-attempts"]


def configs(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    """As topics are made, changed by their names without the prefix."""
    return {name: spec.config | changes.get(name.removeprefix("t-"), {}) for name, spec in SPECS.items()}


def days(count: int) -> dict[str, str]:
    return {"retention.ms": str(count * DAY_MS)}


COMPACT = {"cleanup.policy": "compact"}


def test_how_long_a_topic_keeps_a_record() -> None:
    """Compaction takes away only what was replaced; -1 is for ever."""
    assert kept_ms(JOBS.config) == 465 * DAY_MS
    assert kept_ms(JOBS.config | COMPACT) == FOR_EVER_MS
    assert kept_ms(JOBS.config | {"retention.ms": "-1"}) == FOR_EVER_MS


def test_what_follows_from_a_records_age() -> None:
    """G1, G6: a job is over before what tells of it is gone."""
    kept, now = Kept.of(TOPICS, configs()), 1_000 * DAY_MS
    for age, over, gone in ((464, False, False), (466, True, False), (528, True, True)):
        written = now - age * DAY_MS
        assert kept.job_is_over(written, now) is over
        assert kept.outcome_is_gone(written, now) is kept.letter_is_gone(written, now) is gone
    assert kept.told_since_ms(now) == (1_000 - 527) * DAY_MS
    assert FOR_EVER.told_since_ms(now) == 0


def test_jobs_that_are_never_aged_count_while_the_ledger_tells_of_them() -> None:
    """G1: whatever is set."""
    assert Kept.of(TOPICS, configs(jobs=COMPACT)).jobs_ms == (527 - 35) * DAY_MS
    assert Kept.of(TOPICS, configs(jobs=COMPACT, deliveries=COMPACT)).jobs_ms == FOR_EVER_MS


def test_a_producers_clock_decides_nothing() -> None:
    """Topics of 0.1 hold what producers said of the time: a wrong clock must not end a job."""
    assert Kept.of(TOPICS, configs(jobs={"message.timestamp.type": "CreateTime"})) == FOR_EVER
    assert not FOR_EVER.job_is_over(0, 10**15)


def test_a_job_that_is_over_is_settled_without_a_call() -> None:
    """G1: and the ledger says whether it has its outcome."""
    record = Record(0, 5, f"u1:{MONTH}".encode(), encode(job("u1")), [], 0)
    ticket = examine(record, Window(0), floor="2025-11", suppressed=())
    assert ticket.needs_call
    over = ticket.over()
    assert (over.needs_call, over.past) == (False, True)
    assert over.refusal is not None
    assert over.refusal.reason == "too-old"


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("t-jobs", {}, ""),
        ("t-jobs", COMPACT, ""),
        ("t-jobs", {"cleanup.policy": "delete"}, "cleanup.policy=delete; mailonce needs compact,delete"),
        ("t-deliveries", {"cleanup.policy": "delete,compact"}, ""),
        ("t-deliveries", {"retention.bytes": "1000"}, "retention.bytes=1000"),
        ("t-deliveries", COMPACT | {"retention.bytes": "1000"}, ""),
        ("t-dead-letters", COMPACT, "mailonce needs delete"),
        ("t-control", {"cleanup.policy": "compact,delete"}, "mailonce needs compact"),
        ("t-events", {"retention.bytes": "1000"}, ""),
    ],
)
def test_what_would_lose_records_is_refused(name: str, change: dict[str, str], says: str) -> None:
    """A policy or a size that takes away what the promise rests on; what keeps more is fine."""
    found = loses(SPECS[name], SPECS[name].config | change)
    assert says in found if says else found == ""


@pytest.mark.parametrize(
    ("changed", "short"),
    [
        ({}, []),
        # As 0.1 made them.
        ({"jobs": COMPACT, "deliveries": COMPACT, "attempts": days(35)}, []),
        ({"jobs": COMPACT, "deliveries": COMPACT, "attempts": days(34)}, ["t-attempts"]),
        ({"jobs": COMPACT}, []),
        ({"jobs": COMPACT, "deliveries": days(526)}, ["t-deliveries"]),
        ({"jobs": days(492)}, []),
        ({"jobs": days(493)}, ["t-deliveries", "t-attempts"]),
        ({"deliveries": days(499)}, ["t-deliveries"]),
        ({"attempts": days(35)}, ["t-attempts"]),
        ({"jobs": days(34)}, ["t-jobs"]),
        ({"jobs": days(-1), "deliveries": days(-1), "attempts": days(-1)}, []),
    ],
)
def test_what_tells_of_a_job_outlasts_it(changed: dict[str, dict[str, str]], short: list[str]) -> None:
    """G1: ledger and attempts are kept for 35 days longer than the jobs that age, at the least."""
    found = dict(too_short(TOPICS, configs(**changed)))
    assert list(found) == short
    assert all("mailonce topics upgrade" in why for why in found.values())
