"""The floor raised: the control topic first, then the dedup set's own, which forgets the months below it.

Nothing here lowers it. Broken off in the middle it may be done again: what the control topic says stands, and the set
forgets no more than that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from processor.adapters.clock import SystemClock
from processor.adapters.control import change_control, kafka_clock_ms, read_control
from processor.adapters.redis import RedisDedup
from processor.core.control import Control
from processor.core.floor import Clocks, highest, raising
from processor.ports import Change
from schemas.control import Content
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import FloorRefused, UsageError
from schemas.runtime.settings import Settings

__all__ = ["Act", "Plan", "act_of", "look", "may_rise", "refuse_closed", "rise"]


@dataclass(frozen=True, slots=True)
class Act:
    """What an act on the floor works on."""

    dedup: RedisDedup
    read: Callable[[], Awaitable[Control]]
    change: Callable[[Change], Awaitable[object]]
    kafka_ms: Callable[[], Awaitable[int]]
    now_ms: Callable[[], int]
    retention_months: int
    """in force now"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How far the floor may rise now."""

    floor: str
    """as it stands; empty where there is none yet"""
    highest: str
    """empty as long as no month was opened"""
    set_floor: str
    """the dedup set's own"""

    @property
    def rises(self) -> bool:
        return self.highest > self.floor


def act_of(settings: Settings, dedup: RedisDedup) -> Act:
    """The act on servers."""
    return Act(
        dedup,
        lambda: in_thread(read_control, settings),
        lambda decide: in_thread(change_control, settings, decide),
        lambda: in_thread(kafka_clock_ms, settings),
        SystemClock().now_ms,
        settings.retention_months,
    )


def refuse_closed(control: Control, month: str) -> None:
    """Raises `UsageError` for a month that is closed for good: nothing of it would be sent."""
    if month < (floor := control.closed_before):
        raise UsageError(
            f"{month} is closed for good, as all months before {floor}: the dedup set has forgotten who got a mail "
            f"then, so nothing of it is sent. Nothing was published"
        )


def may_rise(control: Control, now_ms: int, retention_months: int) -> bool:
    """Whether the clocks are worth asking: by this machine's own the floor could be higher than it is."""
    return highest(control, Clocks(now_ms, now_ms, now_ms).month, retention_months) > control.closed_before


async def look(act: Act) -> Plan:
    """How far the floor may rise. Raises `FloorRefused` where the clocks do not say which month it is."""
    return await _plan(act, await _month(act))


async def rise(act: Act, who: str, month: str = "") -> Plan:
    """Raises the floor to a month, or as far as it may rise; returns how it stands afterwards.

    Raises `FloorRefused` where the clocks do not agree, `UsageError` for a month that is too late or before the floor,
    `BrokerUnavailable` and `RedisUnavailable`.
    """
    present = await _month(act)
    _check(await _plan(act, present), month)

    def decide(control: Control) -> list[tuple[bytes, Content | None]]:
        most = highest(control, present, act.retention_months)
        return raising(control, min(month, most) if month else most, act.now_ms(), who)

    await act.change(decide)
    # The set follows what stands, whoever wrote it: a rival may have been quicker, an earlier act been broken off here.
    control = await act.read()
    set_floor = await act.dedup.raise_floor(control.closed_before)
    await act.dedup.drop_below_floor()
    return Plan(control.closed_before, highest(control, present, act.retention_months), set_floor)


async def _month(act: Act) -> str:
    clocks = Clocks(act.now_ms(), await act.kafka_ms(), await act.dedup.time_ms())
    if clocks.apart:
        raise FloorRefused(f"{clocks.apart}: a wrong clock must close no month. Set them right, then repeat it")
    return clocks.month


async def _plan(act: Act, present: str) -> Plan:
    control = await act.read()
    return Plan(control.closed_before, highest(control, present, act.retention_months), await act.dedup.raise_floor())


def _check(plan: Plan, month: str) -> None:
    if month > plan.highest:
        most = f"{plan.highest} at most" if plan.highest else "no month was opened yet"
        raise UsageError(
            f"the floor cannot rise to {month}: {most} (the newest opened month or the present one, less "
            f"MAILONCE_RETENTION_MONTHS)"
        )
    if month and month < plan.floor:
        raise UsageError(f"the floor stands at {plan.floor} and is never lowered: what stood below it is gone")
