"""What a producer is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from producer.plan import OnDuplicate

__all__ = ["Order", "Tell"]

Tell = Callable[[str, int, int | None], None]
"""told of each step: its name, how much is done, how much there is, if that is known"""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be published, and how."""

    month: str
    template: str
    on_duplicate: OnDuplicate = OnDuplicate.ERROR
    include_cancelled: bool = False
    max_rate: float = 0
    """jobs a second; 0: as fast as it goes"""
    dry_run: bool = False
    expect_rows: int | None = None
