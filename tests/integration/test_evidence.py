"""Doubt resolves by SES's own events: at least once, late, out of order, doubled, before our own record."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.embedded import Stack
from schemas.identity import Key
from schemas.records import Outcome
from schemas.runtime.errors import UsageError
from tests.support.feed import gather, published
from tests.support.world import MONTH, WAIT_S, World, job, wait_for


@pytest.mark.parametrize(
    "envelope", ["sns", *(pytest.param(e, marks=pytest.mark.long) for e in ("raw", "eventbridge"))]
)
def test_lost_answers_become_sent(world: World, feed: Any, envelope: str) -> None:
    """G4: with the event feed doubt resolves by itself; what SES never took stays held."""
    world.sandbox.set(events_format=envelope, events_held=True, events_duplicate_share=0.5, events_shuffle=True)
    world.sandbox.fault("accept_drop", address="lost*")
    world.sandbox.fault("drop", address="never*")
    world.publish([*(job(f"u{n}") for n in range(10)), *(job(f"lost{n}") for n in range(5)), job("never")])
    world.drain()
    before = world.audit()
    assert (before.count(Outcome.SENT), before.count(Outcome.UNCERTAIN)) == (10, 6)
    assert len(json.loads(world.run("uncertain", "list", "--month", MONTH, "--json").stdout)) == 6
    world.sandbox.set(events_held=False)
    published(world)
    counts = gather(world)
    assert (counts["resolved"], counts["bad"], counts["foreign"]) == (5, 0, 0)
    audit = world.audit()
    audit.check(uncertain_max=1)
    assert (audit.count(Outcome.SENT), audit.count(Outcome.UNCERTAIN)) == (15, 1)
    (left,) = json.loads(world.run("uncertain", "list", "--json").stdout)
    assert left["user_id"] == "never"
    story = json.loads(world.run("show", "lost1", MONTH, "--json").stdout)
    assert story["outcome"] == "sent"
    assert {event["kind"] for event in story["events"]} == {"Send", "Delivery"}
    # Nothing of it lets a second mail out, now or in a replay.
    world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    world.audit().check(uncertain_max=1)
    assert not world.dead_letters()
    assert json.loads(world.run("dedup", "verify", "--json").stdout)["safe"]


def test_events_before_our_own_record(world: World, feed: Any) -> None:
    """G4: SES's event may be quicker than our time-out: then there is no doubt at all."""
    world.env["MAILONCE_SES_READ_TIMEOUT_S"] = "4"
    world.sandbox.fault("accept_hang", address="slow*")
    world.publish([*(job(f"u{n}") for n in range(5)), job("slow1"), job("slow2")])
    process = world.processor("p1", drain=True)
    wait_for(lambda: world.sandbox.accepted_count() == 7, "acceptance")
    published(world)
    gather(world)
    assert process.wait() == 0
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 7


@pytest.mark.short_lives
def test_a_killed_processor_and_evidence(world: World, feed: Any) -> None:
    """G2, G4: what was in the air when the processor died is recorded as sent, without waiting in doubt."""
    world.sandbox.set(latency_ms=300)
    world.publish(job(f"u{n}") for n in range(40))
    victim = world.processor("p1", at="inside_call", nth=20)
    assert victim.wait() == -9
    published(world)
    gather(world)
    world.sandbox.set(latency_ms=0)
    world.drain("p1")
    published(world)
    gather(world)
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 40


def test_killed_before_the_deletion_it_comes_again(world: World, feed: Any) -> None:
    """At least once: a batch that was committed and not deleted is read again and changes nothing."""
    world.sandbox.fault("accept_drop", address="lost*")
    world.publish(job(f"lost{n}") for n in range(5))
    world.drain()
    published(world)
    queue = world.env["MAILONCE_EVENTS_QUEUE_URL"]
    copies = []
    while messages := feed.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        copies += [message["Body"] for message in messages]
        for message in messages:
            feed.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert len(copies) == 10
    for expected in (5, 0):
        for body in copies:
            feed.send_message(QueueUrl=queue, MessageBody=body)
        assert gather(world)["resolved"] == expected
    audit = world.audit()
    audit.check()
    assert len(world.deliveries()[Key("lost0", MONTH)]) == 2


