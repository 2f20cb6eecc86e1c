"""Rate and rolling quota, as SES counts them: per recipient, checked at each send."""

from __future__ import annotations

from collections import deque

from infra.ses_sandbox.model import SandboxSettings, SesError

__all__ = ["Limits"]


class Limits:
    """Raises what SES would; counts what it accepted."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._tokens = 1.0
        self._at_s = 0.0
        self._accepted: deque[tuple[float, int]] = deque()
        self._in_window = 0

    def sent_in_window(self, now_s: float) -> int:
        while self._accepted and self._accepted[0][0] <= now_s - self._settings.quota_window_s:
            self._in_window -= self._accepted.popleft()[1]
        return self._in_window

    def check(self, recipients: int, now_s: float) -> None:
        """Raises `SesError` when rate or quota forbid it; takes the rate's tokens otherwise."""
        rate, quota = self._settings.max_send_rate, self._settings.max_24_hour_send
        if 0 <= quota < self.sent_in_window(now_s) + recipients:
            raise SesError(400, "LimitExceededException", "Daily message quota exceeded.")
        if rate >= 0:
            # A second's worth may come at once: "can exceed for short bursts, not sustained".
            self._tokens = min(max(rate, 1.0), self._tokens + (now_s - self._at_s) * rate)
            self._at_s = now_s
            if self._tokens < recipients:
                raise SesError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
            self._tokens -= recipients

    def count(self, recipients: int, now_s: float) -> None:
        """Counts an accepted message, in steps of a tenth of a second."""
        step = round(now_s, 1)
        if self._accepted and self._accepted[-1][0] == step:
            self._accepted[-1] = (step, self._accepted[-1][1] + recipients)
        else:
            self._accepted.append((step, recipients))
        self._in_window += recipients
