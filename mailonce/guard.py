"""Before a month is published: what looks wrong is asked on a terminal, and refused elsewhere until ``--yes``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from mailonce.shown import console, row_of
from schemas.runtime.errors import BadRecord, Unconfirmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.trial import Kept
    from producer.guard import Comparison, Limits, Question
    from producer.order import Order
    from producer.staging.compare import Looks
    from schemas.records import Job
    from schemas.runtime.settings import Settings

__all__ = ["AtTheDesk", "compared_lines", "present_months"]

NAMED_MAX = 5


def present_months() -> set[str]:
    """The present month by UTC and by this machine's zone: for some hours they differ."""
    now = datetime.now(UTC)
    return {when.strftime("%Y-%m") for when in (now, now.astimezone())}


class Filling:
    """Whether the month's template is there, and can be filled in with what is to be published."""

    def __init__(self, settings: Settings, template: str) -> None:
        self._settings = settings
        self._template = template
        self._kept: Kept | None = None
        self._seen = set[Any]()
        self.asked = False
        self.unknown = ""
        """why it could not be looked up"""
        self.shapes = 0
        self.bad: list[str] = []
        """what cannot be filled in: row and reason, of the first few"""
        self.bad_shapes = 0

    def kept(self) -> Kept | None:
        """Raises `UsageError` where there is no such template."""
        from processor.trial import NotLookedUp, kept_template

        if not self.asked:
            self.asked = True
            try:
                self._kept = kept_template(self._settings, self._template)
            except NotLookedUp as why:
                self.unknown = str(why)
        return self._kept

    def looks(self) -> Looks | None:
        """What of the data it looks at; nothing where it could not be looked up."""
        from producer.staging.compare import Looks

        kept = self.kept()
        if kept is None:
            return None
        if kept.needs is not None and kept.needs.flat:
            return Looks(sorted(kept.needs.names), sorted(kept.needs.in_subject), values=False, numbers=False)
        return Looks(numbers=kept.needs is None)

    def look(self, job: Job) -> None:
        """Fills it in on trial with a job's data, unless one of that shape was looked at."""
        from processor.core.shapes import shape_of

        kept = self.kept()
        if kept is None or (shape := shape_of(job.data)) in self._seen:
            return
        self._seen.add(shape)
        self.shapes += 1
        try:
            kept.check(job)
        except BadRecord as why:
            self.bad_shapes += 1
            if len(self.bad) < NAMED_MAX:
                self.bad.append(f"{row_of(job)} ({job.user_id}): {why.detail}")

    def questions(self) -> Iterator[Question]:
        from producer.guard import Question

        if self.bad_shapes:
            some = "no row" if self.bad_shapes == self.shapes else "not every row"
            text = (
                f"{some} has what template {self._template!r} needs; each mail that lacks something becomes a dead "
                f"letter: {'; '.join(self.bad)}{'; …' if self.bad_shapes > len(self.bad) else ''}"
            )
            yield Question("template", text)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "template_looked_up": self.asked and not self.unknown,
            "template_unknown": self.unknown or None,
            "shapes": self.shapes,
            "shapes_lacking": self.bad_shapes,
        }


class AtTheDesk:
    """See `producer.guard.Guard`."""

    def __init__(
        self, settings: Settings, order: Order, limits: Limits, *, yes: bool, pause: Callable[[], None]
    ) -> None:
        """
        Args:
            settings: where the template is.
            order: what is to be published.
            limits: what is taken without a question.
            yes: whether the answer is given already.
            pause: called before a question is asked.
        """
        self._order = order
        self._limits = limits
        self._yes = yes
        self._pause = pause
        self.filling = Filling(settings, order.template)
        self.asked: list[Question] = []

    def looks(self) -> Looks | None:
        return self.filling.looks()

    def specimen(self, job: Job) -> None:
        self.filling.look(job)

    def decide(self, found: Comparison) -> None:
        from producer.guard import questions

        self.asked = [*questions(found, self._limits), *self.filling.questions()]
        self._say_what_is_unknown()
        if self._order.dry_run or self._yes or not self.asked:
            return
        if not sys.stdin.isatty():
            wrong = "; ".join(one.text for one in self.asked)
            raise Unconfirmed(f"{wrong}. Nothing was published: look with --dry-run, and say --yes if that is meant")
        self._pause()
        for one in self.asked:
            if not typer.confirm(f"{one.text}. Is that meant?", err=True):
                raise Unconfirmed("nothing was published")

    def _say_what_is_unknown(self) -> None:
        if self.filling.unknown:
            told = console(stderr=True)
            told.print(f"[yellow]whether template {self._order.template!r} is there was not looked up:[/]", end=" ")
            told.print(
                f"{self.filling.unknown}. If it is missing, processors halt or each mail becomes a dead letter; none "
                f"goes out wrong, and `mailonce dead-letters requeue` sends them later",
                **PLAIN,
            )

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``: what was, or would be, asked."""
        return {**self.filling.to_dict(), "questions": {one.about: one.text for one in self.asked}}


PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}


def compared_lines(facts: dict[str, Any]) -> Iterator[str]:
    """How the source stands beside what is published and beside the month before, a line each."""
    if facts["gone"]:
        some = f", {facts['gone_unsent']:,} of them unsent" if facts["gone_unsent"] is not None else ""
        how = "" if facts["gone_cancelled"] is not None or facts["gone_kept"] else " (--cancel-gone cancels those)"
        yield f"{facts['gone']:,} are published and not in the source{some}{how}"
    if facts["gone_kept"]:
        yield f"none of them was cancelled: {facts['gone_kept']:,} rejected rows do not tell whose they are"
    elif facts["gone_cancelled"] is not None:
        yield f"{facts['gone_cancelled']:,} of them were cancelled; {facts['gone_too_late']:,} were too late"
    if facts["last_month_jobs"]:
        by = 100 * (facts["jobs"] / facts["last_month_jobs"] - 1)
        yield f"{facts['jobs']:,} mails in all, {facts['last_month']} has {facts['last_month_jobs']:,} ({by:+.0f} %)"
    if shared := facts["shared_address"]:
        yield (
            f"{facts['shared_addresses']:,} addresses belong to several users, {facts['shared_addresses_users']:,} in "
            f"all: {shared['email']} to {' and '.join(shared['users'])}"
        )
    if facts["shapes_cut"]:
        yield "the data has very many shapes: the template was tried with the first 100,000 of them"
    if facts["other_ids"]:
        yield f"{facts['other_ids']:,} new users have ids of another form than those before: {facts['other_id']}"
