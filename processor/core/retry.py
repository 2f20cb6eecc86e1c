"""How long to wait before another try."""

from __future__ import annotations

from schemas.runtime.backoff import Backoff

__all__ = ["delay_s"]


def delay_s(policy: Backoff, tries: int, random: float) -> float:
    """Seconds to wait after `tries` refusals: exponential, capped, with full jitter.

    Full jitter (a uniform draw from zero to the ceiling) spreads a group's retries best; see Amazon's "Exponential
    Backoff And Jitter".

    Args:
        policy: the class's back-off.
        tries: refusals so far, at least 1.
        random: uniform in [0, 1).
    """
    # The exponent is bounded so that a large count cannot overflow a float.
    ceiling = min(policy.max_delay_s, policy.interval_s * policy.backoff_rate ** min(tries - 1, 64))
    return ceiling * random
