"""Is a refusal one mail's own, or would every mail get it? What others are answered decides, not the refusal.

SES says *no such template* and *not authorized* both of what one mail names and of what all of them depend on. A mail
that is refused so waits a moment. Was another accepted meanwhile, it is the mail's own fault, and the month goes on.
Is everybody refused, nothing is dead-lettered.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

__all__ = ["SUSPECT_S", "Meaning", "Suspects"]

SUSPECT_S = 1.0
"""How long a mail waits for others' answers before it is tried again."""
SUSPECTS_MAX = 10
"""So many mails refused, and none accepted since the first of them: it is everybody's."""


class Meaning(StrEnum):
    """Of a refusal that may be about what one mail alone names."""

    ITS_OWN = "its own"
    EVERYBODYS = "everybody's"
    UNKNOWN = "unknown"
    """Others' answers are waited for."""


class Suspects:
    """Takes note of what was accepted, and of who was refused since; tells what a refusal means."""

    def __init__(self, others_wait: Callable[[], bool]) -> None:
        """
        Args:
            others_wait: whether mails wait whose answers may show what a refusal means.
        """
        self._others_wait = others_wait
        self.accepted = 0
        """mails that this process had accepted"""
        self._templates: set[str] = set()
        """theirs"""
        self._since: set[str] = set()
        """mails refused since the last of them, a few"""

    def note_accepted(self, template: str) -> None:
        """SES took a mail."""
        self.accepted += 1
        self._templates.add(template)
        self._since.clear()

    def meaning(self, key: str, template: str, *, before: int, named: bool) -> Meaning:
        """What a refusal of this mail means, as far as is known.

        Args:
            key: whose mail.
            template: its template.
            before: what `accepted` was at the mail's first refusal of this kind; -1 when this is the first.
            named: whether the refusal names the recipient: then nobody else's mail is meant.
        """
        if before >= 0 and self.accepted > before:
            return Meaning.ITS_OWN
        if len(self._since) <= SUSPECTS_MAX:
            self._since.add(key)
        if len(self._since) > SUSPECTS_MAX:
            return Meaning.EVERYBODYS
        if before < 0 or self._others_wait():
            return Meaning.UNKNOWN
        # Nobody is left who could show it. With a template that was fine until now, something else has changed.
        others_were_fine = self.accepted > 0 and (named or template not in self._templates)
        return Meaning.ITS_OWN if others_were_fine else Meaning.EVERYBODYS
