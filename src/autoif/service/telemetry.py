"""The log, which clients can't flood, and the metrics of `/metrics` in Prometheus's text format.

Labels come from closed sets: nothing that a client sends becomes a label.
"""

import logging
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from autoif.records import Verdict

_FEW: Final = 10
_PERIOD_S: Final = 60.0


class FewOfAKind(logging.Filter):
    """Lets through a few lines a minute from each place in the code, and says how many it left out."""

    def __init__(self, few: int = _FEW, period_s: float = _PERIOD_S) -> None:
        super().__init__()
        self._few = few
        self._period_s = period_s
        self._counted: dict[tuple[str, int], tuple[float, int]] = {}
        """For each place: when its period began, and how many lines it has logged since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        place = (record.pathname, record.lineno)
        began, count = self._counted.get(place, (monotonic(), 0))
        if monotonic() - began > self._period_s:
            if count > self._few:
                record.msg = f"{record.msg} (and {count - self._few:,} more like this were left out)"
            began, count = monotonic(), 0
        self._counted[place] = (began, count + 1)
        return count < self._few


def configure_log() -> None:
    """Log to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewOfAKind())
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # else a traceback for every malformed request


CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one server. They have a registry of their own, so that two servers in a test don't add up."""

    def __init__(self, *, queued: Callable[[], int], in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("autoif_requests", "Requests answered.", ("route", "status"), registry=self._registry)
        self._rejected = Counter(
            "autoif_requests_rejected", "Requests refused, by code.", ("code",), registry=self._registry
        )
        self._verdicts = Counter("autoif_verdicts", "Verdicts given.", ("verdict",), registry=self._registry)
        self._faults = Counter(
            "autoif_reward_faults", "Completions without an answer, by why.", ("fault",), registry=self._registry
        )
        self._seconds = Histogram(
            "autoif_request_seconds",
            "From the head of a request to its answer, waiting included.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        depth = Gauge("autoif_requests_queued", "Requests taken on that wait for a worker.", registry=self._registry)
        depth.set_function(queued)
        busy = Gauge("autoif_requests_in_flight", "Requests whose functions are being run.", registry=self._registry)
        busy.set_function(in_flight)
        ProcessCollector(registry=self._registry)
        for verdict in Verdict:
            self._verdicts.labels(verdict.value)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_refusal(self, code: str) -> None:
        self._rejected.labels(code).inc()

    def count_verdicts(self, verdicts: Iterable[Verdict], faults: Iterable[str]) -> None:
        """Count the verdicts of an answer, and the faults of its completions ("" is none)."""
        for verdict, count in Tally(verdicts).items():
            self._verdicts.labels(verdict.value).inc(count)
        for fault in filter(None, faults):
            self._faults.labels(fault).inc()

    def render(self) -> bytes:
        return generate_latest(self._registry)
