"""When a mail in doubt may be sent again without a person's word."""

from __future__ import annotations

__all__ = ["may_resend"]

MARGIN_MS = 60_000
"""Clocks of SES and ours differ a little: a sending time this much later is certainly later."""


def may_resend(doubt_at_ms: int, now_ms: int, feed_alive_ms: int, window_s: float, margin_ms: int = MARGIN_MS) -> bool:
    """Whether the absence of an event counts as proof that SES did not take the mail.

    It does when the window has passed since the doubt arose, and the feed has proved itself alive since: it has told of
    mails that were sent later. A feed that fell silent proves nothing.

    Args:
        doubt_at_ms: when the attempt was found in doubt.
        now_ms: now.
        feed_alive_ms: the latest sending time that the feed has told of; 0 for none.
        window_s: how long an event may take, seconds.
        margin_ms: by how much a later mail must be later.
    """
    window_ms = window_s * 1000
    waited = now_ms - doubt_at_ms >= window_ms
    return waited and feed_alive_ms >= doubt_at_ms + min(margin_ms, window_ms)
