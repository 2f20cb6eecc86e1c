"""What is told of a month is read from where it begins: the same as by a read of everything, whatever came before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.adapters import months as adapter
from processor.core.control import Control
from processor.core.months import Months
from processor.ops.status import MonthView
from schemas.codec import encode
from schemas.control import ControlRecord, MonthOpened
from schemas.identity import Key
from schemas.kafka import reading
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome, Source
from schemas.runtime.settings import load_settings
from tests.support.world import job

pytestmark = pytest.mark.no_cover

MONTHS = ("2026-10", "2026-11", "2026-12")
USERS = ("u1", "jürgen", "利用者")
JOBS, LEDGER, EVENTS = "email-jobs", "email-deliveries", "email-events"

months = st.sampled_from(MONTHS)
users = st.sampled_from(USERS)
steps = st.one_of(
    st.tuples(st.just("job"), months, users),
    st.tuples(st.just("stray"), months, users),
    st.tuples(st.just("cancel"), months, users),
    st.tuples(st.sampled_from(["sent", "dead", "uncertain"]), months, users),
    st.tuples(st.just("grow"), months, users),
)


class Topics:
    """Jobs and ledger as producers and processors write them; a month is opened before its first job."""

    def __init__(self) -> None:
        self.partitions = 2
        self.opened: dict[str, MonthOpened] = {}
        self._logs: dict[str, list[list[Record]]] = {JOBS: [[], []], LEDGER: [[], []], EVENTS: [[], []]}
        self._now = 0

    def write(self, topic: str, partition: int, key: bytes, value: msgspec.Struct | None) -> int:
        log = self._logs[topic][partition]
        self._now += 1
        log.append(Record(partition, len(log), key, encode(value) if value else None, [], self._now))
        return len(log) - 1

    def step(self, what: str, month: str, user: str) -> None:
        key = Key(user, month).to_bytes()
        if what == "grow":
            self.partitions += 1
            for logs in self._logs.values():
                logs.append([])
            return
        if month not in self.opened:
            begins = {topic: [len(log) for log in logs] for topic, logs in self._logs.items()}
            self.opened[month] = MonthOpened(month=month, partitions=self.partitions, begins=begins)
        own = self.opened[month].partition_of(key)
        match what:
            case "job":
                self.write(JOBS, own, key, job(user, month=month, n=str(self._now)))
            case "stray":
                self.write(JOBS, (own + 1) % self.partitions, key, job(user, month=month))
            case "cancel":
                self.write(JOBS, own, key, None)
            case _:
                source = Source(JOBS, own, max(0, len(self._logs[JOBS][own]) - 1), self._now)
                outcome = Delivery(outcome=Outcome(what), at_ms=self._now, source=source, instance="p", attempt="a")
                self.write(LEDGER, own, key, outcome)

    def control(self, *, by_month: bool) -> Control:
        """The control topic; without the places where months begin everything is read."""
        control = Control()
        for number, opened in enumerate(self.opened.values()):
            told = opened if by_month else msgspec.structs.replace(opened, begins={})
            control.take(ControlRecord(number, "month", opened.month, told), 0.0)
        return control

    def read_topic(
        self, _settings: Any, topic: str, partitions: list[int] | None = None, starts: Mapping[int, int] | None = None
    ) -> Iterator[Record]:
        for number, log in enumerate(self._logs[topic]):
            if partitions is None or number in partitions:
                yield from log[(starts or {}).get(number, 0) :]


def told(topics: Topics, *, by_month: bool) -> list[Any]:
    """Everything that commands tell of the months and of single mails."""
    control, where, found = topics.control(by_month=by_month), load_settings(), list[Any]()
    keys = {Key(user, month).to_bytes() for user in USERS for month in MONTHS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapter, "read_control", lambda _settings: control)
        for module in (adapter, reading):
            patch.setattr(module, "read_topic", topics.read_topic)
        for month in MONTHS:
            view = MonthView(where, month)
            found += [view.refresh(), view.mails]
        for topic in (JOBS, LEDGER):
            found += [list(adapter.read_month(where, Months(control), topic, month)) for month in MONTHS]
            # Keys of several months together are read from where the earliest of them begins.
            found.append(list(adapter.read_keys(where, Months(control), topic, keys)))
            found += [list(adapter.read_keys(where, Months(control), topic, {key})) for key in sorted(keys)]
    return found


@given(st.lists(steps, max_size=40))
@settings(max_examples=150)
def test_answers_by_month_equal_a_full_read(story: list[tuple[str, str, str]]) -> None:
    """G2, G6: months overlap, partitions are added in their middle, records stand astray: nothing is left out."""
    topics = Topics()
    for step in story:
        topics.step(*step)
    assert told(topics, by_month=True) == told(topics, by_month=False)
