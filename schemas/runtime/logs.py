"""Logging: readable on a terminal, JSON elsewhere, addresses masked; and the names of all events in one place."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any

import structlog

from schemas.addresses import mask

__all__ = ["Event", "configure_logs", "get_log"]

# Each character is looked at once: a run that no @ follows is taken whole and left as it is. Searched for the address
# alone, a line of 100,000 letters would be tried from each of them to its end.
_ADDRESS = re.compile(r"[A-Za-z0-9._%+=-]++(@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++)?+")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Event(StrEnum):
    """What the logs may say: alerts and searches rely on these names."""

    PROCESSOR_STARTED = "processor started"
    PROCESSOR_STOPPED = "processor stopped"
    STOPPING = "stopping"
    NOT_ENDED = "did not end in time"
    PARTITIONS_ASSIGNED = "partitions assigned"
    PARTITIONS_REVOKED = "partitions revoked"
    PARTITIONS_LOST = "partitions lost"
    DEAD_LETTERED = "dead-lettered"
    UNCERTAIN = "uncertain"
    RETRYING = "retrying"
    NOT_CALLED = "not called"
    WAITING_FOR_CLAIM = "waiting for another attempt to end"
    QUOTA_USED_UP = "quota used up"
    QUOTA_AGAIN = "quota available again"
    SES_TRANSPORT = "ses transport"
    SES_AWAY = "ses does not answer"
    SES_AGAIN = "ses answers again"
    SUSPECT = "refused for a reason that may be everybody's"
    HALTED = "halted"
    MONTH_PAUSED = "month paused"
    MONTH_RESUMED = "month resumed"
    CANARY = "canary"
    TRANSACTION_ABORTED = "transaction aborted"
    TRANSACTION_UNKNOWN = "transaction's end unknown"
    REDIS_UNAVAILABLE = "redis unavailable"
    DEDUP_NOT_WHOLE = "dedup set not whole"
    NO_CHECKPOINT = "dedup set without checkpoint"
    DEDUP_REBUILT = "dedup set rebuilt"
    ADOPTED = "adopted"
    EVENT_NOTICE = "notice in the queue of events"
    EVENTS_OF_OTHERS = "events of another installation"
    RESOLVED = "doubt resolved"
    UNREADABLE = "unreadable record"
    DUPLICATE_SEEN = "duplicate seen"
    SES_READ_CALL_MISSING = "ses read call missing"
    DRAINED = "drained"
    LIFETIME_SHORT = "lifetime shorter than a late settling"
    SENT_AGAIN = "sent was lowered"
    COMPARED = "jobs compared with outcomes"
    LEFT_BEHIND = "settled what a process left behind"
    BEGINS_ANEW = "reading starts at the beginning"
    PROGRESS = "progress"
    READER_WAITS = "waiting for an open transaction"
    SCAN_WAITS = "looking for newer records waits for kafka"
    METRICS_SERVED = "metrics served"
    DASHBOARD_SERVED = "dashboard served"
    CHANGED_FROM_A_PAGE = "changed from a page"
    KAFKA = "kafka client"
    KAFKA_SILENT = "kafka does not answer"
    KAFKA_AGAIN = "kafka answers again"
    FOLD_FAILED = "fold failed"


def _mask_addresses(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str) and "@" in value:
            event[name] = _ADDRESS.sub(lambda match: mask(match.group()) if match[1] else match.group(), value)
    return event


def configure_logs(fmt: str = "auto", level: str = "info") -> None:
    """Sets structlog up for this process; logs go to standard error."""
    console = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_addresses,
        renderer,
    ]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_log(**bound: object) -> structlog.typing.FilteringBoundLogger:
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(**bound)
    return log
