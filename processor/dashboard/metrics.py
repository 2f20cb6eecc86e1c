"""What the dashboard alone can tell Prometheus: it has read every record."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from processor.core.outcomes import STANDINGS, arrival_name
from processor.dashboard.app import Board
from processor.telemetry.meter import build_info
from schemas.records import Arrival

__all__ = ["board_registry"]


class _BoardCollector(Collector):
    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        mails = GaugeMetricFamily("mailonce_month_mails", "mails of a month by outcome", labels=["month", "outcome"])
        lag = GaugeMetricFamily("mailonce_pending", "jobs without an outcome: the lag", labels=["month", "partition"])
        feedback = GaugeMetricFamily("mailonce_month_feedback", "bounces and complaints", labels=["month", "kind"])
        arrivals = GaugeMetricFamily(
            "mailonce_month_arrivals", "how far mails came, by SES's events", labels=["month", "arrival"]
        )
        duplicates, doubts = 0, []
        for month, totals in list(self._board.totals.months.items()):
            for name in STANDINGS:
                mails.add_metric([month, name], totals.standings[name])
            for partition, waiting in list(totals.lag.items()):
                lag.add_metric([month, str(partition)], waiting)
            for kind, many in list(totals.feedback.items()):
                feedback.add_metric([month, kind], many)
            for arrival in map(arrival_name, Arrival):
                arrivals.add_metric([month, arrival], totals.arrivals[arrival])
            duplicates += totals.duplicates
            doubts += [view.mail.at_ms for key in list(totals.uncertain) if (view := self._board.view(key))]
        yield from (mails, lag, feedback, arrivals)
        yield CounterMetricFamily("mailonce_board_duplicates", "Send events that nobody allowed", duplicates)
        yield GaugeMetricFamily("mailonce_board_uncertain_held", "mails held as uncertain", len(doubts))
        oldest_s = time.time() - min(doubts) / 1000 if doubts else 0
        yield GaugeMetricFamily("mailonce_board_uncertain_oldest_seconds", "age of the oldest doubt", oldest_s)
        behind = 1 if self._board.why_not_ready() else 0
        yield GaugeMetricFamily("mailonce_board_behind", "1 while the board reads what the topics hold", behind)


def board_registry(board: Board) -> CollectorRegistry:
    registry = CollectorRegistry()
    build_info(registry)
    registry.register(_BoardCollector(board))
    return registry
