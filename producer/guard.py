"""What is looked at before a month is published, and what of it somebody has to say yes to. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from producer.staging.compare import Looks, OtherIds, Shared
from schemas.addresses import mask
from schemas.control import Figures
from schemas.identity import months_later
from schemas.records import Job

__all__ = ["DROP_MAX", "Comparison", "Guard", "Limits", "Question", "months_at_hand", "questions"]

DROP_MAX = 20.0
"""percent"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A source beside what is published of the month, and beside the figures of the month before."""

    month: str
    rows: int
    """that the source has, after ``--where``; those that ``--limit`` leaves out are counted too"""
    new: int
    """jobs of users of whom nothing is published"""
    changed: int
    unchanged: int
    gone: int
    """users with a published job and without a row in the source"""
    jobs: int
    """users with a job that is not cancelled, once the new ones are published"""
    left_out: int = 0
    """rows after ``--limit``"""
    last: Figures | None = None
    """the month before, if its producer has left figures"""
    shared: Shared = field(default_factory=lambda: Shared(0, 0))
    other_ids: OtherIds = field(default_factory=OtherIds)
    shapes_cut: bool = False
    """whether the data has more shapes than were held against the template"""

    @property
    def publishes(self) -> bool:
        """Whether anything would be written."""
        return self.new + self.changed > 0

    @property
    def drop(self) -> float:
        """By how many percent the month would have fewer jobs than the one before; negative: more."""
        before = self.last.jobs if self.last else 0
        return 100 * (before - self.jobs - self.left_out) / before if before else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``; the address of the example is masked."""
        address, *users = self.shared.example or ("",)
        return {
            "new": self.new,
            "gone": self.gone,
            "jobs": self.jobs,
            "last_month": months_later(self.month, -1),
            "last_month_jobs": self.last.jobs if self.last else None,
            "shared_addresses": self.shared.addresses,
            "shared_addresses_users": self.shared.users,
            "shared_address": {"email": mask(address), "users": users} if users else None,
            "other_ids": self.other_ids.users,
            "shapes_cut": self.shapes_cut,
            "other_id": self.other_ids.example or None,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken without a question."""

    months: Collection[str]
    """empty: any"""
    max_drop: float = DROP_MAX
    """percent"""
    cancels_gone: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What looks wrong; it goes on if somebody says that it is meant."""

    about: str
    """``month``, ``drop``, ``empty``, ``gone`` or ``template``"""
    text: str


class Guard(Protocol):
    """Who is asked before anything is published."""

    def looks(self) -> Looks | None:
        """What the template looks at; nothing: no row needs to be shown. Raises `UsageError` where there is none."""
        ...

    def specimen(self, job: Job) -> None:
        """Shown are all that are changed, and of those that are new one for each that `looks` tells apart."""
        ...

    def decide(self, found: Comparison) -> None:
        """Raises `Unconfirmed` when nothing is to be published."""
        ...


def months_at_hand(present: Collection[str]) -> set[str]:
    """The present month, by each clock that says one, and the next."""
    return {month for one in present for month in (one, months_later(one, 1))}


def questions(found: Comparison, limits: Limits) -> list[Question]:
    """What somebody has to say yes to. A run that writes nothing is asked of nothing, but for a source without rows."""
    asked = []
    if not found.rows:
        asked.append(Question("empty", "the source has no rows: nobody would get a mail from it"))
    if found.publishes and limits.months and found.month not in limits.months:
        wanted = " or ".join(sorted(limits.months)[:2])
        asked.append(Question("month", f"{found.month} is neither this month nor the next ({wanted})"))
    if found.publishes and found.drop > limits.max_drop:
        assert found.last is not None
        asked.append(
            Question(
                "drop",
                f"{found.month} would have {found.jobs:,} mails, {months_later(found.month, -1)} has "
                f"{found.last.jobs:,}: {found.drop:.0f} % fewer, --max-drop is {limits.max_drop:g}",
            )
        )
    if limits.cancels_gone and (share := _share_gone(found)) > limits.max_drop:
        asked.append(
            Question(
                "gone",
                f"{found.gone:,} users of {found.month} are not in the source, {share:.0f} % of all, and --cancel-gone "
                f"would cancel those that are unsent; --max-drop is {limits.max_drop:g}",
            )
        )
    return asked


def _share_gone(found: Comparison) -> float:
    """Percent of the month's jobs."""
    return 100 * found.gone / max(1, found.jobs - found.new)
