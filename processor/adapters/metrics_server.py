"""``/metrics``, ``/healthz`` and ``/readyz`` of one process, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from schemas.runtime.errors import UsageError
from schemas.runtime.logs import Event, get_log

__all__ = ["Check", "metrics_served"]

log = get_log()

PORTS_TRIED = 20
"""Several processes of one machine are given the same port: each takes the next free one."""

Check = Callable[[], str | None]
"""What is wrong now, or ``None``."""


@contextmanager
def metrics_served(
    host: str, port: int | None, registry: CollectorRegistry, healthy: Check, ready: Check
) -> Iterator[int | None]:
    """Serves while the block runs; yields the port, or ``None`` when no port is wanted.

    Args:
        host: address to listen on.
        port: the first port tried; 0 lets the system choose; ``None`` serves nothing.
        registry: what ``/metrics`` tells.
        healthy: for ``/healthz``: whether the process should be left alone.
        ready: for ``/readyz``: whether it does its work.
    """
    if port is None:
        yield None
        return
    server = _listen(host, port, _handler(registry, {"/healthz": healthy, "/readyz": ready}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    log.info(Event.METRICS_SERVED, port=server.server_port, host=host)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Two processes must not share a port.
    allow_reuse_address = False


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    for tried in range(port, port + (PORTS_TRIED if port else 1)):
        try:
            return _Server((host, tried), handler)
        except OSError as error:
            last = error
    raise UsageError(f"no metrics on {host}:{port} and the ports after it: {last}; choose another --metrics-port")


def _handler(registry: CollectorRegistry, checks: dict[str, Check]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path in checks:
                problem = checks[path]()
                status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
                self._answer(status, f"{problem or 'ok'}\n".encode(), "text/plain; charset=utf-8")
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /healthz, /readyz\n", "text/plain; charset=utf-8")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """A scrape every few seconds is no news."""

    return Handler
