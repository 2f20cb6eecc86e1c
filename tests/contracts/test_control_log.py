"""The laws of the control topic, on real Kafka and on its twin in memory; and a process's part in it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from confluent_kafka import KafkaException, Producer

from processor.adapters.control import KafkaControl, change_control, kafka_clock_ms, read_control
from processor.core.control import Control, begin_lineage
from processor.ports import ControlLog
from schemas.codec import encode
from schemas.control import Content, Heartbeat, Lineage
from schemas.kafka.clients import transactional_config
from schemas.kafka.reading import read_topic
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings
from tests.support.control import WAIT_S, SimPlace, beats, read_until
from tests.support.world import World

Records = Sequence[tuple[bytes, Content | None]]


class RealPlace:
    """A control topic on Kafka, and what a test needs beside the port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hanging: Producer | None = None

    def make(self) -> ControlLog:
        return KafkaControl(self._settings)

    def rival(self, lineage: Lineage) -> None:
        """Somebody else begins a lineage just now."""
        change_control(self._settings, lambda control: begin_lineage(control, lineage))

    def hang(self) -> None:
        """Somebody else stands still in the middle of a change."""
        topic = self._settings.topics.control
        self._hanging = Producer(transactional_config(self._settings, "") | {"transactional.id": topic})
        self._hanging.init_transactions(WAIT_S)
        self._hanging.begin_transaction()
        self._hanging.produce(topic, encode(Lineage(id="hangs")), b"lineage:hangs", 0)
        self._hanging.flush(WAIT_S)


@pytest.fixture(params=["kafka", "simulated"])
def place(request: pytest.FixtureRequest) -> RealPlace | SimPlace:
    """Both must obey the same laws."""
    return RealPlace(request.getfixturevalue("world").settings) if request.param == "kafka" else SimPlace()


async def test_what_is_written_comes_back_in_order(place: RealPlace | SimPlace) -> None:
    """A heartbeat that came back was taken, and with it everything before."""
    log, other = place.make(), place.make()
    for number in range(1, 4):
        log.beat(Heartbeat(process="me", beat=number))
    await log.change(lambda control: begin_lineage(control, Lineage(id="one")))
    log.remove("me")
    for reader in (log, other):
        found = await read_until(reader, lambda found: any(r.kind == "process" and r.content is None for r in found))
        mine = [record.content for record in found if record.kind == "process"]
        assert [beat.beat for beat in mine if isinstance(beat, Heartbeat)] == [1, 2, 3]
        assert mine[-1] is None
        assert [record.name for record in found if record.kind == "lineage"] == ["one"]
        assert await reader.read(0.05) == []
    await log.stop()
    await other.stop()


async def test_of_two_changes_on_the_same_reading_one_is_written(place: RealPlace | SimPlace) -> None:
    """Compaction would keep the second: so whoever was slower decides anew, on what the first has written."""
    log, asked = place.make(), []

    def decide(control: Control) -> Records:
        asked.append(control.newest)
        if not control.newest:
            place.rival(Lineage(id="rival"))
            return begin_lineage(control, Lineage(id="mine"))
        return []

    await log.change(decide)
    found = await read_until(log, lambda found: any(record.kind == "lineage" for record in found))
    assert [record.name for record in found if record.kind == "lineage"] == ["rival"]
    assert asked[0] == ""
    assert asked[-1] == "rival"
    await log.stop()


async def test_a_change_that_hangs_is_ended(place: RealPlace | SimPlace) -> None:
    """Behind it nobody reads a heartbeat back, and nobody may call: whoever notices ends it."""
    log = place.make()
    log.beat(Heartbeat(process="me", beat=1))
    await read_until(log, lambda found: len(beats(found)) == 1)
    place.hang()
    log.beat(Heartbeat(process="me", beat=2))
    assert beats(await log.read(1.0)) == []
    await log.release()
    found = await read_until(log, lambda found: len(beats(found)) == 1)
    assert [record.kind for record in found] == ["process"], "what hung was never written"
    await log.stop()


async def test_a_hanging_transaction_of_a_dead_process_is_ended(world: World) -> None:
    """Readers of the ledger wait for it; a new producer under its id ends it, and fences whoever held it."""
    settings = world.settings
    topic = settings.topics.deliveries
    dead = Producer(transactional_config(settings, "") | {"transactional.id": "dead"})
    dead.init_transactions(WAIT_S)
    dead.begin_transaction()
    dead.produce(topic, b"{}", b"k", 0)
    dead.flush(WAIT_S)
    await KafkaControl(settings).end_transactions(["dead"])
    assert [record for record in read_topic(settings, topic) if record.key == b"k"] == []
    with pytest.raises(KafkaException):
        dead.commit_transaction(WAIT_S)
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1", "patience_s": 0.1})
    with pytest.raises(BrokerUnavailable):
        change_control(away, lambda _control: [])


def test_kafka_tells_its_time(world: World) -> None:
    """A month is closed only where its clock and others' agree; and nobody who follows the topic minds the question."""
    assert abs(kafka_clock_ms(world.settings) - time.time() * 1000) < 60_000
    assert read_control(world.settings).position > 0
    with pytest.raises(BrokerUnavailable, match="did not tell its time"):
        kafka_clock_ms(world.settings.model_copy(update={"topic_prefix": "nowhere-", "patience_s": 1.0}))
