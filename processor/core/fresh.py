"""Tickets that want an intent: those of paused months stand aside until their month goes on."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from processor.core.brake import is_paused
from processor.core.ticket import Attempt, Ticket

__all__ = ["Fresh"]


class Fresh:
    """Two lines of attempts without an id, each in its order."""

    def __init__(self) -> None:
        self.fresh: list[Attempt] = []
        self.parked: list[Attempt] = []
        """of months that are paused"""
        self._paused: Container[str] = frozenset()

    def add(self, attempts: Iterable[Attempt], *, first: bool = False) -> None:
        """At the end of the line that each belongs to, or before all others."""
        fresh, parked = ([], []) if first else (self.fresh, self.parked)
        for attempt in attempts:
            key = attempt.ticket.key
            (parked if key is not None and is_paused(self._paused, key.month) else fresh).append(attempt)
        if first:
            self.fresh[:0], self.parked[:0] = fresh, parked

    def pause(self, months: Container[str]) -> None:
        """These months stand aside from now on, and no others; what waited longest comes first."""
        everyone, self.fresh, self.parked = [*self.parked, *self.fresh], [], []
        self._paused = months
        self.add(everyone)

    def take(self, count: int) -> list[Attempt]:
        """Up to `count` that may be intended."""
        taken, self.fresh = self.fresh[:count], self.fresh[count:]
        return taken

    def drop(self, gone: Callable[[Ticket], bool]) -> list[Ticket]:
        """Forgets those whose tickets are `gone`; returns these."""
        dropped = [attempt.ticket for attempt in (*self.fresh, *self.parked) if gone(attempt.ticket)]
        self.fresh = [attempt for attempt in self.fresh if not gone(attempt.ticket)]
        self.parked = [attempt for attempt in self.parked if not gone(attempt.ticket)]
        return dropped
