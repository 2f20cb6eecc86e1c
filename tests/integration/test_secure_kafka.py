"""Kafka behind TLS: SCRAM, OAUTHBEARER and client certificates, for every client that mailonce has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded import Stack
from schemas.kafka import msk
from schemas.records import Outcome
from tests.support.dashboard import start_dashboard
from tests.support.sandbox import SandboxAdmin
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka
from tests.support.world import MONTH, World, make_world

SCRAM = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    kafka = SecureKafka(tmp_path_factory.mktemp("secure") / "kafka")
    try:
        yield kafka
    finally:
        kafka.close()


def clients(kafka: SecureKafka, way: str) -> dict[str, str]:
    match way:
        case "scram":
            return kafka.env("sasl", **SCRAM, sasl_password=PASSWORD)
        case "mtls":
            own = str(kafka.client)
            return kafka.env("mtls", security_protocol="SSL", ssl_certificate_location=own, ssl_key_location=own)
        case _:
            return kafka.env(
                "sasl",
                security_protocol="SASL_SSL",
                sasl_mechanism="OAUTHBEARER",
                enable_sasl_oauthbearer_unsecure_jwt="true",
                sasl_oauthbearer_config=f"principal={USER}",
            )


@pytest.fixture
def behind(secure: SecureKafka, stack: Stack, sandbox: SandboxAdmin, tmp_path: Path) -> Iterator[World]:
    """A world whose topics are made over the plain listener; its settings are the test's to give."""
    plain = {"MAILONCE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{secure.ports['plain']}"}
    world = make_world(stack.env() | plain, sandbox, tmp_path)
    try:
        yield world
    finally:
        world.close()


@pytest.mark.parametrize(
    "way", ["scram", pytest.param("mtls", marks=pytest.mark.long), pytest.param("oauthbearer", marks=pytest.mark.long)]
)
def test_a_month_goes_through(behind: World, secure: SecureKafka, way: str) -> None:
    """G1 to G3 behind each of them: topics, producer, processor, operators' reads."""
    env = clients(secure, way)
    source = behind.folder / "users.csv"
    source.write_text("user_id,email,name,usage\n" + "".join(f"u{n},u{n}@mail.example.net,N,5\n" for n in range(20)))
    behind.run("topics", "create", **env)
    produced = behind.run("produce", "--month", MONTH, "--source", str(source), "--json", **env)
    assert json.loads(produced.stdout)["published"] == 20
    behind.drain(**env)
    counts = json.loads(behind.run("status", "--month", MONTH, "--json", **env).stdout)
    assert (counts["sent"], counts["pending"]) == (20, 0)
    assert behind.sandbox.accepted_count() == 20
    assert {entry[-1].outcome for entry in behind.deliveries().values()} == {Outcome.SENT}


@pytest.mark.long  # its client takes the same settings, tried alone
def test_the_dashboard_comes_in_too(behind: World, secure: SecureKafka) -> None:
    """Faust's own client, by the same settings."""
    dashboard = start_dashboard(behind, **clients(secure, "scram"))
    assert dashboard.ready


@pytest.mark.parametrize(
    ("listener", "options", "says"),
    [
        ("sasl", SCRAM | {"sasl_password": "wrong"}, "invalid credentials with SASL mechanism"),
        ("sasl", SCRAM | {"sasl_password": "p", "ssl_ca_location": "none.pem"}, "ssl.ca.location failed"),
        ("sasl", {"security_protocol": "SASL_SSL"}, "No provider for SASL mechanism"),
        ("sasl", {"no_such_option": "1"}, 'No such configuration property: "no.such.option"'),
        pytest.param("mtls", {"security_protocol": "SSL"}, "does not answer", marks=pytest.mark.long),
    ],
)
def test_who_may_not_come_in_is_told(
    behind: World, secure: SecureKafka, listener: str, options: dict[str, str], says: str
) -> None:
    """Exit code 7 or 2 and a sentence; no password in it."""
    done = behind.run("topics", "create", ok=(2, 7), **secure.env(listener, **options))
    assert says in done.stderr
    assert "wrong" not in done.stderr
    assert "Traceback" not in done.stderr


def test_msk_with_iam(behind: World, secure: SecureKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is asked for by each client, before its first request. Here the broker takes an unsigned one."""
    env = secure.env("sasl") | {"MAILONCE_KAFKA_AUTH": "msk-iam"}
    asked = []

    def token_of(region: str) -> msk.Token:
        def token(_config: str) -> tuple[str, float]:
            asked.append(region)
            return unsigned_token(), 4e9

        return token

    monkeypatch.setattr(msk, "_token_of", token_of)
    behind.run("topics", "create", **env)
    assert json.loads(behind.run("status", "--month", MONTH, "--json", **env).stdout)["jobs"] == 0
    assert set(asked) == {"us-east-1"}


def unsigned_token() -> str:
    import base64
    import time

    parts = ({"alg": "none"}, {"sub": USER, "iat": time.time(), "exp": time.time() + 300})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
