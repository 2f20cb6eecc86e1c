"""A Redis that holds another installation's dedup set: refused by all that would use it, until it is adopted."""

from __future__ import annotations

import json

import redis

from processor.adapters.redis import RedisDedup
from schemas.records import Outcome
from tests.support.world import MONTH, World, job


def test_another_installations_redis_is_refused_until_it_is_adopted(world: World) -> None:
    """Exit code 7 and the command that adopts; `verify` and `doctor` say so; adopted, nobody gets a second mail."""
    world.publish(job(f"u{n}") for n in range(4))
    world.drain()
    client = redis.Redis.from_url(world.settings.redis_url.get_secret_value())
    marker = RedisDedup(None, world.settings.topic_prefix, 1).marker  # type: ignore[arg-type]
    client.hset(marker, "installation", "theirs")
    refused = (
        ("process", "--drain"),
        ("replay", "--from-beginning"),
        ("dedup", "rebuild"),
        ("uncertain", "resolve", "--month", MONTH, "--as", "sent", "--why", "x"),
        ("cancel", "u0", MONTH),
        ("forget", "u0", "--yes"),
    )
    for command in refused:
        assert "mailonce dedup adopt" in world.run(*command, ok=(7,)).stderr, command
    found = json.loads(world.run("dedup", "verify", "--json", ok=(1,)).stdout)
    assert (found["safe"], found["another_installation"]) == (False, "theirs")
    bad = [entry for entry in json.loads(world.run("doctor", "--json", ok=(1,)).stdout) if entry["level"] == "bad"]
    assert [(entry["area"], entry["what"]) for entry in bad] == [("redis", "installation")]
    assert "become uncertain: 0" in world.run("dedup", "adopt", ok=(2,)).stdout
    looked = json.loads(world.run("dedup", "adopt", "--dry-run", "--json").stdout)
    assert (looked["adopted_from"], looked["kept_sent"], looked["adopted"]) == ("theirs", 4, False)
    assert json.loads(world.run("dedup", "adopt", "--yes", "--json").stdout)["adopted"] is True
    assert "nothing to adopt" in world.run("dedup", "adopt").stdout
    world.publish(job(f"u{n}") for n in range(6))
    world.drain()
    world.run("dedup", "verify")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 6
