"""Keys, tags, addresses, limits, records, templates: what both sides agree on."""

from __future__ import annotations

import json

import pytest

from schemas.addresses import address_problem, mask
from schemas.codec import (
    dead_letter_headers,
    decode_attempt,
    decode_dead_letter,
    decode_delivery,
    decode_job,
    decode_resend,
    decode_suppression,
    encode,
    fingerprint,
)
from schemas.control import new_control_id
from schemas.identity import TAG_ENCODING, Key, check_month, message_tags, new_attempt_id, read_tags
from schemas.limits import TEMPLATE_DATA_BYTES_MAX, header_problem, tag_problem
from schemas.records import Attempt, DeadLetter, Delivery, Outcome, Source, Suppression
from schemas.runtime.errors import BadRecord, Halted, MailonceError
from schemas.topics import Topics
from tests.support.world import job

PLACE = Source("email-jobs", 1, 2, 3)


def reason(key: bytes | None, value: bytes) -> str:
    with pytest.raises(BadRecord) as caught:
        decode_job(key, value)
    return caught.value.code


def raw(**changes: object) -> bytes:
    good = json.loads(encode(job("u1")))
    return json.dumps({name: value for name, value in (good | changes).items() if value != "DROP"}).encode()


def test_keys_hold_any_user_id() -> None:
    """Colons included: the month is what follows the last one."""
    for user in ("u1", "a:b:c", "2026-11", ":", "ü", "a b"):
        key = Key(user, "2026-11")
        assert Key.from_bytes(key.to_bytes()) == key


@pytest.mark.parametrize(
    "bad", [None, b"", b"u1", b"u1:2026-13", b"u1:1826-01", b":2026-11", b"\xff:2026-11", b"u:2026-1"]
)
def test_bad_keys_are_named(bad: bytes | None) -> None:
    """A record whose key is none is poison with a stable code."""
    assert reason(bad, raw()) == "bad-key"


def test_months_are_checked() -> None:
    """A typo in a month is refused, not mailed."""
    assert check_month("2026-11") == "2026-11"
    with pytest.raises(ValueError, match="YYYY-MM"):
        check_month("11-2026")


def test_tags_name_the_mail_and_are_read_back() -> None:
    """Evidence finds its mail by tags; another user's id never reads the same."""
    plain, encoded = message_tags(Key("u_1-x", "2026-11"), "a1"), message_tags(Key("a:b", "2026-11"), "a2")
    assert TAG_ENCODING not in plain
    assert read_tags(plain) == (Key("u_1-x", "2026-11"), "a1")
    assert read_tags(encoded) == (Key("a:b", "2026-11"), "a2")
    # A user whose plain id looks like somebody else's encoded one.
    lookalike = message_tags(Key(encoded["mailonce_user"], "2026-11"), "a3")
    assert read_tags(lookalike) == (Key(encoded["mailonce_user"], "2026-11"), "a3")
    assert tag_problem(encoded) is None


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"mailonce_user": "u"},
        {"mailonce_user": "*", "mailonce_month": "2026-11", "mailonce_attempt": "a", "mailonce_encoding": "base64url"},
    ],
)
def test_foreign_tags_are_not_ours(tags: dict[str, str]) -> None:
    """Events of other mail in the account are passed over."""
    assert read_tags(tags) is None


def test_the_longest_user_id_fits_a_tag() -> None:
    """192 bytes become 256 characters of base64url, SES's limit."""
    assert tag_problem(message_tags(Key("ü" * 96, "2026-11"), new_attempt_id(), new_control_id())) is None
    with pytest.raises(ValueError, match="193"):
        Key("x" * 193, "2026-11")


@pytest.mark.parametrize(
    "good", ["a@b.de", "first.last+tag@mail.example.co.uk", "o'neil@xn--bcher-kva.example", "a@1.de"]
)
def test_good_addresses(good: str) -> None:
    """Addresses SES takes."""
    assert address_problem(good) is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a",
        "@b.de",
        "a@",
        "a@b",
        "a b@c.de",
        "a@b..de",
        ".a@b.de",
        "a.@b.de",
        "ü@b.de",
        "a@bü.de",
        "a@10.0.0.1",
        "a@@b.de",
        "a@b.de\r\nBcc: x@y.de",
        "a@-b.de",
        "x" * 65 + "@b.de",
        "a@" + "b." * 127 + "de",
        "a\0@b.de",
        "<a@b.de>",
    ],
)
def test_bad_addresses(bad: str) -> None:
    """Addresses SES would refuse, and header injection."""
    assert address_problem(bad)


def test_masks() -> None:
    """Logs show enough to recognise, not to mail."""
    assert mask("anna.smith@example.com") == "an***@example.com"
    assert mask("nonsense") == "***"


def test_limits_boto3_does_not_check() -> None:
    """Tag characters, header names, counts and lengths."""
    assert tag_problem({"a": "b c"})
    assert tag_problem({"": "b"})
    assert tag_problem({"a": "x" * 257})
    assert header_problem({f"X-{n}": "v" for n in range(16)})
    assert header_problem({"X Y": "v"})
    assert header_problem({"X": "a\r\nBcc: b"})
    assert header_problem({"X" * 126: "v" * 900})
    assert header_problem({"X-Ok": "v"}) is None


