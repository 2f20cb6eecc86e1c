"""How much the account may send now: SES asked for its rate and quota, and the group's shared budget kept to them."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime

from processor.core.gates import Gates
from processor.core.pace import Account, Limits, allowed_rate, lease_size, quota_left
from processor.ports import Clock, Pace, Sender
from processor.telemetry.meter import Meter
from schemas.runtime.logs import Event, get_log

__all__ = ["Allowance"]

log = get_log()

ASK_WITHOUT_QUOTA_S = 10.0
"""How often SES is asked for its quota when there is none, at least; at first when the window should open."""


class Allowance:
    """The account's rate and rolling quota, leased from the budget that the group shares."""

    def __init__(
        self, limits: Limits, refresh_s: float, sender: Sender, pace: Pace, clock: Clock, meter: Meter, gates: Gates
    ) -> None:
        """
        Args:
            limits: what the operator leaves to mailonce.
            refresh_s: how often SES is asked, in seconds.
            gates: closed while the quota is used up.
        """
        self._limits = limits
        self._refresh_s = refresh_s
        self._sender = sender
        self._pace = pace
        self._clock = clock
        self._meter = meter
        self._gates = gates
        self._account = Account()
        self.ask_at_s = float("-inf")
        """boot clock: when SES is to be asked again"""

    @property
    def rate(self) -> float:
        """Mails a second that the group may send; 0 without limit."""
        return allowed_rate(self._account, self._limits)

    @property
    def paused(self) -> bool:
        """Whether SES has disabled sending for the account."""
        return not self._account.sending_enabled

    async def lease(self, wanted: int) -> int:
        """How many of `wanted` the group's budget allows now; waits a little when it allows none."""
        rate, quota = self.rate, self._account.max_24_hour_send >= 0
        if rate == 0 and not quota:
            return wanted
        lease = await self._pace.lease(lease_size(rate, wanted), rate, quota=quota)
        if lease.room is None:
            await self.refresh()
        elif lease.granted == 0 and lease.room < 1:
            await self.quota_ended("the account's 24 h quota is used up")
        elif lease.granted == 0:
            await self._clock.sleep(lease.wait_s)
        return lease.granted

    def throttled(self) -> Awaitable[object]:
        """SES refused for the rate: the whole group slows down."""
        return self._pace.throttled()

    async def quota_ended(self, detail: str) -> None:
        """Nothing is sent until SES has room again; it is asked when the window should open."""
        if not self._gates.quota_used_up:
            opens_s = await self._pace.quota_opens_s()
            self._gates.quota_used_up = True
            self._ask_in(min(self._asking_s, self._asking_s if opens_s is None else max(opens_s, 0.5)))
            log.warning(
                Event.QUOTA_USED_UP,
                detail=detail,
                until=_time(self._clock.now_ms() + opens_s * 1000) if opens_s is not None else "unknown",
                follows="sending goes on by itself when the 24 h window has room; SES is asked every 10 s",
            )

    async def refresh(self) -> None:
        """Asks SES anew and sets the group's room."""
        leased = await self._pace.leased()
        account = await self._sender.account()
        left = quota_left(account, self._limits.quota_reserve)
        if account.max_24_hour_send >= 0:
            await self._pace.set_room(left, leased)
        self._account = account
        self._meter.rate_allowed.set(self.rate)
        self._meter.quota_left.set(left if account.max_24_hour_send >= 0 else -1)
        if self._gates.quota_used_up and left >= 1:
            self._gates.quota_used_up = False
            log.info(Event.QUOTA_AGAIN)
        self._ask_in(self._asking_s)

    @property
    def _asking_s(self) -> float:
        return min(self._refresh_s, ASK_WITHOUT_QUOTA_S) if self._gates.quota_used_up else self._refresh_s

    def _ask_in(self, seconds: float) -> None:
        self.ask_at_s = self._clock.boot_s() + seconds


def _time(at_ms: float) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
