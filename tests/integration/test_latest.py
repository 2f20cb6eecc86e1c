"""G5: the latest record counts, however many records lie between: real commands, no processor running yet, then one."""

from __future__ import annotations

import json

from processor.ops.closing import Standing
from schemas.kafka.reading import read_topic
from schemas.records import Outcome
from tests.support.world import MONTH, World, wait_for

JOBS = 4_000
"""More than a processor reads ahead of what it sends, in each of the partitions together."""
MANY = 520
"""More rows than `produce` closes one by one."""


def test_what_was_replaced_before_a_processor_runs_is_never_sent(world: World) -> None:
    """A cancel, a forget and a corrected address, all beyond the read-ahead: by SES's record nobody got the older mail."""
    rows = [f"u{n},u{n}@mail.example.net,User {n},42" for n in range(JOBS)]
    source = world.folder / "users.csv"

    def produce() -> dict[str, object]:
        source.write_text("\n".join(["user_id,email,name,usage", *rows]) + "\n")
        facts: dict[str, object] = json.loads(
            world.run("produce", "--month", MONTH, "--source", str(source), "--json").stdout
        )
        return facts

    assert produce()["published"] == JOBS
    assert Standing.LATER in " ".join(world.run("cancel", "u0", MONTH).stdout.split())
    forgotten = json.loads(world.run("forget", "u1", "--yes", "--json").stdout)
    assert forgotten["closed"] == {f"u1:{MONTH}": Standing.LATER}
    rows[2] = "u2,corrected@mail.example.net,User 2,42"
    del rows[1], rows[0]
    facts = produce()
    assert (facts["published"], facts["changed"], facts["changed_not_closed"], facts["changed_unseen"]) == (1, 1, 0, 1)

    world.drain()
    accepted = {message.to[0] for message in world.sandbox.accepted()}
    assert len(accepted) == world.sandbox.accepted_count() == JOBS - 2
    assert "corrected@mail.example.net" in accepted
    assert not accepted & {f"u{n}@mail.example.net" for n in range(3)}
    outcomes = world.audit().outcomes
    assert {key.user_id for key, d in outcomes.items() if d.outcome is Outcome.CANCELLED} == {"u0", "u1"}

    # The set is whole now: what was sent is told as sent, and what is closed stays closed for a replay.
    assert Standing.SENT in " ".join(world.run("cancel", "u3", MONTH).stdout.split())
    rows[0] = "u2,again@mail.example.net,User 2,42"
    facts = produce()
    assert (facts["changed"], facts["changed_after_sending"], facts["changed_not_closed"]) == (1, 1, 0)
    assert facts["changed_after_sending_keys"] == [f"u2:{MONTH}"]
    world.run("replay", "--from-beginning", "--json")
    assert world.sandbox.accepted_count() == JOBS - 2
    assert sum(record.value is None for record in read_topic(world.settings, world.settings.topics.jobs)) == 3


def test_a_cancel_without_redis_says_what_stands(world: World) -> None:
    """Exit code 7, the tombstone is written, and the same again does no harm."""
    from tests.support.world import job

    world.publish([job("u1")])
    away = world.run("cancel", "u1", MONTH, ok=(7,), MAILONCE_REDIS_URL="redis://127.0.0.1:1/0")
    assert "the tombstone of u1" in away.stderr
    assert "may be repeated" in away.stderr
    assert sum(record.value is None for record in read_topic(world.settings, world.settings.topics.jobs)) == 1
    world.drain()
    assert world.sandbox.accepted_count() == 0
    assert Standing.NEVER in " ".join(world.run("cancel", "u1", MONTH).stdout.split())


def test_a_correction_without_redis_waits_for_those_that_run(world: World) -> None:
    """The processor's heartbeat tells how far it has read the jobs; then the command says that it holds."""
    from processor.adapters.control import read_control

    source = world.folder / "users.csv"
    process = world.processor("one")
    for usage, changed in (("1", 0), ("2", 1)):
        source.write_text(f"user_id,email,name,usage\nu1,u1@mail.example.net,User,{usage}\n")
        args = ("produce", "--month", MONTH, "--source", str(source), "--json")
        facts = json.loads(world.run(*args, MAILONCE_REDIS_URL="redis://127.0.0.1:1/0").stdout)
        assert (facts["changed"], facts["changed_not_closed"], facts["changed_unseen"]) == (changed, 0, changed)
    (other,) = read_control(world.settings).processes.values()
    behind = [
        r
        for r in read_topic(world.settings, world.settings.topics.jobs)
        if other.heartbeat.read[r.partition] <= r.offset
    ]
    assert not behind
    assert process.terminate() == 0


def test_many_rows_are_corrected_while_a_processor_runs(world: World) -> None:
    """More than the command closes one by one: it waits for the processor's word, looks at their keys, and it holds."""
    source = world.folder / "users.csv"

    def produce(domain: str) -> dict[str, object]:
        rows = "".join(f"u{n},u{n}@{domain},User,1\n" for n in range(MANY))
        source.write_text(f"user_id,email,name,usage\n{rows}")
        facts: dict[str, object] = json.loads(
            world.run("produce", "--month", MONTH, "--source", str(source), "--json").stdout
        )
        return facts

    # Nobody is mailed as long as the account has no quota.
    world.sandbox.set(max_24_hour_send=0)
    process = world.processor("one", MAILONCE_ACCOUNT_REFRESH_S="0.5")
    produce("old.example.net")
    facts = produce("new.example.net")
    found = {name: facts[f"changed_{name}"] for name in ("not_closed", "unseen", "after_sending", "in_flight")}
    assert facts["changed"] == MANY
    assert found == dict.fromkeys(found, 0), "each was looked at, and none was sent"
    world.sandbox.set(max_24_hour_send=50_000)
    wait_for(lambda: world.sandbox.accepted_count() == MANY, "the corrected mails")
    assert {message.to[0].partition("@")[2] for message in world.sandbox.accepted()} == {"new.example.net"}
    assert process.terminate() == 0


def test_partitions_are_added_between_a_month_and_its_cancels(world: World) -> None:
    """G5: the month keeps the spread that it was opened with, so the tombstones find their jobs."""
    from confluent_kafka.admin import AdminClient, NewPartitions

    source = world.folder / "users.csv"
    rows = "".join(f"u{n},u{n}@mail.example.net,User,1\n" for n in range(24))
    source.write_text(f"user_id,email,name,usage\n{rows}")
    world.run("produce", "--month", MONTH, "--source", str(source))
    client = AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    for future in client.create_partitions([NewPartitions(world.settings.topics.jobs, 8)]).values():
        future.result(60)
    world.run("topics", "create")
    for n in range(4):
        world.run("cancel", f"u{n}", MONTH)
    world.drain()
    accepted = [message.to[0] for message in world.sandbox.accepted()]
    assert sorted(accepted) == sorted(f"u{n}@mail.example.net" for n in range(4, 24))
    audit = world.audit()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.CANCELLED)) == (20, 4)
