"""``mailonce`` in another month: ``python -m tests.year.clock process …`` with ``YEAR_PRESENT=2026-03``.

Nothing but the months' arithmetic is moved: which month is the present one. Times in records are the machine's, and so
Kafka, Redis and every process agree about them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from unittest import mock

import mailonce
import processor.building
import processor.ops.balance
from processor.core.floor import Clocks

__all__ = ["PRESENT", "moved"]

PRESENT = "YEAR_PRESENT"


@contextmanager
def moved(month: str) -> Iterator[None]:
    """All who ask which month it is are told this one."""

    class There(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> There:
            year, number = map(int, month.split("-"))
            return cls(year, number, 15, tzinfo=tz or UTC)

    with (
        mock.patch.object(processor.building, "datetime", There),
        mock.patch.object(processor.ops.balance, "datetime", There),
        mock.patch.object(Clocks, "month", month),
    ):
        yield


if __name__ == "__main__":
    with moved(os.environ[PRESENT]):
        mailonce.main()
