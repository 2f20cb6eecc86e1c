"""SES's events of one test: a queue of its own, fed by the sandbox through a configuration set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3

from infra.embedded import Stack
from infra.ses_sandbox.connect import EVENT_KINDS, make_configuration_set
from tests.support.world import World, wait_for

__all__ = ["connected", "gather", "published"]


@contextmanager
def connected(world: World, stack: Stack, kinds: Sequence[str] = EVENT_KINDS, *, hidden_s: int = 60) -> Iterator[Any]:
    """The world's mails cause events of these kinds in a queue of their own; gives the SQS client.

    What was received and not deleted is hidden for `hidden_s`."""
    stack.up(("sqs",))
    endpoint = stack.env()["AWS_ENDPOINT_URL_SQS"]
    sqs = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )
    url = sqs.create_queue(QueueName=f"q-{time.time_ns()}", Attributes={"VisibilityTimeout": str(hidden_s)})["QueueUrl"]
    name = f"set-{time.time_ns()}"
    make_configuration_set(world.ses(), name, kinds)
    world.sandbox.set(events_queue_url=url, events_endpoint=endpoint)
    world.env |= {
        "MAILONCE_CONFIGURATION_SET": name,
        "MAILONCE_EVENTS_QUEUE_URL": url,
        "AWS_ENDPOINT_URL_SQS": endpoint,
    }
    try:
        yield sqs
    finally:
        world.sandbox.reset()
        sqs.delete_queue(QueueUrl=url)


def published(world: World) -> None:
    """Waits until the sandbox has put every event into the queue."""
    wait_for(lambda: world.sandbox.call("GET", "summary")["events_pending"] == 0, "the events' publication")


def gather(world: World, *args: str, **env: str) -> dict[str, int]:
    """`mailonce evidence --drain`; its counts."""
    counts: dict[str, int] = json.loads(world.run("evidence", "--drain", "--json", *args, **env).stdout)
    return counts
