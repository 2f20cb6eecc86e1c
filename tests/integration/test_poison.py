"""Poison never reaches SES: dead-lettered with its exact bytes, and it stops nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from processor.adapters.topics import topic_config
from schemas.codec import DEAD_LETTER_HEADER, encode
from schemas.identity import Key
from schemas.kafka.clients import admin_config
from schemas.records import Outcome
from tests.support.world import CALLS_AT_ONCE, MONTH, World, job, wait_for

HEADERS = [("trace", b"\x00\xff"), ("trace", b"again"), ("empty", b"")]


def changed(user: str, **changes: object) -> bytes:
    return json.dumps(json.loads(encode(job(user))) | changes).encode()


POISON: dict[str, tuple[bytes | None, bytes]] = {
    "not-json": (f"p0:{MONTH}".encode(), b'{"v": 1, \xff\xfe'),
    "bad-schema": (f"p1:{MONTH}".encode(), b'{"v": 1}'),
    "unknown-version": (f"p2:{MONTH}".encode(), changed("p2", v=99)),
    "key-mismatch": (f"p3:{MONTH}".encode(), changed("@w" * 50_000)),
    "bad-address": (f"p4:{MONTH}".encode(), changed("p4", email="x@y.de\r\nBcc: z@y.de")),
    "missing-data": (f"p5:{MONTH}".encode(), changed("p5", data={"name": "N"})),
    "too-old": (b"p6:2024-01", changed("p6", month="2024-01")),
    "data-too-large": (f"p7:{MONTH}".encode(), changed("p7", data={"name": "x" * 262_144, "usage": "1"})),
    "bad-key": (b"\xff\xfe no key", changed("p8")),
    "record-too-deep": (
        f"p9:{MONTH}".encode(),
        changed("p9", data=0).replace(b'"data": 0', b'"data": {"a":' + b"[" * 900 + b"]" * 900 + b"}"),
    ),
    "record-too-large": (f"p10:{MONTH}".encode(), changed("p10", template="t" * 100_000)),
}


def test_each_kind_of_poison_keeps_its_bytes(world: World) -> None:
    """G2: key, value and headers as they were, the place and the reason; the good jobs go out.

    (A record without a key cannot be in the topic: Kafka refuses it where compaction is on.)
    """
    world.publish(job(f"u{n}") for n in range(10))
    world.publish_raw((key, value, HEADERS) for key, value in POISON.values())
    world.publish(job(f"v{n}") for n in range(10))
    world.drain()
    audit = world.audit()
    assert Counter(letter.reason for _, letter in audit.dead_letters) == Counter(list(POISON))
    for record, letter in audit.dead_letters:
        key, value = POISON[letter.reason]
        assert (record.key, record.value) == (key, value)
        *original, (name, _) = record.headers
        assert original == HEADERS
        assert name == DEAD_LETTER_HEADER
        assert letter.source.topic == world.settings.topics.jobs
        assert letter.source.timestamp_ms > 0
        assert letter.processor_version
        assert letter.detail
    assert audit.count(Outcome.SENT) == 20
    for reason, (key, _) in POISON.items():
        if reason != "bad-key":
            assert audit.outcomes[Key.from_bytes(key)].outcome is Outcome.DEAD
    accepted = {str(key) for key in audit.accepted}
    assert accepted == {f"{prefix}{n}:{MONTH}" for prefix in "uv" for n in range(10)}


@pytest.mark.short_lives
def test_poison_is_dead_lettered_once_though_the_processor_dies(world: World) -> None:
    """G3: outcome, dead letter and offset commit together; a restart repeats none of them."""
    world.sandbox.set(latency_ms=100)
    records = [(f"u{n}:{MONTH}".encode(), b"junk" if n % 2 else encode(job(f"u{n}")), []) for n in range(40)]
    world.publish_raw(records)
    victim = world.processor("p1", at="after_settling_commit", nth=1)
    assert victim.wait() == -9
    world.sandbox.set(latency_ms=0)
    world.drain("p1")
    audit = world.audit()
    places = [(letter.source.partition, letter.source.offset) for _, letter in audit.dead_letters]
    assert len(places) == len(set(places)) == 20
    audit.check(uncertain_max=CALLS_AT_ONCE)


@pytest.mark.long  # the decision is tried alone, the views with it
def test_poison_for_a_key_that_was_mailed_changes_no_outcome(world: World) -> None:
    """G2: the mail was sent and stays sent; the spoiled record is in the dead-letter topic."""
    world.publish([job("u1")])
    world.drain("p1")
    world.publish_raw([(f"u1:{MONTH}".encode(), b"junk", [])])
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("u1", MONTH)].outcome is Outcome.SENT
    assert [letter.reason for _, letter in audit.dead_letters] == ["not-json"]


def test_changed_content_after_sending_is_reported(world: World) -> None:
    """A re-published job with other content is reported, never sent again, never silently dropped."""
    world.publish([job("u1"), job("u2")])
    world.drain("p1")
    world.publish([job("u1", usage="43"), job("u2")])
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 2
    ((record, letter),) = audit.dead_letters
    assert letter.reason == "changed-after-sending"
    assert b'"43"' in (record.value or b"")


@pytest.mark.long  # the bitmap's properties say the same
def test_a_replay_misses_no_changed_job_between_settled_ones(world: World) -> None:
    """Records of one partition are taken in their order, passed over or not."""
    world.publish(job(f"u{n}") for n in range(60))
    world.drain("p1")
    changed = {f"u{n}" for n in range(0, 60, 7)}
    world.publish(job(f"u{n}", usage="43" if f"u{n}" in changed else "42") for n in range(60))
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert {(record.key or b"").partition(b":")[0].decode() for record, _ in audit.dead_letters} == changed


@pytest.mark.long  # test_latest corrects
def test_a_corrected_record_is_attempted(world: World) -> None:
    """A dead letter settles its record, not its key."""
    world.publish_raw([(f"u1:{MONTH}".encode(), b"junk", [])])
    world.drain("p1")
    world.publish([job("u1")])
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("u1", MONTH)].outcome is Outcome.SENT


def test_the_latest_of_several_jobs_counts(world: World) -> None:
    """Compaction would have removed the older ones: one mail, with the newest content."""
    world.publish(job("u1", usage=str(n)) for n in range(5))
    world.drain()
    audit = world.audit()
    audit.check()
    (mail,) = world.sandbox.accepted()
    assert mail.text == "Hello User u1, 4 kWh"


def let_in(world: World, topic: str, size: int, limit: str = "max.message.bytes") -> None:
    """Messages of this size may stand in the topic."""
    admin = AdminClient(admin_config(world.settings))
    entry = ConfigEntry(limit, str(size), incremental_operation=AlterConfigOpType.SET)
    for asked in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    ).values():
        asked.result()
    wait_for(lambda: topic_config(admin, topic)[limit] == str(size), "the topic's new limit")


def test_a_letter_is_no_larger_than_a_segment(world: World) -> None:
    """G2: Kafka takes no batch that is larger, whatever a message may be: it was tried ten times a second for ever."""
    let_in(world, world.settings.topics.dead_letters, 1_048_576, "segment.bytes")
    let_in(world, world.settings.topics.jobs, 2_000_000)
    junk = os.urandom(1_048_500)
    world.publish_raw([(f"big:{MONTH}".encode(), junk, [])])
    world.publish(job(f"u{n}") for n in range(10))
    world.drain()
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 10
    ((record, letter),) = audit.dead_letters
    assert record.value is None
    assert [(cut.part, cut.size) for cut in letter.cut] == [("value", len(junk))]


def test_letters_fit_together_where_the_topic_takes_little(world: World) -> None:
    """G2: a topic's limit is for all letters of a batch, not for each; one that takes no letter at all is refused."""
    let_in(world, world.settings.topics.dead_letters, 200_000)
    world.publish_raw((f"big{n}:{MONTH}".encode(), b"x" * 150_000, []) for n in range(30))
    world.publish(job(f"u{n}") for n in range(10))
    world.drain(MAILONCE_BREAKER_CONSECUTIVE="0", MAILONCE_BREAKER_SHARE="0")
    audit = world.audit()
    audit.check()
    assert [letter.cut for _, letter in audit.dead_letters] == [[]] * 30
    let_in(world, world.settings.topics.dead_letters, 10_000)
    refused = world.processor("p2", drain=True)
    assert refused.wait() == 2
    assert "max.message.bytes" in refused.log.read_text()


