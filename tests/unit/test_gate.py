"""The gate before every reader of jobs: size, depth and lengths, and sentences that do not grow with the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import REQUEUE_HEADER, RESEND_HEADER, decode_job, decode_requeue, decode_resend, fingerprint_of
from schemas.gate import depth_above
from schemas.identity import Key
from schemas.limits import DEPTH_MAX, DETAIL_CHARS_MAX, HEADER_BYTES_MAX, JOB_BYTES_MAX
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import _mask_addresses
from tests.support.world import MONTH

KEY = f"u:{MONTH}".encode()


def value(**changes: Any) -> bytes:
    job = {"v": 1, "user_id": "u", "month": MONTH, "email": "u@example.com", "template": "t", "data": {"name": "N"}}
    return json.dumps(job | changes).encode()


def nested(levels: int) -> bytes:
    """A good job whose data is so deep, its own two levels included."""
    return value(data={"name": 0}).replace(b"0}", b"[" * (levels - 2) + b"]" * (levels - 2) + b"}")


def refusal(raw: bytes, key: bytes | None = KEY) -> BadRecord:
    with pytest.raises(BadRecord) as caught:
        decode_job(key, raw)
    return caught.value


def test_what_is_as_deep_as_it_may_be_is_a_job() -> None:
    assert decode_job(KEY, nested(DEPTH_MAX)).user_id == "u"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (nested(DEPTH_MAX + 1), "record-too-deep"),
        (nested(900), "record-too-deep"),
        (nested(100_000), "record-too-deep"),
        (b"[" * 500_000, "not-json"),
        (b"x" * (JOB_BYTES_MAX + 1), "record-too-large"),
        (value(template="t" * 257), "record-too-large"),
        (value(provenance={"source": "s" * 100_000, "snapshot": "", "row": 1}), "record-too-large"),
        (value(user_id="w" * 100_000), "key-mismatch"),
        (value(month="2" * 100_000), "key-mismatch"),
        (value(v=int("9" * 300)), "unknown-version"),
    ],
    ids=range(10),
)
def test_what_is_too_much_for_its_readers_is_refused(raw: bytes, code: str) -> None:
    """G2: it gets its dead letter and brings nobody down; whoever asks for a fingerprint is told of none."""
    bad = refusal(raw)
    assert bad.code == code
    assert len(bad.detail) <= DETAIL_CHARS_MAX
    assert fingerprint_of(raw, Key("u", MONTH)) is None


def test_a_key_of_any_length_is_told_of_in_a_sentence() -> None:
    for key in (b"k" * 1_000_000, b"u:" + b"2" * 1_000_000, b"\xff" * 1_000_000):
        bad = refusal(value(), key)
        assert bad.code == "bad-key"
        assert len(bad.detail) <= DETAIL_CHARS_MAX


def test_what_is_said_of_a_record_is_short() -> None:
    """Whatever it quotes goes into the ledger, a header, logs and pages."""
    bad = BadRecord("code", "y" * 5_000)
    assert bad.detail == str(bad) == "y" * (DETAIL_CHARS_MAX - 1) + "…"


def test_a_header_that_others_would_carry_along_is_refused() -> None:
    """A leave is copied into the intent, and a requeue onto the pages: neither may be of any size."""
    large = json.dumps({"overrides": "a", "who": "w", "why": "y" * HEADER_BYTES_MAX}).encode()
    deep = b'{"overrides": "a", "who": "w", "why": "y", "more": ' + b"[" * 900 + b"]" * 900 + b"}"
    for raw in (large, deep):
        with pytest.raises(BadRecord) as caught:
            decode_resend([(RESEND_HEADER, raw)])
        assert caught.value.code == "bad-resend"
        assert decode_requeue([(REQUEUE_HEADER, raw)]) is None


@pytest.mark.parametrize(
    ("raw", "depth"),
    [
        (b"", 0),
        (b"[[]]", 2),
        (b"[] [] []", 1),
        (rb'["[[[\"[[["]', 1),
        (b'{"a": [{"b": "}}}"}]}', 3),
        (b'["never closed [[[[', 1),
        (rb'["\"\"\"\"\"\"[[[', 1),
    ],
)
def test_the_depth_of_what_may_be_no_json(raw: bytes, depth: int) -> None:
    """Brackets in texts count for nothing."""
    assert not depth_above(raw, depth)
    assert depth == 0 or depth_above(b"[" * 3 + raw, depth + 2)


def test_a_line_of_any_length_is_masked() -> None:
    """Each character is looked at once: tried from each of its letters to its end, this line would take minutes."""
    line = f"{'w' * 400_000} anna.b@example.com_carl@example.org, {'a@' * 100_000}"
    masked = _mask_addresses(None, "", {"detail": line})["detail"]
    assert " an***@example.com" in masked
    assert "***@example.org" in masked
    assert "anna.b" not in masked
    assert "carl" not in masked
