"""Traces: off by default, one header hands a span on, and a missing package is said so."""

from __future__ import annotations

import sys

import pytest

from schemas.runtime.errors import UsageError
from schemas.runtime.settings import load_settings
from schemas.runtime.tracing import end_tracing, parent_of, trace_header, tracer
from tests.support.collector import collector


def test_off_unless_asked_for() -> None:
    """Nothing is imported, nothing is sent."""
    assert tracer(load_settings(), "x") is None


def test_a_span_is_handed_on_by_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """W3C's traceparent; what was made is sent at the end."""
    from opentelemetry import trace

    with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        made = tracer(load_settings(traces="otlp"), "test")
        assert made is not None
        with made.start_as_current_span("first") as span:
            name, value = trace_header(span)
        assert name == "traceparent"
        child = made.start_span("second", parent_of(value))
        child.end()
        assert trace.get_current_span(parent_of(b"junk")).get_span_context().is_valid is False
        end_tracing()
        (first,), (second,) = collected.named("first"), collected.named("second")
        assert (second.trace_id, second.parent_span_id) == (first.trace_id, first.span_id)


def test_a_missing_package_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"mailonce\[otel\]"):
        tracer(load_settings(traces="otlp"), "x")
