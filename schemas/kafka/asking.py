"""Questions to Kafka: how long an answer is awaited, what is asked once more, and what is said when none comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.kafka.clients import last_trouble
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["TIMEOUT_S", "answer", "asked_again", "error_code", "error_text", "no_answer"]

T = TypeVar("T")

TIMEOUT_S = 15.0
"""Also longer than the broker takes to notice that a transaction's time is up (10 s by default)."""
AGAIN_S = 0.1


def asked_again(
    question: Callable[[], T], limit_s: float, worth_it: Callable[[KafkaException], bool] = lambda _error: True
) -> T:
    """Asks until there is an answer. Raises `KafkaException`: the last, or one that is not worth another try.

    Args:
        question: raises `KafkaException` where it got no answer.
        limit_s: no try begins later than this.
        worth_it: whether such an error may pass: leaders and coordinators move, transactions end.
    """
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            return question()
        except KafkaException as error:
            if not worth_it(error) or time.monotonic() > deadline_s:
                raise
        time.sleep(AGAIN_S)


def answer(asked: Future[T]) -> T:
    """What Kafka answered to an administrative question. Raises `KafkaException`, also where there is no answer."""
    try:
        return asked.result(TIMEOUT_S)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


def no_answer(client: Consumer | AdminClient, settings: Settings, error: KafkaException) -> BrokerUnavailable:
    """What to say of a cluster that `client` could not ask."""
    client.poll(0)
    return BrokerUnavailable(
        f"Kafka at {settings.kafka_bootstrap_servers} does not answer: is it up, and is "
        f"MAILONCE_KAFKA_BOOTSTRAP_SERVERS right? ({last_trouble() or error_text(error)})"
    )


def error_code(error: KafkaException) -> int:
    """librdkafka's number of what went wrong."""
    code: int = error.args[0].code()
    return code


def error_text(error: BaseException) -> str:
    """librdkafka's sentence of an exception; its code's, where it leaves that out."""
    cause = error.args[0] if error.args else error
    if not isinstance(cause, KafkaError):
        return str(error)
    said = cause.str().strip()
    return f"{said} {KafkaError(cause.code()).str()}".strip() if not said or said.endswith(":") else said
