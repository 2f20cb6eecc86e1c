"""Reading topics when Kafka misbehaves: a scripted consumer stands for what a broker rarely does on demand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.kafka import ends, reading
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings, load_settings


class Message:
    def __init__(self, error: int | None = None, partition: int = 0, key: Any = b"k", offset: int = 5) -> None:
        self._error = None if error is None else KafkaError(error)
        self._partition, self._key, self._offset = partition, key, offset

    def error(self) -> KafkaError | None:
        return self._error

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> Any:
        return self._key

    def value(self) -> None:
        return None

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 7


class Script:
    """A consumer that gives what it was told to, and the admin client beside it: the topic ends at `end`."""

    def __init__(self, *polls: Message | Exception | None, end: int = 5) -> None:
        self._polls = list(polls)
        self._end = end
        self.closed = False

    def __call__(self, _config: dict[str, Any]) -> Script:
        return self

    def list_offsets(self, places: Any, **_options: Any) -> dict[Any, Future[Any]]:
        futures: dict[Any, Future[Any]] = {place: Future() for place in places}
        for future in futures.values():
            future.set_result(SimpleNamespace(offset=self._end, leader_epoch=0))
        return futures

    def poll(self, _timeout: float) -> Message | None:
        answer = self._polls.pop(0) if self._polls else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def consume(self, _count: int, _timeout: float) -> list[Message]:
        return []

    def assign(self, _places: list[Any]) -> None: ...

    def list_topics(self, _topic: str, timeout: float) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def close(self) -> None:
        self.closed = True


END = Message(KafkaError._PARTITION_EOF)


def use(monkeypatch: pytest.MonkeyPatch, script: Script) -> Script:
    monkeypatch.setattr(reading, "Consumer", script)
    monkeypatch.setattr(reading, "AdminClient", script)
    return script


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Script]:
    def install(*polls: Message | Exception | None) -> Script:
        return use(monkeypatch, Script(*polls))

    return install


@pytest.fixture
def settings() -> Settings:
    return load_settings()


def test_lost_connections_pass(play: Callable[..., Script], settings: Settings) -> None:
    """A broker that comes back is read on; a key that is text is bytes."""
    script = play(None, Message(KafkaError._TRANSPORT), Message(key="text"), END)
    (record,) = reading.read_topic(settings, "t", [0])
    assert (record.key, record.offset, record.timestamp_ms) == (b"text", 5, 7)
    assert script.closed


def test_an_open_transaction_is_not_the_end(
    play: Callable[..., Script], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka tells readers of committed records an end that moves on when the transaction is ended."""
    monkeypatch.setattr(reading, "SAY_AFTER_S", -1.0)
    play(Message(KafkaError._PARTITION_EOF, offset=3), None, None, Message(offset=4), END)
    assert [record.offset for record in reading.read_topic(settings, "t", [0])] == [4]


def test_a_topic_that_was_read_needs_no_consumer(play: Callable[..., Script], settings: Settings) -> None:
    """Nothing new is nothing to wait for."""
    play(KafkaException(KafkaError(KafkaError._FATAL)))
    assert list(reading.read_topic(settings, "t", [0], starts={0: 5})) == []


def test_where_a_topic_begins() -> None:
    """A head that was removed, by age or by hand, makes it begin behind 0."""
    assert ends.begin_offsets(Script(end=3), "t", [0, 2]) == {0: 3, 2: 3}  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.NOT_LEADER_FOR_PARTITION])
