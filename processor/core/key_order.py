"""One record of a key at a time, in the order of the topic, and the latest counts.

Two records of a key attempted side by side would wait for each other's claim, or send what a newer one corrects.
A key's records stand in two partitions when partitions were added while its month ran, and one may leave alone.
"""

from __future__ import annotations

from processor.core.ticket import Ticket

__all__ = ["KeyOrder"]


class KeyOrder:
    """The line of each key's tickets: the first is on its way to an outcome, the others wait for its end.

    Whether a ticket's partition is still ours its window says (`Window.closed`). What waits in a partition that left
    never starts here; the first one stays in its line, because its call may still be in flight.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, Ticket] = {}
        self._waiting: dict[bytes, list[Ticket]] = {}
        """Of few keys: most have one record."""
        self._superseded: set[Ticket] = set()

    def __contains__(self, key: bytes | None) -> bool:
        """Whether a ticket of the key has not ended."""
        return key in self._first

    def superseded(self, ticket: Ticket) -> bool:
        """Whether a newer record of its key came; it counts although its partition may have left since."""
        return ticket in self._superseded

    def arrive(self, ticket: Ticket) -> bool:
        """Takes a record as it was read; whether it may start now. One without a key waits for nobody."""
        key = ticket.record.key
        if key is None:
            return True
        first = self._first.setdefault(key, ticket)
        if first is ticket:
            return True
        line = self._waiting.setdefault(key, [])
        if ticket.refusal is None:
            self._supersede(first, line)
        line.append(ticket)
        return False

    def end(self, ticket: Ticket) -> Ticket | None:
        """`ticket` has ended, or will never start: returns the next of its key, which starts now."""
        self._superseded.discard(ticket)
        key = ticket.record.key
        if key is None or self._first.get(key) is not ticket:
            return None
        line = self._waiting.get(key)
        while line:
            following = line.pop(0)
            if not following.window.closed:
                self._first[key] = following
                return following
            self._superseded.discard(following)
        self._waiting.pop(key, None)
        del self._first[key]
        return None

    def exchange(self, ticket: Ticket, other: Ticket) -> None:
        """`other` is on its way in the place of `ticket`, which was: the same record, and its month is closed now."""
        assert ticket.record.key is not None
        self._first[ticket.record.key] = other

    def forget_closed(self) -> None:
        """Partitions have left: what waits in them is somebody else's, and so is a key with nothing else here."""
        self._superseded = {ticket for ticket in self._superseded if not ticket.window.closed}
        for key, first in list(self._first.items()):
            if ours := [ticket for ticket in self._waiting.pop(key, ()) if not ticket.window.closed]:
                self._waiting[key] = ours
            elif first.window.closed:
                # Read again after the partition has come back, the record shall not wait for a call of its former life.
                del self._first[key]

    def _supersede(self, first: Ticket, line: list[Ticket]) -> None:
        """Compaction would have removed every older record of the key: the latest counts, unless it is no job."""
        for older in reversed(line):
            if older in self._superseded:
                return  # and so is everything before it
            self._superseded.add(older)
        self._superseded.add(first)
