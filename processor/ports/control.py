"""The control topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from processor.core.control import Control
from schemas.control import Content, ControlRecord, Heartbeat

__all__ = ["Change", "ControlLog"]


Change = Callable[[Control], Sequence[tuple[bytes, Content | None]]]
"""What to write, decided on what the control topic says; nothing: it is as it should be."""


class ControlLog(Protocol):
    """The control topic.

    Laws: records come in their order, from the first that there is, and those that are acknowledged alone; a heartbeat
    that comes back was therefore taken. Of two changes that were decided on the same reading only one is written.
    """

    async def read(self, timeout_s: float) -> list[ControlRecord]:
        """What comes next, as soon as there is something; empty after `timeout_s`.

        A record of the kind ``lost`` says that the topic no longer holds the place that was to be read.
        Raises `BrokerUnavailable`.
        """
        ...

    def beat(self, heartbeat: Heartbeat) -> None:
        """Writes a heartbeat, without waiting: that it was taken is seen when it comes back."""
        ...

    def remove(self, process: str) -> None:
        """Takes a process's heartbeat away, without waiting."""
        ...

    async def change(self, decide: Change) -> None:
        """Writes what is decided on a reading to the end, all or nothing; asks anew when a rival was quicker.

        Raises `BrokerUnavailable`.
        """
        ...

    async def release(self) -> None:
        """Ends a change that hangs: behind it nobody reads his own heartbeat back. Raises `BrokerUnavailable`."""
        ...

    async def end_transactions(self, transactional_ids: Sequence[str]) -> None:
        """Ends the transactions of processes that are silent, as far as Kafka answers; fences them."""
        ...

    async def stop(self) -> None:
        """What was written is given a moment to be taken."""
        ...
