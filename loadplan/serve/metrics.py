"""What the server counts. The request path adds to plain integers; they become Prometheus metrics when scraped.

Of several processes behind one port a scrape meets one, and is answered with the sums over all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

OUTCOMES = ("ok", "bad_request", "too_large", "rejected", "failed", "expired", "disconnected")


class Counters:
    """Running totals since the start of the process."""

    __slots__ = ("batch_rows", "bucket_rows", "inference_s", "n_by_outcome", "n_received", "queued_rows")

    def __init__(self, max_batch_size: int) -> None:
        self.n_received = 0  # inference requests whose head has arrived
        self.n_by_outcome = dict.fromkeys(OUTCOMES, 0)
        self.batch_rows: Counter[int] = Counter()  # rows of a batch -> batches
        self.inference_s = 0.0
        self.queued_rows = 0
        self.bucket_rows = batch_sizes_up_to(max_batch_size)

    def add(self, other: "Counters") -> None:
        """Add what another process has counted."""
        self.n_received += other.n_received
        for outcome, count in other.n_by_outcome.items():
            self.n_by_outcome[outcome] += count
        self.batch_rows.update(other.batch_rows)
        self.inference_s += other.inference_s
        self.queued_rows += other.queued_rows


def batch_sizes_up_to(max_batch_size: int) -> tuple[int, ...]:
    """The powers of two below the largest batch size, and that size itself."""
    powers = (1 << exponent for exponent in range(max_batch_size.bit_length()))
    return (*(size for size in powers if size < max_batch_size), max_batch_size)


class ServerMetrics:
    """The Prometheus exposition of the counters, made at scrape time."""

    def __init__(
        self, counters: Counters, *, max_batch_size: int, siblings: Callable[[], Sequence[Counters]] = lambda: ()
    ) -> None:
        self._counters = counters
        self._max_batch_size = max_batch_size
        self._siblings = siblings
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry on each scrape."""
        siblings = self._siblings()
        counters = Counters(self._max_batch_size)
        for own in (self._counters, *siblings):
            counters.add(own)
        yield GaugeMetricFamily("loadplan_processes", "Processes behind this port.", value=1 + len(siblings))
        requests = CounterMetricFamily(
            "loadplan_requests", "Inference requests answered, by outcome.", labels=["outcome"]
        )
        for outcome, count in counters.n_by_outcome.items():
            requests.add_metric([outcome], count)
        yield requests
        in_flight = counters.n_received - sum(counters.n_by_outcome.values())
        yield GaugeMetricFamily("loadplan_requests_in_flight", "Inference requests being served.", value=in_flight)
        yield GaugeMetricFamily("loadplan_queue_rows", "Rows that wait for inference.", value=counters.queued_rows)
        n_batches = sum(counters.batch_rows.values())
        yield HistogramMetricFamily(
            "loadplan_batch_rows",
            "Rows per inference.",
            buckets=_buckets(counters, n_batches),
            sum_value=sum(rows * count for rows, count in counters.batch_rows.items()),
        )
        yield SummaryMetricFamily(
            "loadplan_inference_seconds",
            "Time spent in inference.",
            count_value=n_batches,
            sum_value=counters.inference_s,
        )


def _buckets(counters: Counters, n_batches: int) -> list[tuple[str, float]]:
    below = [
        (str(float(limit)), sum(count for rows, count in counters.batch_rows.items() if rows <= limit))
        for limit in counters.bucket_rows
    ]
    return [*below, ("+Inf", n_batches)]
