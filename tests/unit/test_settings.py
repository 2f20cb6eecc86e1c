"""Settings: names, defaults, refusals, secrets, and that Kafka's own options reach the clients."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import redis.asyncio
from confluent_kafka import Consumer, KafkaException, Producer

from processor.adapters.redis import connect
from schemas.kafka.clients import (
    admin_config,
    jobs_consumer_config,
    producer_config,
    reader_config,
    transactional_config,
)
from schemas.runtime.described import describe_settings
from schemas.runtime.errors import UsageError
from schemas.runtime.logs import Event, configure_logs, get_log
from schemas.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_safe() -> None:
    """Loopback, the design's lifetime, hold what is uncertain."""
    settings = load_settings()
    assert settings.kafka_bootstrap_servers.startswith("127.0.0.1")
    assert settings.attempt_lifetime_s == 330
    assert settings.on_uncertain == "hold"
    assert settings.topics.jobs == "email-jobs"
    # A call may begin this long after its claim: then a signature's 300 s still end before the lifetime does.
    assert settings.start_window_s == 20


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear error that says which variable and why."""
    monkeypatch.setenv("MAILONCE_PARTITIONS", "many")
    monkeypatch.setenv("MAILONCE_REDIS_URL", "http://x")
    monkeypatch.setenv("MAILONCE_FROM_ADDRESS", "nobody")
    monkeypatch.setenv("MAILONCE_UNSUBSCRIBE_URL", "http://x")
    with pytest.raises(UsageError) as caught:
        load_settings()
    for name in ("PARTITIONS", "REDIS_URL", "FROM_ADDRESS", "UNSUBSCRIBE_URL"):
        assert f"MAILONCE_{name}: " in str(caught.value)


def test_times_that_would_break_the_promise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """G1: a lifetime shorter than a signature's age would let a call arrive after a takeover."""
    monkeypatch.setenv("MAILONCE_ATTEMPT_LIFETIME_S", "301")
    with pytest.raises(UsageError, match="must exceed signature_age_s"):
        load_settings()


def test_addresses_with_names_and_without_line_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A display name is fine, header injection is not."""
    monkeypatch.setenv("MAILONCE_FROM_ADDRESS", "Your team <team@example.com>")
    assert load_settings().from_address.startswith("Your team")
    monkeypatch.setenv("MAILONCE_FROM_ADDRESS", "Team\r\nBcc: x <team@example.com>")
    with pytest.raises(UsageError, match="line break"):
        load_settings()


def test_the_retry_table_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interval, rate, attempts and ceiling per class of refusal, as JSON."""
    monkeypatch.setenv("MAILONCE_RETRY", '{"throttled": {"interval_s": 9, "max_attempts": 2}}')
    retry = load_settings().retry
    assert (retry.throttled.interval_s, retry.throttled.max_attempts) == (9, 2)
    assert retry.unreachable.max_attempts == 15


def test_a_dotenv_file_counts(tmp_path: Path) -> None:
    """The same names in a .env, Kafka's options too."""
    (tmp_path / ".env").write_text("MAILONCE_GROUP_ID=from-file\nMAILONCE_KAFKA_SECURITY_PROTOCOL=SSL\n")
    settings = load_settings()
    assert settings.group_id == "from-file"
    assert settings.kafka_options == {"security.protocol": "SSL"}
    assert load_settings(group_id="given").group_id == "given"


def test_instance_names() -> None:
    """A given name is kept; otherwise no two processors have the same."""
    assert load_settings(instance="one").instance_name() == "one"
    settings = load_settings()
    assert settings.instance_name() != settings.instance_name()


