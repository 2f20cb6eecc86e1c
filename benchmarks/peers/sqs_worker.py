"""(f) SQS: receive, send, delete; what dies comes back after the visibility time-out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.peers.call import AT_ONCE, send, user_ids

__all__ = ["feed", "work"]


def _queue() -> tuple[Any, str]:
    client = boto3.client("sqs")
    name, attributes = os.environ["PEER_NAME"], {"VisibilityTimeout": "10"}
    return client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def feed(users: int) -> None:
    client, url = _queue()
    everybody = user_ids(users)
    for at in range(0, users, 10):
        ten = everybody[at : at + 10]
        client.send_message_batch(QueueUrl=url, Entries=[{"Id": user, "MessageBody": user} for user in ten])


def work() -> None:
    client, url = _queue()

    def one(message: dict[str, str]) -> None:
        send(message["Body"])
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def receive() -> None:
        while True:
            answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                # Not deleted, it comes back after the visibility time-out.
                with suppress(BotoCoreError, ClientError):
                    one(message)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(AT_ONCE):
            pool.submit(receive)
