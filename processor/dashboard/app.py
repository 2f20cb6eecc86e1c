"""The Faust app: five topics folded into one table, and the pages beside it.

One table entry a mail; its changelog lets a restart, or another instance under the same name, go on. The counts of a
month are derived from the table and kept in memory.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faust
from faust.streams import _current_event
from faust.types import EventT

from processor.adapters.months import Opened
from processor.core.months import Months, month_of_key
from processor.dashboard.faust_transport import CommittedTransport
from processor.dashboard.totals import Totals
from processor.dashboard.view import View, apply, pack, unpack
from schemas.kafka.reading import Record
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import UsageError
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Board", "create_app"]

log = get_log()

BATCH_MAX = 1000
WITHIN_S = 0.2
AGAIN_AFTER_S = 1.0


class _App(faust.App):
    def _new_transport(self) -> Any:
        return CommittedTransport(self.conf.broker_consumer, self)


class Board:
    """The table, and what is derived from it: what the pages ask."""

    def __init__(self, table: Any, opened: Callable[[set[str]], Months] | None = None) -> None:
        """
        Args:
            table: every mail's view.
            opened: how months were opened, these included; it blocks.
        """
        self.table = table
        self._opened = opened
        self._months: Months | None = None
        self.totals = Totals()
        self.recovered = False
        self.changes = 0
        """grows with every change, so that pages know when to ask again"""
        self.targets: dict[tuple[str, int], int] | None = None
        """topic and partition: the last record that was there when this process began and is to be folded"""
        self.kafka_trouble: Callable[[], str | None] = lambda: None
        """why nothing can be read now"""
        self.trouble: str | None = None
        """why a batch cannot be folded; it is tried again"""
        self._taken: dict[tuple[str, int], int] = {}

    def view(self, key: bytes) -> View | None:
        return unpack(self.table.get(key))

    def views(self) -> Iterable[tuple[bytes, View]]:
        for key, raw in self.table.items():
            view = unpack(raw)
            if view is not None:
                yield key, view

    async def look_up(self, events: Iterable[EventT[Any]]) -> None:
        """How the months of these jobs were opened: a job may stand where its key does not belong.

        Raises `BrokerUnavailable`.
        """
        wanted = {month for event in events if (month := month_of_key(event.message.key))}
        if self._opened is not None and wanted:
            self._months = await in_thread(self._opened, wanted)

    def _misplaced(self, kind: str, record: Record) -> bool:
        return kind == "jobs" and self._months is not None and self._months.misplaced(record)

    def take(self, kind: str, events: Iterable[EventT[Any]]) -> None:
        """Folds a batch; each key is written once."""
        events = list(events)
        before: dict[bytes, View | None] = {}
        after: dict[bytes, View | None] = {}
        last: dict[bytes, EventT[Any]] = {}
        for event in events:
            record = _record(event)
            if (key := record.key) is None:
                continue
            last[key] = event
            if key not in before:
                with _at(event):
                    before[key] = after[key] = self.view(key)
            try:
                after[key] = apply(after[key], kind, record, misplaced=self._misplaced(kind, record))
            except Exception:
                # A defect; raised, Faust would pass over the whole batch in silence.
                log.exception(Event.UNREADABLE, topic=kind, place=f"{record.partition}:{record.offset}")
        for key, view in after.items():
            if view is not None and view is not before[key]:
                with _at(last[key]):
                    self.table[key] = pack(view)
                self.totals.change(key, before[key], view)
                self.changes += 1
        for event in events:
            place = event.message.topic, event.message.partition
            self._taken[place] = max(event.message.offset, self._taken.get(place, -1))

    def rebuild(self) -> None:
        """The counts anew, after the table came back from its changelog."""
        self.totals = Totals()
        for key, view in self.views():
            self.totals.change(key, None, view)
        self.recovered = True
        self.changes += 1

    def why_not_ready(self) -> str | None:
        """Kafka is silent, a batch cannot be folded, the table is not back yet, or the topics are ahead."""
        if problem := self.kafka_trouble() or self.trouble:
            return problem
        if not self.recovered:
            return "the table is coming back from its changelog"
        if self.targets is None:
            return "looking how much the topics hold"
        self.targets = {place: last for place, last in self.targets.items() if self._taken.get(place, -1) < last}
        return f"reading what the topics hold: {len(self.targets)} partitions to go" if self.targets else None


@contextmanager
def _at(event: EventT[Any]) -> Iterator[None]:
    """The table finds an entry's partition by the event in work, which Faust does not set for batches."""
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)