def test_kafka_options_reach_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """SASL and TLS pass through; librdkafka itself refuses a wrong one, so it did arrive."""
    monkeypatch.setenv("MAILONCE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_USERNAME", "u")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_PASSWORD", "p")
    settings = load_settings()
    configs = [
        admin_config(settings),
        producer_config(settings),
        transactional_config(settings, "one"),
        jobs_consumer_config(settings, "p1"),
        reader_config(settings),
    ]
    for config in configs:
        assert config["sasl.mechanism"] == "SCRAM-SHA-512"
        assert config["security.protocol"] == "SASL_SSL"
    Producer(producer_config(settings))
    Consumer(jobs_consumer_config(settings, "p1")).close()
    monkeypatch.setenv("MAILONCE_KAFKA_SSL_CA_LOCATION", "/no/such/file")
    broken = load_settings()
    for make in (lambda: Producer(producer_config(broken)), lambda: Consumer(jobs_consumer_config(broken, "p1"))):
        with pytest.raises(KafkaException, match="ssl.ca.location"):
            make()


def test_the_guarantee_cannot_be_configured_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: what the promise rests on stands after the user's options."""
    for option in ("ENABLE_AUTO_COMMIT", "ENABLE_IDEMPOTENCE", "ISOLATION_LEVEL", "ACKS", "ENABLE_AUTO_OFFSET_STORE"):
        monkeypatch.setenv(f"MAILONCE_KAFKA_{option}", "false")
    settings = load_settings()
    consumer, producer = jobs_consumer_config(settings, "p1"), transactional_config(settings, "one")
    assert (consumer["enable.auto.commit"], consumer["isolation.level"]) == (False, "read_committed")
    assert (producer["enable.idempotence"], producer["acks"]) == (True, "all")


def test_the_consumer_protocol_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """KIP-848 takes no client-side assignor or session time-out."""
    assert jobs_consumer_config(load_settings(), "p1")["partition.assignment.strategy"] == "cooperative-sticky"
    monkeypatch.setenv("MAILONCE_GROUP_PROTOCOL", "consumer")
    config = jobs_consumer_config(load_settings(), "p1")
    assert config["group.protocol"] == "consumer"
    assert "session.timeout.ms" not in config
    Consumer(config).close()


def test_rediss_reaches_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """rediss:// is a TLS connection with the certificate checked."""
    monkeypatch.setenv("MAILONCE_REDIS_URL", "rediss://user:pw@cache.example:6380/0")
    client = connect(load_settings())
    assert issubclass(client.connection_pool.connection_class, redis.asyncio.SSLConnection)
    assert client.connection_pool.connection_kwargs["password"] == "pw"


def test_settings_are_described_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting has a meaning; passwords are hidden."""
    monkeypatch.setenv("MAILONCE_REDIS_URL", "redis://:hunter2@cache:6379/0")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("MAILONCE_KAFKA_SASL_USERNAME", "me")
    rows = list(describe_settings(load_settings()))
    assert "hunter2" not in str(rows)
    assert "hunter2" not in repr(load_settings())
    shown = {name: value for name, value, _, _ in rows}
    assert shown["MAILONCE_REDIS_URL"] == "redis://(hidden)@cache:6379/0"
    assert shown["MAILONCE_KAFKA_SASL_USERNAME"] == "me"
    assert all(meaning for _, _, _, meaning in rows)


@pytest.mark.parametrize("fmt", ["json", "console", "auto"])
def test_logs_mask_addresses(fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Least logging of personal data: on a terminal and as JSON."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logs(fmt)
    get_log(part="test").warning(Event.DEAD_LETTERED, detail="mail to anna.smith@example.com refused", count=1)
    text = out.getvalue()
    assert "anna.smith" not in text
    assert "an***@example.com" in text
    if fmt != "console":
        assert json.loads(text)["event"] == Event.DEAD_LETTERED


def test_the_evidence_window_is_no_shorter_than_a_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    """G1: until then SES may still accept the call."""
    monkeypatch.setenv("MAILONCE_EVIDENCE_WINDOW_S", "60")
    with pytest.raises(UsageError, match="evidence_window_s"):
        load_settings()
