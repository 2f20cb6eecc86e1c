"""boto3 with no guarantee at all, in a process of its own: ``python -m benchmarks.plain URL THREADS MAILS``.

One thread is the loop of the classic Lambda. Every thread has made a call before the clock starts. Prints seconds and
CPU seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.bench import job, ses_client
from processor.core.mail import MailConfig, compose
from schemas.identity import Place

__all__ = ["requests"]


def requests(count: int) -> list[dict[str, Any]]:
    """The very calls that mailonce makes."""
    mail = MailConfig("usage@example.com")
    return [dict(compose(job(n), f"attempt{n:05d}", Place(n % 12, n), mail)) for n in range(count)]


def main() -> None:
    url, threads, mails = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    client = ses_client(url, threads)
    everybody = threading.Barrier(threads)

    def warm(request: dict[str, Any]) -> None:
        everybody.wait()
        client.send_email(**request)

    calls = requests(mails)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(warm, requests(threads)))
        began, cpu = time.monotonic(), time.process_time()
        if threads == 1:
            for request in calls:
                client.send_email(**request)
        else:
            list(pool.map(lambda request: client.send_email(**request), calls))
        print(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
