"""A graceful end: calls end, everything is settled, what was never used is withdrawn."""

from __future__ import annotations

from processor.core.engine import Engine
from processor.ports import JobLog
from processor.shell.after_commit import AfterCommit
from processor.shell.deliver import Deliverer
from processor.shell.transactions import Transactions
from schemas.runtime.errors import TransactionAborted, TransactionUnknown
from schemas.runtime.logs import Event, get_log

__all__ = ["MARKS_S", "leave"]

log = get_log()

COMMITS_MAX = 3
MARKS_S = 2.0
"""How long telling the dedup set of the last outcomes may take."""


async def leave(
    engine: Engine, job_log: JobLog, deliverer: Deliverer, transactions: Transactions, after_commit: AfterCommit
) -> None:
    """Raises what the job log raises beside a transaction's ends."""
    dropped = await deliverer.quiesce(lambda _ticket: True)
    after_commit.give_back(dropped)
    engine.correct(after_commit.take())
    for _ in range(COMMITS_MAX):
        try:
            await transactions.commit(engine.last(dropped))
            await transactions.tell()
        except TransactionAborted as error:
            log.warning(Event.TRANSACTION_ABORTED, error=str(error))
            await job_log.poll(1, 0.1, engine.assigned.partitions)
            continue
        except TransactionUnknown as error:
            # Safe to leave as it is: whoever takes over reads from what is committed.
            log.warning(Event.TRANSACTION_UNKNOWN, error=str(error))
            break
        await after_commit.end(timeout_s=MARKS_S)
        engine.correct(after_commit.take())
        if not engine.batches.ended:
            break
        dropped = []
    await after_commit.end(timeout_s=MARKS_S)
