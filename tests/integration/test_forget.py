"""Forgetting a person: what can go goes, others keep theirs, and nobody is mailed twice for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from processor.ops import moving
from schemas.codec import moved_from
from schemas.identity import Key
from schemas.kafka.clients import admin_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.records import Outcome
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings
from tests.support.world import MONTH, WAIT_S, World, job

ANNA = "anna@example.net"


def forget(world: World, user: str, *args: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(world.run("forget", user, "--json", *args).stdout)
    return facts


def traces(world: World, what: str) -> list[str]:
    """Where the bytes can still be read by whoever reads a topic to its end, compacted."""
    topics, found = world.settings.topics, []
    for topic in (topics.jobs, topics.deliveries, topics.attempts, topics.dead_letters, topics.dead_letter_marks):
        latest: dict[Any, Any] = {}
        for record in read_topic(world.settings, topic):
            compacted = topic != topics.dead_letters
            latest[record.key if compacted else (record.partition, record.offset)] = record
        for record in latest.values():
            if record.value is None and topic != topics.dead_letters:
                continue
            if what.encode() in b"".join(
                [record.key or b"", record.value or b"", *(v or b"" for _, v in record.headers)]
            ):
                found.append(topic)
    return found


def cut(world: World) -> None:
    """Empties the jobs topic, as compaction does with tombstones and what stands before them."""
    topic = world.settings.topics.jobs
    admin = AdminClient(admin_config(world.settings))
    ends = end_offsets(admin, topic, partition_numbers(world.settings, topic))
    places = [TopicPartition(topic, number, end) for number, end in ends.items()]
    for asked in admin.delete_records(places).values():
        asked.result(WAIT_S)


def test_a_person_is_forgotten_and_the_others_are_not(world: World) -> None:
    """G1 to G3: sent mails stay barred, pending ones are cancelled, others' letters and marks keep their meaning."""
    world.sandbox.fault("reject", address="*bad*")
    others = [job(f"bad{n}") for n in range(12)]
    world.publish(
        [job("anna", email=ANNA), *others[:6], job("anna", month="2026-10", email="bad." + ANNA), *others[6:]]
    )
    world.drain()
    letters = world.dead_letters()
    marked = next(record for record, _ in letters if record.key == f"bad0:{MONTH}".encode())
    world.run("dead-letters", "discard", f"{marked.partition}:{marked.offset}", "--why", "test")
    world.publish([job("anna", month="2026-12", email=ANNA)])

    dry = forget(world, "anna", "--dry-run")
    assert dry["found"] == {"jobs": 3, "dead_letters": 1, "ledger_details": 1, "mails": 2}
    assert dry["removed"] == {}
    assert len(traces(world, ANNA)) == 4
    done = forget(world, "anna", "--yes")
    assert done["removed"].items() >= {"jobs": 3, "dead_letters": 1, "ledger_details": 1}.items()
    assert set(done["remains"]["mails"]) == {f"anna:{MONTH}", "anna:2026-10"}
    assert traces(world, ANNA) == []
    world.drain()
    assert forget(world, "anna", "--yes")["removed"].keys() <= {"ledger_details"}
    assert traces(world, ANNA) == []

    left = {record.key: record for record, _ in world.dead_letters()}
    assert set(left) == {f"bad{n}:{MONTH}".encode() for n in range(12)}
    before = {record.key: record for record, _ in letters}
    for key, record in left.items():
        assert record.value == before[key].value
    listed = json.loads(world.run("dead-letters", "list", "--json", "--state", "discarded").stdout)
    assert [entry["key"] for entry in listed] == [f"bad0:{MONTH}"]
    place = listed[0]["place"]
    assert moved_from(left[f"bad0:{MONTH}".encode()].headers) in {"", f"{marked.partition}:{marked.offset}"}
    assert "mailonce-moved" not in world.run("dead-letters", "show", place, "--json").stdout

    # A replay reads the job and its tombstone: the ledger and the set still know.
    world.run("replay", "--from-beginning", "--json")
    audit = world.audit()
    audit.check()
    # December's was pending; October's had ended as a letter, and a tombstone closes over it.
    assert audit.outcomes[Key("anna", "2026-12")].outcome is Outcome.CANCELLED
    assert audit.outcomes[Key("anna", "2026-10")].outcome is Outcome.CANCELLED
    assert audit.count(Outcome.CANCELLED) == 2
    assert [to for mail in world.sandbox.accepted() for to in mail.to] == [ANNA]


@pytest.mark.long  # the one above forgets, with all that stays
def test_ids_go_when_no_job_is_left(world: World) -> None:
    """What compaction does in 35 days is done here by hand: then ledger, attempts and dedup set forget too."""
    world.publish([job("anna", email=ANNA), job("bert")])
    world.drain()
    forget(world, "anna", "--yes")
    world.drain()
    cut(world)
    done = forget(world, "anna", "--yes")
    assert done["removed"] == {"mails": 1}
    assert done["remains"]["mails"] == {}
    assert traces(world, "anna") == []
    assert "anna" not in world.run("show", "anna", MONTH, ok=(0, 1)).stdout.replace("anna:2026-11", "").replace(
        "anna 2026-11", ""
    )
    verified = json.loads(world.run("dedup", "verify", "--json").stdout)
    assert verified["safe"]
    assert "bert" in {key.user_id for key in world.sandbox.by_key()}


def test_one_that_was_broken_off_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others' letters were written anew and the head is still there: the second time moves nothing twice."""
    world.sandbox.fault("reject", address="*bad*")
    world.publish([*(job(f"bad{n}") for n in range(20)), job("anna", email="bad." + ANNA)])
    world.drain()
    place, *_ = [f"{record.partition}:{record.offset}" for record, _ in world.dead_letters()]
    world.run("dead-letters", "discard", place, "--why", "test")
    whole = moving._cut

    def broken(settings: Settings, partition: int, before: int) -> None:
        raise BrokerUnavailable("the test says so")

    monkeypatch.setattr(moving, "_cut", broken)
    assert "the test says so" in world.run("forget", "anna", "--yes", ok=(7,)).stderr
    monkeypatch.setattr(moving, "_cut", whole)
    assert forget(world, "anna", "--yes")["removed"].get("dead_letters_moved", 0) == 0
    letters = [record.key for record, _ in world.dead_letters()]
    assert sorted(letters) == sorted({record_key for record_key in letters if record_key != f"anna:{MONTH}".encode()})
    assert len(letters) == 20
    assert len(json.loads(world.run("dead-letters", "list", "--state", "discarded", "--json").stdout)) == 1


def test_it_asks_first(world: World) -> None:
    """Without a terminal nothing happens."""
    world.publish([job("anna", email=ANNA)])
    refused = world.run("forget", "anna", ok=(2,))
    assert "cannot be undone" in refused.stderr
    assert len(traces(world, ANNA)) == 1
    said = world.run("forget", "anna", "--yes").stdout
    assert "jobs: 1 found, 1 removed" in said
    assert "SES's events" in said
