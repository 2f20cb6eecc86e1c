"""One request at a time over kept-alive HTTP/1.1 connections, on the event loop.

It tells apart what matters to who must not repeat a request: whether a byte of it can have left. Parsing is httptools'
(llhttp), TLS is `ssl`'s.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

__all__ = ["Broken", "Connections", "NotConnected", "Response"]

IDLE_MAX_S = 20.0
"""Not used again after that: a server or a balancer may be about to close it, and a request then would be in doubt."""


class NotConnected(Exception):
    """No connection came about: nothing was written."""


class Broken(Exception):
    """The connection failed when something may have been written already; `kind` is boto3's name for it."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(slots=True)
class Response:
    """An answer that was read whole."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Connection(asyncio.Protocol):
    """One connection; at most one request is under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, read_timeout_s: float) -> None:
        self._loop = loop
        self._read_timeout_s = read_timeout_s
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._response = Response()
        self._headed = False
        self.open = False
        self.idle_since_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("ConnectionClosedError", str(exc or "the connection was closed before an answer came"))

    def eof_received(self) -> None:
        """Without a length or chunks the answer is what came until here (RFC 9112, 6.3); the parser cannot be told."""
        by_close = not self._response.headers.keys() & {"content-length", "transfer-encoding"}
        if self._headed and by_close and self._waiting is not None:
            self._complete()

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail("ResponseParserError", f"not HTTP: {error}")

    # ---- httptools tells ----

    def on_message_begin(self) -> None:
        self._response, self._headed = Response(), False
        if self._waiting is None:
            self._fail("ConnectionClosedError", "an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._response.body += body

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_message_complete(self) -> None:
        self._complete()

    def _complete(self) -> None:
        status = self._parser.get_status_code()
        waiting = self._waiting
        if status < 200 or waiting is None:
            return
        self._response.status = status
        self._end()
        if not self._parser.should_keep_alive():
            self.close()
        if not waiting.done():
            waiting.set_result(self._response)

    # ---- who uses it ----

    async def exchange(self, request: bytes) -> Response:
        """Writes the request and waits for its answer. Raises `Broken`."""
        self._waiting, self._headed = self._loop.create_future(), False
        self._heard_s = self._loop.time()
        self._timer = self._loop.call_later(self._read_timeout_s, self._look)
        self._transport.write(request)
        return await self._waiting

    def _look(self) -> None:
        """The answer's time is counted from the last byte that came, as a socket's time-out does."""
        left = self._heard_s + self._read_timeout_s - self._loop.time()
        if left <= 0:
            self._fail("ReadTimeoutError", f"no answer for {self._read_timeout_s:g} s")
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _end(self) -> None:
        self._waiting = None
        self.idle_since_s = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()

    def _fail(self, kind: str, detail: str) -> None:
        waiting = self._waiting
        self._end()
        self.close()
        if waiting is not None and not waiting.done():
            waiting.set_exception(Broken(kind, detail))

    def close(self) -> None:
        self.open = False
        self._transport.abort()


class Connections:
    """As many connections to one server as there are requests at once."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, connect_timeout_s: float, read_timeout_s: float
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s
        self._idle: list[_Connection] = []

    async def exchange(self, make: Callable[[], bytes]) -> Response:
        """Sends what `make` returns, made right before it leaves. Raises `NotConnected` and `Broken`."""
        connection = self._kept() or await self._connect()
        try:
            request = make()
        except BaseException:
            self._idle.append(connection)
            raise
        response = await connection.exchange(request)
        if connection.open:
            self._idle.append(connection)
        return response

    def _kept(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.open and now - connection.idle_since_s < IDLE_MAX_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                reached = await self._reach(loop)
        except (OSError, TimeoutError) as error:
            raise NotConnected(f"cannot connect to {self._host}:{self._port}: {error or 'time-out'}") from None
        try:
            return await self._secure(loop, reached)
        except BaseException:
            reached.close()
            raise

    async def _secure(self, loop: asyncio.AbstractEventLoop, reached: socket.socket) -> _Connection:
        """TLS, if any. The other end may have read something from here on, if only our part of the handshake."""
        try:
            async with asyncio.timeout(self._read_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self._read_timeout_s),
                    sock=reached,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except ssl.SSLCertVerificationError as error:
            raise NotConnected(f"certificate verify failed: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise Broken("SSLError", str(error)) from None
        except TimeoutError:
            raise Broken("ReadTimeoutError", "the TLS handshake took too long") from None
        except OSError as error:
            raise Broken("ConnectionClosedError", str(error)) from None
        return connection

    async def _reach(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        """A TCP connection to the first of the server's addresses that takes one."""
        last: OSError = OSError("no address")
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            made = socket.socket(family, kind, protocol)
            made.setblocking(False)
            try:
                await loop.sock_connect(made, address)
            except OSError as error:
                made.close()
                last = error
                continue
            except BaseException:
                made.close()
                raise
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return made
        raise last

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
