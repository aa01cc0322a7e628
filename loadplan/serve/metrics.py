"""What the server counts. The request path adds to plain integers; they become Prometheus metrics when scraped."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

OUTCOMES = ("ok", "bad_request", "too_large", "rejected", "failed", "disconnected")


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


def batch_sizes_up_to(max_batch_size: int) -> tuple[int, ...]:
    """The powers of two below the largest batch size, and that size itself."""
    powers = (1 << exponent for exponent in range(max_batch_size.bit_length()))
    return (*(size for size in powers if size < max_batch_size), max_batch_size)


class ServerMetrics:
    """The Prometheus exposition of the counters, made at scrape time."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The text format that Prometheus reads."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry on each scrape."""
        counters = self._counters
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
            buckets=self._buckets(n_batches),
            sum_value=sum(rows * count for rows, count in counters.batch_rows.items()),
        )
        yield SummaryMetricFamily(
            "loadplan_inference_seconds",
            "Time spent in inference.",
            count_value=n_batches,
            sum_value=counters.inference_s,
        )

    def _buckets(self, n_batches: int) -> list[tuple[str, float]]:
        counters = self._counters
        below = [
            (str(float(limit)), sum(count for rows, count in counters.batch_rows.items() if rows <= limit))
            for limit in counters.bucket_rows
        ]
        return [*below, ("+Inf", n_batches)]
