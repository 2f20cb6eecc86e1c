"""Topics of an earlier version made as new ones are: what they keep, for how long, and by whose clock.

A topic that begins to age loses at once what is past its time. Nothing goes of a month that is still open, and no job
that has no outcome: whoever asks for it is told which, and what to do first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from processor.adapters.months import read_months
from processor.adapters.topics import topic_config_is, topic_configs
from processor.core.balance import Balance
from processor.core.months import month_of_key
from processor.core.topic_changes import Change, begins_to_age, changes
from schemas.kafka.asking import answer, error_text
from schemas.kafka.clients import admin_config
from schemas.kafka.reading import Record, partition_numbers, read_topic
from schemas.runtime.errors import BrokerUnavailable, UsageError
from schemas.runtime.settings import Settings

__all__ = ["Plan", "carry_out", "look", "refuse"]

SHOWN_MAX = 10
EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Plan:
    """What an upgrade changes, and what Kafka takes away for it."""

    changes: list[Change]
    going: dict[str, Counter[str]] = field(default_factory=dict)
    """topic: how many records of each month go"""
    floor: str = ""
    unsettled: list[bytes] = field(default_factory=list)
    """keys whose jobs go, of which no outcome is known"""

    @property
    def open_months(self) -> list[str]:
        """Months of which something would go, and which are not closed."""
        found = {month for months in self.going.values() for month in months if month}
        return sorted(month for month in found if month >= self.floor) if self.floor else sorted(found)


def look(settings: Settings, now_ms: Callable[[], int]) -> Plan:
    """Reads the topics' settings, and where one begins to age what it holds that is past its time.

    Raises `BrokerUnavailable`.
    """
    admin, topics = AdminClient(admin_config(settings)), settings.topics
    found = changes(topics, topic_configs(admin, [spec.name for spec in topics.specs()]))
    cuts = {one.topic: now_ms() - one.kept_ms for one in found if begins_to_age(one)}
    going = {name: _months(_older(settings, name, cut_ms)) for name, cut_ms in cuts.items()}
    jobs_cut_ms = cuts.get(topics.jobs)
    unsettled = _unsettled(settings, jobs_cut_ms) if jobs_cut_ms is not None and going[topics.jobs] else []
    floor = read_months(settings).floor if any(going.values()) else ""
    return Plan(found, going, floor, unsettled)


def refuse(plan: Plan) -> None:
    """Raises `UsageError` where something would go that is still needed."""
    if plan.open_months:
        raise UsageError(
            f"records of {', '.join(plan.open_months)} are older than the topics would keep them, and these months "
            f"are not closed: who got a mail then would be forgotten. `mailonce dedup floor` closes months. Nothing "
            f"was changed"
        )
    if plan.unsettled:
        shown = ", ".join(key.decode(errors="replace") for key in plan.unsettled[:SHOWN_MAX])
        raise UsageError(
            f"{len(plan.unsettled):,} jobs that would go have no outcome: {shown}; `mailonce process --drain` tells of "
            f"each. Nothing was changed"
        )


def carry_out(settings: Settings, plan: Plan) -> None:
    """Changes the topics one after the other, and waits until each is seen to be changed.

    Broken off it may be done again. Raises `BrokerUnavailable`.
    """
    admin = AdminClient(admin_config(settings))
    for change in plan.changes:
        wanted = {name: after for name, (_, after) in change.settings.items()}
        entries = [ConfigEntry(name, to, incremental_operation=AlterConfigOpType.SET) for name, to in wanted.items()]
        resource = ConfigResource(ResourceType.TOPIC, change.topic, incremental_configs=entries)
        try:
            answer(admin.incremental_alter_configs([resource])[resource])
        except KafkaException as error:
            raise BrokerUnavailable(f"topic {change.topic} could not be changed: {error_text(error)}") from error
        topic_config_is(admin, change.topic, wanted)


def _older(settings: Settings, topic: str, cut_ms: int) -> Iterable[Record]:
    return (record for record in read_topic(settings, topic) if record.timestamp_ms < cut_ms)


def _months(records: Iterable[Record]) -> Counter[str]:
    return Counter(month_of_key(record.key) for record in records)


def _unsettled(settings: Settings, cut_ms: int) -> list[bytes]:
    """Keys of jobs before that time whose outcome the ledger does not hold."""
    topics, suspects = settings.topics, set[bytes]()
    numbers = partition_numbers(settings, topics.jobs)
    for number in numbers:
        suspects.update(_fed(settings, Balance({number: EVER}, ""), [number], cut_ms).missing())
    if not suspects:
        return []
    # A key's records may stand in two partitions.
    return _fed(settings, Balance(dict.fromkeys(numbers, EVER), "", "", suspects), numbers, cut_ms).missing()


def _fed(settings: Settings, balance: Balance, numbers: list[int], cut_ms: int) -> Balance:
    for record in read_topic(settings, settings.topics.jobs, numbers):
        if record.timestamp_ms < cut_ms:
            balance.job(record)
    for record in read_topic(settings, settings.topics.deliveries, numbers):
        balance.outcome(record)
    return balance