def test_junk_in_the_queue(world: World, feed: Any) -> None:
    """Foreign mail's events are passed over, junk is dead-lettered with its exact bytes; the queue is empty after."""
    queue = world.env["MAILONCE_EVENTS_QUEUE_URL"]
    bodies = ["no json", "{}", '{"eventType": "Send", "mail": {"tags": {}, "messageId": "m"}}', "[1]"]
    for body in bodies:
        feed.send_message(QueueUrl=queue, MessageBody=body)
    counts = gather(world)
    assert (counts["events"], counts["resolved"], counts["untagged"], counts["bad"]) == (0, 0, 1, 3)
    assert sorted(record.value or b"" for record, _ in world.dead_letters()) == [b"[1]", b"no json", b"{}"]
    assert {letter.reason for _, letter in world.dead_letters()} == {"bad-event"}
    assert not feed.receive_message(QueueUrl=queue).get("Messages")


def test_a_stack_with_events(tmp_path: Path) -> None:
    """`stack up --events` and its environment are all that evidence needs."""
    stack = Stack(tmp_path, tied=True)
    try:
        with pytest.raises(UsageError, match="both ses and sqs"):
            stack.connect_events()
        stack.up(("ses", "sqs"))
        assert "MAILONCE_CONFIGURATION_SET" not in stack.env()
        for _ in range(2):
            stack.connect_events()
        env = stack.env()
        ses = boto3.client("sesv2", endpoint_url=env["AWS_ENDPOINT_URL_SESV2"], region_name="us-east-1")
        ses.send_email(
            FromEmailAddress="usage@example.com",
            Destination={"ToAddresses": ["a@mail.example.net"]},
            Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
            ConfigurationSetName=env["MAILONCE_CONFIGURATION_SET"],
        )
        sqs = boto3.client("sqs", endpoint_url=env["AWS_ENDPOINT_URL_SQS"], region_name="us-east-1")
        assert wait_for(
            lambda: sqs.receive_message(QueueUrl=env["MAILONCE_EVENTS_QUEUE_URL"]).get("Messages"), "an event"
        )
    finally:
        stack.down()


def test_without_a_queue_it_says_so(world: World) -> None:
    """Clear errors, no traceback."""
    assert (
        "MAILONCE_EVENTS_QUEUE_URL is not set"
        in world.run("evidence", "--drain", ok=(2,), MAILONCE_EVENTS_QUEUE_URL="").stderr
    )
    done = world.run(
        "evidence",
        "--drain",
        ok=(7,),
        MAILONCE_EVENTS_QUEUE_URL="http://127.0.0.1:1/q",
        AWS_ENDPOINT_URL_SQS="http://127.0.0.1:1",
    )
    assert "SQS does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_of_the_evidence(world: World, feed: Any) -> None:
    """What alerts rest on: what is held and for how long, and the feed's age."""
    began_s = time.time()
    world.sandbox.fault("drop", address="never*")
    world.publish([job("u1"), job("never")])
    world.drain()
    published(world)
    process = world.start("evidence", "--metrics-port", "0")
    (port,) = wait_for(lambda: [e["port"] for e in process.events() if e["event"] == "metrics served"], "metrics")
    wait_for(lambda: metric(port, "mailonce_uncertain_held") == 1, "the doubt")
    assert metric(port, "mailonce_uncertain_oldest_seconds") > 0
    assert metric(port, "mailonce_evidence_last_event_timestamp_seconds") > began_s - 1
    wait_for(lambda: told(port, "readyz") == "ok\n", "readiness")
    assert process.terminate() == 0


def told(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=WAIT_S) as answer:
        text: str = answer.read().decode()
        return text


def metric(port: int, name: str) -> float:
    lines = [line for line in told(port, "metrics").splitlines() if line.startswith(name)]
    return float(lines[0].rpartition(" ")[2]) if lines else -1.0
