"""Redis wiped, restarted, failed over to a replica that lags, allowed to evict: nobody is mailed twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka import Producer

from infra.embedded import Stack
from schemas.kafka.clients import transactional_config
from schemas.records import Outcome
from tests.support.proxy import Proxy
from tests.support.servers import kill_server
from tests.support.world import MONTH, WAIT_S, Process, World, job, wait_for

IN_FLIGHT = 8

pytestmark = pytest.mark.short_lives


class Valkey:
    """A Valkey of the test's own, to be mistreated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = Stack(folder, tied=True)
        self.start()

    @property
    def port(self) -> int:
        return self._stack.known()["valkey"].port

    def start(self) -> None:
        self._stack.up(("valkey",))

    def kill(self) -> None:
        kill_server(self._stack, "valkey")

    def call(self, *words: str) -> object:
        client = redis.Redis(port=self.port)
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def close(self) -> None:
        self._stack.down()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path / "valkey-one")
    yield valkey
    valkey.close()


def sending(world: World, port: int, *, users: int = 300, **env: str) -> Process:
    """A processor on the Redis at `port`, in the middle of its work."""
    world.env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    world.sandbox.set(latency_ms=40)
    world.publish(job(f"u{n}") for n in range(users))
    process = world.processor("p1", **env)
    wait_for(lambda: world.sandbox.accepted_count() > 60, "sending")
    return process


def more(world: World, name: str) -> None:
    """So that there is something to claim after a fault, however far the processor was."""
    world.publish(job(f"{name}{n}") for n in range(100))


def finish(world: World, process: Process) -> None:
    """Everything is settled by a second processor; the audit allows doubt for the calls in flight, twice."""
    assert process.terminate() == 0
    world.sandbox.set(latency_ms=0)
    world.drain("p2")
    audit = world.audit()
    audit.check(uncertain_max=2 * IN_FLIGHT)
    verified = json.loads(world.run("dedup", "verify", "--json").stdout)
    assert verified["safe"]
    assert verified["equal"] == len(audit.outcomes)


@pytest.fixture
def open_transaction(world: World) -> None:
    """What a processor leaves that is killed in mid-transaction: readers stop there until Kafka ends it (15 s)."""
    producer = Producer(transactional_config(world.settings, "dead"))
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    for topic in (world.settings.topics.attempts, world.settings.topics.deliveries):
        for partition in range(world.settings.partitions):
            producer.produce(topic, b"never committed", b"k", partition)
    assert producer.flush(WAIT_S) == 0


@pytest.mark.usefixtures("open_transaction")
def test_a_rebuild_sees_past_a_dead_processors_open_transaction(world: World) -> None:
    """G1: until Kafka aborts it nothing that came later is readable: a set rebuilt from that allows a second mail."""
    world.publish(job(f"u{n}") for n in range(100))
    world.drain("p1")
    assert world.sandbox.accepted_count() == 100
    redis.Redis.from_url(world.env["MAILONCE_REDIS_URL"]).flushdb()
    replay = world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert rebuilds(replay) == 1
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 100


def rebuilds(process: Process) -> int:
    return sum(entry.get("event") == "dedup set rebuilt" for entry in process.events())


def test_flushall_while_mail_flows(world: World, valkey: Valkey) -> None:
    """G1: the marker goes with the rest; nobody sends until the set was rebuilt from Kafka."""
    process = sending(world, valkey.port)
    valkey.call("FLUSHALL")
    more(world, "late")
    wait_for(lambda: rebuilds(process) == 2, "the rebuild")
    finish(world, process)


@pytest.mark.long  # the older file is a restart with data as well
def test_a_restart_with_the_data(world: World, valkey: Valkey) -> None:
    """G1: killed and started again with its file: another run, so the set is checked against Kafka before anybody sends."""
    process = sending(world, valkey.port)
    valkey.kill()
    more(world, "late")
    wait_for(lambda: process.says("redis unavailable"), "the outage")
    accepted = world.sandbox.accepted_count()
    valkey.start()
    wait_for(lambda: rebuilds(process) == 2, "the rebuild")
    wait_for(lambda: world.sandbox.accepted_count() > accepted + IN_FLIGHT, "sending again")
    finish(world, process)


