"""What became of a mail after SES took it: dropped, bounced, complained about; and people's decisions about doubt."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.ses_sandbox.model import AcceptedMail
from schemas.codec import RESEND_HEADER, encode, fingerprint
from schemas.identity import Key
from schemas.records import Feedback, Outcome, Resend
from tests.support.feed import gather, published
from tests.support.world import MONTH, SHORT, TEMPLATE, World, job, wait_for

NEXT = "2026-12"

pytestmark = pytest.mark.short_lives


def emit(world: World, mail: AcceptedMail, kind: str) -> None:
    world.sandbox.call("POST", "events", {"n": mail.n, "kind": kind})


def decide(world: World, user: str, resolution: str, **env: str) -> Any:
    return world.run("uncertain", "resolve", user, MONTH, "--as", resolution, "--why", "looked", "--who", "ann", **env)


def test_what_ses_dropped_becomes_a_dead_letter(world: World, feed: Any) -> None:
    """G2: accepted and thrown away (Rendering Failure, Reject) is dead, once, with the job's own bytes."""
    world.sandbox.set(events_duplicate_share=1.0, events_shuffle=True)
    process = world.processor("p1")
    world.publish([job("good"), job("spam")])
    wait_for(lambda: world.sandbox.accepted_count() == 2, "the first mails")
    # Somebody changes the template under a processor that has looked at it already: its check cannot see that.
    world.push_template("monthly-usage", {"Subject": "s", "Text": "{{lacks}}"})
    world.publish(job(f"broken{n}") for n in range(3))
    wait_for(lambda: len(world.deliveries()) == 5, "the others' outcomes")
    assert process.terminate() == 0
    spam = next(mail for mail in world.sandbox.accepted() if mail.to == ["spam@mail.example.net"])
    emit(world, spam, "Reject")
    published(world)
    assert gather(world)["dropped"] == 4
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.DEAD)) == (1, 4)
    letters = {record.key: (record.value, letter.reason) for record, letter in world.dead_letters()}
    assert len(world.dead_letters()) == 4, "each once, though every event came twice"
    assert letters[f"spam:{MONTH}".encode()][1] == "rejected-by-ses"
    value, reason = letters[f"broken0:{MONTH}".encode()]
    assert reason == "rendering-failure"
    assert json.loads(value or b"")["user_id"] == "broken0"
    status = json.loads(world.run("status", "--month", MONTH, "--json").stdout)
    assert (status["sent"], status["dead"], status["pending"]) == (1, 4, 0)
    # A corrected job by itself is no leave to send again: SES took one message for the key already.
    accepted = world.sandbox.accepted_count()
    world.push_template("monthly-usage", TEMPLATE)
    world.publish([job("broken1", note="corrected")])
    world.drain("again")
    world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert world.sandbox.accepted_count() == accepted
    # An operator's requeue is: of a corrected key the corrected row goes out, and the same letter no second time.
    chosen = ("dead-letters", "requeue", "--reason", "rendering-failure", "--month", MONTH, "--json")
    assert len(json.loads(world.run(*chosen).stdout)["requeued"]) == 3
    assert json.loads(world.run(*chosen).stdout)["requeued"] == []
    world.drain("resent")
    assert world.sandbox.accepted_count() == accepted + 3
    audit = world.audit()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.DEAD)) == (4, 1)
    assert audit.outcomes[Key("broken1", MONTH)].fingerprint == fingerprint(job("broken1", note="corrected"))
    assert json.loads(world.run("dedup", "verify", "--json").stdout)["safe"]


def test_a_paused_month_ends_a_drain_and_goes_on(world: World) -> None:
    """Nothing of it is called for; a drain ends with exit code 4, status says why, and once resumed all are sent."""
    world.publish([job("first")])
    world.drain()
    world.run("pause", "--month", MONTH, "--why", "by hand", "--who", "ann")
    world.publish(job(f"u{number}") for number in range(40))
    paused = world.processor("p2", drain=True)
    assert paused.wait() == 4
    assert world.sandbox.accepted_count() == 1
    assert json.loads(world.run("status", "--month", MONTH, "--json").stdout)["paused"] == "by hand"
    assert json.loads(world.run("resume", "--month", MONTH, "--json").stdout) == {"paused": {}}
    world.drain("p3")
    world.audit().check()


