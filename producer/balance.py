"""What went in against what came out: a producer that cannot account for each row has failed."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.runtime.errors import MailonceError, SourceError

__all__ = ["Balance", "OutOfBalance", "check_expected"]


class OutOfBalance(MailonceError):
    """Rows of the source became nothing that is counted: find out why before the month is sent."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Rows by what became of them. What the topic holds and the source does not stands outside of it."""

    rows: int
    published: int
    unchanged: int
    cancelled: int
    rejected: int
    """for what is wrong with them"""
    replaced: int
    """by a later row of their user (``--on-duplicate last``)"""
    filtered: int
    after_limit: int

    @property
    def missing(self) -> int:
        """How many rows are not accounted for; negative where some are counted twice."""
        out = self.published + self.unchanged + self.cancelled + self.rejected + self.replaced
        return self.rows - out - self.filtered - self.after_limit

    def check(self) -> None:
        """Raises `OutOfBalance`."""
        if self.missing:
            raise OutOfBalance(
                f"the balance is out by {self.missing:+,}: of {self.rows:,} rows {self.published:,} were published, "
                f"{self.unchanged:,} unchanged, {self.cancelled:,} cancelled, {self.rejected:,} rejected, "
                f"{self.replaced:,} replaced, {self.filtered:,} filtered, {self.after_limit:,} after the limit"
            )


def check_expected(rows: int, expected: int | None) -> None:
    """Raises `SourceError` when the source has another number of rows than the caller says."""
    if expected is not None and rows != expected:
        raise SourceError(
            f"the source has {rows:,} rows, --expect-rows says {expected:,} ({rows - expected:+,}): nothing was "
            f"published"
        )
