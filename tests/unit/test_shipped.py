"""What keeps a shipped process upright: asking Kafka, waiting for a queue, folding again, and clear refusals."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from redis.exceptions import NoPermissionError

from infra.ses_sandbox import connect as connecting
from processor.adapters.kafka_watch import STALE_S, KafkaWatch, asks_kafka, kafka_watched
from processor.adapters.redis import check_server
from processor.dashboard import app as dashboard_app
from processor.dashboard.app import Board, _until_taken
from processor.dashboard.listen import listen
from processor.dashboard.quiet import EVERY_S, Sparse
from processor.dashboard.run import folder_for_tables
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable, RedisUntrusted, UsageError
from schemas.runtime.settings import load_settings


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


# ---- asking Kafka ----


def test_kafkas_silence_is_told_and_its_return_too() -> None:
    """503 with the reason after the first unanswered question, 200 after the first answer; `again` once a return."""
    answers: list[Exception | None] = [None, BrokerUnavailable("gone"), BrokerUnavailable("still gone"), None, None]
    returned: list[bool] = []

    def probe() -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    watch = KafkaWatch(probe, Clock(), lambda: returned.append(True))
    told = []
    for _ in range(5):
        watch.look()
        told.append(watch.why_not_ready())
    assert told == [None, "gone", "still gone", None, None]
    assert returned == [True]


def test_an_old_answer_is_none() -> None:
    """A thread that hangs in a question must not keep a process ready for ever."""
    clock = Clock()
    watch = KafkaWatch(lambda: None, clock)
    watch.look()
    clock.now_s += STALE_S
    assert watch.why_not_ready() is None
    clock.now_s += 1
    assert watch.why_not_ready() == f"Kafka was last asked {STALE_S + 1:.0f} s ago"


def test_a_port_without_kafka_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a real client; and whom nobody can ask asks nobody."""
    monkeypatch.setattr("processor.adapters.kafka_watch.ANSWER_WITHIN_S", 0.2)
    settings = load_settings(kafka_bootstrap_servers="127.0.0.1:9")
    with pytest.raises(BrokerUnavailable, match="MAILONCE_KAFKA_BOOTSTRAP_SERVERS"):
        asks_kafka(settings)()
    monkeypatch.setattr("processor.adapters.kafka_watch.EVERY_S", 0.01)
    with kafka_watched(settings) as watch:
        asked = threading.Event()
        for _ in range(1000):
            if watch.why_not_ready():
                break
            asked.wait(0.05)
        assert "does not answer" in str(watch.why_not_ready())
    before = threading.active_count()
    with kafka_watched(settings, served=False) as silent:
        assert threading.active_count() == before
        assert silent.why_not_ready() is None


# ---- folding ----


def test_a_batch_that_cannot_be_folded_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust would commit past it; meanwhile the board is not ready and says why."""
    monkeypatch.setattr(dashboard_app, "AGAIN_AFTER_S", 0)
    board = Board(table={})
    board.recovered, board.targets = True, {}
    told: list[str | None] = []

    def take(kind: str, events: Any) -> None:
        told.append(board.why_not_ready())
        if len(told) < 3:
            raise RuntimeError("the changelog has 0 partitions")

    monkeypatch.setattr(board, "take", take)
    asyncio.run(_until_taken(board, "jobs", []))
    assert told == [None, *["records of jobs cannot be folded: RuntimeError"] * 2]
    assert board.why_not_ready() is None


def test_kafkas_trouble_is_the_boards() -> None:
    """Pages, readiness and the metric tell the same."""
    board = Board(table={})
    board.recovered, board.targets = True, {}
    board.kafka_trouble = lambda: "Kafka is gone"
    assert board.why_not_ready() == "Kafka is gone"


def test_a_librarys_noise_is_thinned() -> None:
    """One line of a kind a minute, whatever is filled in; other loggers are left alone."""
    clock = Clock()
    sparse = Sparse("aiokafka", clock)

    def passes(name: str, words: str, node: int) -> bool:
        return bool(sparse.filter(logging.LogRecord(name, logging.ERROR, "", 0, words, (node,), None)))

    assert passes("aiokafka.client", "no node %s", 1)
    assert not passes("aiokafka.client", "no node %s", 2)
    assert passes("aiokafka.client", "another %s", 2)
    assert all(passes("faust.app", "no node %s", 1) for _ in range(3))
    clock.now_s += EVERY_S
    assert passes("aiokafka.client", "no node %s", 3)


# ---- where it is put ----


def test_the_default_folder_is_made_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a unit's fresh state folder; again it does no harm."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        folder_for_tables(Path(load_settings().dashboard_dir))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [".mailonce", ".mailonce/dashboard"]


def test_a_folder_in_which_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    """It may be there and yet be read-only."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/inside", Path("/proc")):
        with pytest.raises(UsageError, match="MAILONCE_DASHBOARD_DIR"):
            folder_for_tables(place)


def test_the_pages_address_is_taken_or_refused() -> None:
    """All of a name's addresses; a taken port and a foreign address are one sentence."""
    (one,) = listen(load_settings(dashboard_host="127.0.0.1", dashboard_port=0))
    port = one.getsockname()[1]
    for host, wanted in (("127.0.0.1", port), ("192.0.2.1", 0), ("no such host", 0)):
        with pytest.raises(UsageError, match="MAILONCE_DASHBOARD_PORT"):
            listen(load_settings(dashboard_host=host, dashboard_port=wanted))
    one.close()
    sockets = listen(load_settings(dashboard_host="localhost", dashboard_port=0))
    assert sockets
    for found in sockets:
        with socket.create_connection(found.getsockname()[:2], timeout=60):
            pass
        found.close()


# ---- the servers beside ----


def test_the_queues_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In compose it was started a moment ago; one that never answers is one sentence."""
    refused = EndpointConnectionError(endpoint_url="http://sqs:9324/")
    answers: list[Any] = [refused, refused, {"QueueUrl": "http://sqs/q"}]

    class Client:
        def create_queue(self, **_names: str) -> Any:
            answer = answers.pop(0) if answers else refused
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(connecting, "client", lambda *_: Client())
    monkeypatch.setattr(connecting.time, "sleep", lambda _: None)
    assert connecting.queue_url("http://sqs:9324", "q") == "http://sqs/q"
    with pytest.raises(SystemExit, match="did not answer within 0 s"):
        connecting.queue_url("http://sqs:9324", "q", wait_s=0)


def test_a_redis_that_tells_nothing_is_one_sentence() -> None:
    """Neither CONFIG nor INFO is allowed: that was a traceback."""

    class Closed:
        async def config_get(self, _name: str) -> Any:
            raise NoPermissionError("no CONFIG")

        async def info(self, _section: str) -> Any:
            raise NoPermissionError("no INFO")

        async def eval(self, _script: str, _keys: int) -> Any:
            return run

    run = ""
    with pytest.raises(RedisUntrusted, match="call INFO"):
        asyncio.run(check_server(Closed()))  # type: ignore[arg-type]
    run = "1" * 40
    with pytest.raises(RedisUnavailable, match="no INFO"):
        asyncio.run(check_server(Closed()))  # type: ignore[arg-type]
