"""``mailonce dashboard``: the Faust worker with the web server inside it."""

from __future__ import annotations

import asyncio
import logging
import signal as signals
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import faust
from aiohttp import web
from mode import Service

from processor.adapters.clock import SystemClock
from processor.adapters.kafka_watch import kafka_watched
from processor.adapters.topics import ensure_topic
from processor.building import ask_account
from processor.core.pace import Account
from processor.dashboard.actions import Actions
from processor.dashboard.app import Board, create_app
from processor.dashboard.auth import Auth
from processor.dashboard.catch_up import targets
from processor.dashboard.data import Data
from processor.dashboard.listen import listen
from processor.dashboard.metrics import board_registry
from processor.dashboard.quiet import Sparse
from processor.dashboard.web import Pages, make_web
from schemas.kafka.reading import partition_numbers
from schemas.runtime.ending import leave_within
from schemas.runtime.errors import MailonceError, UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings
from schemas.topics import TopicSpec

__all__ = ["serve"]

log = get_log()

STOP_S = 8.0
"""A stop may take so long."""


def serve(settings: Settings) -> None:
    """Runs until SIGTERM. Raises `UsageError` for an unsafe address and `BrokerUnavailable` without topics."""
    auth = Auth(settings)
    sockets = listen(settings)
    numbers = {len(partition_numbers(settings, spec.name)) for spec in settings.topics.specs() if not spec.partitions}
    if len(numbers) != 1:
        raise UsageError("topics differ in their partitions: `mailonce topics create` adds what is missing")
    folder_for_tables(Path(settings.dashboard_dir))
    app, board = create_app(settings, partitions := numbers.pop())
    _ensure_changelog(settings, board.table.changelog_topic_name, partitions)
    server = _WebServer(settings, board, auth, sockets)
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


def folder_for_tables(folder: Path) -> None:
    """Makes the folder that Faust wants even with its table in memory; raises `UsageError` when it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"the dashboard cannot write into its folder {folder.absolute()} ({error.strerror}): "
            f"set MAILONCE_DASHBOARD_DIR to one that it may write into"
        ) from None


def _ensure_changelog(settings: Settings, name: str, partitions: int) -> None:
    """The table's topic, there before Faust looks: what it makes itself it may not see for minutes, and cannot fold."""
    found = ensure_topic(settings, TopicSpec(name, {"cleanup.policy": "compact"}), partitions)
    if found != partitions:
        raise UsageError(
            f"topic {name} holds the dashboard's table in {found} partitions, and the others have {partitions}: "
            f"set another MAILONCE_DASHBOARD_NAME, and the table is made anew from them"
        )


class _WebServer:
    """The pages as one of the app's services."""

    def __init__(self, settings: Settings, board: Board, auth: Auth, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._settings = settings
        self._board = board
        self._again = asyncio.Event()
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
        while True:
            while self._board.targets is None:
                try:
                    self._board.targets = await asyncio.to_thread(targets, self._settings, topics, app.conf.id)
                except MailonceError as error:
                    log.warning(Event.KAFKA, error=str(error))
                    await self._kafka_answers()
            await self._again.wait()
            self._again.clear()
            # Faust is believed only when it has read what is there now.
            self._board.targets = None

    async def _kafka_answers(self) -> None:
        while self._board.kafka_trouble():
            await asyncio.sleep(0.5)

    def of(self, app: faust.App) -> Any:
        """The service class that Faust starts with the app."""
        outer = self

        class WebService(Service):
            async def on_start(self) -> None:
                settings = outer._settings
                for handler in logging.getLogger().handlers:
                    handler.addFilter(Sparse("aiokafka"))
                self.watching = ExitStack()
                loop = asyncio.get_running_loop()
                watched = kafka_watched(settings, lambda: loop.call_soon_threadsafe(outer._again.set))
                watch = self.watching.enter_context(watched)
                outer._board.kafka_trouble = watch.why_not_ready
                self.runner = web.AppRunner(outer._web, access_log=None, shutdown_timeout=1.0)
                await self.runner.setup()
                for listening in outer._sockets:
                    await web.SockSite(self.runner, listening).start()
                port = outer._sockets[0].getsockname()[1]
                log.info(Event.DASHBOARD_SERVED, url=f"http://{settings.dashboard_host}:{port}/")
                self.add_future(outer._catch_up(app))

            async def on_stop(self) -> None:
                await self.runner.cleanup()
                await asyncio.to_thread(self.watching.close)

        WebService.__name__ = f"{app.conf.id}-web"
        return WebService
