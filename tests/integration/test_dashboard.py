"""The dashboard on real Kafka: what its API tells is what the topics hold, also across crashes; and it changes nothing."""

from __future__ import annotations

import json
import signal
import urllib.request
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.codec import encode
from schemas.kafka.clients import reader_config, transactional_config
from schemas.kafka.reading import read_topic
from schemas.records import Delivery, Outcome, Source
from tests.support.dashboard import TOKEN, Dashboard, start_dashboard
from tests.support.feed import gather, published
from tests.support.world import MONTH, WAIT_S, World, job, wait_for


def month(dashboard: Dashboard) -> dict[str, Any]:
    found: dict[str, Any] = dashboard.api(f"month/{MONTH}")
    return found


def standings(dashboard: Dashboard) -> dict[str, int]:
    found = month(dashboard)
    return {name: found[name] for name in ("jobs", "sent", "dead", "uncertain", "pending") if found[name]}


def a_month(world: World) -> None:
    """Something of everything: 23 jobs."""
    world.sandbox.set(max_send_rate=500, max_24_hour_send=50_000)
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([*(job(f"u{n}") for n in range(20)), job("bad"), job("doubt")])
    world.publish_raw([(f"poison:{MONTH}".encode(), b"\xff\xfejunk", [])])


def test_it_tells_what_the_topics_hold_while_mail_flows(world: World, feed: Any) -> None:
    """Month, mail, letters, doubts; live; the same after a restart. G3: never more than is committed."""
    a_month(world)
    dashboard = start_dashboard(world)
    assert standings(dashboard) == {"jobs": 23, "pending": 23}
    assert sum(month(dashboard)["pending_by_partition"].values()) == 23
    assert month(dashboard)["processors"] == []
    live = urllib.request.urlopen(
        urllib.request.Request(f"{dashboard.url}/api/live/{MONTH}", headers={"Authorization": f"Bearer {TOKEN}"}),
        timeout=WAIT_S,
    )
    assert live.readline() == b"event: month\n"
    assert json.loads(live.readline().removeprefix(b"data: "))["pending"] == 23
    processor = world.processor("worker-one")
    done = {"jobs": 23, "sent": 20, "dead": 2, "uncertain": 1}
    wait_for(lambda: standings(dashboard) == done, "the outcomes")
    lines = iter(live.readline, b"")
    wait_for(lambda: any(b'"sent": 20' in line for line in (next(lines),)), "the live page's news")
    live.close()
    found = month(dashboard)
    assert found["dead_by_reason"] == {"message-rejected": 1, "not-json": 1}
    assert sum(minute["mails"] for minute in found["sent_per_minute"]) == 20
    assert found["allowed_per_s"] == 475.0
    assert 0 < found["quota_left"] <= 50_000
    wait_for(lambda: month(dashboard)["processors"], "the group's member")
    (member,) = month(dashboard)["processors"]
    assert (member["instance"], member["partitions"]) == ("worker-one", [0, 1, 2, 3])
    assert [one["month"] for one in dashboard.api("months")] == [MONTH]
    _mails(dashboard)
    letters = dashboard.api(f"dead-letters?month={MONTH}")
    assert letters["by_reason"] == {"message-rejected": 1, "not-json": 1}
    (poison,) = dashboard.api(f"dead-letters?month={MONTH}&reason=not-json")["letters"]
    assert dashboard.api(f"dead-letters/{poison['place']}")["value"] == "0xfffe6a756e6b"
    assert [one["user_id"] for one in dashboard.api(f"uncertain/{MONTH}")] == ["doubt"]
    published(world)
    gather(world)
    wait_for(lambda: standings(dashboard) == {"jobs": 23, "sent": 21, "dead": 2}, "the evidence")
    assert processor.terminate() == 0
    dashboard.process.kill()
    again = start_dashboard(world)
    assert standings(again) == {"jobs": 23, "sent": 21, "dead": 2}
    _mails(again)
    assert again.process.terminate() == 0
    world.audit().check()


def _mails(dashboard: Dashboard) -> None:
    mail = dashboard.api(f"mail/{MONTH}/u7")
    assert (mail["outcome"], mail["address"]) == ("sent", "u7***@mail.example.net")
    assert {entry["kind"] for entry in mail["entries"]} >= {"job", "intent", "outcome"}
    assert dashboard.api(f"mail/{MONTH}/u7?unmasked=1")["address"] == "u7@mail.example.net"
    for text in ("u7", "u7@mail.example.net", mail["address_hash"]):
        assert [one["user_id"] for one in dashboard.api(f"mail?q={text}")] == ["u7"]
    assert dashboard.api("mail?q=nobody@mail.example.net") == []
    for path in ("mail/2026-11/nobody", "dead-letters/0:999999", "dead-letters/x"):
        assert dashboard.ask(f"/api/{path}")[0] == 404
    assert dashboard.ask("/api/month/november")[0] == 400


