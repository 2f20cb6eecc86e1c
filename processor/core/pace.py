"""How much may be sent now: the account's rate and its rolling quota, as numbers without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.runtime.settings import Settings

__all__ = [
    "BATCH_MAX",
    "RATE_MIN",
    "WINDOW_STEPS",
    "Account",
    "Limits",
    "Throughput",
    "allowed_rate",
    "batch_size",
    "lease_size",
    "quota_left",
    "window_opens_ms",
]

BATCH_MAX = 500
"""A batch holds half a second of sending and never more than this: what Kafka alone would leave in doubt."""


@dataclass(frozen=True, slots=True)
class Account:
    """What GetAccount says; a negative limit means none."""

    max_send_rate: float = -1.0
    """mails a second"""
    max_24_hour_send: float = -1.0
    sent_last_24_hours: float = 0.0
    sending_enabled: bool = True
    production: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator grants of the account's limits; see the settings of the same names."""

    rate_headroom: float = 1.0
    """share of the account's rate that is used"""
    rate_max: float = 0.0
    """the operator's ceiling in mails a second; 0 for none"""
    rate_reserve: float = 0.0
    """mails a second kept for the account's other mail"""
    quota_reserve: int = 0
    """mails a day kept for the account's other mail"""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(settings.rate_headroom, settings.rate_max, settings.rate_reserve, settings.quota_reserve)


RATE_MIN = 0.1
"""Mails a second that are left to mailonce whatever the reserve is: less would be a standstill."""


def allowed_rate(account: Account, limits: Limits) -> float:
    """Mails a second for the whole group; 0 means without limit.

    Args:
        account: as last refreshed.
        limits: what the operator leaves of it.
    """
    share = 0.0
    if account.max_send_rate > 0:
        share = max(RATE_MIN, account.max_send_rate * limits.rate_headroom - limits.rate_reserve)
    rates = [rate for rate in (share, limits.rate_max) if rate > 0]
    return min(rates) if rates else 0.0


def quota_left(account: Account, reserve: int = 0) -> float:
    """Mails that the rolling 24 h window still takes; infinity without a limit.

    Args:
        account: as just refreshed.
        reserve: mails kept for the account's other mail.
    """
    if account.max_24_hour_send < 0:
        return float("inf")
    return max(0.0, account.max_24_hour_send - reserve - account.sent_last_24_hours)


def batch_size(rate: float, measured: float, calls_at_once: int) -> int:
    """How many intents may be open: half a second of sending, and enough to keep every call busy.

    Args:
        rate: what the group may send, mails a second; 0 without limit.
        measured: what this processor sends, mails a second.
        calls_at_once: calls to SES at once.
    """
    half_a_second = max(2 * calls_at_once, int(measured / 2))
    allowed = max(2, int(rate / 2)) if rate > 0 else BATCH_MAX
    return min(BATCH_MAX, allowed, half_a_second)


class Throughput:
    """Mails a second over the last second or two."""

    def __init__(self) -> None:
        self._since_s = 0.0
        self._count = 0
        self.rate = 0.0

    def note(self, count: int, now_s: float) -> None:
        """`count` more at `now_s`."""
        self._count += count
        if (elapsed := now_s - self._since_s) >= 1.0:
            self.rate = self._count / elapsed
            self._since_s, self._count = now_s, 0


def lease_size(rate: float, wanted: int) -> int:
    """How many mails to take from the group's budget at once: about 50 ms of sending; a rate of 0 is none."""
    return max(1, min(wanted, int(rate * 0.05) or 1)) if rate > 0 else wanted


WINDOW_STEPS = 144
"""The rolling window is remembered in so many steps: of ten minutes, for 24 hours."""


def window_opens_ms(spent: Mapping[int, int], now_ms: int, step_ms: int) -> int | None:
    """Milliseconds until the oldest step of the window has left it; None when nothing was sent within it.

    Args:
        spent: mails by the number of their step since the epoch.
        now_ms: Unix time.
        step_ms: a step's length.
    """
    within = [step for step, mails in spent.items() if mails > 0 and now_ms < (step + 1 + WINDOW_STEPS) * step_ms]
    return (min(within) + 1 + WINDOW_STEPS) * step_ms - now_ms if within else None
