"""Readiness tells the truth about Kafka: gone, frozen, back; and a dashboard starts wherever it is put, or says why not."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from infra.embedded import Stack
from processor.adapters.topics import ensure_topic
from schemas.kafka.reading import partition_numbers
from schemas.topics import TopicSpec
from tests.support.cluster import OwnKafka
from tests.support.dashboard import TOKEN, start_dashboard
from tests.support.feed import connected
from tests.support.world import MONTH, Process, World, job, wait_for

LONG_S = 120.0


@pytest.fixture
def with_events(on_own: World, stack: Stack) -> Iterator[World]:
    """The world on the broker of its own, with SES's events."""
    with connected(on_own, stack):
        yield on_own


def readiness(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics_url(process: Process) -> str:
    (port,) = wait_for(lambda: [e["port"] for e in process.events() if e["event"] == "metrics served"], "its metrics")
    return f"http://127.0.0.1:{port}"


def test_nobody_is_ready_without_kafka(own: OwnKafka, with_events: World) -> None:
    """Frozen, then killed: dashboard, processor and evidence say so, and work again when it is back."""
    patient = {"MAILONCE_PATIENCE_S": "600"}
    dashboard = start_dashboard(with_events)
    processor = with_events.start("process", "--metrics-port", "0", "--instance", "p1", **patient)
    evidence = with_events.start("evidence", "--metrics-port", "0")
    urls = {"dashboard": dashboard.url, "processor": metrics_url(processor), "evidence": metrics_url(evidence)}

    def all_ready() -> bool:
        return all(readiness(url)[0] == 200 for url in urls.values())

    def all_say_why() -> bool:
        told = [readiness(url) for url in urls.values()]
        return all(status == 503 and "Kafka" in why for status, why in told)

    wait_for(all_ready, "readiness", LONG_S)
    own.signal("kafka", signal.SIGSTOP)
    wait_for(all_say_why, "that a frozen Kafka is told", LONG_S)
    assert dashboard.ask("/healthz")[0] == 200, "nothing would be won by a restart"
    own.signal("kafka", signal.SIGCONT)
    wait_for(all_ready, "readiness after the freeze", LONG_S)
    own.kill()
    wait_for(all_say_why, "that a dead Kafka is told", LONG_S)
    own.start()
    wait_for(all_ready, "readiness after the restart", LONG_S)
    # Ready means that it works, not only that Kafka answers.
    with_events.publish(job(f"u{n}") for n in range(20))
    wait_for(lambda: dashboard.api(f"month/{MONTH}")["sent"] == 20, "the month on the board", LONG_S)
    for process in (dashboard.process, processor, evidence):
        assert process.terminate() == 0
    for process in (dashboard.process, processor, evidence):
        told = [event["event"] for event in process.events()]
        # Once each time, however long it lasts.
        assert 2 <= told.count("kafka does not answer") <= 4
    noise = [line for line in dashboard.process.log.read_text().splitlines() if "[ERROR]" in line]
    assert len(noise) < 60, "aiokafka says the same ten times a second"
    with_events.audit().check()


def test_a_dashboard_makes_its_folder_and_its_topic(world: World) -> None:
    """In a folder where nothing is; its table has as many partitions as the topics from the first moment on."""
    dashboard = start_dashboard(world, MAILONCE_DASHBOARD_DIR=str(world.folder / "not/yet/{there}"))
    name = f"{world.settings.topic_prefix}dashboard-mails-changelog"
    assert len(partition_numbers(world.settings, name)) == len(
        partition_numbers(world.settings, world.settings.topics.jobs)
    )
    world.publish([job("u1")])
    wait_for(lambda: dashboard.api(f"month/{MONTH}")["jobs"] == 1, "the job on the board")
    assert dashboard.process.terminate() == 0
    assert (world.folder / "not/yet/{there}").is_dir()


@pytest.mark.parametrize("folder", ["/proc/mailonce", "{folder}/file/inside"])
def test_a_folder_that_cannot_be_written_is_one_sentence(world: World, folder: str) -> None:
    """With the setting's name, and no traceback."""
    (world.folder / "file").write_text("")
    done = world.run("dashboard", ok=(2,), MAILONCE_DASHBOARD_DIR=folder.format(folder=world.folder))
    assert "MAILONCE_DASHBOARD_DIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_table_of_another_size_is_told(world: World) -> None:
    """After partitions were added: folding would fail at every record."""
    name = f"{world.settings.topic_prefix}dashboard-mails-changelog"
    assert ensure_topic(world.settings, TopicSpec(name, {"cleanup.policy": "compact"}), 1) == 1
    done = world.run("dashboard", ok=(2,), MAILONCE_DASHBOARD_DIR=str(world.folder / "d"))
    assert "MAILONCE_DASHBOARD_NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_sentence(world: World) -> None:
    """Two dashboards on one machine, or something else on its port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        env: dict[str, Any] = {"MAILONCE_DASHBOARD_TOKEN": TOKEN, "MAILONCE_DASHBOARD_DIR": str(world.folder / "d")}
        done = world.run("dashboard", "--port", port, ok=(2,), **env)
    assert "MAILONCE_DASHBOARD_PORT" in done.stderr
    assert "Traceback" not in done.stderr
