"""The topics: names, keys and the policies that the promise rests on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TopicSpec", "Topics"]

_DAY_MS = 86_400_000


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

    def specs(self) -> list[TopicSpec]:
        """Each topic with its policy.

        Every record of the compacted ones must be seen by whoever is behind, so compaction and the removal of
        tombstones wait longer than a campaign (35 days).
        """
        patient = {"min.compaction.lag.ms": str(35 * _DAY_MS), "delete.retention.ms": str(35 * _DAY_MS)}
        return [
            TopicSpec(self.jobs, {"cleanup.policy": "compact", **patient}),
            TopicSpec(
                self.attempts,
                {"cleanup.policy": "compact,delete", "retention.ms": str(35 * _DAY_MS), **patient},
            ),
            TopicSpec(self.deliveries, {"cleanup.policy": "compact", **patient}),
            TopicSpec(
                self.dead_letters,
                {
                    "cleanup.policy": "delete",
                    "retention.ms": str(90 * _DAY_MS),
                    # Whatever the jobs topic takes by Kafka's default (1 MB), with its headers and the letter's own.
                    "max.message.bytes": str(2 * 1024 * 1024),
                },
            ),
            TopicSpec(
                self.dead_letter_marks,
                {"cleanup.policy": "compact,delete", "retention.ms": str(90 * _DAY_MS)},
            ),
            TopicSpec(self.suppressions, {"cleanup.policy": "compact", "delete.retention.ms": str(35 * _DAY_MS)}),
            TopicSpec(self.events, {"cleanup.policy": "delete", "retention.ms": str(35 * _DAY_MS)}),
            TopicSpec(
                self.control,
                {
                    # Everybody reads it whole at the start, and heartbeats come every few seconds.
                    "cleanup.policy": "compact",
                    "segment.bytes": str(1024 * 1024),
                    "segment.ms": "600000",
                    "min.cleanable.dirty.ratio": "0.1",
                    # Kafka's own clock: a wrong one elsewhere must not decide what is kept.
                    "message.timestamp.type": "LogAppendTime",
                },
                partitions=1,
            ),
        ]