def test_no_answer_about_the_end(
    play: Callable[..., Script], settings: Settings, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """An error that names the topic: at once when refused, after a time when it could pass."""
    monkeypatch.setattr(ends, "TIMEOUT_S", 0.15)
    script = play()
    failed: Future[Any] = Future()
    failed.set_exception(KafkaException(KafkaError(code)))
    monkeypatch.setattr(script, "list_offsets", lambda places, **_: dict.fromkeys(places, failed))
    with pytest.raises(BrokerUnavailable, match="where t ends"):
        list(reading.read_topic(settings, "t", [0]))
    assert ends.end_offsets(script, "t", []) == {}  # type: ignore[arg-type]


def test_a_silent_place(play: Callable[..., Script], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that was not found in time is not a record that is gone."""
    monkeypatch.setattr(reading, "TIMEOUT_S", 0.01)
    use(monkeypatch, Known())
    with pytest.raises(BrokerUnavailable, match="0:5"):
        reading.read_record(settings, "t", 0, 5)


def test_silence_ends(play: Callable[..., Script], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command does not hang for ever."""
    monkeypatch.setattr(reading, "TIMEOUT_S", -60.0)
    play(Message(KafkaError._PARTITION_EOF, offset=3))
    with pytest.raises(BrokerUnavailable, match="sent nothing of t .* begin at 0:3"):
        list(reading.read_topic(settings, "t", [0]))


@pytest.mark.parametrize(
    "fault", [Message(KafkaError.TOPIC_AUTHORIZATION_FAILED), KafkaException(KafkaError(KafkaError._FATAL))]
)
def test_other_errors_are_named(play: Callable[..., Script], settings: Settings, fault: Any) -> None:
    """Clear errors, the consumer closed."""
    script = play(fault)
    with pytest.raises(BrokerUnavailable, match="reading t: "):
        list(reading.read_topic(settings, "t", [0]))
    assert script.closed


def test_no_metadata_is_named(play: Callable[..., Script], settings: Settings) -> None:
    """Which address, which setting."""
    play()
    with pytest.raises(BrokerUnavailable, match="MAILONCE_KAFKA_BOOTSTRAP_SERVERS"):
        reading.partition_numbers(settings, "t")
    assert reading.error_text(ValueError("x")) == "x"
    assert reading.error_text(ValueError()) == ""


class Topic:
    """Metadata of a topic with one partition."""

    error: str | None = None
    partitions = (0,)


class Unknown(Script):
    """A consumer whose broker does not know the topic."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        found = Topic()
        found.error = "unknown topic"
        return SimpleNamespace(topics={topic: found})


def test_a_topic_that_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to run."""
    use(monkeypatch, Unknown())
    with pytest.raises(BrokerUnavailable, match="no topic t: run `mailonce topics create`"):
        reading.partition_numbers(settings, "t")


class Known(Script):
    """A consumer whose broker knows the topic."""

    starts: list[int]

    def list_topics(self, topic: str, timeout: float) -> Any:
        return type("Metadata", (), {"topics": {topic: Topic()}})

    def assign(self, places: list[Any]) -> None:
        self.starts = [place.offset for place in places]


def test_a_follower_reads_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time what came since the last."""
    end = Message(KafkaError._PARTITION_EOF, offset=7)
    consumer = Known(Message(), end, end, end=7)
    use(monkeypatch, consumer)
    follower = reading.Follower(settings, "t")
    assert [record.offset for record in follower.news()] == [5]
    assert consumer.starts == [0]
    assert list(follower.news()) == []
    assert consumer.starts == [6]


def test_single_records_are_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By partition and offset; what is not there is ``None``, never another record."""
    lost = Message(KafkaError._TRANSPORT)
    consumer = Known(Message(), Message(), None, lost, END, Message(KafkaError._FATAL))
    use(monkeypatch, consumer)
    reader = reading.RecordReader(settings, "t")
    reader.close()
    found = reader.get(0, 5)
    assert found is not None
    assert found.offset == 5
    assert [reader.get(0, 4), reader.get(0, 9)] == [None] * 2
    with pytest.raises(BrokerUnavailable, match="reading t: "):
        reader.get(0, 9)
    assert reader.get(7, 0) is None
    assert reader.get(0, -1) is None
    reader.close()
    assert consumer.closed
    use(monkeypatch, Known(Message()))
    assert reading.read_record(settings, "t", 0, 5) is not None
