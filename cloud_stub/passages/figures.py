"""Figures for Prometheus. The only file here that names prometheus_client, which is not installed everywhere."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db.models import Count, F, Max, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cloud_stub.passages import orders, standing, tally
from cloud_stub.passages.models import Log, Notice, Order
from cloud_stub.residences.models import Controller

_REFUSED = "refused-"


class _Figures(Collector):
    """Read from the database when they are asked for. queue: the length of the ingest's, where that is in this
    process."""

    def __init__(self, now: datetime, queue: Callable[[], int] | None) -> None:
        self._now = now
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        events = Log.objects.aggregate(here=Sum("acknowledged"), waiting=Sum(F("said_last") - F("acknowledged")))
        yield CounterMetricFamily("vantail_cloud_events", "events that are here without a gap", events["here"] or 0)
        yield GaugeMetricFamily(
            "vantail_cloud_events_waiting",
            "events that controllers named and that are not here",
            events["waiting"] or 0,
        )
        yield GaugeMetricFamily("vantail_cloud_notices", "events shown before they came", Notice.objects.count())
        yield from self._controllers()
        yield from _troubles()
        yield _orders()
        if self._queue is not None:
            yield GaugeMetricFamily("vantail_cloud_ingest_queue", "messages not looked at yet", self._queue())

    def _controllers(self) -> Iterator[Metric]:
        active = Controller.objects.filter(is_active=True)
        found = Counter(badge.state for badge in standing.badges(active, self._now).values())
        by_badge = GaugeMetricFamily("vantail_cloud_controllers", "controllers by their badge", labels=["badge"])
        for state in standing.BADGES:
            by_badge.add_metric([state], found[state])
        yield by_badge
        bound = active.exclude(device_key="")
        lag = bound.aggregate(most=Max(F("revision") - F("hello_revision")))["most"] or 0
        yield GaugeMetricFamily("vantail_cloud_revision_lag", "most policy revisions that a controller is behind", lag)


def _troubles() -> Iterator[Metric]:
    refused = CounterMetricFamily("vantail_cloud_refused", "messages refused, by reason", labels=["reason"])
    others = CounterMetricFamily("vantail_cloud_troubles", "what else went wrong, by kind", labels=["kind"])
    for name, count in tally.all_counts().items():
        (refused if name.startswith(_REFUSED) else others).add_metric([name.removeprefix(_REFUSED)], count)
    yield refused
    yield others


def _orders() -> Metric:
    found = GaugeMetricFamily(
        "vantail_cloud_orders", "commands that are kept, by their result", labels=["action", "result"]
    )
    counts: Counter[tuple[str, str]] = Counter()
    for row in Order.objects.values("action", "state", "result").annotate(count=Count("pk")):
        result = row["result"] if row["result"] in orders.RESULTS else "other"
        counts[row["action"], result if row["state"] == orders.ANSWERED else row["state"]] += row["count"]
    for labels, count in sorted(counts.items()):
        found.add_metric(labels, count)
    return found


def render(now: datetime, queue: Callable[[], int] | None = None) -> bytes:
    """The figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Figures(now, queue))
    return generate_latest(registry)
