"""When a call is tried again after a refusal that proves that nothing was sent."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["Backoff", "RetryTable"]


class Backoff(BaseModel):
    """When to try again after a refusal: exponential back-off with full jitter, as Step Functions counts it."""

    interval_s: float = Field(gt=0, description="longest first wait")
    backoff_rate: float = Field(2.0, ge=1, description="factor from one wait to the next")
    max_attempts: int = Field(ge=1, description="calls in all before the job is dead-lettered")
    max_delay_s: float = Field(60.0, gt=0, description="ceiling of a wait")


class RetryTable(BaseModel):
    """A `Backoff` for each class of refusal that proves that nothing was sent."""

    throttled: Backoff = Backoff(interval_s=0.5, backoff_rate=2, max_attempts=20, max_delay_s=30)
    unreachable: Backoff = Backoff(interval_s=1, backoff_rate=2, max_attempts=15, max_delay_s=60)
