"""Metrics: their names and meanings in one place. Alerts and dashboards rely on the names.

Counting costs time in the hot path, so what happens per mail is counted in batches wherever there is one.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from processor.core.answers import Verdict
from processor.core.decide import AfterClaim, AskLetters, Call, Renounce, Settle, Skip, WaitForOther

__all__ = ["SKIPPED", "EvidenceMeter", "Meter", "build_info", "name_of"]

SKIPPED = "skipped"
"""Settled without an outcome of its own: the ledger already held what there is to say."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


def build_info(registry: CollectorRegistry) -> None:
    Info("mailonce_build", "what runs", registry=registry).info({"version": version("mailonce")})


class Meter:
    """A processor's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        build_info(self.registry)
        self._settled = self._counter("settled_total", "records settled, by outcome or skipped", "outcome")
        self._answers = self._counter("ses_answers_total", "SES's answers to SendEmail, by what they prove", "verdict")
        self._by_verdict: dict[type, Counter] = {}
        """found once: looking a label up costs more than counting"""
        self._claims = self._counter("claims_total", "claims, by what the dedup set said", "answer")
        self._retries = self._counter("retries_total", "calls put off after a refusal for now", "error_class")
        self._transactions = self._counter("transactions_total", "Kafka transactions, by their end", "end")
        self._rebalances = self._counter("rebalances_total", "partitions that came or went", "what")
        self._ses_s = self._histogram("ses_seconds", "SES's time to answer SendEmail")
        self._transaction_s = self._histogram("transaction_seconds", "time of a Kafka transaction")
        self.takeovers = self._single("takeovers_total", "attempts of others whose lifetime passed without an answer")
        self.duplicates = self._single("duplicates_seen_total", "acceptances beside another message of the same key")
        self.rebuilds = self._single("dedup_rebuilds_total", "rebuilds of the dedup set that this process waited for")
        self.in_flight = self._gauge("calls_in_flight", "SendEmail calls now")
        self.waiting = self._gauge("waiting", "works in back-off or behind another attempt")
        self.read_ahead = self._gauge("unsettled_records", "records read from the settled prefix on")
        self.partitions = self._gauge("partitions", "partitions assigned to this processor")
        self.rate_allowed = self._gauge("rate_allowed", "mails a second that the whole group may send; 0: no limit")
        self.quota_left = self._gauge("quota_left", "mails that the account's 24 h quota still takes; -1: no quota")
        self.ses_away = self._gauge("ses_away", "1 while SES answers nobody and one call at a time tries it")
        self.halted = self._gauge("halted", "1 when SES refuses every message or the breaker tripped")

        self._paused = Gauge("mailonce_month_paused", "1 while a month is paused", ["month"], registry=self.registry)

    def paused(self, before: Iterable[str], now: Iterable[str]) -> None:
        """`before`: months that go on; `now`: those that are paused."""
        for month in before:
            self._paused.labels(month).set(0)
        for month in now:
            self._paused.labels(month).set(1)

    def _counter(self, name: str, meaning: str, label: str) -> Counter:
        return Counter(f"mailonce_{name}", meaning, [label], registry=self.registry)

    def _single(self, name: str, meaning: str) -> Counter:
        return Counter(f"mailonce_{name}", meaning, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"mailonce_{name}", meaning, registry=self.registry)

    def _histogram(self, name: str, meaning: str) -> Histogram:
        return Histogram(f"mailonce_{name}", meaning, buckets=_SECONDS, registry=self.registry)

    def claimed(self, follows: Iterable[AfterClaim]) -> None:
        """What a batch of claims led to."""
        for answer, many in Tally(_claim_answer(one) for one in follows).items():
            self._claims.labels(answer).inc(many)

    def answered(self, verdict: Verdict, seconds: float) -> None:
        kind = type(verdict)
        if (counter := self._by_verdict.get(kind)) is None:
            counter = self._by_verdict[kind] = self._answers.labels(name_of(verdict))
        counter.inc()
        self._ses_s.observe(seconds)

    def retried(self, error_class: str) -> None:
        self._retries.labels(error_class).inc()

    def settled(self, results: Iterable[Settle | Skip | None]) -> None:
        """What a committed transaction settled."""
        for outcome, many in Tally(r.outcome.value if isinstance(r, Settle) else SKIPPED for r in results).items():
            self._settled.labels(outcome).inc(many)

    def passed_over(self, count: int) -> None:
        """Records settled by a look ahead, or not asked for."""
        if count:
            self._settled.labels(SKIPPED).inc(count)

    def transaction(self, end: str, seconds: float) -> None:
        """`end`: ``committed``, ``aborted`` or ``unknown``."""
        self._transactions.labels(end).inc()
        self._transaction_s.observe(seconds)

    def rebalanced(self, what: str) -> None:
        """`what`: ``assigned``, ``revoked`` or ``lost``."""
        self._rebalances.labels(what).inc()

    def settled_by_outcome(self) -> dict[str, int]:
        """What this process settled so far."""
        return {
            sample.labels["outcome"]: int(sample.value)
            for family in self._settled.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }


def name_of(verdict: Verdict) -> str:
    """A verdict's name as a label: ``accepted``, ``refused_message``, …"""
    return _VERDICTS.setdefault(type(verdict), _snake(type(verdict).__name__))


_VERDICTS: dict[type, str] = {}


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def _claim_answer(follows: AfterClaim) -> str:
    match follows:
        case Call():
            return "granted"
        case WaitForOther() | AskLetters() | Renounce():
            return "held_by_another"
        case Settle(outcome):
            return f"found_{outcome.value}"
        case Skip():
            return "already_settled"


class EvidenceMeter(Collector):
    """The evidence process's metrics, read from its own counts when somebody asks."""

    def __init__(self, counts: Tally[str], now_ms: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        build_info(self.registry)
        self._counts = counts
        self._now_ms = now_ms
        self.last_event_ms = 0
        self.looked_ms = 0
        self.doubts_since_ms: list[int] = []
        """when each mail that is held came into doubt"""
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        events = CounterMetricFamily("mailonce_evidence", "SES's events, by what they led to", labels=["what"])
        for what, many in sorted(self._counts.items()):
            events.add_metric([what], many)
        yield events
        duplicates = self._counts["duplicates"]
        yield CounterMetricFamily(
            "mailonce_duplicates_seen", "second acceptances of one key, by SES's word", duplicates
        )
        yield GaugeMetricFamily(
            "mailonce_evidence_last_event_timestamp_seconds",
            "when an event last came; 0: never",
            self.last_event_ms / 1000,
        )
        yield GaugeMetricFamily(
            "mailonce_evidence_last_look_timestamp_seconds", "when the queue was last asked", self.looked_ms / 1000
        )
        yield GaugeMetricFamily("mailonce_uncertain_held", "mails held as uncertain", len(self.doubts_since_ms))
        oldest_ms = self._now_ms() - min(self.doubts_since_ms, default=self._now_ms())
        yield GaugeMetricFamily("mailonce_uncertain_oldest_seconds", "age of the oldest doubt", oldest_ms / 1000)
