"""Back-off, breaker, pace, mail composition: the small parts of the core."""

from __future__ import annotations

import math

import pytest

from processor.core.breaker import WINDOW_MIN, Breaker
from processor.core.mail import MailConfig, compose
from processor.core.pace import (
    BATCH_MAX,
    RATE_MIN,
    Account,
    Limits,
    Throughput,
    allowed_rate,
    batch_size,
    lease_size,
    quota_left,
    window_opens_ms,
)
from processor.core.retry import delay_s
from schemas.identity import Place
from schemas.runtime.backoff import Backoff
from schemas.runtime.settings import load_settings
from tests.support.world import job


def test_back_off_doubles_and_is_capped_with_full_jitter() -> None:
    """Step Functions' interval, rate and ceiling; jitter over the whole span."""
    policy = Backoff(interval_s=1, backoff_rate=2, max_attempts=9, max_delay_s=5)
    assert [delay_s(policy, tries, 1.0) for tries in (1, 2, 3, 4, 500)] == [1, 2, 4, 5, 5]
    assert delay_s(policy, 3, 0.0) == 0
    assert delay_s(policy, 3, 0.5) == 2


def test_the_breaker_trips_on_a_run() -> None:
    """A bad deploy halts instead of pouring the month away."""
    breaker = Breaker(3, 0)
    assert [breaker.note(bad=bad) is None for bad in (True, True, False, True, True)] == [True] * 5
    assert "3 jobs in a row" in str(breaker.note(bad=True))


def test_the_breaker_trips_on_a_share() -> None:
    """A bad month halts once there is enough to judge by."""
    breaker = Breaker(0, 0.25)
    for n in range(WINDOW_MIN - 1):
        assert breaker.note(bad=n % 2 == 0) is None
    assert "of the last" in str(breaker.note(bad=False))


def test_the_breaker_forgets_what_is_long_ago_and_can_be_off() -> None:
    """Old outcomes leave the window; zero switches a limit off."""
    breaker = Breaker(0, 0.9)
    for _ in range(150):
        breaker.note(bad=True)
    for _ in range(1000):
        assert breaker.note(bad=False) is None
    assert breaker._bad == 0
    off = Breaker(0, 0)
    assert all(off.note(bad=True) is None for _ in range(2000))


def test_rate_and_quota() -> None:
    """SES's limits, -1 for none, the own ceiling below them."""
    assert Limits.of(load_settings(rate_reserve=3)) == Limits(0.95, 0, 3, 0)
    account = Account(max_send_rate=100, max_24_hour_send=1000, sent_last_24_hours=990)
    assert allowed_rate(account, Limits(0.9, 0)) == 90
    assert allowed_rate(account, Limits(0.9, 5)) == 5
    assert allowed_rate(account, Limits(0.9, 0, 20)) == 70
    assert allowed_rate(account, Limits(0.9, 0, 200)) == RATE_MIN
    assert allowed_rate(Account(), Limits(0.9, 0, 20)) == 0
    assert allowed_rate(Account(), Limits(0.9, 0)) == 0
    assert allowed_rate(Account(), Limits(0.9, 7)) == 7
    assert quota_left(account) == 10
    assert quota_left(account, reserve=5) == 5
    assert quota_left(account, reserve=40) == 0
    assert quota_left(Account(), reserve=40) == math.inf


def test_the_window_opens_when_its_oldest_step_leaves_it() -> None:
    """Steps of 10 s: a window of 1,440 s."""
    assert window_opens_ms({}, 5_000_000, 10_000) is None
    assert window_opens_ms({400: 1, 499: 3}, 5_000_000, 10_000) == 450_000
    assert window_opens_ms({355: 9, 356: 0, 400: 1}, 5_000_000, 10_000) == 450_000
    assert window_opens_ms({356: 1}, 5_000_000, 10_000) == 10_000


def test_batches_hold_half_a_second() -> None:
    """G4: what Kafka alone would leave in doubt is bounded."""
    assert batch_size(0, 10_000, 32) == BATCH_MAX
    assert batch_size(0, 0, 32) == 64
    assert batch_size(0, 200, 8) == 100
    assert batch_size(14, 10_000, 32) == 7
    assert batch_size(1, 0, 32) == 2
    assert batch_size(5000, 10_000, 32) == BATCH_MAX
    measured = Throughput()
    measured.note(5, 10.0)
    measured.note(100, 10.5)
    assert measured.rate == 0.5
    measured.note(100, 11.0)
    assert measured.rate == 200
    assert lease_size(100, 50) == 5
    assert lease_size(1, 50) == 1
    assert lease_size(10_000, 50) == 50
    assert lease_size(0, 50) == 50


def test_a_mail_has_one_recipient_and_names_its_attempt() -> None:
    """Tags let SES's events find their mail; user ids may hold any characters."""
    request = compose(job("a:b@c"), "att", Place(3, 17, "ab12"), MailConfig("from@example.com"))
    assert request["Destination"] == {"ToAddresses": ["a-b-c@mail.example.net"]}
    tags = {tag["Name"]: tag["Value"] for tag in request["EmailTags"]}
    assert tags == {
        "mailonce_user": "YTpiQGM",
        "mailonce_encoding": "base64url",
        "mailonce_month": "2026-11",
        "mailonce_attempt": "att",
        "mailonce_source": "3-17-ab12",
    }
    assert "Headers" not in request["Content"]["Template"]
    assert "ConfigurationSetName" not in request


def test_optional_parts_of_a_mail() -> None:
    """Unsubscribe headers as RFC 8058 wants them, reply-to, configuration set."""
    config = MailConfig("f@example.com", "r@example.com", "set", "https://example.com/u?id={user_id}&m={month}")
    request = compose(job("a b/c"), "att", Place(), config)
    headers = {entry["Name"]: entry["Value"] for entry in request["Content"]["Template"]["Headers"]}
    assert headers == {
        "List-Unsubscribe": "<https://example.com/u?id=a%20b%2Fc&m=2026-11>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert request["ReplyToAddresses"] == ["r@example.com"]
    assert request["ConfigurationSetName"] == "set"


def test_a_header_ses_would_refuse_is_refused_before_the_call() -> None:
    """SES's limits are checked before the claim is used."""
    config = MailConfig("f@example.com", unsubscribe_url="https://example.com/" + "x" * 1000)
    with pytest.raises(ValueError, match="List-Unsubscribe"):
        compose(job("u"), "att", Place(), config)
