"""What people do while a month runs: it is paused for all processors, and goes on again."""

from __future__ import annotations

from processor.adapters.control import change_control
from processor.core.brake import pausing, resuming
from schemas.control import Brake
from schemas.runtime.settings import Settings

__all__ = ["pause", "resume"]


def pause(settings: Settings, month: str, why: str, who: str, now_ms: int) -> Brake:
    """Pauses a month, or all (`processor.core.brake.ALL`); returns the brake. Raises `BrokerUnavailable`."""
    return change_control(settings, lambda control: pausing(control, month, why, who, now_ms)).brake


def resume(settings: Settings, month: str, who: str, now_ms: int) -> Brake:
    """Lets it go on, whatever had stopped it; returns the brake. Raises `BrokerUnavailable`."""
    return change_control(settings, lambda control: resuming(control, month, who, now_ms)).brake