def test_dropped_before_our_own_record(world: World, feed: Any) -> None:
    """G2: the event is quicker than SES's answer: the outcome is dead all the same."""
    world.sandbox.fault("latency", address="slow*", latency_ms=2500)
    world.env["MAILONCE_SES_READ_TIMEOUT_S"] = "10"
    world.publish([job("slow"), job("u1")])
    process = world.processor("p1", drain=True)
    wait_for(lambda: world.sandbox.accepted_count() == 2, "acceptance")
    slow = next(mail for mail in world.sandbox.accepted() if mail.to == ["slow@mail.example.net"])
    emit(world, slow, "Rendering Failure")
    published(world)
    assert gather(world)["dropped"] == 1
    assert process.wait() == 0
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("slow", MONTH)].outcome is Outcome.DEAD
    assert len(world.dead_letters()) == 1


def test_bounces_and_complaints_suppress_the_address(world: World, feed: Any) -> None:
    """Marked in the ledger, dead-lettered with the reason, and silent from then on, until somebody takes it off."""
    bounce, complaint = "bounce@simulator.amazonses.com", "complaint@simulator.amazonses.com"
    world.sandbox.set(events_duplicate_share=1.0)
    world.publish([job("b", email=bounce), job("c", email=complaint), job("u1")])
    world.drain()
    published(world)
    counts = gather(world)
    assert (counts["bounced"], counts["complained"]) == (1, 1)
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 3
    assert audit.outcomes[Key("b", MONTH)].feedback is Feedback.BOUNCED
    assert audit.outcomes[Key("c", MONTH)].feedback is Feedback.COMPLAINED
    assert sorted(letter.reason for _, letter in world.dead_letters()) == ["bounced", "complained"]
    shown = json.loads(world.run("suppressions", "list", "--json", "--unmasked").stdout)
    assert [(entry["address"], entry["reason"]) for entry in shown] == [(bounce, "bounced"), (complaint, "complained")]
    assert bounce not in world.run("suppressions", "list").stdout
    # A later month: suppressed, for the address in any spelling.
    world.publish([job("b", email=bounce.upper(), month=NEXT), job("c", email=complaint, month=NEXT)])
    world.drain("p2")
    assert world.audit().outcomes[Key("b", NEXT)].outcome is Outcome.SUPPRESSED
    world.run("suppressions", "remove", bounce)
    assert "not on mailonce's list" in world.run("suppressions", "remove", bounce, ok=(2,)).stderr
    world.publish([job("b", email=bounce, month=NEXT)])
    world.drain("p3")
    after = world.audit()
    assert after.outcomes[Key("b", NEXT)].outcome is Outcome.SENT
    assert after.outcomes[Key("c", NEXT)].outcome is Outcome.SUPPRESSED


def test_a_running_processor_hears_of_suppressions(world: World) -> None:
    """What is put on the list while it runs counts from the next refresh on."""
    process = world.processor("p1", MAILONCE_ACCOUNT_REFRESH_S="0.2")
    wait_for(lambda: process.says("partitions assigned"), "its partitions")
    world.run("suppressions", "add", "Quiet@mail.example.net", "--why", "asked")
    for number in range(1000):
        world.publish([job(f"quiet{number}", email="quiet@mail.example.net")])
        key = Key(f"quiet{number}", MONTH)
        wait_for(lambda key=key: key in world.deliveries(), "an outcome")
        if world.deliveries()[key][-1].outcome is Outcome.SUPPRESSED:
            break
    else:
        raise AssertionError("the list was never refreshed")
    assert process.terminate() == 0
    assert "an address" in world.run("suppressions", "add", "nobody", "--why", "x", ok=(2,)).stderr


