"""Rows on their last stretch: first all that is not certain is planned, then, if nobody objects, all is published."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from producer.order import Order, Tell
from producer.plan import Reject, verdict
from producer.publish import Publisher
from producer.published import read_held
from producer.rejects import Rejects
from producer.rows import Row
from producer.staging.diff import Diff, Fresh
from producer.staging.staged import Staged
from producer.tally import Tally
from schemas.records import Job
from schemas.runtime.errors import MailonceError

__all__ = ["Pipeline"]

_AT_ONCE = 2048
"""jobs"""
_HEAD = struct.Struct("<?II")
"""Of a planned job in its file: whether it replaces another, and the bytes of key and value."""


class Pipeline:
    """The certain rows in bulk, the others by the rules: `plan`, then `publish`."""

    def __init__(self, source: Staged, diff: Diff, rejects: Rejects, order: Order, tell: Tell) -> None:
        self._source = source
        self._diff = diff
        self._rejects = rejects
        self._order = order
        self._tell = tell
        self.tally = Tally(order.include_cancelled, unchanged=diff.unchanged)
        self.rows = diff.rows
        self.certain = 0
        """jobs that are certainly new; known once all others are planned"""
        self._planned: Path = source.staging.folder.path / "planned"
        names = [name if source.many else source.name for name, _, _ in source.staging.files]
        self._provenance = [f'{{"source":{_json(name)},"snapshot":{_json(source.snapshot)},"row":' for name in names]
        """of each file's jobs, as far as they have it in common"""

    @property
    def month(self) -> str:
        return self._order.month

    def plan(self, shown: Callable[[Job], None] = lambda _: None) -> None:
        """Judges every row that is not certain; `shown` is given each job that is to be published of them."""
        done, number = self.tally.unchanged, 0
        self._tell("planning", done, self.rows)
        with self._planned.open("wb", buffering=1 << 20) as out:
            for number, one in enumerate(self._diff.doubtful(), 1):
                self._plan_one(one.row, one.last, one.held, shown, out)
                if number % _AT_ONCE == 0:
                    self._tell("planning", done + number, self.rows)
        self.certain = self.rows - done - number
        self._tell("planning", self.rows, self.rows)

    def _plan_one(
        self, row: Row, last: int | None, held: list[str], shown: Callable[[Job], None], out: IO[bytes]
    ) -> None:
        entry = self.judged(row, last)
        if isinstance(entry, Reject):
            self._rejects.add(entry)
        elif planned := self.tally.plan(entry, read_held(entry.user_id, entry.month, held)):
            out.write(_HEAD.pack(planned.replaces, len(planned.key), len(planned.value)))
            out.write(planned.key)
            out.write(planned.value)
            shown(entry)

    def judged(self, row: Row, last: int | None = None) -> Job | Reject:
        """By the rules."""
        return verdict(
            row,
            last,
            month=self._order.month,
            template=self._order.template,
            on_duplicate=self._order.on_duplicate,
            source=self._source.name,
            snapshot=self._source.snapshot,
            now_ms=_now_ms(),
        )

    def publish(self, publisher: Publisher) -> None:
        """What was planned, and all that is certain. Raises `BrokerUnavailable`, having told of what was replaced."""
        try:
            self._publish(publisher)
        except MailonceError:
            publisher.abandon()
            raise

    def _publish(self, publisher: Publisher) -> None:
        began_s, done, total = time.monotonic(), 0, self.tally.planned + self.certain
        self._tell("publishing", done, total)
        for count in self._all(publisher):
            done += count
            rate = self._order.max_rate
            if rate > 0 and (ahead_s := done / rate - (time.monotonic() - began_s)) > 0:
                time.sleep(ahead_s)
            self._tell("publishing", done, total)
        publisher.finish()

    def _all(self, publisher: Publisher) -> Iterator[int]:
        for replaces, key, value in self._of_plan():
            publisher.publish_planned(key, value, replaces=replaces)
            yield 1
        rate = self._order.max_rate
        at_once = max(1, min(int(rate / 10), _AT_ONCE)) if rate else _AT_ONCE
        for batch in self._diff.fresh():
            jobs = self.jobs(batch)
            for start in range(0, len(jobs), at_once):
                publisher.publish_new(jobs[start : start + at_once])
                yield len(jobs[start : start + at_once])

    def _of_plan(self) -> Iterator[tuple[bool, bytes, bytes]]:
        with self._planned.open("rb", buffering=1 << 20) as planned:
            while head := planned.read(_HEAD.size):
                replaces, key_bytes, value_bytes = _HEAD.unpack(head)
                yield replaces, planned.read(key_bytes), planned.read(value_bytes)

    def jobs(self, batch: list[Fresh]) -> list[tuple[bytes, bytes]]:
        """Key and value of each: the same bytes that the record would be encoded to."""
        month, now = f":{self._order.month}", f',"published_at_ms":{_now_ms()},"provenance":'
        return [
            ((user_id + month).encode(), f"{content}{now}{self._provenance[file]}{line}}}}}".encode())
            for user_id, content, file, line in batch
        ]


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