def test_what_was_not_committed_is_not_shown(world: World) -> None:
    """G3, and Faust's own reading of uncommitted records: an aborted outcome never was."""
    world.publish([job("u1"), job("u2")])
    producer = Producer(transactional_config(world.settings, "aborter"))
    producer.init_transactions(WAIT_S)
    for user, commit in (("u1", False), ("u2", True)):
        producer.begin_transaction()
        wrong = Delivery(outcome=Outcome.SENT, at_ms=1, source=Source("j", 0, 0), instance="x", message_id="m")
        producer.produce(world.settings.topics.deliveries, encode(wrong), f"{user}:{MONTH}")
        producer.flush(WAIT_S)
        (producer.commit_transaction if commit else producer.abort_transaction)(WAIT_S)
    dashboard = start_dashboard(world)
    assert standings(dashboard) == {"jobs": 2, "sent": 1, "pending": 1}
    assert dashboard.api(f"mail/{MONTH}/u1")["outcome"] == "pending"


def test_its_offsets_pass_transaction_markers(world: World) -> None:
    """Else a restart would read again everything since the first marker: Faust 0.15 stands still there."""
    for n in range(3):
        world.publish([job(f"u{n}")])
        world.drain(f"d{n}")
    dashboard = start_dashboard(world)
    wait_for(lambda: standings(dashboard) == {"jobs": 3, "sent": 3}, "the month")
    last: dict[int, int] = {}
    for record in read_topic(world.settings, world.settings.topics.deliveries):
        last[record.partition] = record.offset
    group = f"{world.settings.topic_prefix}dashboard"
    consumer = Consumer(reader_config(world.settings, group=group))
    places = [TopicPartition(world.settings.topics.deliveries, partition) for partition in last]

    def passed() -> bool:
        return all(place.offset > last[place.partition] for place in consumer.committed(places, WAIT_S))

    wait_for(passed, "the commit past every record")
    consumer.close()


@pytest.mark.long  # its store's offsets are tried below
def test_another_instance_goes_on(world: World) -> None:
    """With the table on disk, killed with SIGKILL; another process under the same name takes over."""
    world.publish(job(f"u{n}") for n in range(30))
    world.drain()
    env = {"MAILONCE_DASHBOARD_STORE": "rocksdb"}
    dashboard = start_dashboard(world, **env)
    assert standings(dashboard) == {"jobs": 30, "sent": 30}
    dashboard.process.signal(signal.SIGKILL)
    dashboard.process.wait()
    world.publish([job("late")])
    again = start_dashboard(world, **env)
    wait_for(lambda: standings(again) == {"jobs": 31, "sent": 30, "pending": 1}, "the whole month")
    assert again.api(f"mail/{MONTH}/u3")["outcome"] == "sent"


@pytest.mark.long  # its fold is tried alone
def test_two_acceptances_are_seen(world: World, feed: Any) -> None:
    """Somebody sends the same mail past mailonce: page and metrics say so. (mailonce itself never does.)"""
    world.publish([job("u1"), job("u2")])
    world.drain()
    mail = next(mail for mail in world.sandbox.accepted() if mail.tags["mailonce_user"] == "u1")
    world.ses().send_email(
        FromEmailAddress=world.settings.from_address,
        Destination={"ToAddresses": ["u1@mail.example.net"]},
        Content={"Simple": {"Subject": {"Data": "again"}, "Body": {"Text": {"Data": "again"}}}},
        EmailTags=[{"Name": name, "Value": value} for name, value in mail.tags.items()],
        ConfigurationSetName=world.env["MAILONCE_CONFIGURATION_SET"],
    )
    published(world)
    gather(world)
    dashboard = start_dashboard(world)
    wait_for(lambda: month(dashboard)["duplicates"] == 1, "the second acceptance")
    assert dashboard.metric("mailonce_board_duplicates_total") == 1
    assert dashboard.metric("mailonce_month_mails") == 2
    assert "accepted twice" in dashboard.ask(f"/month/{MONTH}")[1]
    assert "SES accepted 2 messages" in dashboard.ask(f"/mail/{MONTH}/u1")[1]


def test_who_may_look_and_change(world: World) -> None:
    """A token everywhere but at the health pages; no change without one; no address open to the world without one."""
    world.publish([job("u1")])
    dashboard = start_dashboard(world)
    assert dashboard.ask("/api/months", token="")[0] == 401
    assert dashboard.ask("/api/months", token="wrong")[0] == 401
    assert dashboard.ask("/healthz", token="") == (200, "ok\n")
    assert dashboard.ask("/act/requeue", data=b"month=2026-11")[0] == 403
    assert dashboard.process.terminate() == 0
    plain = start_dashboard(world, MAILONCE_DASHBOARD_TOKEN="")
    assert plain.ask("/api/months", token="")[0] == 200
    status, said = plain.ask("/act/discard", token="", data=b"month=2026-11")
    assert (status, "MAILONCE_DASHBOARD_TOKEN" in said) == (403, True)
    refused = world.run("dashboard", ok=(2,), MAILONCE_DASHBOARD_HOST="0.0.0.0")
    assert "open to everybody" in refused.stderr


def test_pages_of_an_empty_board(world: World) -> None:
    """Nothing published yet is no error."""
    dashboard = start_dashboard(world)
    for path in ("/", "/dead-letters", "/uncertain", "/mail", "/mail?q=x", "/api/openapi.json"):
        assert dashboard.ask(path)[0] == 200
