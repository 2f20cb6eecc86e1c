"""Whether a bar outlasts the settling that it waits for: times that hold together, or do not."""

from __future__ import annotations

__all__ = ["too_short"]


def too_short(lifetime_s: float, poll_s: float, session_s: float, transaction_s: float) -> str | None:
    """Why a processor that stood still could settle after its bars have had their time; ``None`` when it could not.

    Args:
        lifetime_s: how long a bar stands.
        poll_s: how long a processor may go without asking Kafka for records before its partitions move on.
        session_s: how long it may be silent before they do.
        transaction_s: how long a transaction that it has begun stays open.
    """
    late_s = poll_s + session_s + transaction_s
    if lifetime_s > late_s:
        return None
    return (
        f"MAILONCE_ATTEMPT_LIFETIME_S ({lifetime_s:g} s) must exceed what Kafka gives a processor that stands still: "
        f"max.poll.interval.ms ({poll_s:g} s) + session.timeout.ms ({session_s:g} s) + transaction.timeout.ms "
        f"({transaction_s:g} s) = {late_s:g} s; shorten MAILONCE_KAFKA_MAX_POLL_INTERVAL_MS, "
        f"MAILONCE_SESSION_TIMEOUT_S or MAILONCE_KAFKA_TRANSACTION_TIMEOUT_MS, or make the lifetime longer"
    )
