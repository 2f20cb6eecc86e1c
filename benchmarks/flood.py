"""Sends one SendEmail body many times over keep-alive connections: ``python -m benchmarks.flood URL COUNT < body``."""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import urlsplit

CONNECTIONS = 8


async def _talk(host: str, port: int, request: bytes, count: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
    writer.close()


async def _flood(url: str, count: int, body: bytes) -> None:
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    head = (
        f"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=x\r\nX-Amz-Date: {stamp}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    host, port = str(parts.hostname), int(parts.port or 80)
    await asyncio.gather(*(_talk(host, port, request, count // CONNECTIONS) for _ in range(CONNECTIONS)))


if __name__ == "__main__":
    import uvloop

    uvloop.run(_flood(sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()))
