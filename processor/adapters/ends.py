"""Where ledger and attempts end now, and whether what a checkpoint says of them can still be so."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from processor.adapters.installation import describe, topic_id
from processor.adapters.kafka_places import epoch_before
from processor.core.checkpoint import Checkpoint, End, Ends, Place
from schemas.kafka.clients import admin_config
from schemas.kafka.ends import Tail, log_tails
from schemas.runtime.settings import Settings

__all__ = ["ends_of"]


def ends_of(settings: Settings, since: Checkpoint) -> Ends:
    """Asks the brokers, the ledger first: every outcome before its end has its intent before that of the attempts.

    Raises `BrokerUnavailable`.
    """
    topics, admin = settings.topics, AdminClient(admin_config(settings))
    told = describe(admin, [topics.deliveries, topics.attempts])
    found = []
    for name, known in ((topics.deliveries, since.ledger.places), (topics.attempts, since.attempts.places)):
        tails = log_tails(admin, name, [partition.id for partition in told[name].partitions])
        ends = {number: _end(settings, name, number, tail, known.get(number)) for number, tail in tails.items()}
        found.append((topic_id(told[name]), ends))
    (ledger_id, ledger), (attempts_id, attempts) = found
    return Ends(ledger_id, ledger, attempts_id, attempts)


def _end(settings: Settings, topic: str, number: int, tail: Tail, known: Place | None) -> End:
    epoch = -1 if tail.epoch is None else tail.epoch
    # Under the same leader nothing can have been cut.
    moved = known is not None and 0 <= known.epoch < epoch and 0 < known.offset <= tail.offset
    before = epoch_before(settings, topic, number, known.offset) if moved and known else -1
    return End(tail.offset, epoch, before)
