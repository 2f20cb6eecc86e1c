"""Dead letters as operators handle them: found, understood, corrected, sent back once, put aside."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from schemas.codec import decode_requeue
from schemas.kafka.reading import read_topic
from schemas.records import Outcome
from tests.support.world import MONTH, World, job


def letters(world: World, *args: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(world.run("dead-letters", "list", "--json", *args).stdout)
    return found


def requeue(world: World, *args: str, ok: tuple[int, ...] = (0,)) -> dict[str, object]:
    facts: dict[str, object] = json.loads(world.run("dead-letters", "requeue", "--json", *args, ok=ok).stdout)
    return facts


def test_a_corrected_letter_goes_back_and_is_sent_once(world: World) -> None:
    """The correction is recorded with who and why; the same letter does not go back twice."""
    world.publish_raw([(f"u1:{MONTH}".encode(), json.dumps(wrong("u1")).encode(), [("trace", b"t1")])])
    world.publish([job("u2")])
    world.drain()
    (letter,) = letters(world)
    assert (letter["reason"], letter["state"]) == ("bad-address", "open")
    place = str(letter["place"])
    assert "would die again" in str(requeue(world, place, ok=(1,))["refused"])
    fix = ("--set", "email=anna@mail.example.net", "--why", "by phone", "--who", "ops")
    assert requeue(world, place, *fix, "--dry-run") == {"requeued": [place], "refused": {}, "dry_run": True}
    assert letters(world)[0]["state"] == "open"
    assert requeue(world, place, *fix)["requeued"] == [place]
    assert letters(world, "--state", "requeued")[0]["mark"] == {
        "what": "requeued",
        "who": "ops",
        "why": "by phone",
        "at_ms": letters(world)[0]["mark"]["at_ms"],  # type: ignore[index]
        "changes": {"email": "anna@mail.example.net"},
    }
    assert "already requeued by ops" in str(requeue(world, place, ok=(1,))["refused"])
    world.drain()
    assert [mail.to for mail in world.sandbox.accepted() if "anna" in str(mail.to)]
    record = list(read_topic(world.settings, world.settings.topics.jobs))[-1]
    newest = max(
        (one for one in read_topic(world.settings, world.settings.topics.jobs) if one.key == f"u1:{MONTH}".encode()),
        key=lambda one: one.offset,
    )
    assert record is not None
    note = decode_requeue(newest.headers)
    assert note is not None
    assert (note.times, note.place, note.who, note.changes) == (1, place, "ops", {"email": "anna@mail.example.net"})
    assert ("trace", b"t1") in newest.headers
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 2


def wrong(user: str) -> dict[str, object]:
    return {
        "v": 1,
        "user_id": user,
        "month": MONTH,
        "email": "anna at example",
        "template": "monthly-usage",
        "data": {"name": "Anna", "usage": "1"},
    }


def test_what_was_sent_meanwhile_is_refused_by_name(world: World) -> None:
    """G1: neither a sent mail nor one in doubt goes back."""
    world.sandbox.fault("reject", address="late*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([job("late"), job("doubt"), job("fine")])
    world.drain()
    world.sandbox.clear_faults()
    world.publish([job("late", usage="43"), job("fine", usage="99")])
    world.drain()
    found = {(letter["key"], letter["reason"]): str(letter["place"]) for letter in letters(world)}
    late = found[f"late:{MONTH}", "message-rejected"]
    changed = found[f"fine:{MONTH}", "changed-after-sending"]
    refused = requeue(world, late, changed, ok=(1,))["refused"]
    assert refused == {late: f"late:{MONTH}: was sent meanwhile", changed: f"fine:{MONTH}: was sent meanwhile"}
    world.run("uncertain", "resolve", "doubt", MONTH, "--as", "dead", "--why", "gave up")
    (held,) = letters(world, "--user", "doubt")
    assert "SES may have accepted it" in str(requeue(world, str(held["place"]), ok=(1,))["refused"])
    world.drain()
    world.audit().check()


@pytest.mark.long  # the count is a decision, tried alone
def test_a_letter_that_comes_back_and_back_is_stopped(world: World) -> None:
    """The loop guard: after so many requeues something else is wrong."""
    world.sandbox.fault("reject", address="bad*")
    world.publish([job("bad")])
    env = {"MAILONCE_REQUEUE_MAX": "2"}
    for _ in range(2):
        world.drain()
        (letter,) = letters(world, "--state", "open")
        world.run("dead-letters", "requeue", str(letter["place"]), **env)
    world.drain()
    (letter,) = letters(world, "--state", "open")
    done = world.run("dead-letters", "requeue", "--reason", "message-rejected", ok=(1,), **env)
    assert "came back 2 times" in done.stdout
    # Once the cause is mended, one may say so.
    world.sandbox.clear_faults()
    world.run("dead-letters", "requeue", str(letter["place"]), MAILONCE_REQUEUE_MAX="3")
    world.drain()
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 1


def test_a_hundred_at_once_by_reason(world: World) -> None:
    """Redrive what a bad day left, with a dry run before, in portions if wanted; what was discarded stays."""
    world.sandbox.fault("reject", address="*")
    world.publish(job(f"u{n}") for n in range(60))
    world.drain(MAILONCE_BREAKER_CONSECUTIVE="0", MAILONCE_BREAKER_SHARE="0")
    world.sandbox.clear_faults()
    assert json.loads(world.run("dead-letters", "histogram", "--json").stdout) == {"message-rejected": {"open": 60}}
    first = str(letters(world)[0]["place"])
    world.run("dead-letters", "discard", first, "--why", "has left")
    dry = requeue(world, "--reason", "message-rejected", "--month", MONTH, "--dry-run")
    assert len(dry["requeued"]) == 59  # type: ignore[arg-type]
    assert len(requeue(world, "--reason", "message-rejected", "--max", "9")["requeued"]) == 9  # type: ignore[arg-type]
    assert len(requeue(world, "--month", MONTH)["requeued"]) == 50  # type: ignore[arg-type]
    assert requeue(world, "--month", MONTH)["requeued"] == []
    world.drain()
    audit = world.audit()
    audit.check()
    assert (audit.count(Outcome.SENT), audit.count(Outcome.DEAD)) == (59, 1)
    shown = world.run("dead-letters", "histogram").stdout
    assert "message-rejected" in shown
    counts = json.loads(world.run("dead-letters", "histogram", "--json").stdout)["message-rejected"]
    assert counts == {"requeued": 59, "discarded": 1}


def test_found_shown_and_exported(world: World) -> None:
    """By user and time; bytes that are no text as hex; the story beside; CSV and JSON lines."""
    world.publish_raw([(f"u1:{MONTH}".encode(), b"\xff\xfe", [("h", b"\x00\x01")])])
    world.publish_raw([(f"u2:{MONTH}".encode(), b"{}", [])])
    world.drain()
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 60))
    assert letters(world, "--since", since) == []
    (letter,) = letters(world, "--user", "u1", "--since", "2026-01-01")
    shown = json.loads(world.run("dead-letters", "show", str(letter["place"]), "--json").stdout)
    assert (shown["value"], shown["headers"]) == ("0xfffe", [{"name": "h", "value": "0x0001"}])
    assert shown["story"]["outcome"] == "dead"
    assert "0xfffe" in world.run("dead-letters", "show", str(letter["place"])).stdout
    rows = list(csv.DictReader(io.StringIO(world.run("dead-letters", "export").stdout)))
    assert {row["key"]: row["value"] for row in rows} == {f"u1:{MONTH}": "0xfffe", f"u2:{MONTH}": "{}"}
    lines = world.run("dead-letters", "export", "--format", "jsonl", "--user", "u2").stdout.splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["bad-schema"]
    assert "csv or jsonl" in world.run("dead-letters", "export", "--format", "xml", ok=(2,)).stderr


def test_wrong_use_is_told(world: World) -> None:
    """What to do instead."""
    for args, says in (
        (["requeue"], "name letters by their places"),
        (["requeue", "0:0", "--month", MONTH], "name letters by their places"),
        (["requeue", "0:0"], "no dead letter at 0:0"),
        (["requeue", "0:0", "--set", "email"], "is not NAME=VALUE"),
        (["requeue", "0:0", "--set", "user_id=x"], "identity"),
        (["discard", "--since", "yesterday"], "is not a time"),
    ):
        assert says in world.run("dead-letters", *args, ok=(2,)).stderr.replace("\n", " ")
