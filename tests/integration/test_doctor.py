"""`mailonce doctor`: what is wrong is named, with what to do, and one silent server does not hide the others."""

from __future__ import annotations

import json

import redis
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.kafka.clients import admin_config
from tests.support.world import WAIT_S, World, wait_for


def examine(world: World, ok: tuple[int, ...] = (0,), **env: str) -> dict[tuple[str, str], dict[str, str]]:
    found = json.loads(world.run("doctor", "--json", ok=ok, **env).stdout)
    return {(finding["area"], finding["what"]): finding for finding in found}


def test_a_stack_in_order(world: World) -> None:
    """Nothing bad; notes on what a stack for trying things lacks."""
    found = examine(world)
    assert not [finding for finding in found.values() if finding["level"] == "bad"]
    assert found["kafka", world.settings.topics.jobs]["level"] == "fine"
    assert found["redis", "persistence"]["level"] == "fine"
    assert found["ses", "sender"]["level"] == "fine"
    assert found["ses", "clock"]["level"] == "fine"
    assert found["events", "queue"]["level"] == "note"
    said = world.run("doctor").stdout
    assert "0 to mend" in said
    assert "✓ redis: answers" in said


def shown(admin: AdminClient, resource: ConfigResource, name: str) -> str:
    asked = ConfigResource(ResourceType.TOPIC, resource.name)
    return str(admin.describe_configs([asked])[asked].result(WAIT_S)[name].value)


def test_what_is_wrong_is_named_with_what_to_do(world: World) -> None:
    """A topic that would lose records, one that is missing, a server that evicts, a paused account, a missing set."""
    admin = AdminClient(admin_config(world.settings))
    jobs, attempts = world.settings.topics.jobs, world.settings.topics.attempts
    wrong = {jobs: ("cleanup.policy", "delete"), attempts: ("retention.ms", "1000")}
    for topic, (name, value) in wrong.items():
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(WAIT_S)
        # Brokers hear of it a moment later.
        wait_for(lambda r=resource, n=name, v=value: shown(admin, r, n) == v, "the change")
    events = world.settings.topics.events
    admin.delete_topics([events])[events].result(WAIT_S)
    wait_for(lambda: events not in admin.list_topics(timeout=WAIT_S).topics, "the deletion")
    world.sandbox.set(sending_enabled=False)
    with redis.Redis.from_url(world.settings.redis_url.get_secret_value()) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = examine(world, ok=(1,), MAILONCE_CONFIGURATION_SET="nowhere")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            world.sandbox.set(sending_enabled=True)
    bad = {place: finding["todo"] for place, finding in found.items() if finding["level"] == "bad"}
    assert "cleanup.policy=[compact,delete]" in bad["kafka", jobs]
    assert "retention.ms" in bad["kafka", attempts]
    assert bad["kafka", world.settings.topics.events] == "mailonce topics create"
    assert "noeviction" in bad["redis", "maxmemory-policy"]
    assert "resume" in bad["ses", "account"]
    assert "another" in bad["ses", "configuration set"]


def test_a_silent_server_does_not_hide_the_others(world: World) -> None:
    """Each area is looked at by itself."""
    nowhere = {
        "MAILONCE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "MAILONCE_REDIS_URL": "redis://127.0.0.1:9/0",
        "AWS_ENDPOINT_URL_SESV2": "http://127.0.0.1:9",
        "MAILONCE_EVENTS_QUEUE_URL": "http://127.0.0.1:9/queue",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",
    }
    found = examine(world, ok=(1,), **nowhere)
    assert {place for place, finding in found.items() if finding["level"] == "bad"} == {
        ("kafka", "answers"),
        ("redis", "answers"),
        ("ses", "answers"),
        ("events", "answers"),
    }