def test_a_restart_with_an_older_file_reads_only_what_came_since(world: World, valkey: Valkey) -> None:
    """G1: what the file lacks is read from the checkpoint that the file itself holds, and nothing of the month before it."""
    world.env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}/0"
    world.publish(job(f"m{n}") for n in range(2000))
    world.drain("p0")
    settled = world.sandbox.accepted_count()
    process = sending(world, valkey.port)
    wait_for(lambda: stands_at(valkey) > 2 * settled, "the checkpoint")
    shutil.copytree(valkey.folder / "valkey" / "appendonlydir", valkey.folder / "older")
    behind = world.sandbox.accepted_count()
    more(world, "unknown")
    wait_for(lambda: world.sandbox.accepted_count() > behind + 60, "sending")
    valkey.kill()
    shutil.rmtree(valkey.folder / "valkey" / "appendonlydir")
    (valkey.folder / "older").rename(valkey.folder / "valkey" / "appendonlydir")
    valkey.start()
    more(world, "late")
    wait_for(lambda: rebuilds(process) == 1, "the rebuild")
    told = [entry for entry in process.events() if entry.get("event") == "dedup set rebuilt"][-1]
    assert told["read_from"] == "the checkpoint"
    assert told["records"] < settled
    finish(world, process)


def stands_at(valkey: Valkey) -> int:
    """How many offsets of ledger and attempts the set's checkpoint has passed."""
    client = redis.Redis(port=valkey.port, decode_responses=True)
    try:
        (name,) = client.keys("*:checkpoint")
        places = json.loads(str(client.hget(name, "places")))
    finally:
        client.close()
    return sum(place[0] for topic in places.values() for place in topic["places"].values())


@pytest.mark.long  # FLUSHALL is the same to a processor, and the older file a restart
def test_a_restart_with_an_empty_disk(world: World, valkey: Valkey) -> None:
    """G1: everything Redis knew is gone."""
    process = sending(world, valkey.port)
    valkey.kill()
    shutil.rmtree(valkey.folder / "valkey" / "appendonlydir")
    valkey.start()
    more(world, "late")
    wait_for(lambda: rebuilds(process) == 2, "the rebuild")
    finish(world, process)


def test_a_failover_to_a_replica_that_lacks_the_last_writes(world: World, valkey: Valkey, tmp_path: Path) -> None:
    """G1: the marker is there, the last claims and facts are not: noticed by the server's run id."""
    replica = Valkey(tmp_path / "valkey-two")
    address = Proxy(valkey.port)
    try:
        replica.call("REPLICAOF", "127.0.0.1", str(valkey.port))
        wait_for(lambda: "'master_link_status': 'up'" in str(replica.call("INFO", "replication")), "replication")
        process = sending(world, address.port)
        # The replica stops following; whatever is claimed and sent from here on it does not know.
        replica.call("REPLICAOF", "NO", "ONE")
        behind = world.sandbox.accepted_count()
        more(world, "unknown")
        wait_for(lambda: world.sandbox.accepted_count() > behind + 60, "sending")
        address.switch(replica.port)
        valkey.kill()
        more(world, "late")
        wait_for(lambda: rebuilds(process) == 2, "the rebuild")
        finish(world, process)
    finally:
        address.close()
        replica.close()


