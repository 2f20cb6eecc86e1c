"""Spans around the ports: the protocol knows nothing of them.

A record's ``traceparent`` is kept while its mail is in work; the call to SES and the transaction that settles the mail
become spans under it. Spans name no user: month, attempt, place and what SES's answer proved.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind, Tracer

from processor.core.answers import Answer, classify
from processor.ports import Forbidden, JobLog, Poll, Sender, Transaction
from processor.telemetry.meter import name_of
from schemas.identity import TAG_ATTEMPT, TAG_MONTH, read_tags
from schemas.runtime.tracing import TRACE_HEADER, parent_of
from schemas.topics import Topics

__all__ = ["Parents", "TracedJobLog", "TracedSender"]

KEPT_MAX = 20_000
"""Mails whose parents are remembered: more than a processor has in work."""


class Parents:
    """The span that each mail in work belongs under."""

    def __init__(self) -> None:
        self._headers: OrderedDict[bytes, bytes] = OrderedDict()

    def keep(self, key: bytes, header: bytes) -> None:
        self._headers[key] = header
        if len(self._headers) > KEPT_MAX:
            self._headers.popitem(last=False)

    def of(self, key: bytes) -> Any:
        header = self._headers.get(key)
        return None if header is None else parent_of(header)

    def drop(self, key: bytes) -> None:
        self._headers.pop(key, None)


class TracedJobLog:
    """The job log, with a span for each mail that a transaction settles."""

    def __init__(self, inner: JobLog, tracer: Tracer, parents: Parents, topics: Topics) -> None:
        self._inner = inner
        self._tracer = tracer
        self._parents = parents
        self._deliveries = topics.deliveries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        poll = await self._inner.poll(records_max, timeout_s, paused)
        for record in poll.records:
            for name, value in record.headers:
                if name == TRACE_HEADER and value is not None and record.key is not None:
                    self._parents.keep(record.key, value)
        return poll

    async def commit(self, transaction: Transaction) -> None:
        began_ns = time.time_ns()
        await self._inner.commit(transaction)
        for record in transaction.records:
            if record.topic != self._deliveries or record.key is None:
                continue
            if (parent := self._parents.of(record.key)) is not None:
                about: dict[str, str | int] = {
                    "messaging.destination.name": record.topic,
                    "messaging.kafka.partition": record.partition,
                }
                span = self._tracer.start_span(
                    "settle", parent, kind=SpanKind.PRODUCER, start_time=began_ns, attributes=about
                )
                span.end()
                self._parents.drop(record.key)


class TracedSender:
    """SES, with a span for each call."""

    def __init__(self, inner: Sender, tracer: Tracer, parents: Parents) -> None:
        self._inner = inner
        self._tracer = tracer
        self._parents = parents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, request: Mapping[str, Any], forbidden: Forbidden) -> Answer:
        tags = {tag["Name"]: tag["Value"] for tag in request.get("EmailTags", ())}
        named = read_tags(tags)
        parent = self._parents.of(named[0].to_bytes()) if named else None
        about = {"rpc.system": "aws-api", "rpc.service": "SESv2", "rpc.method": "SendEmail"}
        about |= {"mailonce.month": tags.get(TAG_MONTH, ""), "mailonce.attempt": tags.get(TAG_ATTEMPT, "")}
        with self._tracer.start_as_current_span(
            "SES SendEmail", parent, kind=SpanKind.CLIENT, attributes=about, record_exception=False
        ) as span:
            answer = await self._inner.send(request, forbidden)
            span.set_attribute("mailonce.verdict", name_of(classify(answer)))
            return answer
