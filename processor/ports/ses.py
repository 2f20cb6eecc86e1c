"""SES, what a mail holds, and the budget of the group that calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from processor.core.answers import Answer
from processor.core.pace import Account
from schemas.records import Job
from schemas.templates.template import Needs

__all__ = ["Forbidden", "Lease", "Pace", "Sender", "Templates"]


Forbidden = Callable[[], str]
"""Why a request must not leave now; empty: it may. Asked on any thread."""


class Sender(Protocol):
    """SES. Law: at most one request leaves for one call, and none unless `forbidden`, asked after signing and
    immediately before the bytes, says that it may."""

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer: ...

    async def account(self) -> Account:
        """Rate and quota now."""
        ...

    async def template_needs(self, name: str) -> Needs:
        """What the template needs; nothing when the endpoint has no such call.

        Raises `Halted` when there is no such template, and `SesAway` while SES does not answer and never told.
        """
        ...


class Templates(Protocol):
    """How a job becomes a mail. Law: whatever `check` lets pass, `content` can make."""

    async def check(self, job: Job) -> None:
        """Raises `BadRecord` for a job that the template cannot be filled in with, `Halted` without the template,
        and `SesAway` when nobody can tell now."""
        ...

    def content(self, job: Job) -> dict[str, Any]:
        """SES's ``Content``; raises ``ValueError`` for more than SES takes."""
        ...


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A part of the group's budget."""

    granted: int
    wait_s: float
    """until the rate allows one more"""
    room: float | None
    """mails that the account's quota still takes; None when that has to be asked of SES anew"""


class Pace(Protocol):
    """The group's budget: one rate and one rolling quota for all its processors."""

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        """Takes up to `wanted` mails of the budget.

        Args:
            wanted: mails.
            rate: mails a second for the whole group; 0 without limit.
            quota: whether the account has one.
        """
        ...

    async def leased(self) -> int:
        """Mails that the group had leased and SES has counted by now: what `set_room` wants from before the asking."""
        ...

    async def set_room(self, left: float, leased_before: int) -> None:
        """Tells the group how many mails the quota still takes, as SES says."""
        ...

    async def quota_opens_s(self) -> float | None:
        """Seconds until the group's oldest mails leave the rolling window, at the latest; None when it sent none."""
        ...

    async def throttled(self) -> float:
        """SES said that the group is too fast: halves what `lease` gives; it comes back slowly. Returns the share."""
        ...

    async def take_first(self, month: str, wanted: int, most: int) -> int:
        """Up to `wanted` places among the month's `most` first mails, of the whole group; returns how many."""
        ...

    async def give_back_first(self, month: str, count: int) -> None:
        """So many places were not used."""
        ...
