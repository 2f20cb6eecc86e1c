"""A dead letter always fits, keeps what it can, and tells what it could not keep."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.letters import LETTER_BYTES_DEFAULT, LETTER_BYTES_MIN, Original, fitted
from schemas.codec import DEAD_LETTER_HEADER, decode_dead_letter
from schemas.limits import DETAIL_CHARS_MAX
from schemas.records import Cut, DeadLetter, Source

LETTER = DeadLetter(
    reason="not-json",
    detail="\x01" * DETAIL_CHARS_MAX,
    at_ms=1,
    source=Source("email-jobs", 3, 17),
    instance="one",
    processor_version="1",
)
"""As long as one may be: each of these characters is six bytes of JSON."""


def size(made: Original) -> int:
    headers = sum(len(name) + len(value or b"") + 2 for name, value in made.headers)
    return len(made.key or b"") + len(made.value or b"") + headers


sizes = st.integers(0, 3_000) | st.integers(0, 2_000_000)


@given(sizes, sizes, sizes, st.integers(LETTER_BYTES_MIN, 5_000_000))
def test_any_letter_fits(key: int, value: int, header: int, bytes_max: int) -> None:
    """G2: whatever Kafka let into the jobs topic, its letter is taken; what is left out is told of."""
    original = Original(b"k" * key, b"v" * value, [("h", b"h" * header)])
    made = fitted(original, LETTER, bytes_max)
    assert size(made) <= bytes_max
    letter = decode_dead_letter(made.headers)
    cut = {entry.part for entry in letter.cut}
    assert letter.source == LETTER.source
    assert ("key" in cut) == (made.key != original.key)
    assert ("value" in cut) == (made.value != original.value)
    assert ("headers" in cut) == (made.headers[:-1] != original.headers)


@pytest.mark.parametrize(
    ("original", "left_out"),
    [
        (Original(b"k", b"v", [("a", None)]), []),
        (Original(b"k", b"v" * 1_000_000, [("a", b"1")]), ["value"]),
        (Original(b"k", b"v" * 900_000, [("a", b"1" * 100_000)]), ["headers"]),
        (Original(b"k", b"v" * 1_000_000, [("a", b"1" * 1_000_000)]), ["headers", "value"]),
        (Original(b"k" * 1_000_000, b"v", []), ["key"]),
        (Original(b"k" * 1_000_000, b"v" * 1_000_000, []), ["key", "value"]),
        (Original(None, None, []), []),
    ],
    ids=range(7),
)
def test_as_little_as_possible_is_left_out(original: Original, left_out: list[str]) -> None:
    """The value is what people want to see."""
    letter = decode_dead_letter(fitted(original, LETTER, LETTER_BYTES_DEFAULT).headers)
    assert [cut.part for cut in letter.cut] == left_out


def test_what_is_left_out_can_be_recognised() -> None:
    """By the size and hash of the record that stands in the jobs topic."""
    value = b"v" * 1_000_000
    made = fitted(Original(b"k", value, [("a", b"1"), ("b", None)]), LETTER, LETTER_BYTES_DEFAULT)
    *own, (name, _) = made.headers
    assert (made.key, made.value, own, name) == (b"k", None, [("a", b"1"), ("b", None)], DEAD_LETTER_HEADER)
    assert decode_dead_letter(made.headers).cut == [Cut("value", len(value), hashlib.sha256(value).hexdigest())]
    headed = fitted(Original(b"k", b"v", [("a", b"1" * 1_000_000), ("b", None)]), LETTER, LETTER_BYTES_DEFAULT)
    told = b"a\0" + b"1" * 1_000_000 + b"\0b\0\0"
    assert decode_dead_letter(headed.headers).cut == [Cut("headers", len(told), hashlib.sha256(told).hexdigest())]
