"""Where ledger and attempts end now, and whether what a checkpoint says of them can still be so."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from processor.adapters.installation import NO_ID
from processor.adapters.kafka_places import epoch_before
from processor.core.checkpoint import Checkpoint, End, Ends, Place
from schemas.kafka.clients import admin_config
from schemas.kafka.reading import TIMEOUT_S, Tail, answer, error_text, log_tails, partition_numbers
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["ends_of"]


def ends_of(settings: Settings, since: Checkpoint) -> Ends:
    """Asks the brokers, the ledger first: every outcome before its end has its intent before that of the attempts.

    Raises `BrokerUnavailable`.
    """
    topics, admin = settings.topics, AdminClient(admin_config(settings))
    names = [topics.deliveries, topics.attempts]
    try:
        asked = admin.describe_topics(TopicCollection(names), request_timeout=TIMEOUT_S)
        ids = {name: str(answer(future).topic_id or "") for name, future in asked.items()}
    except KafkaException as error:
        raise BrokerUnavailable(f"Kafka does not say which topics it has: {error_text(error)}") from error
    ids = {name: "" if told == NO_ID else told for name, told in ids.items()}
    ledger = _ends(settings, admin, topics.deliveries, since.ledger.places)
    attempts = _ends(settings, admin, topics.attempts, since.attempts.places)
    return Ends(ids[topics.deliveries], ledger, ids[topics.attempts], attempts)


def _ends(settings: Settings, admin: AdminClient, topic: str, known: Mapping[int, Place]) -> dict[int, End]:
    tails = log_tails(admin, topic, partition_numbers(settings, topic))
    return {number: _end(settings, topic, number, tail, known.get(number)) for number, tail in tails.items()}


def _end(settings: Settings, topic: str, number: int, tail: Tail, known: Place | None) -> End:
    epoch = -1 if tail.epoch is None else tail.epoch
    # Under the same leader nothing can have been cut.
    moved = known is not None and 0 <= known.epoch < epoch and 0 < known.offset <= tail.offset
    before = epoch_before(settings, topic, number, known.offset) if moved and known else -1
    return End(tail.offset, epoch, before)
