"""What the demo asks the SES sandbox."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

__all__ = ["SandboxView"]


class SandboxView:
    """The sandbox's admin API at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_sandbox/{path}", data, timeout=10) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())

    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = self._call("summary")
        return summary

    def accepted(self) -> int:
        return int(self.summary()["accepted"])

    def rate(self) -> float:
        """Mails a second from the first accepted to the last."""
        mails = self._call("accepted")
        return (len(mails) - 1) * 1000 / max(1, mails[-1]["at_ms"] - mails[0]["at_ms"]) if mails else 0.0

    def fault(self, **rule: Any) -> None:
        self._call("faults", rule)