def in_doubt(world: World, *users: str, took: bool) -> None:
    """Mails whose answers were lost; SES `took` them, or not."""
    world.sandbox.fault("accept_drop" if took else "drop", address="doubt*")
    world.publish([job("u1"), *(job(user) for user in users)])
    world.drain()
    world.sandbox.clear_faults()
    assert world.audit().count(Outcome.UNCERTAIN) == len(users)


def old_enough(world: World) -> None:
    """Waits until the doubtful attempts' lifetime has passed."""
    latest = max(entry.at_ms for entries in world.deliveries().values() for entry in entries)
    wait_for(lambda: time.time() * 1000 > latest + SHORT.attempt_s * 1000, "the lifetime's end")


def test_people_decide_about_doubt(world: World) -> None:
    """`sent`, `dead` and `resend`, recorded with who and why; a resend has a new attempt and happens once."""
    in_doubt(world, "doubt1", "doubt2", "doubt3", took=False)
    first = world.deliveries()[Key("doubt3", MONTH)][-1].attempt
    assert "SES may still accept" in decide_early(world)
    old_enough(world)
    assert (
        "1 mails would be to be sent again"
        in world.run("uncertain", "resolve", "doubt3", MONTH, "--as", "resend", "--why", "x", "--dry-run").stdout
    )
    for user, resolution in (("doubt1", "sent"), ("doubt2", "dead"), ("doubt3", "resend")):
        decide(world, user, resolution)
    world.drain("p2")
    audit = world.audit()
    audit.check()
    outcomes = {user: audit.outcomes[Key(user, MONTH)] for user in ("doubt1", "doubt2", "doubt3")}
    assert [entry.outcome for entry in outcomes.values()] == [Outcome.SENT, Outcome.DEAD, Outcome.SENT]
    assert (outcomes["doubt1"].by, outcomes["doubt1"].detail) == ("ann", "looked")
    assert audit.accepted[Key("doubt3", MONTH)] == 1
    assert outcomes["doubt3"].attempt != first
    intents = json.loads(world.run("show", "doubt3", MONTH, "--json").stdout)["intents"]
    leave = intents[-1]["resend"]
    assert (leave["overrides"], leave["who"], leave["why"]) == (first, "ann", "looked")
    assert (
        "not in doubt" in world.run("uncertain", "resolve", "u1", MONTH, "--as", "sent", "--why", "x", ok=(2,)).stderr
    )
    # Nothing of it opens the keys again: not a replay, not a wipe, not a corrected job for the one declared dead.
    accepted = world.sandbox.accepted_count()
    world.run("dedup", "rebuild")
    world.publish([job("doubt2", note="corrected")])
    world.drain("p3")
    world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert world.sandbox.accepted_count() == accepted
    decide(world, "doubt2", "resend")  # whose attempt is old enough, however young the decision is
    world.drain("p4")
    assert world.sandbox.accepted_count() == accepted + 1
    assert world.audit().outcomes[Key("doubt2", MONTH)].outcome is Outcome.SENT


def decide_early(world: World) -> str:
    long = {"MAILONCE_ATTEMPT_LIFETIME_S": "600"}  # which has not passed, however slow the machine is
    done = world.run("uncertain", "resolve", "doubt1", MONTH, "--as", "resend", "--why", "x", ok=(2,), **long)
    return str(done.stderr)


def test_a_resend_asked_twice_happens_once(world: World) -> None:
    """G1: two leaves for one attempt are one: whoever comes second finds another attempt there."""
    in_doubt(world, "doubt1", took=False)
    old_enough(world)
    for _ in range(2):
        decide(world, "doubt1", "resend")
    world.drain("p2")
    world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    audit = world.audit()
    audit.check()
    assert audit.accepted[Key("doubt1", MONTH)] == 1


