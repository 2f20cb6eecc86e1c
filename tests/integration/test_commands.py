"""The commands as an operator runs them: what they print, their JSON, their exit codes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from processor.core.outcomes import Arrivals
from schemas.kafka.reading import partition_numbers, read_record, read_topic
from schemas.runtime.errors import BrokerUnavailable
from tests.support.world import MONTH, WAIT_S, World, job, wait_for


def test_status_reads_the_truth(world: World) -> None:
    """Jobs and outcomes from the topics: each job in exactly one of them, or pending."""
    world.sandbox.set(max_send_rate=100, max_24_hour_send=50_000)
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([*(job(f"u{n}") for n in range(5)), job("bad"), job("doubt"), job("u0", month="2026-10")])
    world.publish_raw([(f"poison:{MONTH}".encode(), b"junk", [])])
    before = json.loads(world.run("status", "--month", MONTH, "--json").stdout)
    assert sum(before.pop("pending_by_partition").values()) == 8
    assert before.pop("sent_per_s") == 0
    assert before.pop("expected_end") > "2026"
    quota = before.pop("quota_left")
    assert not any(before.pop(how) for how in Arrivals.__struct_fields__)
    assert before.pop("paused", None) is None
    assert before == {
        "month": MONTH,
        "jobs": 8,
        "sent": 0,
        "dead": 0,
        "uncertain": 0,
        "suppressed": 0,
        "cancelled": 0,
        "pending": 8,
    }
    world.run("cancel", "u4", MONTH)
    world.drain()
    after = json.loads(world.run("status", "--month", MONTH, "--json").stdout)
    assert (after.pop("pending_by_partition"), after.pop("expected_end")) == ({}, None)
    assert (after.pop("sent_per_s"), after.pop("quota_left")) == (round(4 / 60, 2), quota - 6)
    assert not any(after.pop(how) for how in Arrivals.__struct_fields__)
    assert after.pop("paused", None) is None
    assert after == {
        "month": MONTH,
        "jobs": 8,
        "sent": 4,
        "dead": 2,
        "uncertain": 1,
        "suppressed": 0,
        "cancelled": 1,
        "pending": 0,
    }
    assert "cancelled" in world.run("status", "--month", MONTH).stdout
    assert json.loads(world.run("status", "--month", "2026-09", "--json").stdout)["jobs"] == 0
    # A corrected job is another chance: the dead one is pending again.
    world.publish([job("bad", usage="2")])
    again = json.loads(world.run("status", "--month", MONTH, "--json").stdout)
    assert (again["dead"], again["pending"]) == (1, 1)


def test_show_tells_one_mails_story(world: World) -> None:
    """Job, intent, outcome and claim; the address masked unless asked."""
    world.publish([job("a:b", email="anna.smith@mail.example.net")])
    world.drain()
    story = json.loads(world.run("show", "a:b", MONTH, "--json").stdout)
    assert (story["user_id"], story["outcome"]) == ("a:b", "sent")
    assert story["jobs"][0]["email"] == "an***@mail.example.net"
    assert story["intents"][0]["attempt"] == story["outcomes"][0]["attempt"]
    assert story["outcomes"][0]["message_id"] == world.sandbox.accepted()[0].message_id
    assert story["claim"]["state"] == "sent_recorded"
    assert "anna.smith@" in world.run("show", "a:b", MONTH, "--unmasked").stdout
    assert json.loads(world.run("show", "nobody", MONTH, "--json", ok=(1,)).stdout)["outcome"] == "unknown"
    world.publish_raw([(f"late:{MONTH}".encode(), None, []), (f"junk:{MONTH}".encode(), b"x", [])])
    assert json.loads(world.run("show", "junk", MONTH, "--json").stdout)["outcome"] == "pending"
    assert json.loads(world.run("show", "late", MONTH, "--json").stdout)["jobs"][0]["tombstone"] is True


def test_dead_letters_are_listed_and_shown(world: World) -> None:
    """Reasons, places, filters; the original bytes, hex where they are no text."""
    world.publish_raw([(f"p1:{MONTH}".encode(), b"\xff\xfe", [("h", b"v")]), (b"p2:2026-10", b"{", [])])
    world.drain()
    listed = json.loads(world.run("dead-letters", "list", "--json").stdout)
    assert {entry["key"] for entry in listed} == {f"p1:{MONTH}", "p2:2026-10"}
    (one,) = json.loads(world.run("dead-letters", "list", "--month", MONTH, "--json").stdout)
    assert one["reason"] == "not-json"
    assert json.loads(world.run("dead-letters", "list", "--reason", "other", "--json").stdout) == []
    shown = json.loads(world.run("dead-letters", "show", one["place"], "--json").stdout)
    assert shown["value"] == "0xfffe"
    assert shown["headers"] == [{"name": "h", "value": "v"}]
    assert "not-json" in world.run("dead-letters", "list").stdout
    assert "0xfffe" in world.run("dead-letters", "show", one["place"]).stdout
    assert "no dead letter at 0:99" in world.run("dead-letters", "show", "0:99", ok=(2,)).stderr
    assert "not a place" in world.run("dead-letters", "show", "x", ok=(2,)).stderr


def test_topics_create_is_idempotent_and_refuses_a_wrong_policy(world: World) -> None:
    """A topic that would lose records is refused by name."""
    states = json.loads(world.run("topics", "create", "--json").stdout)
    assert [state["created"] for state in states] == [False] * 8
    states = json.loads(
        world.run("topics", "create", "--json", MAILONCE_TOPIC_PREFIX=f"{world.settings.topic_prefix}x-").stdout
    )
    assert [state["created"] for state in states] == [True] * 8
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    prefix = f"{world.settings.topic_prefix}y-"
    admin.create_topics([NewTopic(f"{prefix}jobs", 1, 1, config={"cleanup.policy": "delete"})])[f"{prefix}jobs"].result(
        WAIT_S
    )
    done = world.run("topics", "create", ok=(2,), MAILONCE_TOPIC_PREFIX=prefix)
    assert f"topic {prefix}jobs exists with cleanup.policy=delete; mailonce needs compact" in done.stderr


def test_templates_are_pushed_once(world: World) -> None:
    """Created, unchanged, updated; a dry run writes nothing; a wrong folder is named."""
    folder = world.folder / "templates" / "t1"
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text("Hi {{name}}\n")
    (folder / "body.txt").write_text("{{usage}}\n")
    push = ("templates", "push", str(folder.parent))
    world.ses().delete_email_template(TemplateName="t1")
    assert "would be created" in world.run(*push, "--dry-run").stdout
    assert "t1: created; needs name, usage" in world.run(*push).stdout
    assert "t1: unchanged" in world.run(*push).stdout
    (folder / "body.html").write_text("<p>{{usage}}</p>")
    assert "t1: updated" in world.run(*push).stdout
    (folder / "subject.txt").unlink()
    assert "needs subject.txt" in world.run(*push, ok=(2,)).stderr
    assert "no such folder" in world.run("templates", "push", "nowhere", ok=(2,)).stderr


def test_settings_and_help(world: World) -> None:
    """Every setting with its meaning, secrets hidden; help with examples; clear usage errors."""
    rows = json.loads(world.run("settings", "--json", MAILONCE_KAFKA_SASL_PASSWORD="hunter2").stdout)
    assert all(row["meaning"] for row in rows)
    assert "hunter2" not in str(rows)
    assert "MAILONCE_GROUP_ID" in world.run("settings").stdout
    assert "Example:" in world.run("produce", "--help").stdout
    assert "YYYY-MM" in world.run("status", "--month", "11/2026", ok=(2,)).stderr
    done = world.run("process", ok=(2,), MAILONCE_FROM_ADDRESS="")
    assert "MAILONCE_FROM_ADDRESS is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_servers_that_are_away_are_named(world: World) -> None:
    """Exit code 7 and what to do, no traceback."""
    for env, says in (
        ({"MAILONCE_REDIS_URL": "redis://127.0.0.1:1/0"}, "MAILONCE_REDIS_URL"),
        ({"MAILONCE_TOPIC_PREFIX": "none-"}, "mailonce topics create"),
    ):
        done = world.run("process", "--drain", ok=(7,), **env)
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_reading_topics(world: World) -> None:
    """Topics read whole or by place; what is not there is said."""
    world.publish([job("u1")])
    topic = world.settings.topics.jobs
    (record,) = read_topic(world.settings, topic)
    assert read_record(world.settings, topic, record.partition, record.offset) == record
    assert read_record(world.settings, topic, 99, 0) is None
    assert read_record(world.settings, topic, record.partition, record.offset + 1) is None
    assert read_record(world.settings, topic, record.partition, 5) is None
    assert partition_numbers(world.settings, topic) == [0, 1, 2, 3]
    assert list(read_topic(world.settings, topic, [])) == []
    with pytest.raises(BrokerUnavailable, match="topics create"):
        partition_numbers(world.settings, "none")
    with pytest.raises(BrokerUnavailable, match="topics create"):
        list(read_topic(world.settings, "none"))


def test_a_month_is_watched_until_nothing_is_pending(world: World) -> None:
    """Live: a line each time with --json, and the end when the month is settled. SES need not answer."""
    world.publish(job(f"u{n}") for n in range(30))
    watching = world.start("status", "--month", MONTH, "--watch", "--json", AWS_ENDPOINT_URL_SESV2="http://127.0.0.1:9")
    wait_for(lambda: '"pending": 30' in watching.log.read_text(), "the first look")
    world.drain()
    assert watching.wait() == 0
    last = json.loads(watching.log.read_text().splitlines()[-1])
    assert (last["sent"], last["pending"], last["quota_left"], last["expected_end"]) == (30, 0, None, None)
    assert "30" in world.run("status", "--month", MONTH, "--watch").stdout


def test_who_of_a_source_has_no_mail_and_why(world: World) -> None:
    """Never published, pending, dead, uncertain: in the source's order; exit code 1 while there is somebody."""
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([job("fine"), job("bad"), job("doubt")])
    world.drain()
    world.publish([job("late")])
    path = world.folder / "users.csv"
    users = ["fine", "never", "doubt", "late", "bad", "x" * 193]
    path.write_text("user_id,email\n" + "".join(f"{user},{user}@mail.example.net\n" for user in users))
    args = ("missing", "--month", MONTH, "--source", str(path))
    found = json.loads(world.run(*args, "--json", ok=(1,)).stdout)
    assert [(entry["line"], entry["why"]) for entry in found] == [
        (3, "never-published"),
        (4, "uncertain"),
        (5, "pending"),
        (6, "dead"),
        (7, "never-published"),
    ]
    assert "5,late,pending," in world.run(*args, "--csv", ok=(1,)).stdout
    assert "without mail: 5" in world.run(*args, ok=(1,)).stdout
    path.write_text("user_id,email\nfine,fine@mail.example.net\n")
    assert "everybody has mail" in world.run(*args).stdout


