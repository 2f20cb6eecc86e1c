"""SES's events into SQS: Send, Delivery, Bounce, Complaint, Rendering Failure; at least once, late, out of order.

Shapes: the SES developer guide, "Contents of event data that Amazon SES publishes". Tag values are lists.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.ses_sandbox.model import AcceptedMail, SandboxSettings
from infra.ses_sandbox.send import SIMULATOR
from schemas.runtime.ending import in_thread

__all__ = ["Events", "event_of", "kinds_of"]

BATCH = 10
PENDING_MAX = 1_000_000


def kinds_of(mail: AcceptedMail) -> list[str]:
    """The events a message will cause, in their natural order."""
    if mail.not_delivered.startswith("Rendering Failure"):
        return ["Rendering Failure"]
    if mail.not_delivered:
        return ["Send", "Bounce"]
    for address in mail.to:
        if address.endswith(SIMULATOR):
            match address.partition("@")[0].partition("+")[0]:
                case "bounce" | "suppressionlist":
                    return ["Send", "Bounce"]
                case "complaint":
                    return ["Send", "Delivery", "Complaint"]
    return ["Send", "Delivery"]


def event_of(mail: AcceptedMail, kind: str) -> dict[str, Any]:
    """One event as SES writes it."""
    stamp = datetime.fromtimestamp(mail.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tags = {name: [value] for name, value in mail.tags.items()}
    tags |= {"ses:configuration-set": [mail.configuration_set], "ses:from-domain": [mail.sender.rpartition("@")[2]]}
    event: dict[str, Any] = {
        "eventType": kind,
        "mail": {
            "timestamp": stamp,
            "source": mail.sender,
            "sendingAccountId": "123456789012",
            "messageId": mail.message_id,
            "destination": mail.to,
            "headersTruncated": False,
            "headers": [{"name": name, "value": value} for name, value in mail.headers.items()],
            "commonHeaders": {"from": [mail.sender], "to": mail.to, "messageId": mail.message_id},
            "tags": tags,
        },
    }
    recipients = [{"emailAddress": address} for address in mail.to]
    match kind:
        case "Send":
            event["send"] = {}
        case "Delivery":
            event["delivery"] = {
                "timestamp": stamp,
                "processingTimeMillis": 500,
                "recipients": mail.to,
                "smtpResponse": "250 ok",
            }
        case "Bounce":
            kept_back = "OnAccountSuppressionList" if mail.not_delivered else "General"
            event["bounce"] = {
                "bounceType": "Permanent",
                "bounceSubType": kept_back,
                "bouncedRecipients": recipients,
                "timestamp": stamp,
                "feedbackId": mail.message_id,
            }
        case "Complaint":
            event["complaint"] = {
                "complainedRecipients": recipients,
                "timestamp": stamp,
                "feedbackId": mail.message_id,
                "complaintFeedbackType": "abuse",
            }
        case "Reject":
            event["reject"] = {"reason": "Bad content"}
        case _:
            event["failure"] = {"templateName": mail.template, "errorMessage": mail.not_delivered}
    return event


def _enveloped(event: dict[str, Any], fmt: str) -> str:
    text = msgspec.json.encode(event).decode()
    match fmt:
        case "raw":
            return text
        case "eventbridge":
            kind = event["eventType"]
            detail = {"version": "0", "id": str(uuid.uuid4()), "source": "aws.ses", "detail-type": f"Email {kind}"}
            return msgspec.json.encode(detail | {"time": event["mail"]["timestamp"], "detail": event}).decode()
        case _:
            envelope = {
                "Type": "Notification",
                "MessageId": str(uuid.uuid4()),
                "TopicArn": "arn:aws:sns:us-east-1:123456789012:mailonce-events",
                "Subject": "Amazon SES Email Event Notification",
                "Message": text,
                "Timestamp": event["mail"]["timestamp"],
            }
            return msgspec.json.encode(envelope).decode()


class Events:
    """Events on their way to the queue: held, delayed, shuffled, repeated or lost as the settings say."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._pending: list[tuple[float, AcceptedMail, str]] = []
        self._chance = random.Random(settings.events_seed)  # noqa: S311 - repeatable on purpose
        self._client: Any = None
        self._client_for = ""
        self.published = 0
        self.error = ""

    def accepted(self, mail: AcceptedMail, wanted: set[str]) -> None:
        """Queues a message's events, of the types that a destination of its configuration set asks for."""
        if wanted and self._settings.events_queue_url and len(self._pending) < PENDING_MAX:
            for kind in kinds_of(mail):
                if kind.upper().replace(" ", "_") in wanted:
                    self.add(mail, kind)

    def add(self, mail: AcceptedMail, kind: str) -> None:
        if self._chance.random() < self._settings.events_lost_share:
            return
        due = time.monotonic() + self._settings.events_delay_s
        self._pending.append((due, mail, kind))
        if self._chance.random() < self._settings.events_duplicate_share:
            self._pending.append((due, mail, kind))

    @property
    def pending(self) -> int:
        return len(self._pending)

    def forget(self) -> None:
        """Drops what was not published: the messages that it tells of are forgotten."""
        self._pending.clear()

    async def run(self) -> None:
        """Publishes what is due until it is cancelled."""
        while True:
            sent = 0 if self._settings.events_held else await self.flush(everything=False)
            if not sent:
                await asyncio.sleep(0.05)

    async def flush(self, *, everything: bool) -> int:
        """Publishes what is due, or everything; returns how many."""
        now = time.monotonic()
        due = [entry for entry in self._pending if everything or entry[0] <= now][:1000]
        if not due or not self._settings.events_queue_url:
            return 0
        chosen = {id(entry) for entry in due}
        self._pending = [entry for entry in self._pending if id(entry) not in chosen]
        if self._settings.events_shuffle:
            self._chance.shuffle(due)
        try:
            # Where it goes is settled here: the queue may be another one by the time the thread runs.
            await in_thread(self._publish, due, self._settings.events_queue_url)
        except (BotoCoreError, ClientError) as error:
            self.error = str(error)
            self._pending[:0] = due
            await asyncio.sleep(0.5)
            return 0
        self.published += len(due)
        return len(due)

    def _publish(self, entries: list[tuple[float, AcceptedMail, str]], queue_url: str) -> None:
        settings = self._settings
        if self._client is None or self._client_for != settings.events_endpoint:
            self._client_for = settings.events_endpoint
            self._client = boto3.client(
                "sqs",
                endpoint_url=settings.events_endpoint or None,
                region_name="us-east-1",
                aws_access_key_id="sandbox",
                aws_secret_access_key="sandbox",  # noqa: S106 - moto takes any
                config=Config(retries={"total_max_attempts": 3}, connect_timeout=2, read_timeout=10),
            )
        for first in range(0, len(entries), BATCH):
            batch = entries[first : first + BATCH]
            self._client.send_message_batch(
                QueueUrl=queue_url,
                Entries=[
                    {"Id": str(i), "MessageBody": _enveloped(event_of(mail, kind), settings.events_format)}
                    for i, (_, mail, kind) in enumerate(batch)
                ],
            )