def test_records_as_large_as_kafka_takes_get_their_letters(world: World) -> None:
    """G2: the letter always fits, and the good jobs beside it go out."""
    let_in(world, world.settings.topics.jobs, 5_000_000)
    # As 0.1 made it: Kafka's default.
    let_in(world, world.settings.topics.dead_letters, 1_048_588)
    junk = [b"x" * 999_700, os.urandom(1_048_300), os.urandom(2_000_000), b"y" * 4_900_000]
    records = [(f"big{n}:{MONTH}".encode(), value, [("trace", b"t")]) for n, value in enumerate(junk)]
    records += [(f"headed:{MONTH}".encode(), b"junk", [("trace", b"h" * 1_100_000)])]
    records += [(b"k" * 1_100_000, b"junk", [])]
    world.publish(job(f"u{n}") for n in range(20))
    world.publish_raw(records)
    world.publish(job(f"v{n}") for n in range(20))
    world.drain()
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 40
    assert audit.count(Outcome.DEAD) == 5
    letters = {record.key: (record, letter) for record, letter in audit.dead_letters}
    assert len(audit.dead_letters) == 6
    first, letter = letters[records[0][0]]
    assert first.value == junk[0]
    assert letter.cut == []
    for key, value, _ in records[1:4]:
        record, letter = letters[key]
        assert record.value is None
        assert [(cut.part, cut.size, cut.sha256) for cut in letter.cut] == [
            ("value", len(value), hashlib.sha256(value).hexdigest())
        ]
        assert ("trace", b"t") in record.headers
        assert letter.source.offset >= 0
    headed, letter = letters[f"headed:{MONTH}".encode()]
    assert headed.value == b"junk"
    assert [cut.part for cut in letter.cut] == ["headers"]
    keyless, letter = letters[None]
    assert keyless.value == b"junk"
    assert letter.reason == "bad-key"
    assert [cut.part for cut in letter.cut] == ["key"]
