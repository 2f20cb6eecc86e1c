"""What is wrong with a template, or with filling one in."""

from __future__ import annotations

from typing import NamedTuple

from schemas.runtime.errors import MailonceError

__all__ = ["NotFilledIn", "Place", "TemplateRefused"]


class Place(NamedTuple):
    """Where something stands in a template; both count from 1."""

    line: int
    column: int


class TemplateRefused(MailonceError):
    """A template that is broken, or says something that is not the same everywhere: its author must change it."""

    def __init__(self, place: Place, what: str, instead: str = "") -> None:
        self.place = place
        self.line, self.column = place
        self.what = what
        self.instead = instead
        super().__init__(f"line {self.line}, column {self.column}: {self.told}")

    @property
    def told(self) -> str:
        """All but the place."""
        return f"{self.what}: {self.instead}" if self.instead else self.what


class NotFilledIn(MailonceError):
    """A good template that cannot be filled in with this data: it would be endless or too large."""
