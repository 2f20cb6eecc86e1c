"""The producer on real Kafka: re-runs are safe, a killed run is completed by the next, nothing is silent."""

from __future__ import annotations

import csv
import json
import signal
import sys
from pathlib import Path

from producer.published import CANCELLED, folded, held_of, records_of_month
from schemas.codec import encode
from schemas.kafka.reading import read_topic
from tests.support.world import MONTH, Process, World, job, wait_for


def write(world: World, count: int, *extra: str, usage: str = "1") -> Path:
    path = world.folder / "users.csv"
    lines = [
        "user_id,email,name,usage",
        *(f"u{n},u{n}@mail.example.net,User {n},{usage}" for n in range(count)),
        *extra,
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def content(world: World) -> dict[bytes, bytes]:
    """The jobs topic by key, without publishing times."""
    latest = {}
    for record in read_topic(world.settings, world.settings.topics.jobs):
        assert record.key is not None
        assert record.value is not None
        value = json.loads(record.value)
        value.pop("published_at_ms")
        latest[record.key] = json.dumps(value).encode()
    return latest


def produce(world: World, path: Path, *args: str, ok: tuple[int, ...] = (0,)) -> dict[str, object]:
    done = world.run("produce", "--month", MONTH, "--source", str(path), "--json", *args, ok=ok)
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def test_a_re_run_publishes_nothing_twice(world: World) -> None:
    """Re-running is always safe: unchanged jobs stay, changed ones are published."""
    facts = produce(world, write(world, 50))
    assert (facts["published"], facts["unchanged"]) == (50, 0)
    assert produce(world, write(world, 50))["published"] == 0
    facts = produce(world, write(world, 52))
    assert (facts["published"], facts["unchanged"], facts["changed"]) == (2, 50, 0)
    facts = produce(world, write(world, 52, usage="2"))
    assert (facts["published"], facts["changed"]) == (52, 52)


def test_a_run_killed_anywhere_and_run_again_ends_the_same(world: World) -> None:
    """Same topic content by key as an undisturbed run."""
    path = write(world, 2000)
    for target in (200, 900):
        process = world.start("produce", "--month", MONTH, "--source", str(path), "--max-rate", "150")
        wait_for(lambda target=target: len(content(world)) >= target, "publishing")
        process.signal(signal.SIGKILL)
        assert process.wait() == -9
        assert len(content(world)) < 2000
    facts = produce(world, path)
    assert int(str(facts["published"])) + int(str(facts["unchanged"])) == 2000
    disturbed = content(world)
    assert len(disturbed) == 2000
    # The same source into fresh topics, undisturbed.
    other = Process(
        [sys.executable, "-m", "mailonce", "topics", "create"],
        world.env | {"MAILONCE_TOPIC_PREFIX": f"{world.settings.topic_prefix}b-"},
        world.folder / "b.log",
    )
    assert other.wait() == 0
    prefix = f"{world.settings.topic_prefix}b-"
    world.run("produce", "--month", MONTH, "--source", str(path), MAILONCE_TOPIC_PREFIX=prefix)
    world.settings = world.settings.model_copy(update={"topic_prefix": prefix})
    assert content(world) == disturbed


def test_rejected_rows_go_to_a_file_and_stop_nothing(world: World) -> None:
    """Exit code 3, file and line of each, the row itself kept."""
    path = write(world, 3, "u9,nobody,Bad Address,1", ",x@y.de,No Id,1", 'u8,"broken', "u10,a@b.de,Ok,1")
    done = world.run("produce", "--month", MONTH, "--source", str(path), ok=(3,))
    assert "users.csv:5: bad-address" in done.stderr
    assert "is a quote left open?" in done.stderr.replace("\n", " ")
    rows = list(csv.reader((world.folder / f"users-{MONTH}.rejects.csv").read_text().splitlines()))
    assert [row[:2] for row in rows[1:3]] == [["5", "bad-address"], ["6", "missing-user-id"]]
    assert rows[1][3:] == ["u9", "nobody", "Bad Address", "1"]
    assert len(content(world)) == 3


def test_a_dry_run_publishes_nothing(world: World) -> None:
    """It says what would happen."""
    path = write(world, 5, "u9,nobody,Bad,1")
    facts = produce(world, path, "--dry-run", ok=(3,))
    assert (facts["published"], facts["rejected"], facts["dry_run"]) == (5, 1, True)
    assert content(world) == {}
    assert not list(world.folder.glob("*.rejects.csv"))


def test_duplicate_users_by_flag(world: World) -> None:
    """error rejects all of them, last takes the last; a wrong flag is a usage error."""
    path = write(world, 2, "u1,other@mail.example.net,Again,1")
    assert produce(world, path, ok=(3,))["rejected_by_reason"] == {"duplicate-user": 2}
    facts = produce(world, path, "--on-duplicate", "last", ok=(3,))
    assert facts["rejected"] == 1
    assert b"other@" in content(world)[f"u1:{MONTH}".encode()]
    done = world.run("produce", "--month", MONTH, "--source", str(path), "--on-duplicate", "first", ok=(2,))
    assert "--on-duplicate" in done.stderr


def test_any_user_id_and_its_own_key(world: World) -> None:
    """Colons, slashes and unicode included."""
    path = world.folder / "users.csv"
    ids = ["a:b:2026-10", "ü/é", "x y", "=1+1"]
    path.write_text("user_id,email\n" + "".join(f"{user},a{n}@b.de\n" for n, user in enumerate(ids)))
    produce(world, path)
    assert set(content(world)) == {f"{user}:{MONTH}".encode() for user in ids}


def test_an_address_under_another_id_is_refused(world: World) -> None:
    """An id in another form would be another user: nothing is published until the old mail is cancelled or the id kept."""
    path = world.folder / "users.csv"
    path.write_text("user_id,email,name\nU-1,a@mail.example.net,A\nu2,b@mail.example.net,B\n")
    produce(world, path)
    before = content(world)
    path.write_text("user_id,email,name\nu2,b@mail.example.net,B\nu-1,A@mail.example.net,A\nu3,c@mail.example.net,C\n")
    for more in ((), ("--dry-run",)):
        refused = world.run("produce", "--month", MONTH, "--source", str(path), *more, ok=(2,)).stderr
        assert all(word in refused for word in ("line 3", "'U-1'", "'u-1'", f"mailonce cancel U-1 {MONTH}"))
    assert content(world) == before
    world.run("cancel", "U-1", MONTH)
    facts = produce(world, path, "--where", "name!=C", "--expect-rows", "3")
    assert [facts[name] for name in ("rows", "published", "unchanged", "filtered")] == [3, 1, 1, 1]
    refused = world.run("produce", "--month", MONTH, "--source", str(path), "--expect-rows", "4", ok=(2,)).stderr
    assert "has 3 rows, --expect-rows says 4 (-1)" in refused


def test_cancelled_jobs_stay_cancelled(world: World) -> None:
    """A re-run does not undo an operator's cancellation, unless asked to."""
    path = write(world, 3)
    produce(world, path)
    world.run("cancel", "u1", MONTH)
    assert produce(world, path)["cancelled"] == 1
    records, u1 = records_of_month(world.settings, MONTH), f"u1:{MONTH}".encode()
    assert folded(held_of(key, value) for key, value in records if key == u1) == CANCELLED
    assert produce(world, path, "--include-cancelled")["published"] == 1


def test_what_is_no_job_is_published_over(world: World) -> None:
    """A broken record under the key does not count as published; other months do not either."""
    world.publish_raw([(f"u0:{MONTH}".encode(), b"junk", []), (b"u1:2026-10", encode(job("u1", month="2026-10")), [])])
    assert produce(world, write(world, 2))["published"] == 2


def test_without_kafka_it_says_so(world: World) -> None:
    """A clear error and exit code, no traceback."""
    done = world.run(
        "produce",
        "--month",
        MONTH,
        "--source",
        str(write(world, 1)),
        ok=(7,),
        MAILONCE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
    )
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    done = world.run("produce", "--month", MONTH, "--source", "users.csv", ok=(7,), MAILONCE_TOPIC_PREFIX="none-")
    assert "mailonce topics create" in done.stderr


def test_a_month_that_takes_too_long_is_said_before_it_starts(world: World) -> None:
    """By rate and daily quota: the producer warns, and `forecast` tells how long."""
    # The sandbox is shared, and its 24 h count with it: an empty window forgets what other tests sent.
    world.sandbox.set(quota_window_s=0)
    world.ses().get_account()
    world.sandbox.set(quota_window_s=86_400, max_send_rate=10, max_24_hour_send=20)
    path = write(world, 100)
    done = world.run("produce", "--month", MONTH, "--source", str(path), "--dry-run")
    assert "at 9.5 a second and 20 a day these 100 mails take 4.0 days, more than the 3" in " ".join(
        done.stderr.split()
    )
    produce(world, path)
    found = json.loads(world.run("forecast", "--month", MONTH, "--json", MAILONCE_RATE_HEADROOM="1").stdout)
    assert (found["mails"], found["rate_per_s"], found["per_day"]) == (100, 10, 20)
    assert 4 * 86_400 <= found["seconds"] < 4 * 86_400 + 5
    told = world.run("forecast", "--month", MONTH, "--mails", "15", MAILONCE_RATE_HEADROOM="1").stdout
    assert "these 15 mails take 0:00:02" in told
    world.sandbox.set(max_send_rate=-1, max_24_hour_send=-1)
    assert "nothing says how long" in world.run("forecast", "--month", MONTH).stdout
