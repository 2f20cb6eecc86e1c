"""How much may be sent now: the lease of the group's budget, and the quota's gate."""

from __future__ import annotations

from processor.core.pace import Account
from processor.ports import Lease
from processor.shell.allowance import ASK_WITHOUT_QUOTA_S
from tests.support.parts import FakePace, Made, Ses

LIMITED = Account(max_send_rate=10, max_24_hour_send=100, sent_last_24_hours=40)


async def made(*leases: Lease, account: Account = LIMITED, opens_s: float | None = None) -> Made:
    one = Made(ses=Ses(account=account), pace=FakePace(*leases, opens_s=opens_s))
    await one.allowance.refresh()
    return one


async def test_without_limits_nobody_is_asked() -> None:
    """An account without rate and quota needs no budget."""
    one = await made(account=Account())
    assert await one.allowance.lease(7) == 7
    assert one.pace.room == []


async def test_the_budget_says_how_many() -> None:
    """And the group is told what SES leaves of the quota."""
    one = await made(Lease(1, 0.0, 5.0))
    assert one.pace.room == [60]
    assert await one.allowance.lease(7) == 1


async def test_a_rate_that_is_used_up_is_waited_for() -> None:
    """A moment later there is room again."""
    one = await made(Lease(0, 0.25, 5.0))
    before = one.clock.s
    assert await one.allowance.lease(7) == 0
    assert one.clock.s - before == 0.25
    assert not one.gates.quota_used_up


async def test_a_budget_that_was_lost_is_asked_of_ses() -> None:
    """Redis was wiped: nobody knows how much was sent."""
    one = await made(Lease(0, 0.0, None))
    assert await one.allowance.lease(7) == 0
    assert one.pace.room == [60, 60]


async def test_a_quota_that_is_used_up_closes_the_gate() -> None:
    """SES is asked when the window should open, and often enough while nobody knows."""
    one = await made(Lease(0, 0.0, 0.5), opens_s=3.0)
    assert await one.allowance.lease(7) == 0
    assert one.gates.quota_used_up
    assert one.allowance.ask_at_s == one.clock.s + 3.0
    await one.allowance.quota_ended("told again")
    assert one.allowance.ask_at_s == one.clock.s + 3.0
    unknown = await made(Lease(0, 0.0, 0.5))
    await unknown.allowance.lease(7)
    assert unknown.allowance.ask_at_s == unknown.clock.s + ASK_WITHOUT_QUOTA_S


async def test_room_in_the_quota_opens_it_again() -> None:
    """Only a whole mail is room."""
    one = await made(Lease(0, 0.0, 0.0))
    await one.allowance.lease(7)
    one.ses.accounts = [Account(max_24_hour_send=100, sent_last_24_hours=100), LIMITED]
    await one.allowance.refresh()
    assert one.gates.quota_used_up
    await one.allowance.refresh()
    assert not one.gates.quota_used_up


async def test_a_group_that_is_too_fast_slows_down() -> None:
    """All of it, not this processor alone."""
    one = await made()
    await one.allowance.throttled()
    assert (one.pace.slowed, one.allowance.rate, one.allowance.paused) == (1, 10.0, False)
