"""Where ledger and attempts end now, and whether what a checkpoint says of them can still be so."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from processor.adapters.installation import NO_ID
from processor.adapters.kafka_places import epoch_before
from processor.core.checkpoint import Checkpoint, End, Ends, Place
from schemas.kafka.clients import admin_config
from schemas.kafka.reading import TIMEOUT_S, Tail, answer, error_text, log_tails
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
        told = {name: answer(future) for name, future in asked.items()}
    except KafkaException as error:
        raise BrokerUnavailable(f"Kafka does not say which topics it has: {error_text(error)}") from error
    found = []
    for name, known in ((topics.deliveries, since.ledger.places), (topics.attempts, since.attempts.places)):
        tails = log_tails(admin, name, [partition.id for partition in told[name].partitions])
        ends = {number: _end(settings, name, number, tail, known.get(number)) for number, tail in tails.items()}
        found.append((_id(str(told[name].topic_id or "")), ends))
    (ledger_id, ledger), (attempts_id, attempts) = found
    return Ends(ledger_id, ledger, attempts_id, attempts)


def _id(told: str) -> str:
    return "" if told == NO_ID else told


def _end(settings: Settings, topic: str, number: int, tail: Tail, known: Place | None) -> End:
    epoch = -1 if tail.epoch is None else tail.epoch
    # Under the same leader nothing can have been cut.
    moved = known is not None and 0 <= known.epoch < epoch and 0 < known.offset <= tail.offset
    before = epoch_before(settings, topic, number, known.offset) if moved and known else -1
    return End(tail.offset, epoch, before)
