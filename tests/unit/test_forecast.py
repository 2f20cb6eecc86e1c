"""The forecast of a month."""

from __future__ import annotations

import math

import pytest

from processor.core.forecast import DAY_S, forecast
from processor.core.pace import Account, Limits


def test_without_limits_nobody_knows() -> None:
    """No rate, no quota."""
    found = forecast(100, Account(), Limits())
    assert (found.rate, found.per_day, found.seconds, found.days) == (0, math.inf, None, None)


def test_the_rate_decides() -> None:
    """A quota that suffices changes nothing."""
    account = Account(max_send_rate=14, max_24_hour_send=50_000)
    found = forecast(14_000, account, Limits())
    assert found.seconds == pytest.approx(1000)
    assert forecast(14_000, account, Limits(rate_max=7)).seconds == pytest.approx(2000)


@pytest.mark.parametrize(("mails", "days"), [(50_000, 0), (50_001, 1), (100_000, 1), (1_000_000, 19), (0, 0)])
def test_the_quota_decides(mails: int, days: int) -> None:
    """At 50,000 a day: what is left now, then one quota for each window that has rolled by."""
    found = forecast(mails, Account(max_send_rate=1e9, max_24_hour_send=50_000), Limits())
    assert found.seconds == pytest.approx(days * DAY_S, abs=1)


def test_other_mail_is_left_room() -> None:
    """What others have sent and what is reserved for them is not ours."""
    account = Account(max_send_rate=10, max_24_hour_send=1000, sent_last_24_hours=300)
    assert forecast(700, account, Limits()).seconds == pytest.approx(70)
    assert forecast(701, account, Limits()).seconds == pytest.approx(DAY_S, abs=1)
    assert forecast(601, account, Limits(quota_reserve=100)).seconds == pytest.approx(DAY_S, abs=1)
    assert forecast(70, account, Limits(rate_reserve=3)).seconds == pytest.approx(10)


def test_a_slow_rate_with_a_large_quota() -> None:
    """The slower of the two counts."""
    account = Account(max_send_rate=1, max_24_hour_send=100_000)
    assert forecast(200_000, account, Limits()).seconds == pytest.approx(200_000)