def test_a_processor_tells_metrics_and_health(world: World) -> None:
    """What alerts rest on: outcomes, answers, claims, latency; ready once it has partitions; two on one port range."""
    world.sandbox.fault("reject", address="bad*")
    world.publish([*(job(f"u{n}") for n in range(20)), job("bad")])
    one, two = (world.start("process", "--instance", name, "--metrics-port", "29464") for name in ("one", "two"))
    wait_for(lambda: world.sandbox.accepted_count() >= 20, "all mails")
    ports = [
        wait_for(lambda p=p: [e["port"] for e in p.events() if e["event"] == "metrics served"], "metrics")[0]
        for p in (one, two)
    ]
    assert len(set(ports)) == 2
    wait_for(lambda: all(ask(port, "readyz") == (200, "ok\n") for port in ports), "readiness")
    assert all(ask(port, "healthz") == (200, "ok\n") for port in ports)
    assert ask(ports[0], "else")[0] == 404

    def total(name: str) -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for port in ports
            for line in ask(port, "metrics")[1].splitlines()
            if line.startswith(name)
        )

    wait_for(lambda: total('mailonce_settled_total{outcome="sent"}') == 20, "the outcomes")
    assert total('mailonce_settled_total{outcome="dead"}') == 1
    assert total('mailonce_ses_answers_total{verdict="accepted"}') == 20
    assert total('mailonce_ses_answers_total{verdict="refused_message"}') == 1
    assert total('mailonce_claims_total{answer="granted"}') == 21
    assert total("mailonce_ses_seconds_count") == 21
    assert total('mailonce_transactions_total{end="committed"}') > 0
    wait_for(lambda: total("mailonce_partitions") == 4, "the partitions' division")
    assert total("mailonce_build_info") == 2
    assert one.terminate() == two.terminate() == 0


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=WAIT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_mail_is_previewed_and_a_source_sampled(world: World) -> None:
    """Rendered by SES's engine from the source's row; nothing is published or sent. Exactly the rows asked for."""
    path = world.folder / "crm.csv"
    path.write_text(
        "customer,mail,name,usage,plan\nu:1,anna@b.de,Anna,<5>,Plus\nu2,bad,Bert,6,Plus\nu3,c@d.de,Carl,7,Basic\n"
    )
    maps = ("--map", "user_id=customer", "--map", "email=mail")
    seen = json.loads(world.run("preview", "u:1", MONTH, "--source", str(path), *maps, "--json").stdout)
    assert (seen["to"], seen["subject"]) == ("an***@b.de", "Hello Anna")
    assert "Hello Anna, <5> kWh" in seen["text"]
    assert "<p>Hello Anna, <5> kWh</p>" in seen["html"]
    world.run("preview", "u:1", MONTH, "--source", str(path), *maps, "--folder", str(world.folder / "out"))
    assert (world.folder / "out" / f"u-1-{MONTH}.html").read_text().startswith("<p>")
    for user, says in (("nobody", "no row of nobody"), ("u2", "bad-address")):
        assert says in world.run("preview", user, MONTH, "--source", str(path), *maps, ok=(2,)).stderr
    wrong = world.run("preview", "u3", MONTH, "--source", str(path), *maps, "--template", "none", ok=(2,))
    assert "could not render template 'none'" in wrong.stderr
    sampled = world.run(
        "produce", "--month", MONTH, "--source", str(path), *maps, "--sample", "5", "--where", "plan=Plus"
    )
    jobs = [json.loads(line) for line in sampled.stdout.splitlines()]
    assert [entry.get("email") or entry["rejected"] for entry in jobs] == ["an***@b.de", "bad-address"]
    some = ("produce", "--month", MONTH, "--source", str(path), *maps, "--where", "plan=Plus", "--limit", "1", "--json")
    assert json.loads(world.run(*some).stdout)["published"] == 1
    assert "is not NAME=VALUE" in world.run(*some[:-3], "--where", "x", ok=(2,)).stderr
    assert world.sandbox.accepted() == []