@pytest.mark.long  # the simulator kills there; real servers see a resend and a kill apart
def test_a_resend_killed_inside_its_call_is_doubt_again(world: World) -> None:
    """G1: the leave is used up; the new attempt is held, whatever is replayed or wiped."""
    in_doubt(world, "doubt1", took=False)
    old_enough(world)
    decide(world, "doubt1", "resend")
    world.sandbox.set(latency_ms=1000)
    assert world.processor("p2", at="inside_call", MAILONCE_SES_READ_TIMEOUT_S="10").wait() == -9
    world.sandbox.set(latency_ms=0)
    world.run("dedup", "rebuild")
    world.drain("p3")
    audit = world.audit()
    audit.check(uncertain_max=1)
    assert audit.accepted[Key("doubt1", MONTH)] == 1
    assert audit.outcomes[Key("doubt1", MONTH)].outcome is Outcome.UNCERTAIN


@pytest.mark.long  # the scripts' contract and the simulator try it
def test_evidence_beats_a_resend(world: World, feed: Any) -> None:
    """G1: SES's word comes between the leave and its use: nothing is sent."""
    in_doubt(world, "doubt1", took=True)
    old_enough(world)
    decide(world, "doubt1", "resend")
    published(world)
    gather(world)
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.accepted[Key("doubt1", MONTH)] == 1
    assert audit.outcomes[Key("doubt1", MONTH)].outcome is Outcome.SENT


def test_an_unreadable_leave_is_none(world: World) -> None:
    """A record whose header nobody can read is dead-lettered."""
    in_doubt(world, "doubt1", took=False)
    entry = job("doubt1")
    world.publish_raw([(f"doubt1:{MONTH}".encode(), encode(entry), [(RESEND_HEADER, b"please")])])
    world.publish_raw([(f"doubt1:{MONTH}".encode(), encode(entry), [(RESEND_HEADER, encode(Resend("x", "y", "z")))])])
    world.drain("p2")
    assert world.sandbox.accepted_count() == 1
    assert [letter.reason for _, letter in world.dead_letters()] == ["bad-resend"]
    world.audit().check(uncertain_max=1)


WINDOW = {"MAILONCE_ON_UNCERTAIN": "resend-after-evidence-window", "MAILONCE_EVIDENCE_WINDOW_S": "6"}


def test_sent_again_only_when_the_feed_lives(world: World, feed: Any) -> None:
    """G1: silence of a dead feed proves nothing; of a live one, after the window, that SES took nothing."""
    in_doubt(world, "doubt1", took=False)
    published(world)
    wait_for(lambda: time.time() * 1000 > world.deliveries()[Key("doubt1", MONTH)][-1].at_ms + 7000, "the window")
    assert gather(world, **WINDOW)["resent"] == 0, "no later mail's event has come"
    world.publish([job("later")])
    world.drain("p2")
    published(world)
    assert gather(world)["resent"] == 0, "the default is to hold"
    queue = world.env["MAILONCE_EVENTS_QUEUE_URL"]
    feed.send_message(QueueUrl=queue, MessageBody="received by somebody who died")
    (held,) = feed.receive_message(QueueUrl=queue, VisibilityTimeout=600)["Messages"]
    assert gather(world, **WINDOW)["resent"] == 0, "a message in flight may be the doubtful mail's event"
    feed.delete_message(QueueUrl=queue, ReceiptHandle=held["ReceiptHandle"])
    feed.send_message(QueueUrl=queue, MessageBody="not yet", DelaySeconds=600)
    assert gather(world, **WINDOW)["resent"] == 0, "so may one that SQS delays"
    feed.purge_queue(QueueUrl=queue)
    assert gather(world, **WINDOW)["resent"] == 1
    world.drain("p3")
    audit = world.audit()
    audit.check()
    assert audit.accepted[Key("doubt1", MONTH)] == 1
    assert gather(world, **WINDOW)["resent"] == 0


