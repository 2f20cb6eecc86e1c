"""G6: old months are closed by a named act, for good, and are still told of: real commands on real servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import redis

from processor.adapters.control import read_control
from processor.adapters.redis import RedisDedup
from processor.ops.closing import Standing
from processor.ops.months import Opener
from schemas.identity import months_later
from schemas.records import Outcome
from tests.integration.test_drained import forget_offsets
from tests.support.world import MONTH, World, job

PRESENT = min(MONTH, datetime.now(UTC).strftime("%Y-%m"))
OLD = months_later(PRESENT, -4)


def test_a_month_is_closed_for_good_and_still_told_of(world: World) -> None:
    """Sent stays sent and what nobody sent is told once, whatever becomes of offsets, Redis and the retention."""

    def floor(*args: str, ok: tuple[int, ...] = (0,), retention: int = 3) -> dict[str, object]:
        env = {"MAILONCE_RETENTION_MONTHS": str(retention)}
        done = world.run("dedup", "floor", *args, "--json", ok=ok, **env)
        found: dict[str, object] = json.loads(done.stdout) if done.returncode == 0 else {"said": done.stderr}
        return found

    assert (floor()["floor"], floor()["highest"]) == (None, None), "no month was opened yet"
    opener = Opener(world.settings, OLD, read_control(world.settings))
    opener.look()
    assert opener.open()
    world.publish([job("u1", month=OLD)])
    world.drain()
    world.publish([job("late", month=OLD)])
    source = world.folder / "users.csv"
    source.write_text("user_id,email,name,usage\nu1,u1@mail.example.net,User 1,42\n")
    produce = ("produce", "--source", str(source), "--json", "--month")
    expected = months_later(PRESENT, -3)
    assert floor("--dry-run")["highest"] == months_later(OLD, -3)
    facts = json.loads(world.run(*produce, MONTH, MAILONCE_RETENTION_MONTHS="3").stdout)
    assert (facts["published"], facts["floor"]) == (1, expected)
    assert f"{OLD} is closed for good" in world.run(*produce, OLD, ok=(2,)).stderr

    client = redis.Redis.from_url(world.settings.redis_url.get_secret_value(), decode_responses=True)
    dedup = RedisDedup(None, world.settings.topic_prefix, 1)  # type: ignore[arg-type]
    kept = {name.split(":")[2] for name in client.keys(f"{dedup.marker.removesuffix('whole')}2*")}
    assert (client.get(dedup.floor), OLD in kept) == (expected, False)
    looked = floor("--dry-run", retention=13)
    assert (looked["floor"], looked["set_floor"], looked["highest"]) == (expected, expected, months_later(PRESENT, -13))
    assert "never lowered" in str(floor("--to", OLD, "--yes", ok=(2,))["said"])
    assert "cannot rise" in str(floor("--to", MONTH, "--yes", ok=(2,))["said"])
    higher = months_later(PRESENT, -2)
    assert "--yes" in str(floor("--to", higher, retention=2, ok=(2,))["said"])
    raised = floor("--to", higher, "--yes", retention=2)
    assert (raised["floor"], raised["before"], raised["raised"]) == (higher, expected, True)

    assert Standing.PAST in " ".join(world.run("cancel", "u1", OLD).stdout.split())

    client.flushdb()
    for _ in range(2):
        forget_offsets(world)
        world.drain(MAILONCE_BREAKER_CONSECUTIVE="1", MAILONCE_RETENTION_MONTHS="13")
    assert client.get(dedup.floor) == higher, "a rebuild carries it into an empty Redis"
    assert world.sandbox.accepted_count() == 2
    assert [letter.reason for _, letter in world.dead_letters()] == ["too-old"]
    outcomes = {str(key): entries[-1].outcome for key, entries in world.deliveries().items()}
    assert outcomes == {f"u1:{OLD}": Outcome.SENT, f"late:{OLD}": Outcome.DEAD, f"u1:{MONTH}": Outcome.SENT}
    world.run("dedup", "verify")
    status = json.loads(world.run("status", "--month", OLD, "--json").stdout)
    assert (status["sent"], status["dead"], status["pending"]) == (1, 1, 0)
    assert "sent" in world.run("show", "u1", OLD).stdout
    assert "too-old" in world.run("dead-letters", "list", "--month", OLD).stdout
