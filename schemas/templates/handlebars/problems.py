"""What is wrong with a template, or with filling one in."""

from __future__ import annotations

from schemas.runtime.errors import MailonceError

__all__ = ["NotFilledIn", "TemplateRefused"]


class TemplateRefused(MailonceError):
    """A template that is broken, or says something that is not the same everywhere: its author must change it."""

    def __init__(self, line: int, what: str, instead: str = "") -> None:
        self.line = line
        self.what = what
        self.instead = instead
        super().__init__(f"line {line}: {self.told}")

    @property
    def told(self) -> str:
        """All but the place."""
        return f"{self.what}: {self.instead}" if self.instead else self.what


class NotFilledIn(MailonceError):
    """A good template that cannot be filled in with this data: it would be endless or too large."""
