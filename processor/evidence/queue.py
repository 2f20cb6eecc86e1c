"""The SQS queue that receives SES's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from processor.adapters.aws import aws_session
from schemas.runtime.errors import QueueUnavailable, UsageError

__all__ = ["EventQueue", "QueueMessage"]

BATCH = 10
BATCHES = 10
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True, slots=True)
class QueueMessage:
    body: bytes
    receipt: str


class EventQueue:
    """Receives; deletes only what it is told to. A message that is not deleted comes again."""

    def __init__(self, url: str) -> None:
        if not url:
            raise UsageError("MAILONCE_EVENTS_QUEUE_URL is not set: the SQS queue that receives SES's events")
        self._url = url
        config = Config(retries={"total_max_attempts": 5, "mode": "standard"}, connect_timeout=5, read_timeout=30)
        try:
            session = aws_session()
            self._client: Any = session.client("sqs", config=config)
        except BotoCoreError as error:
            raise UsageError(f"boto3 cannot make an SQS client: {error}; set AWS_REGION and credentials") from None

    def receive(self, wait_s: int) -> list[QueueMessage]:
        """Up to a hundred messages; waits for the first only. Raises `QueueUnavailable`."""
        messages: list[QueueMessage] = []
        for batch in range(BATCHES):
            try:
                answer = self._client.receive_message(
                    QueueUrl=self._url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=0 if batch else wait_s
                )
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailable(f"SQS does not answer: {error}") from error
            found = answer.get("Messages", [])
            messages += [QueueMessage(entry["Body"].encode(), entry["ReceiptHandle"]) for entry in found]
            if len(found) < BATCH:
                break
        return messages

    def is_empty(self) -> bool:
        """Whether SQS counts nothing: nothing to be received, nothing received and not deleted, nothing delayed.

        Raises `QueueUnavailable`, also when the counts may not be read.
        """
        try:
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(_COUNTS))
        except (BotoCoreError, ClientError) as error:
            raise QueueUnavailable(f"SQS does not tell how many messages there are: {error}") from error
        return all(int(answer["Attributes"][name]) == 0 for name in _COUNTS)

    def delete(self, messages: list[QueueMessage]) -> None:
        """What Kafka holds may go. One that stays comes again, which is harmless. Raises `QueueUnavailable`."""
        for first in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(n), "ReceiptHandle": message.receipt}
                for n, message in enumerate(messages[first : first + BATCH])
            ]
            try:
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailable(f"SQS does not answer: {error}") from error
