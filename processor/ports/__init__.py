"""The ports: what the protocol needs of the world, and the laws it relies on.

Each law is a case of a conformance suite that the real adapter and the in-memory twin both pass.
"""

from __future__ import annotations

from processor.ports.clock import Clock
from processor.ports.control import Change, ControlLog
from processor.ports.dedup import UNSEEN, BelowFloor, Dedup, Item, NotWhole, RebuildLost, ServerSeen
from processor.ports.job_log import BY_KEY, JobLog, Letters, Listener, Outcomes, Poll, Produced, Scanned, Transaction
from processor.ports.ses import Forbidden, Lease, Pace, Sender, Templates

__all__ = [
    "BY_KEY",
    "UNSEEN",
    "BelowFloor",
    "Change",
    "Clock",
    "ControlLog",
    "Dedup",
    "Forbidden",
    "Item",
    "JobLog",
    "Lease",
    "Letters",
    "Listener",
    "NotWhole",
    "Outcomes",
    "Pace",
    "Poll",
    "Produced",
    "RebuildLost",
    "Scanned",
    "Sender",
    "ServerSeen",
    "Templates",
    "Transaction",
]
