"""What an attempt leaves behind in the topics."""

from __future__ import annotations

from msgspec.structs import replace

from processor.core.decide import Settle, Skip
from processor.core.ticket import Finished
from processor.shell.ledger import Scribe
from schemas.codec import decode_dead_letter, decode_delivery
from schemas.records import Outcome
from schemas.topics import Topics
from tests.support.parts import attempt

SCRIBE = Scribe(Topics("t-"), "one", "1", lambda: 5)


def test_a_record_with_other_content_than_was_sent_is_told_of() -> None:
    """G6: the mail stays as it is, and somebody should know."""
    (letter,) = SCRIBE.outcome(Finished(attempt(), Skip("already sent", report=True)))
    assert decode_dead_letter(letter.headers).reason == "changed-after-sending"
    assert SCRIBE.outcome(Finished(attempt(), Skip("already sent"))) == []


def test_sent_names_what_went_out() -> None:
    """G6: a mark of another content than the record's own; without a word about it, it is the record's."""
    sent = Settle(Outcome.SENT, message_id="m")
    one = attempt()
    (entry,) = SCRIBE.outcome(Finished(one, sent))
    assert entry.value is not None
    assert decode_delivery(entry.value).fingerprint == one.ticket.fingerprint
    entry, letter = SCRIBE.outcome(Finished(one, replace(sent, fingerprint="another", report=True)))
    assert entry.value is not None
    assert decode_delivery(entry.value).fingerprint == "another"
    assert decode_dead_letter(letter.headers).reason == "changed-after-sending"


def test_a_broken_record_of_a_key_that_was_sent_keeps_its_reason() -> None:
    """The letter is the record's, the outcome the key's."""
    (letter,) = SCRIBE.outcome(Finished(attempt(value=b"{"), Skip("attempted before", report=True)))
    assert decode_dead_letter(letter.headers).reason == "not-json"
