"""Times that must hold together: a bar outlasts the settling that it waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from processor.adapters.ses import is_local
from processor.core.times import too_short
from processor.doctor.ses import _lifetime
from processor.wiring import check_times
from schemas.kafka.clients import standing_still_s
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings, load_settings


def made(**about: Any) -> Settings:
    return load_settings(**about)


def test_the_defaults_hold_together() -> None:
    """G6: Kafka refuses a settling before the bar of its record has had its time, under both rebalance protocols."""
    assert standing_still_s(made()) == (120, 10, 15)
    assert standing_still_s(made(group_protocol="consumer")) == (120, 45, 15)
    for protocol in ("classic", "consumer"):
        check_times(made(group_protocol=protocol), local=False)
    assert too_short(330, 120, 45, 60) is None


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("MAILONCE_KAFKA_MAX_POLL_INTERVAL_MS", "305000", "max.poll.interval.ms (305 s)"),
        ("MAILONCE_KAFKA_TRANSACTION_TIMEOUT_MS", "200000", "transaction.timeout.ms (200 s)"),
        ("MAILONCE_SESSION_TIMEOUT_S", "195", "session.timeout.ms (195 s)"),
    ],
)
def test_a_settling_that_may_come_too_late_is_refused(
    monkeypatch: pytest.MonkeyPatch, option: str, value: str, named: str
) -> None:
    """G6: by name, and by the doctor too; beside a stand-in for SES it is told and accepted."""
    monkeypatch.setenv(option, value)
    settings = made()
    with pytest.raises(UsageError) as refused:
        check_times(settings, local=False)
    assert named in str(refused.value)
    assert option in str(refused.value)
    check_times(settings, local=True)
    levels = [_lifetime(settings, local=local).level.value for local in (False, True)]
    assert levels == ["bad", "note"]
    monkeypatch.delenv(option)
    assert _lifetime(made(), local=False).level.value == "fine"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8500", True),
        ("http://[::1]:8500", True),
        ("http://localhost:1", True),
        ("https://email.eu-central-1.amazonaws.com", False),
        ("http://10.0.0.7:8500", False),
    ],
)
def test_what_is_a_stand_in_on_this_machine(url: str, local: bool) -> None:
    """Only there may times be shorter than SES's own."""
    client = SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))
    assert is_local(client) is local
