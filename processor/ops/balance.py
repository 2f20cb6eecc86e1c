"""The end of a drain: every job that it was to settle is held against the ledger.

Where the ledger's last word on a mail that was sent is not SES's, `sent` is written again.

Each partition is read once, jobs and ledger, and kept in memory alone. What seems to lack an outcome there is looked at
in all partitions: a key's records may stand in two, and somebody else may have settled it just now.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from processor.adapters.months import read_months
from processor.adapters.write import write_records
from processor.core.balance import Balance, Lowered
from processor.core.floor import first_month
from processor.core.months import Months
from processor.ports import Produced
from schemas.codec import decode_delivery
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.runtime.errors import BadRecord, OutcomesMissing
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Tell", "compare"]

log = get_log()

SHOWN_MAX = 10
Tell = Callable[[str, int, int | None], None]
"""What is told of each step, how much of it is done and how much there is."""
STEP = "comparing jobs with outcomes"


def _silent(_step: str, _done: int, _total: int | None) -> None: ...


def compare(
    settings: Settings, targets: Mapping[int, int], month: str = "", tell: Tell = _silent, since_ms: int = 0
) -> int:
    """Returns how many keys with a job were compared.

    Args:
        settings: which topics.
        targets: each partition's end when the drain began.
        month: the only month that counts; empty: every one that may still be mailed.
        tell: what is told while it works, in partitions.
        since_ms: jobs that were written before are left out, milliseconds since 1970: what tells of them may be gone.

    Raises `OutcomesMissing` with the first keys that have none, and `BrokerUnavailable`.
    """
    began_s = time.monotonic()
    months = read_months(settings)
    oldest = first_month(months.floor, datetime.now(UTC).strftime("%Y-%m"), settings.retention_months)
    jobs, suspects, lowered = 0, set[bytes](), set[bytes]()
    for done, partition in enumerate(sorted(targets)):
        tell(STEP, done, len(targets))
        balance = _fed(settings, months, Balance(targets, oldest, month), [partition], month, since_ms)
        jobs += balance.jobs
        suspects.update(balance.missing())
        lowered |= balance.lowered
    if lowered:
        _write_again(settings, lowered)
    missing: list[bytes] = []
    if suspects:
        everywhere = partition_numbers(settings, settings.topics.jobs)
        missing = _fed(
            settings, months, Balance(targets, oldest, month, suspects), everywhere, month, since_ms
        ).missing()
    tell(STEP, len(targets), len(targets))
    log.info(Event.COMPARED, jobs=jobs, missing=len(missing), seconds=round(time.monotonic() - began_s, 2))
    if missing:
        raise OutcomesMissing(_told(missing, jobs))
    return jobs


def _fed(
    settings: Settings, months: Months, balance: Balance, partitions: Iterable[int], month: str, since_ms: int
) -> Balance:
    numbers, jobs, ledger = list(partitions), settings.topics.jobs, settings.topics.deliveries
    only = [month] if month else []
    for record in read_topic(settings, jobs, numbers, months.starts(jobs, only)):
        # Of a job in a partition where its key does not belong the dead letter is the outcome. To ask so of each would
        # take as long as reading them: it is asked of those that seem to lack one.
        if record.timestamp_ms >= since_ms and (balance.only is None or not months.misplaced(record)):
            balance.job(record)
    for record in read_topic(settings, ledger, numbers, months.starts(ledger, only)):
        balance.outcome(record)
    return balance


def _write_again(settings: Settings, keys: set[bytes]) -> None:
    """Writes the last `sent` of each key once more, where something that is not SES's word still follows it.

    Whoever committed that did not know: compaction would keep it in the place of `sent`. Raises `BrokerUnavailable`.
    """
    topic, fold = settings.topics.deliveries, Lowered()
    for record in read_topic(settings, topic):
        if record.key in keys and record.key is not None:
            with contextlib.suppress(BadRecord):
                fold.add(record.key, decode_delivery(record.value) if record.value is not None else None, record)
    again = [record for record in fold.found().values() if record is not None]
    for record in again:
        log.warning(Event.SENT_AGAIN, place=f"{record.partition}:{record.offset}", follows="it is written once more")
    write_records(settings, [Produced(topic, record.partition, record.key, record.value) for record in again])


def _told(missing: list[bytes], jobs: int) -> str:
    shown = ", ".join(key.decode() for key in missing[:SHOWN_MAX])
    more = f" and {len(missing) - SHOWN_MAX:,} more" if len(missing) > SHOWN_MAX else ""
    return (
        f"{len(missing):,} of {jobs:,} jobs have no outcome, though this drain began after they were published: "
        f"{shown}{more}; `mailonce replay --from-beginning` looks at every job again and skips what is settled"
    )