def test_jobs_survive_the_wire() -> None:
    """A job reads back as it was written."""
    original = job("a:b", nested=[1, {"x": None}])
    assert decode_job(b"a:b:2026-11", encode(original)) == original


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"\xff\xfe", "not-json"),
        (b'{"v": 1, "user_id": 5', "not-json"),
        (b'{"v": 1, "user_id": "\\ud800"}', "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"null", "bad-schema"),
        (b"[]", "bad-schema"),
        (raw(email="DROP"), "bad-schema"),
        (raw(data="text"), "bad-schema"),
        (raw(v=2), "unknown-version"),
        (raw(v=2, email="DROP"), "unknown-version"),
        (raw(v="1"), "unknown-version"),
        (raw(user_id="u2"), "key-mismatch"),
        (raw(month="2026-10"), "key-mismatch"),
        (raw(email="nobody"), "bad-address"),
        (raw(data={"x": "y" * (TEMPLATE_DATA_BYTES_MAX + 1)}), "data-too-large"),
    ],
)
def test_poison_has_stable_codes(value: bytes, code: str) -> None:
    """Each kind of poison has its code; none is a traceback."""
    assert reason(b"u1:2026-11", value) == code


def test_a_large_record_with_small_data_is_fine() -> None:
    """The limit is on the template data, not on the record."""
    padded = raw(data={"x": "y" * (TEMPLATE_DATA_BYTES_MAX - 100)})[:-1] + b" " * 500 + b"}"
    assert decode_job(b"u1:2026-11", padded).user_id == "u1"


def test_fingerprints_change_with_what_the_reader_sees() -> None:
    """Content counts, provenance and time do not; order of data does not."""
    base = job("u1", b="1", a="2")
    assert fingerprint(base) == fingerprint(job("u1", a="2", b="1"))
    others = [job("u1", a="2", b="x"), job("u1", email="x@y.de", a="2", b="1")]
    assert len({fingerprint(entry) for entry in [base, *others]}) == 3


def test_the_other_records_survive_the_wire() -> None:
    """Intents, outcomes and dead letters; and what is none of ours is said so."""
    attempt = Attempt(attempt="a", intended_at_ms=1, instance="i", source=PLACE, fingerprint="f")
    delivery = Delivery(outcome=Outcome.DEAD, at_ms=1, source=PLACE, instance="i", reason="r")
    letter = DeadLetter(reason="r", detail="d", at_ms=1, source=PLACE, instance="i", processor_version="1")
    assert decode_attempt(encode(attempt)) == attempt
    assert decode_delivery(encode(delivery)) == delivery
    assert decode_dead_letter(dead_letter_headers([("x", b"y"), ("x", None)], letter)) == letter
    for broken in (b"{}", b"\xff", b"["):
        with pytest.raises(BadRecord):
            decode_delivery(broken)
    with pytest.raises(BadRecord, match="no header"):
        decode_dead_letter([("x", b"y")])


def test_topics_keep_what_the_promise_needs() -> None:
    """The policies of the design's table: jobs for longer than their month is open, what tells of them for longer still."""
    specs = {spec.name.removeprefix("p-"): spec for spec in Topics("p-").specs()}
    assert {name: ",".join(sorted(spec.cleanup_policy)) for name, spec in specs.items()} == {
        "jobs": "compact,delete",
        "attempts": "compact,delete",
        "deliveries": "compact,delete",
        "dead-letters": "delete",
        "dead-letter-marks": "compact,delete",
        "events": "delete",
        "suppressions": "compact",
        "control": "compact",
    }
    assert {spec.config["message.timestamp.type"] for spec in specs.values()} == {"LogAppendTime"}
    days = {name: int(spec.config.get("retention.ms", -1)) // 86_400_000 for name, spec in specs.items()}
    told = dict.fromkeys(("attempts", "deliveries", "dead-letters", "dead-letter-marks"), 527)
    assert days == {"jobs": 465, **told, "events": 35, "suppressions": -1, "control": -1}
    short = {spec.name: spec.config for spec in Topics("p-", 2).specs()}
    assert int(short["p-jobs"]["retention.ms"]) == 124 * 86_400_000
    assert Topics("p-").beside_jobs == ("p-attempts", "p-deliveries", "p-dead-letters")


def test_errors_say_who_acts() -> None:
    """Each error has an exit code of its own kind."""
    assert Halted("r", "d").exit_code == 4
    assert str(Halted("r", "d")) == "d"
    assert MailonceError.exit_code == 1


def test_suppressions_survive_their_bytes() -> None:
    """What one process writes, another reads; junk is said so."""
    entry = Suppression(reason="bounced", at_ms=1, user_id="u", month="2026-11")
    assert decode_suppression(encode(entry)) == entry
    with pytest.raises(BadRecord):
        decode_suppression(b"[]")
    assert decode_resend([("x", b"y")]) is None