def test_what_redis_knows_reaches_the_ledger(world: World, feed: Any) -> None:
    """G4: a processor that died between committing its doubt and looking again: evidence's next round records it."""
    in_doubt(world, "doubt1", took=True)
    published(world)
    # As it is when the event came between the mark and the commit: the fact in Redis, the doubt in the ledger.
    (mail,) = [mail for mail in world.sandbox.accepted() if mail.to == ["doubt1@mail.example.net"]]
    import redis

    client = redis.Redis.from_url(world.env["MAILONCE_REDIS_URL"], decode_responses=True)
    (bucket,) = [n for n in client.keys(f"*{world.settings.topic_prefix}*:2026-11:*") if client.hexists(n, "doubt1")]
    client.hset(bucket, "doubt1", f"S{mail.message_id}")
    client.close()
    queue = world.env["MAILONCE_EVENTS_QUEUE_URL"]
    feed.purge_queue(QueueUrl=queue)
    assert gather(world)["resolved"] == 1
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("doubt1", MONTH)].message_id == mail.message_id


@pytest.mark.parametrize("form", ["file", "folder"])
def test_cloudtrail_resolves_doubt(world: World, tmp_path: Path, form: str) -> None:
    """A second proof: the account's log of SES data events, plain or gzipped."""
    in_doubt(world, "doubt1", "doubt2", took=True)
    content = cloudtrail_log(world.sandbox.accepted())
    folder = tmp_path / "trail" / "2026" / "11"
    folder.mkdir(parents=True)
    (folder / "a.json.gz").write_bytes(gzip.compress(content))
    if form == "folder":
        (folder / "b.json").write_bytes(content)
        (folder / "junk.json").write_bytes(b"{}")
    place = folder / "a.json.gz" if form == "file" else tmp_path / "trail"
    counts = gather(world, "--cloudtrail", str(place))
    assert (counts["resolved"], counts["bad"]) == (2, int(form == "folder"))
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 3
    missing = world.run("evidence", "--cloudtrail", str(tmp_path / "nothing"), ok=(2,))
    assert "No such file" in missing.stderr


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 (moto's server)."""
    from moto.server import ThreadedMotoServer  # slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_cloudtrail_in_s3_resolves_doubt(world: World, s3: str) -> None:
    """Where CloudTrail writes by itself: every log under a prefix, whatever lies beside it."""
    in_doubt(world, "doubt1", "doubt2", took=True)
    by_key = world.sandbox.by_key()
    one, two = (cloudtrail_log(by_key[Key(user, MONTH)]) for user in ("doubt1", "doubt2"))
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="trail")
    client.put_object(Bucket="trail", Key="AWSLogs/1/2026/11/a.json.gz", Body=gzip.compress(one))
    client.put_object(Bucket="trail", Key="AWSLogs/1/2026/11/b.json", Body=two)
    client.put_object(Bucket="trail", Key="other/junk.json", Body=b"{}")
    counts = gather(world, "--cloudtrail", "s3://trail/AWSLogs/", AWS_ENDPOINT_URL_S3=s3)
    assert (counts["resolved"], counts["bad"]) == (2, 0)
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 3
    missing = world.run("evidence", "--cloudtrail", "s3://nobodys/x", ok=(2,), AWS_ENDPOINT_URL_S3=s3)
    assert "s3://nobodys/x" in missing.stderr
    assert "Traceback" not in missing.stderr


def cloudtrail_log(mails: list[AcceptedMail]) -> bytes:
    """The account's CloudTrail log of these calls, in the shape of the developer guide's example."""
    records = [
        {
            "eventVersion": "1.11",
            "eventTime": "2026-11-01T00:00:31Z",
            "eventSource": "ses.amazonaws.com",
            "eventName": "SendEmail",
            "requestParameters": {
                "fromEmailAddress": mail.sender,
                "destination": {"toAddresses": ["HIDDEN_DUE_TO_SECURITY_REASONS"]},
                "emailTags": [{"value": value, "name": name} for name, value in mail.tags.items()],
            },
            "responseElements": None,
            "additionalEventData": {"sesMessageId": mail.message_id},
            "eventCategory": "Data",
        }
        for mail in mails
    ]
    return json.dumps({"Records": records}).encode()
