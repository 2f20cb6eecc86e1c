"""A processor whose call to SES costs nothing: ``python -m benchmarks.noop``; settings as ever.

What is left is the protocol: consume, intent, claim, mark, record, commit. Prints mails, seconds and CPU seconds from
the 1,000th call to the last full thousand, as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from processor.core.answers import Accepted, Answer
from processor.ports import Forbidden, Sender
from processor.wiring import Ports, process
from schemas.runtime.logs import configure_logs
from schemas.runtime.settings import Settings

WARM = 1000


class NoSes:
    """Accepts everything at once; asks the real client for all else."""

    def __init__(self, inner: Sender) -> None:
        self._inner = inner
        self.calls = 0
        self.began = self.ended = (0.0, 0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, _request: Mapping[str, Any], _forbidden: Forbidden) -> Answer:
        self.calls += 1
        if self.calls == WARM:
            self.began = time.monotonic(), time.process_time()
        if self.calls % WARM == 0:
            self.ended = time.monotonic(), time.process_time()
        return Accepted(f"000001a21026b71b-8893772d-366d-4862-85b5-{self.calls:012d}-000000")


def main() -> None:
    settings = Settings()
    configure_logs(settings.log_format, settings.log_level)
    senders: list[NoSes] = []

    def without_ses(ports: Ports) -> Ports:
        senders.append(NoSes(ports.sender))
        return replace(ports, sender=cast(Sender, senders[0]))

    process(settings, drain=True, wrap=without_ses)
    (began, cpu_began), (ended, cpu_ended) = senders[0].began, senders[0].ended
    print(
        json.dumps(
            {"mails": senders[0].calls // WARM * WARM - WARM, "wall_s": ended - began, "cpu_s": cpu_ended - cpu_began}
        )
    )


if __name__ == "__main__":
    main()