def test_a_failover_and_back_reads_from_the_checkpoint_each_time(world: World, valkey: Valkey, tmp_path: Path) -> None:
    """G1: each server knows up to where it is complete; what was settled before is not read again."""
    replica = Valkey(tmp_path / "valkey-two")
    address = Proxy(valkey.port)
    world.env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{address.port}/0"
    try:
        # A first replica changes the server's replication id: before anything is there.
        replica.call("REPLICAOF", "127.0.0.1", str(valkey.port))
        wait_for(lambda: "'master_link_status': 'up'" in str(replica.call("INFO", "replication")), "replication")
        world.publish(job(f"m{n}") for n in range(1000))
        world.drain("p0")
        settled = world.sandbox.accepted_count()
        process = sending(world, address.port)
        wait_for(lambda: stands_at(valkey) > 2 * settled, "the checkpoint")
        assert rebuilds(process) == 0
        for number, (name, server) in enumerate((("over", replica), ("back", valkey))):
            if server is replica:
                replica.call("REPLICAOF", "NO", "ONE")
            behind = world.sandbox.accepted_count()
            more(world, f"unknown-{name}")
            wait_for(lambda behind=behind: world.sandbox.accepted_count() > behind + 60, "sending")
            address.switch(server.port)
            more(world, name)
            wait_for(lambda number=number: rebuilds(process) == number + 1, "the rebuild")
            told = [entry for entry in process.events() if entry.get("event") == "dedup set rebuilt"][-1]
            assert told["read_from"] == "the checkpoint"
            assert told["records"] < settled
        finish(world, process)
    finally:
        address.close()
        replica.close()


def test_an_evicting_policy_is_refused_and_noticed(world: World, valkey: Valkey) -> None:
    """G1: refused at start; set while mail flows, the processor halts, releases, and dead-letters nothing."""
    process = sending(world, valkey.port, MAILONCE_ACCOUNT_REFRESH_S="0.5")
    valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert process.wait() == 4
    assert "redis-evicts" in process.log.read_text()
    refused = world.processor("p2")
    assert refused.wait() == 7
    assert "noeviction" in refused.log.read_text()
    valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    world.sandbox.set(latency_ms=0)
    world.drain("p3")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 300


def test_rebuild_and_verify_by_hand(world: World, valkey: Valkey) -> None:
    """Differences are counted and named; a rebuild mends them; facts beyond the ledger are left alone."""
    world.env["MAILONCE_REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}/0"
    world.sandbox.fault("reject", address="bad*")
    world.sandbox.fault("accept_drop", address="doubt*")
    world.publish([*(job(f"u{n}") for n in range(20)), job("bad"), job("doubt")])
    world.run("cancel", "u19", MONTH)
    world.drain()
    found = json.loads(world.run("dedup", "verify", "--json").stdout)
    assert (found["whole"], found["safe"], found["equal"]) == (True, True, 22)
    client = redis.Redis(port=valkey.port, decode_responses=True)
    buckets = {user: name for name in client.keys("*:2026-11:*") for user in client.hkeys(name)}
    client.hdel(buckets["u1"], "u1")
    client.hset(buckets["u2"], "u2", "Uattempt")
    client.hset(buckets["u3"], "stranger", "sfingerprint")
    found = json.loads(world.run("dedup", "verify", "--json", ok=(1,)).stdout)
    assert (found["missing"], found["lower"], found["unknown"], found["equal"]) == (1, 1, 1, 20)
    assert found["keys"] == {"missing": [f"u1:{MONTH}"], "lower": [f"u2:{MONTH}"], "unknown": [f"stranger:{MONTH}"]}
    assert "not safe" in world.run("dedup", "verify", ok=(1,)).stdout
    assert json.loads(world.run("dedup", "rebuild", "--json").stdout) == {"entries": 22}
    found = json.loads(world.run("dedup", "verify", "--json").stdout)
    assert (found["safe"], found["equal"], found["unknown"]) == (True, 22, 1)
    client.close()
    assert "22 entries" in world.run("dedup", "rebuild").stdout
    accepted = world.sandbox.accepted_count()
    world.drain("again", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert world.sandbox.accepted_count() == accepted, "a replay after the rebuild sent something"
