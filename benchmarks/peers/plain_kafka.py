"""(c) A Kafka consumer with auto-commit, at least once; a batch goes to a thread pool."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.peers.call import AT_ONCE, send, user_ids

__all__ = ["feed", "work"]


def feed(users: int) -> None:
    admin = AdminClient({"bootstrap.servers": os.environ["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"]})
    admin.create_topics([NewTopic(os.environ["PEER_NAME"], 12, 1)])[os.environ["PEER_NAME"]].result(30)
    producer = Producer({"bootstrap.servers": os.environ["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"]})
    for user_id in user_ids(users):
        producer.produce(os.environ["PEER_NAME"], user_id, user_id)
    producer.flush()


def work() -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["MAILONCE_KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["PEER_NAME"],
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([os.environ["PEER_NAME"]])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while True:
            batch = consumer.consume(AT_ONCE * 4, 0.2)
            users = [message.value() for message in batch if message.error() is None]
            list(pool.map(lambda user_id: send(user_id.decode()), users))
