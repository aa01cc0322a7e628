"""What a server says of itself at its Prometheus page: how many requests or rows wait, how large its batches are.

Servers name these differently, so each that is known stands in a table here. Other servers simply have no such figure.
No redirect is followed, for load and what goes with it stay with the host that was named.
"""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

# Gauges of what waits: the embedded server's rows, Triton's and vLLM's requests.
_WAITING = ("loadplan_queue_rows", "nv_inference_pending_request_count", "vllm:num_requests_waiting")
# Rows and batches since the start: a histogram of the embedded server, two counters of Triton.
_BATCHES = (
    ("loadplan_batch_rows_sum", "loadplan_batch_rows_count"),
    ("nv_inference_count", "nv_inference_exec_count"),
)
_LIMIT_S = 0.5
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """One reading of the page, or why there is none."""

    waiting: float | None  # requests or rows that wait now
    n_batched_rows: float | None  # since the server's start
    n_batches: float | None
    absent_reason: str | None  # None: the page could be read
    inference_s: float | None = None  # spent in all batches since the server's start; only the embedded one tells


def read_metrics_page(url: str, *, limit_s: float = _LIMIT_S) -> MetricsPage:
    """Ask `url` (http://host:port/path) once; each step of it may take `limit_s`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=limit_s)
    try:
        connection.request("GET", parts.path or "/metrics", headers={"Accept": "text/plain"})
        answer = connection.getresponse()
        text = answer.read(_MOST_BYTES).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return _none(f"GET {parts.path} gave no answer: {str(error) or type(error).__name__}")
    finally:
        connection.close()
    if answer.status != http.client.OK:
        return _none(f"GET {parts.path} answered {answer.status}")
    return _interpreted(text, path=parts.path)


def _interpreted(text: str, *, path: str) -> MetricsPage:
    sums: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removesuffix("_total")  # which the reader adds to counters that lack it
                sums[name] = sums.get(name, 0.0) + sample.value  # over models and versions
    except ValueError:
        return _none(f"what GET {path} answered is no page of Prometheus metrics")
    n_rows, n_batches = next(((sums[a], sums[b]) for a, b in _BATCHES if a in sums and b in sums), (None, None))
    return MetricsPage(
        waiting=next((sums[name] for name in _WAITING if name in sums), None),
        n_batched_rows=n_rows,
        n_batches=n_batches,
        absent_reason=None,
        inference_s=sums.get("loadplan_inference_seconds_sum"),
    )


def _none(reason: str) -> MetricsPage:
    return MetricsPage(waiting=None, n_batched_rows=None, n_batches=None, absent_reason=reason)
