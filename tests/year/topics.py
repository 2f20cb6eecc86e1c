"""The topics' retention under a clock that jumps from month to month.

The broker's clock cannot be moved. At a month's end each topic is therefore given for a moment the retention and the
compaction lag that count from that month's beginning, and what the broker takes away is waited for.
"""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from processor.adapters.topics import topic_config
from schemas.kafka.reading import read_topic
from schemas.runtime.settings import Settings
from schemas.topics import Topics
from tests.support.world import WAIT_S, wait_for

__all__ = ["MONTHS_KEPT", "RETENTION_MONTHS", "TopicsOfTheYear"]

RETENTION_MONTHS = 3
"""As `MAILONCE_RETENTION_MONTHS`: the floor stands so many months before the newest, and what is above may be mailed."""
SMALL = {"internal.segment.bytes": "16384", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"}
CONTROL_RECORDS = 400
"""Control is compacted, not aged: installation, one record a month, lineages, heartbeats not yet compacted."""
LATE_MAX = 100
"""Records that may stay beyond their time, of the 42 jobs a month: Kafka removes whole segments, which compaction joins."""


def _kept(topics: Topics) -> dict[str, int]:
    # As `schemas.topics` has it, and for the same reasons.
    return {topics.jobs: RETENTION_MONTHS + 2} | dict.fromkeys(topics.telling, RETENTION_MONTHS + 4)


MONTHS_KEPT = {name.removeprefix(Topics().prefix): months for name, months in _kept(Topics()).items()}
"""How many months each topic keeps at a month's end, that one included."""


class TopicsOfTheYear:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
        self._kept = _kept(settings.topics)
        self._began_ms: list[int] = []

    def begin_month(self) -> None:
        self._began_ms.append(time.time_ns() // 1_000_000)

    def make_small(self) -> None:
        """Segments of a second or 16 kB, so that a minute has as many as a month."""
        for spec in self._settings.topics.specs():
            self._change(spec.name, SMALL)
        self._change(self._settings.topics.control, {"min.compaction.lag.ms": "0", "delete.retention.ms": "1000"})

    def age(self) -> dict[str, int]:
        """A month has ended: what is past its retention goes. Returns what stayed beyond it, by topic; raises
        `AssertionError` for more than a segment or two of it."""
        cuts = {name: self._cut(months) for name, months in self._kept.items()}
        before = {name: topic_config(self._admin, name) for name in cuts}
        now_ms = time.time_ns() // 1_000_000
        for name, cut_ms in cuts.items():
            lag = {"min.compaction.lag.ms": str(now_ms - self._began_ms[-1])}
            self._change(name, lag | {"retention.ms": str(now_ms - cut_ms)})
        for name, cut_ms in cuts.items():
            wait_for(lambda: self._late(name, cut_ms) <= LATE_MAX, f"the ageing of {name}")  # noqa: B023
        late = {name: self._late(name, cut_ms) for name, cut_ms in cuts.items()}
        for name, was in before.items():
            self._change(name, {"min.compaction.lag.ms": was["min.compaction.lag.ms"], "retention.ms": "-1"})
        wait_for(lambda: self._count(self._settings.topics.control) <= CONTROL_RECORDS, "control's compaction")
        return late

    def _cut(self, months: int) -> int:
        return self._began_ms[max(0, len(self._began_ms) - months)]

    def _late(self, topic: str, cut_ms: int) -> int:
        """Records before a time."""
        return sum(record.timestamp_ms < cut_ms for record in read_topic(self._settings, topic))

    def _count(self, topic: str) -> int:
        return sum(1 for _ in read_topic(self._settings, topic))

    def _change(self, topic: str, config: dict[str, str]) -> None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for changed in self._admin.incremental_alter_configs([resource]).values():
            changed.result(WAIT_S)
