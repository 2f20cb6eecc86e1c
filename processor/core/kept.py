"""How long the topics keep what they hold, and whether that is long enough.

A job is there for as long as its topic's retention says, by Kafka's clock, not for as long as Kafka leaves its segment
lying: compaction joins segments of many months, and then a whole one waits for its youngest record. So whatever tells
of a job (intent, outcome, letter) is still there while the job counts, if only its topic keeps it for longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from schemas.topics import PATIENCE_MS, Topics, TopicSpec

__all__ = ["FOR_EVER", "FOR_EVER_MS", "Config", "Kept", "kept_ms", "loses", "too_short"]

Config = Mapping[str, str]
"""A topic's settings, by Kafka's names."""
FOR_EVER_MS = 1 << 62
_DAY_MS = 86_400_000
UPGRADE = "`mailonce topics upgrade` sets it right"


def kept_ms(config: Config) -> int:
    """How long a topic keeps a record at the least, in milliseconds; compaction takes away only what was replaced."""
    found = int(config["retention.ms"]) if "delete" in config["cleanup.policy"].split(",") else -1
    return FOR_EVER_MS if found < 0 else found


class Kept(NamedTuple):
    """How long records are kept, in milliseconds."""

    jobs_ms: int = FOR_EVER_MS
    outcomes_ms: int = FOR_EVER_MS
    letters_ms: int = FOR_EVER_MS

    @classmethod
    def of(cls, topics: Topics, configs: Mapping[str, Config]) -> Kept:
        """By the topics' settings: jobs that are never aged count no longer than the ledger can tell of them.

        Where a producer's clock dates the jobs nothing follows from their age.
        """
        if configs[topics.jobs].get("message.timestamp.type") != "LogAppendTime":
            return cls()
        jobs, outcomes, letters = (
            kept_ms(configs[name]) for name in (topics.jobs, topics.deliveries, topics.dead_letters)
        )
        return cls(jobs if outcomes == FOR_EVER_MS else min(jobs, outcomes - PATIENCE_MS), outcomes, letters)

    def job_is_over(self, written_ms: int, now_ms: int) -> bool:
        """Whether a record of the jobs topic counts no more, wherever Kafka has left it: it is not attempted."""
        return written_ms < now_ms - self.jobs_ms

    def outcome_is_gone(self, written_ms: int, now_ms: int) -> bool:
        """Whether the ledger may have lost what it held of a record of the jobs topic."""
        return written_ms < now_ms - self.outcomes_ms

    def told_since_ms(self, now_ms: int) -> int:
        """What was written from then on has its outcome in the ledger, if it ever had one."""
        return max(0, now_ms - self.outcomes_ms)

    def letter_is_gone(self, written_ms: int, now_ms: int) -> bool:
        """Whether the letter of a record of the jobs topic may be gone."""
        return written_ms < now_ms - self.letters_ms


FOR_EVER = Kept()


def loses(spec: TopicSpec, config: Config) -> str:
    """Why a topic of these settings would lose records that the promise rests on; empty when it would not.

    A topic that is compacted alone loses nothing: so 0.1 made them.
    """
    policy, wanted = frozenset(config["cleanup.policy"].split(",")), spec.cleanup_policy
    if policy != wanted and not (policy == {"compact"} and "compact" in wanted):
        return (
            f"topic {spec.name} exists with cleanup.policy={config['cleanup.policy']}; mailonce needs "
            f"{spec.config['cleanup.policy']}, or records that the promise rests on would vanish. Change it with "
            f"kafka-configs, or set another MAILONCE_TOPIC_PREFIX."
        )
    if "delete" in policy and "retention.bytes" in spec.config and int(config.get("retention.bytes", "-1")) >= 0:
        return (
            f"topic {spec.name} has retention.bytes={config['retention.bytes']}: records would vanish at any age; "
            f"{UPGRADE}"
        )
    return ""


def too_short(topics: Topics, configs: Mapping[str, Config]) -> Iterator[tuple[str, str]]:
    """Each topic that forgets too soon, and why that matters.

    Jobs are kept longer than a campaign. Ledger and attempts are kept longer than the jobs, or whoever rebuilds the
    dedup set would take a job that was sent, or is in doubt, for one that nobody attempted. Where jobs never age (so
    0.1 made them) the ledger is kept as long as a new one, the attempts as long as those of 0.1.
    """
    jobs_ms = kept_ms(configs[topics.jobs])
    if jobs_ms < PATIENCE_MS:
        yield topics.jobs, f"topic {topics.jobs} keeps jobs for {_days(jobs_ms)}, a month may take longer; {UPGRADE}"
    specs = {spec.name: spec.config for spec in topics.specs()}
    for name, beside_ms in ((topics.deliveries, kept_ms(specs[topics.deliveries])), (topics.attempts, PATIENCE_MS)):
        found_ms, needed_ms = kept_ms(configs[name]), beside_ms if jobs_ms == FOR_EVER_MS else jobs_ms + PATIENCE_MS
        if found_ms < needed_ms:
            why = (
                f"topic {name} keeps its records for {_days(found_ms)} and {topics.jobs} for {_days(jobs_ms)}: it must "
                f"be {_days(needed_ms)} at the least, or what tells of a job would go before it; {UPGRADE}"
            )
            yield name, why


def _days(ms: int) -> str:
    return "ever" if ms >= FOR_EVER_MS else f"{ms / _DAY_MS:g} days"
