"""The topics: names, keys and the policies that the promise rests on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PATIENCE_MS", "TopicSpec", "Topics"]

_DAY_MS = 86_400_000
PATIENCE_MS = 35 * _DAY_MS
"""Longer than a campaign: how long compaction waits, and by how much what tells of a job outlasts it at the least."""
_MONTH_MS = 31 * _DAY_MS
_JOBS_MONTHS = 2
"""A month is open to the end of the retention's last one, and its jobs may be published one early."""
_TOLD_MONTHS = 4
_COMPACTED_BYTES = 64 * 1024 * 1024
"""Kafka takes whole segments away, and compaction joins old ones up to this size."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    config: dict[str, str]
    partitions: int = 0
    """0: as many as the jobs topic has"""

    @property
    def cleanup_policy(self) -> frozenset[str]:
        return frozenset(self.config["cleanup.policy"].split(","))


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics under one prefix (`MAILONCE_TOPIC_PREFIX`)."""

    prefix: str = "email-"
    retention_months: int = 13
    """how long a month stays open (`MAILONCE_RETENTION_MONTHS`)"""

    @property
    def jobs(self) -> str:
        return f"{self.prefix}jobs"

    @property
    def attempts(self) -> str:
        return f"{self.prefix}attempts"

    @property
    def deliveries(self) -> str:
        return f"{self.prefix}deliveries"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}dead-letters"

    @property
    def dead_letter_marks(self) -> str:
        return f"{self.prefix}dead-letter-marks"

    @property
    def events(self) -> str:
        return f"{self.prefix}events"

    @property
    def suppressions(self) -> str:
        return f"{self.prefix}suppressions"

    @property
    def control(self) -> str:
        return f"{self.prefix}control"

    @property
    def beside_jobs(self) -> tuple[str, ...]:
        """Topics whose records go to their job's partition."""
        return self.attempts, self.deliveries, self.dead_letters

    @property
    def telling(self) -> tuple[str, ...]:
        """Topics whose records tell what became of a job: kept longer than it."""
        return self.attempts, self.deliveries, self.dead_letters, self.dead_letter_marks

    def specs(self) -> list[TopicSpec]:
        """Each topic with its policy.

        Every record of the compacted ones must be seen by whoever is behind, so compaction and the removal of
        tombstones wait longer than a campaign (35 days). A job is kept for longer than its month is open, and what
        tells of it for longer than the job: intent, outcome, letter and mark.
        """
        patient = {"min.compaction.lag.ms": str(PATIENCE_MS), "delete.retention.ms": str(PATIENCE_MS)}
        # Kafka's own clock: a wrong one elsewhere must not decide what is kept.
        clock = {"message.timestamp.type": "LogAppendTime"}
        told = self._kept(_TOLD_MONTHS)
        aged = {"cleanup.policy": "compact,delete", **patient, "segment.bytes": str(_COMPACTED_BYTES), **clock}
        return [
            TopicSpec(self.jobs, aged | self._kept(_JOBS_MONTHS)),
            TopicSpec(self.attempts, aged | told),
            TopicSpec(self.deliveries, aged | told),
            TopicSpec(
                self.dead_letters,
                {
                    "cleanup.policy": "delete",
                    **told,
                    # Whatever the jobs topic takes by Kafka's default (1 MB), with its headers and the letter's own.
                    "max.message.bytes": str(2 * 1024 * 1024),
                    **clock,
                },
            ),
            TopicSpec(self.dead_letter_marks, {"cleanup.policy": "compact,delete", **told, **clock}),
            TopicSpec(
                self.suppressions, {"cleanup.policy": "compact", "delete.retention.ms": str(PATIENCE_MS), **clock}
            ),
            TopicSpec(self.events, {"cleanup.policy": "delete", "retention.ms": str(PATIENCE_MS), **clock}),
            TopicSpec(
                self.control,
                {
                    # Everybody reads it whole at the start, and heartbeats come every few seconds.
                    "cleanup.policy": "compact",
                    "segment.bytes": str(1024 * 1024),
                    "segment.ms": "600000",
                    "min.cleanable.dirty.ratio": "0.1",
                    **clock,
                },
                partitions=1,
            ),
        ]

    def _kept(self, months_more: int) -> dict[str, str]:
        """By their age alone: a size would take records away at any."""
        kept_ms = (self.retention_months + months_more) * _MONTH_MS
        return {"retention.ms": str(kept_ms), "retention.bytes": "-1"}
