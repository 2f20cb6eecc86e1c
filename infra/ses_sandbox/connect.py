"""Lets a sandbox publish its events into a queue, through a configuration set as an account would have one.

``python -m infra.ses_sandbox.connect --ses URL --sqs URL --queue NAME``; again does no harm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from schemas.runtime.entry import enter

__all__ = ["CONFIGURATION_SET", "EVENT_KINDS", "client", "connect", "make_configuration_set", "queue_url"]

CONFIGURATION_SET = "mailonce"
EVENT_KINDS = ("SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE")
WAIT_S = 180.0
_TOPIC = "arn:aws:sns:us-east-1:000000000000:mailonce-events"


def client(service: Literal["sqs", "sesv2"], url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106 - both take any
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )


def make_configuration_set(ses: Any, name: str, kinds: Sequence[str] = EVENT_KINDS) -> None:
    """A configuration set that publishes events of these kinds.

    Args:
        ses: a boto3 client for SES v2.
        name: of the set.
        kinds: as SES's API names them.
    """
    ses.create_configuration_set(ConfigurationSetName=name)
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName="events",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": list(kinds),
            "SnsDestination": {"TopicArn": _TOPIC},
        },
    )


def connect(ses_url: str, sqs_url: str, events_queue_url: str) -> None:
    ses = client("sesv2", ses_url)
    with contextlib.suppress(ses.exceptions.AlreadyExistsException):
        make_configuration_set(ses, CONFIGURATION_SET)
    changes = {"events_queue_url": events_queue_url, "events_endpoint": sqs_url}
    request = urllib.request.Request(f"{ses_url}/_sandbox/settings", json.dumps(changes).encode(), method="PATCH")  # noqa: S310
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - the operator's own sandbox


def queue_url(sqs_url: str, name: str, wait_s: float = WAIT_S) -> str:
    """The queue's URL, made if it is not there. Waits for a server that was started a moment ago."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return str(client("sqs", sqs_url).create_queue(QueueName=name)["QueueUrl"])
        except BotoCoreError as error:
            if time.monotonic() > deadline:
                sys.exit(f"the queue's server at {sqs_url} did not answer within {wait_s:g} s: {error}")
            time.sleep(0.2)


def main() -> None:
    enter()
    parser = argparse.ArgumentParser(prog="python -m infra.ses_sandbox.connect", description=__doc__)
    for name in ("ses", "sqs", "queue"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    url = queue_url(options.sqs, options.queue)
    connect(options.ses, options.sqs, url)
    print(f"{options.ses} publishes its events into {url}")  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
