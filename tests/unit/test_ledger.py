"""What an attempt leaves behind in the topics."""

from __future__ import annotations

from processor.core.decide import Skip
from processor.core.ticket import Finished
from processor.shell.ledger import Scribe
from schemas.codec import decode_dead_letter
from schemas.topics import Topics
from tests.support.parts import attempt

SCRIBE = Scribe(Topics("t-"), "one", "1", lambda: 5)


def test_a_record_with_other_content_than_was_sent_is_told_of() -> None:
    """G6: the mail stays as it is, and somebody should know."""
    (letter,) = SCRIBE.outcome(Finished(attempt(), Skip("already sent", report=True)))
    assert decode_dead_letter(letter.headers).reason == "changed-after-sending"
    assert SCRIBE.outcome(Finished(attempt(), Skip("already sent"))) == []


def test_a_broken_record_of_a_key_that_was_sent_keeps_its_reason() -> None:
    """The letter is the record's, the outcome the key's."""
    (letter,) = SCRIBE.outcome(Finished(attempt(value=b"{"), Skip("attempted before", report=True)))
    assert decode_dead_letter(letter.headers).reason == "not-json"
