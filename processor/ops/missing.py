"""Who of a source has no mail, and why: the question everyone asks after the first of the month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from processor.core.outcomes import PENDING, Mail
from processor.ops.status import MonthView
from schemas.identity import Key
from schemas.records import Arrival, Outcome
from schemas.runtime.settings import Settings

__all__ = ["Missing", "find_missing", "why_no_mail"]

_NOT_THERE = {Arrival.SOFT_BOUNCED, Arrival.HARD_BOUNCED, Arrival.DELAYED}
_NEVER_PUBLISHED = "never-published"


class Missing(msgspec.Struct, frozen=True):
    """A row of the source whose user got no mail."""

    line: int
    user_id: str
    why: str
    """``never-published``, ``pending``, ``dead``, ``uncertain``, ``suppressed``, ``cancelled``, ``bounced``,
    ``complained``, ``soft-bounced`` or ``delayed``"""
    detail: str = ""


def find_missing(settings: Settings, month: str, user_ids: Iterable[tuple[int, str]]) -> Iterator[Missing]:
    """In the source's order. A user id that makes no key was never published. Raises `BrokerUnavailable`."""
    view = MonthView(settings, month)
    view.refresh()
    for line, user_id in user_ids:
        try:
            mail = view.mails.get(Key(user_id, month).to_bytes())
        except ValueError as error:
            yield Missing(line, user_id, _NEVER_PUBLISHED, str(error))
            continue
        if why := why_no_mail(mail):
            yield Missing(line, user_id, *why)


def why_no_mail(mail: Mail | None) -> tuple[str, str] | None:
    """The reason and a detail, or ``None`` for a mail that was sent and did not come back."""
    if mail is None:
        return _NEVER_PUBLISHED, "no job of this month: was the row rejected?"
    if mail.standing == PENDING:
        return PENDING, f"once {mail.outcome}: {mail.reason}" if mail.outcome else ""
    if mail.outcome is Outcome.SENT:
        if mail.feedback:
            return mail.feedback.value, mail.words or mail.reason or ""
        return (mail.arrival.value, mail.words) if mail.arrival in _NOT_THERE else None
    return mail.standing, mail.reason or ""
