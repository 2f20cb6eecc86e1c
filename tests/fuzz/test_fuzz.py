"""Bad input in bulk: it never crashes anything, never reaches SES, and every piece is kept byte for byte."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from processor.core.cloudtrail import read_log
from processor.core.evidence import read_event
from producer.sources import open_source
from schemas.codec import DEAD_LETTER_HEADER, decode_job
from schemas.runtime.errors import BadRecord, MailonceError
from tests.support.feed import gather
from tests.support.world import MONTH, World, job

LARGE = 50_000
BAD_KEYS = (b"", b"no-colon", b"u:2026-13", b"\xff\xfe:2026-11", b":" + MONTH.encode())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
INJECTIONS = ("a\r\nBcc: all@example.com", "x\ny", "\x00", "=?utf-8?q?x?=", "a@b.c\r\nSubject: x", "‮evil", "{{name}}")


def good_job(user: str) -> dict[str, Any]:
    return {
        "v": 1,
        "user_id": user,
        "month": MONTH,
        "email": f"{user}@mail.example.net",
        "template": "monthly-usage",
        "data": {"name": "N", "usage": "1"},
    }


KINDS = (
    *("bytes", "json", "cut", "deep", "closed", "huge", "type", "other", "foreign", "address", "version", "missing"),
    *("template", "source"),
)


@st.composite
def too_much(draw: st.DrawFn, job: dict[str, Any], kind: str) -> bytes:
    """A job that one of its readers would break at, or carry along."""
    match kind:
        case "closed":
            levels = draw(st.sampled_from((101, 400, 900, 3000)))
            deep = b' {"a": ' * levels + b"1" + b"}" * levels
            return json.dumps(job | {"data": 0}).encode().replace(b" 0}", deep + b"}")
        case "foreign":
            return json.dumps(job | {"user_id": draw(st.sampled_from("aW@1.-")) * 100_000}).encode()
        case "template":
            return json.dumps(job | {"template": "t" * draw(st.integers(257, 1000))}).encode()
        case _:
            told = {"source": "s" * draw(st.integers(2001, 4000)), "snapshot": "", "row": 1}
            return json.dumps(job | {"provenance": told}).encode()


@st.composite
def bad_values(draw: st.DrawFn, user: str = "u") -> bytes:
    """A value that can be no job of `user` in `MONTH`."""
    kind = draw(st.sampled_from(KINDS))
    job = good_job(user)
    match kind:
        case "bytes":
            return b"\xff" + draw(st.binary(max_size=200))
        case "json":
            return json.dumps(draw(JSON.filter(lambda value: not isinstance(value, dict)))).encode()
        case "cut":
            whole = json.dumps(job).encode()
            return whole[: draw(st.integers(0, len(whole) - 1))]
        case "deep":
            return b'{"data":' * draw(st.integers(200, 3000)) + b"1"
        case "closed" | "foreign" | "template" | "source":
            return draw(too_much(job, kind))
        case "huge":
            return json.dumps(job | {"data": {"name": "x" * 300_000, "usage": "1"}}).encode()
        case "type":
            field = draw(st.sampled_from(sorted(job)))
            wrong = draw(st.sampled_from((None, [], 1.5, True, {"a": 1} if field != "data" else "text")))
            return json.dumps(job | {field: wrong}).encode()
        case "other":
            return json.dumps(job | {"user_id": user + draw(st.text(min_size=1, max_size=5))}).encode()
        case "address":
            wrong = draw(st.sampled_from(INJECTIONS) | st.text(max_size=30).filter(lambda text: "@" not in text))
            return json.dumps(job | {"email": wrong}).encode()
        case "version":
            return json.dumps(job | {"v": draw(st.integers().filter(lambda v: v != 1))}).encode()
        case _:
            del job[draw(st.sampled_from(sorted(set(job) - {"published_at_ms"})))]
            return json.dumps(job).encode()


def draws(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """`count` values of a strategy, the same every time."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def _record(number: int, value: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Every other record has the right key: then its value alone is at fault."""
    key = BAD_KEYS[number // 2 % len(BAD_KEYS)] if number % 2 else f"u:{MONTH}".encode()
    return key, value, [("x-trace", bytes([number % 256])), ("x\r\ny", b"\x00\xff")]


@pytest.mark.parametrize("count", [3_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_bad_records(world: World, count: int) -> None:
    """G2: none is sent, none stops the processor, and each is in the dead-letter topic with its exact bytes."""
    values = draws(bad_values(), 600)
    # Large ones only take long: each is there once, the others as often as it takes.
    once = [value for value in values if len(value) > LARGE]
    often = itertools.cycle([value for value in values if len(value) <= LARGE])
    records = [_record(number, next(often)) for number in range(count - len(once))]
    records += [_record(number, value) for number, value in enumerate(once)]
    world.publish_raw(records)
    world.drain(MAILONCE_BREAKER_CONSECUTIVE="0", MAILONCE_BREAKER_SHARE="0")
    assert world.sandbox.accepted_count() == 0
    letters = world.dead_letters()
    assert len(letters) == len(records) == count

    def shape(key: bytes | None, value: bytes | None, headers: Any) -> tuple[Any, ...]:
        return key, value, tuple((name, data) for name, data in headers if name != DEAD_LETTER_HEADER)

    sent_in = Counter(shape(*record) for record in records)
    assert Counter(shape(record.key, record.value, record.headers) for record, _ in letters) == sent_in
    reasons = Counter(letter.reason for _, letter in letters)
    assert {"not-json", "bad-schema", "bad-key", "key-mismatch", "bad-address", "unknown-version"} <= set(reasons)


@st.composite
def records_at_the_limit(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """A record as large as Kafka takes by its default, or a little smaller: key, value and headers share the bytes."""
    size = draw(st.sampled_from((1_048_300, 1_000_000, 999_999, 999_700)) | st.integers(900_000, 1_048_300))
    shares = draw(st.sampled_from(((0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 1, 1), (1, 1, 1))))
    byte = draw(st.sampled_from((b"[", b'"', b"@", b"\xff", b"x")))
    key, value, header = (byte * (size // sum(shares) - 100) if share else b"u:" for share in shares)
    return key if shares[0] else f"u:{MONTH}".encode(), value, [("x-trace", header)]


def test_records_as_large_as_kafka_takes(world: World) -> None:
    """G2: each gets its letter, and the good jobs beside them go out."""
    large = draws(records_at_the_limit(), 40)
    for number, record in enumerate(large):
        world.publish([job(f"good{number}")])
        world.publish_raw([record])
    world.drain(MAILONCE_BREAKER_CONSECUTIVE="0", MAILONCE_BREAKER_SHARE="0")
    assert world.sandbox.accepted_count() == len(large)
    letters = world.dead_letters()
    assert len(letters) == len(large)
    whole = Counter((record.key, record.value) for record, letter in letters if not letter.cut)
    assert whole <= Counter((key, value) for key, value, _ in large)


def test_bad_events_in_the_queue(world: World, feed: Any) -> None:
    """Each is dead-lettered byte for byte or passed over as foreign, and the queue is empty after."""
    texts = draws(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), min_size=1, max_size=60), 150)
    bodies = texts + [json.dumps(value) for value in draws(JSON, 150)]
    queue = world.env["MAILONCE_EVENTS_QUEUE_URL"]
    for first in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[first : first + 10])]
        feed.send_message_batch(QueueUrl=queue, Entries=entries)
    counts = gather(world)
    assert counts["bad"] + counts["foreign"] + counts["untagged"] == len(bodies)
    assert counts["events"] == 0
    kept = Counter(record.value for record, _ in world.dead_letters())
    assert sum(kept.values()) == counts["bad"]
    assert kept.keys() <= {body.encode() for body in bodies}
    assert not feed.receive_message(QueueUrl=queue).get("Messages")


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()) | bad_values())
def test_readers_say_what_is_wrong(body: bytes) -> None:
    """Whatever comes: a value, or an error with a stable code; never another exception."""
    for read in (read_event, lambda raw: list(read_log(raw)), lambda raw: decode_job(f"u:{MONTH}".encode(), raw)):
        try:
            read(body)
        except BadRecord as bad:
            assert bad.code
            assert bad.detail


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.lists(st.text(max_size=12) | st.sampled_from(INJECTIONS), min_size=1, max_size=5), min_size=1, max_size=6
    ),
    st.binary(max_size=20),
)
def test_csv_sources(tmp_path: Path, rows: list[list[str]], tail: bytes) -> None:
    """Rows or a clear error; each row is there, good or bad."""
    text = io.StringIO()
    csv.writer(text).writerows([["user_id", "email", "name"], *rows])
    path = tmp_path / "users.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass") + tail)
    try:
        found = list(open_source(str(path)).rows())
    except MailonceError as error:
        assert str(error)
    else:
        assert all(row.problem or set(row.values) >= {"user_id", "email"} for row in found)
