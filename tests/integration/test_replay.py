"""Replays: settled jobs are skipped, others attempted, whatever runs beside and whatever Redis has lost."""

from __future__ import annotations

import json
import time

import pytest
import redis

from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import partition_numbers, read_topic
from tests.support.world import MONTH, WAIT_S, World, job, wait_for

OTHER = "2026-10"


def replay(world: World, *args: str, **env: str) -> dict[str, object]:
    facts: dict[str, object] = json.loads(world.run("replay", *args, "--json", **env).stdout)
    return facts


def test_a_settled_month_sends_nothing_and_says_so(world: World) -> None:
    """Dead letters and poison without a key are told of once, not again."""
    world.sandbox.fault("reject", address="bad*")
    world.publish([*(job(f"u{n}") for n in range(40)), job("bad")])
    world.publish_raw([(b"no key", b"junk", []), (f"poison:{MONTH}".encode(), b"junk", [])])
    world.drain()
    letters = len(world.dead_letters())
    assert letters == 3
    said = world.run("replay", "--from-beginning").stdout
    assert "nothing was sent: all 43 records were settled before" in said
    assert replay(world, "--from-beginning") == {"month": None, "skipped": 43}
    assert len(world.dead_letters()) == letters
    world.audit().check()


def test_what_is_not_settled_is_attempted_and_months_are_kept_apart(world: World) -> None:
    """A replay needs no live group; with a month it leaves the others alone."""
    world.publish([*(job(f"u{n}") for n in range(10)), *(job(f"u{n}", month=OTHER) for n in range(7))])
    dry = replay(world, "--from-beginning", "--month", OTHER, "--dry-run")
    assert dry == {OTHER: {"would be attempted": 7}}
    facts = replay(world, "--from-beginning", "--month", OTHER)
    assert (facts["sent"], facts["skipped"]) == (7, 10)
    assert {key.month for key in world.sandbox.by_key()} == {OTHER}
    dry = replay(world, "--from-beginning", "--dry-run")
    assert dry == {OTHER: {"is sent": 7}, MONTH: {"would be attempted": 10}}
    world.drain()
    world.audit().check()


@pytest.mark.long  # what it waits for is the broker alone
def test_on_a_cluster_that_never_had_a_group(on_own: World) -> None:
    """The first question makes Kafka's topic of groups, and nobody coordinates one until that is there."""
    on_own.publish(job(f"u{n}") for n in range(5))
    assert replay(on_own, "--from-beginning")["sent"] == 5
    on_own.audit().check()


def test_twice_at_once_beside_live_processors(world: World) -> None:
    """G1: a mail goes out once, whoever comes first."""
    world.publish(job(f"u{n}") for n in range(600))
    world.sandbox.set(latency_ms=20)
    live = world.processor("live")
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    replays = [world.start("replay", "--from-beginning", "--json") for _ in range(2)]
    assert [process.wait() for process in replays] == [0, 0]
    wait_for(lambda: world.sandbox.accepted_count() >= 600, "all mails")
    assert live.terminate() == 0
    world.drain()
    world.audit().check()
    assert all('"skipped"' in process.log.read_text() for process in replays)


def test_after_redis_was_wiped(world: World) -> None:
    """G1: the replay rebuilds the set from the ledger before it claims anything."""
    world.publish(job(f"u{n}") for n in range(100))
    world.drain()
    with redis.Redis.from_url(world.settings.redis_url.get_secret_value()) as client:
        for key in client.scan_iter(f"*{world.settings.topic_prefix}*"):
            client.delete(key)
    assert replay(world, "--from-beginning") == {"month": None, "skipped": 100}
    world.audit().check()


def test_from_a_time_and_from_offsets(world: World) -> None:
    """Only what was published since, and only the partitions named."""
    world.publish(job(f"early{n}") for n in range(5))
    # Not the clock of gmtime() without an argument: that one may be some milliseconds behind.
    next_s = int(time.time()) + 1
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(next_s))
    wait_for(lambda: time.time() >= next_s, "the next second")
    world.publish(job(f"late{n}") for n in range(6))
    assert replay(world, "--from-time", since, "--dry-run") == {MONTH: {"would be attempted": 6}}
    records = [record for record in read_topic(world.settings, world.settings.topics.jobs) if record.partition == 2]
    last = records[-1].offset
    assert replay(world, "--from-offset", f"2:{last}", "--dry-run") == {MONTH: {"would be attempted": 1}}
    assert replay(world, "--from-offset", f"2:{last}") == {"month": None, "sent": 1}
    world.drain()
    world.audit().check()


def test_the_live_group_is_moved_back_only_when_nobody_runs(world: World) -> None:
    """--reset-group: refused while a processor is a member; afterwards the group skips what is settled."""
    world.publish(job(f"u{n}") for n in range(50))
    processor = world.processor("live")
    wait_for(lambda: world.sandbox.accepted_count() >= 50, "all mails")
    refused = world.run("replay", "--from-beginning", "--reset-group", ok=(2,))
    assert "stop them first" in refused.stderr
    assert processor.terminate() == 0
    moved = replay(world, "--from-beginning", "--reset-group")
    assert moved == {"group": world.settings.group_id, "offsets": {"0": 0, "1": 0, "2": 0, "3": 0}}
    drained = world.drain()
    assert any(event.get("settled") == 50 for event in drained.events())
    world.audit().check()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "say where from"),
        (["--from-beginning", "--from-time", "2026-11-01"], "say where from"),
        (["--from-time", "yesterday"], "is not a time"),
        (["--from-offset", "3"], "is not a place"),
        (["--from-offset", "99:0"], "has no partition 99"),
        (["--from-beginning", "--reset-group", "--month", MONTH], "leave --month away"),
    ],
)
def test_wrong_use_is_told(world: World, args: list[str], says: str) -> None:
    """What to do instead."""
    assert says in world.run("replay", *args, ok=(2,)).stderr.replace("\n", " ")


def test_a_replays_group_does_not_stay(world: World) -> None:
    """Nothing is left behind in Kafka but the outcomes."""
    from confluent_kafka.admin import AdminClient

    from schemas.kafka.clients import admin_config

    world.publish([job("u1")])
    replay(world, "--from-beginning")
    admin = AdminClient(admin_config(world.settings))
    groups = {group.group_id for group in admin.list_consumer_groups().result(WAIT_S).valid}
    assert not [group for group in groups if group.startswith(f"{world.settings.group_id}-replay-")]
    numbers = partition_numbers(world.settings, world.settings.topics.deliveries)
    assert sum(end_offsets(admin, world.settings.topics.deliveries, numbers).values()) > 0


@pytest.mark.long  # stops of all processes stand in test_stops
def test_a_replay_that_is_stopped_says_so(world: World) -> None:
    """Neither 0 nor 100 %: whoever waits for it must not take it for done. The next one does the rest."""
    world.publish([job("settled")])
    world.drain()
    world.publish(job(f"u{n}") for n in range(300))
    world.sandbox.set(latency_ms=200)
    replay = world.start("replay", "--from-beginning")
    wait_for(lambda: world.sandbox.accepted_count() > 20 or not replay.running, "sending")
    assert replay.terminate() == 130, replay.log.read_text()[-2000:]
    told = replay.log.read_text()
    assert "stopped before the end" in told
    assert "100%" not in told
    world.sandbox.set(latency_ms=0)
    world.run("replay", "--from-beginning")
    audit = world.audit()
    audit.check()
    assert len(audit.outcomes) == 301
