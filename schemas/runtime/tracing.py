"""OpenTelemetry, where it is wanted: one trace a mail, from its publishing to the commit that settles it.

The header is W3C's ``traceparent``. Off by default; the packages are an extra, and nothing imports them unasked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from schemas.runtime.errors import UsageError
from schemas.runtime.secrets import HIDDEN
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["TRACE_HEADER", "end_tracing", "parent_of", "trace_header", "tracer"]

TRACE_HEADER = "traceparent"


def tracer(settings: Settings, service: str) -> Tracer | None:
    """What makes spans, or ``None``. Raises `UsageError` when the packages are missing."""
    if settings.traces == "off":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UsageError(f"MAILONCE_TRACES=otlp needs the extra mailonce[otel]: {error}") from None
    logging.getLogger("opentelemetry.util.re").addFilter(_hide_headers)
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    made = provider.get_tracer("mailonce")
    _providers.append(provider)
    return made


def _hide_headers(record: logging.LogRecord) -> bool:
    """OTEL_EXPORTER_OTLP_HEADERS carries keys, and OpenTelemetry quotes a header that it cannot read."""
    record.args = (HIDDEN,)
    return True


_providers: list[Any] = []


def end_tracing() -> None:
    """Sends what is left. A collector that does not answer costs some seconds here, and nothing else."""
    while _providers:
        _providers.pop().shutdown()


def trace_header(span: Any) -> tuple[str, bytes]:
    """The header that hands a span on."""
    about = span.get_span_context()
    return TRACE_HEADER, f"00-{about.trace_id:032x}-{about.span_id:016x}-{about.trace_flags:02x}".encode()


def parent_of(header: bytes) -> Any:
    """The context that a header hands on."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACE_HEADER: header.decode(errors="replace")})
