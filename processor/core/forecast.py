"""How long a number of mails will take: the account's rate and its rolling quota, whichever is slower."""

from __future__ import annotations

import math
from dataclasses import dataclass

from processor.core.pace import Account, Limits, allowed_rate, quota_left

__all__ = ["Forecast", "forecast"]

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """`seconds` is ``None`` when nothing says how fast it will go."""

    mails: int
    rate: float
    """mails a second; 0 without limit"""
    per_day: float
    """mails in 24 hours; infinity without limit"""
    seconds: float | None

    @property
    def days(self) -> float | None:
        return None if self.seconds is None else self.seconds / DAY_S


def forecast(mails: int, account: Account, limits: Limits) -> Forecast:
    """When everything is sent, if nothing else is and nothing fails.

    The quota is a rolling window: first what is left of it, then a full quota each time the window has rolled by.
    """
    rate = allowed_rate(account, limits)
    at_rate = mails / rate if rate else None
    if account.max_24_hour_send < 0:
        return Forecast(mails, rate, math.inf, at_rate)
    per_day = max(1.0, account.max_24_hour_send - limits.quota_reserve)
    over = mails - quota_left(account, limits.quota_reserve)
    if over <= 0:
        return Forecast(mails, rate, per_day, at_rate)
    windows = math.ceil(over / per_day)
    last = over - (windows - 1) * per_day
    by_quota = windows * DAY_S + (last / rate if rate else 0.0)
    return Forecast(mails, rate, per_day, max(by_quota, at_rate or 0.0))