def _record(event: EventT[Any]) -> Record:
    message = event.message
    # Faust hands on aiokafka's pairs; its own type says more than that.
    pairs: Any = message.headers or ()
    return Record(
        message.partition,
        message.offset,
        message.key,
        message.value,
        [(str(name), value) for name, value in pairs],
        int(message.timestamp * 1000),
    )


def create_app(settings: Settings, partitions: int) -> tuple[faust.App, Board]:
    """The app, not started. Faust's own topics stand under the same prefix as all others."""
    app = _app(settings, partitions)
    table = app.Table("mails", key_type=bytes, value_type=bytes, partitions=partitions, help="every mail")
    board = Board(table, Opened(settings).months)
    names = settings.topics
    for kind in ("jobs", "attempts", "deliveries", "dead-letters", "events"):
        topic = app.topic(
            f"{names.prefix}{kind}", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(topic, name=kind)(_folding(board, kind))

    @app.on_rebalance_complete.connect
    async def recovered(*_args: Any, **_kwargs: Any) -> None:
        board.rebuild()

    return app, board


def _app(settings: Settings, partitions: int) -> _App:
    folder = Path(settings.dashboard_dir)
    return _App(
        f"{settings.topic_prefix}{settings.dashboard_name}",
        broker=[f"aiokafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        store="rocksdb://?driver=rocksdict" if settings.dashboard_store == "rocksdb" else "memory://",
        # Faust fills in what stands in braces.
        datadir=str(folder).replace("{", "{{").replace("}", "}}"),
        topic_partitions=partitions,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_enabled=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        producer_compression_type="lz4",
        worker_redirect_stdouts=False,
    )


def _folding(board: Board, kind: str) -> Any:
    async def fold(stream: Any) -> None:
        async for events in stream.take_events(BATCH_MAX, within=WITHIN_S):
            await _until_taken(board, kind, events)

    return fold


async def _until_taken(board: Board, kind: str, events: list[EventT[Any]]) -> None:
    """Folds a batch, again and again if need be.

    Raised, an error would end the agent, and Faust would commit past the batch: a page that misses mails and says so to
    nobody. Folding a record twice is harmless.
    """
    while True:
        try:
            if kind == "jobs":
                await board.look_up(events)
            board.take(kind, events)
        except Exception as error:
            if board.trouble is None:
                log.exception(Event.FOLD_FAILED, topic=kind)
            board.trouble = f"records of {kind} cannot be folded: {type(error).__name__}"
            await asyncio.sleep(AGAIN_AFTER_S)
        else:
            board.trouble = None
            return


def _credentials(settings: Settings) -> Any:
    """librdkafka's security options as Faust takes them; raises `UsageError` for those it has no word for."""
    options = settings.kafka_options
    if settings.kafka_auth != "options":
        raise UsageError(f"the dashboard cannot log in by {settings.kafka_auth}: give it SCRAM or a client certificate")
    protocol = options.get("security.protocol", "plaintext").upper()
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
        if certificate := options.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, options.get("ssl.key.location"), options.get("ssl.key.password"))
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    mechanism = options.get("sasl.mechanism") or options.get("sasl.mechanisms", "PLAIN")
    if mechanism not in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}:
        raise UsageError(f"the dashboard cannot log in by {mechanism}: give it PLAIN, SCRAM or a client certificate")
    return faust.SASLCredentials(
        mechanism=mechanism,
        username=options.get("sasl.username"),
        password=options.get("sasl.password"),
        ssl_context=context,
    )
