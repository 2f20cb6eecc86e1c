"""``mailonce dashboard``: the Faust worker with the web server inside it."""

from __future__ import annotations

import asyncio
import logging
import signal as signals
from typing import Any

import faust
from aiohttp import web
from mode import Service

from processor.adapters.clock import SystemClock
from processor.core.pace import Account
from processor.dashboard.actions import Actions
from processor.dashboard.app import Board, create_app
from processor.dashboard.auth import Auth
from processor.dashboard.catch_up import targets
from processor.dashboard.data import Data
from processor.dashboard.metrics import board_registry
from processor.dashboard.web import Pages, make_web
from processor.wiring import ask_account
from schemas.ending import leave_within
from schemas.errors import MailonceError, UsageError
from schemas.logs import Event, get_log
from schemas.reading import partition_numbers
from schemas.settings import Settings

__all__ = ["serve"]

log = get_log()

STOP_S = 8.0
"""A stop may take so long."""


def serve(settings: Settings) -> None:
    """Runs until SIGTERM. Raises `UsageError` for an unsafe address and `BrokerUnavailable` without topics."""
    auth = Auth(settings)
    numbers = {len(partition_numbers(settings, spec.name)) for spec in settings.topics.specs()}
    if len(numbers) != 1:
        raise UsageError("topics differ in their partitions: `mailonce topics create` adds what is missing")
    app, board = create_app(settings, numbers.pop())
    server = _WebServer(settings, board, auth)
    app.service(server.of(app))
    logging.getLogger("faust").setLevel(logging.ERROR)
    worker = _Worker(app, loglevel="ERROR", override_logging=True, quiet=True)
    worker.spinner = None  # it writes escape codes into log files
    worker.execute_from_commandline()


class _Worker(faust.Worker):
    """Faust's worker waits for each of its tasks without a limit; nothing here is lost when it is not waited for."""

    def _schedule_shutdown(self, signal: signals.Signals) -> None:
        super()._schedule_shutdown(signal)
        leave_within(STOP_S, 0)
        for number in (signals.SIGTERM, signals.SIGINT):
            self.loop.remove_signal_handler(number)
            signals.signal(number, signals.SIG_DFL)


class _WebServer:
    """The pages as one of the app's services."""

    def __init__(self, settings: Settings, board: Board, auth: Auth) -> None:
        self._settings = settings
        self._board = board
        data = Data(settings, board, self._account)
        pages = Pages(data, auth, board_registry(board))
        self._web = make_web(pages, Actions(pages, settings, SystemClock().now_ms).routes())

    async def _account(self) -> Account | None:
        """SES's limits, where SES may be asked."""
        try:
            async with asyncio.timeout(10):
                return await ask_account(self._settings)
        except (MailonceError, TimeoutError):
            return None

    async def _catch_up(self, app: faust.App) -> None:
        names = self._settings.topics
        topics = [names.jobs, names.attempts, names.deliveries, names.dead_letters, names.events]
        while self._board.targets is None:
            try:
                self._board.targets = await asyncio.to_thread(targets, self._settings, topics, app.conf.id)
            except MailonceError as error:
                log.warning(Event.KAFKA, error=str(error))

    def of(self, app: faust.App) -> Any:
        """The service class that Faust starts with the app."""
        outer = self

        class WebService(Service):
            async def on_start(self) -> None:
                settings = outer._settings
                self.runner = web.AppRunner(outer._web, access_log=None, shutdown_timeout=1.0)
                await self.runner.setup()
                site = web.TCPSite(self.runner, settings.dashboard_host, settings.dashboard_port)
                await site.start()
                port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
                log.info(Event.DASHBOARD_SERVED, url=f"http://{settings.dashboard_host}:{port}/")
                self.add_future(outer._catch_up(app))

            async def on_stop(self) -> None:
                await self.runner.cleanup()

        WebService.__name__ = f"{app.conf.id}-web"
        return WebService
