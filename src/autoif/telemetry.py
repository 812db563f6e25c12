"""Reports a run to an OpenTelemetry collector, over OTLP and HTTP: spans and counts, never a text or a key.

    span              what it covers                        attributes beside the error's class
    autoif run        a run, from its folder to its data    preset
    02_verification   a stage of one shard                  step, number of the shard
    chat MODEL        a request with all its attempts       stage, samples, tokens, how many were refused

    metric                            of it                 by
    gen_ai.client.token.usage         tokens of a request   stage, model, input or output
    gen_ai.client.operation.duration  seconds of a request  stage, model, class of the error
    autoif.retries                    attempts that failed
    autoif.records                    records that left     stage, kept or dropped, reason

Names of models are those of OpenTelemetry's conventions for generative models. Nothing is imported and nothing sent
unless `execution.otlp_endpoint` or one of the standard variables names a collector. The standard variables for
sampling, headers and intervals apply.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from autoif.errors import ConfigError
from autoif.messages import Say
from autoif.models.requests import Completion, Request
from autoif.records import Dropped

_SIGNALS = ("traces", "metrics")
_PREFIX = "OTEL_EXPORTER_OTLP"
_TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))
_SECOND_BOUNDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


class Telemetry:
    """Reports nothing: the default."""

    def run(self, preset: str) -> AbstractContextManager[None]:
        return nullcontext()

    def shard(self, step: str, index: int) -> AbstractContextManager[Callable[[str], AbstractContextManager[None]]]:
        """Return a context for a shard. It gives a function of a stage, whose span is entered for every record."""
        return nullcontext(lambda stage: nullcontext())

    def request(self, request: Request, model: str) -> AbstractContextManager[Callable[[Sequence[Completion]], None]]:
        """Return a context for a request's span. It gives a function to call with the answer."""
        return nullcontext(lambda completions: None)

    def traceparent(self) -> str:
        """Return the current span, to be passed to workers in other processes."""
        return ""

    def count_retries(self, read: Callable[[], int]) -> None:
        """Add a source of retries, which is read whenever counts are sent."""

    def count_records(self, stage: str, kept: int, dropped: Sequence[Dropped]) -> None:
        """Count records that have left a stage."""


_OPEN: ContextVar[Telemetry | None] = ContextVar("telemetry", default=None)
"""The telemetry of the current run."""


@contextmanager
def open_telemetry(endpoint: str, say: Say = lambda line: None, traceparent: str = "") -> Iterator[Telemetry]:
    """Yield telemetry to the collector at `endpoint` or in the standard variables; within a run, the run's own.

    `say` gets the reason why nothing is sent. Raises ConfigError: a collector is set, and the package isn't installed.
    """
    if found := _OPEN.get():
        yield found
        return
    signals = _find_signals(endpoint)
    if not signals:
        yield Telemetry()
        return
    with ExitStack() as stack:
        stack.enter_context(_saying_first_failure(say))
        try:
            found = _CollectorTelemetry(endpoint, signals, traceparent, stack)
        except ImportError:
            lacking = "telemetry needs its extra: pip install 'autoif[otel]'"
            if endpoint:
                raise ConfigError(f"execution.otlp_endpoint: {lacking}") from None
            say(f"a collector is named by {_PREFIX}_*, and nothing is sent to it: {lacking}")
            found = Telemetry()
        yield found


def _find_signals(endpoint: str) -> tuple[str, ...]:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    exporters = {each: os.environ.get(f"OTEL_{each.upper()}_EXPORTER", "").strip().lower() for each in _SIGNALS}
    named = {each: endpoint or _variable("ENDPOINT", each) or "otlp" in exporters[each] for each in _SIGNALS}
    return tuple(each for each in _SIGNALS if named[each] and exporters[each] != "none")


def _variable(name: str, signal: str) -> str:
    return os.environ.get(f"{_PREFIX}_{signal.upper()}_{name}") or os.environ.get(f"{_PREFIX}_{name}", "")


@contextmanager
def _saying_first_failure(say: Say) -> Iterator[None]:
    """Say OpenTelemetry's first complaint in one line, in place of its many log lines."""
    import logging

    class First(logging.Handler):
        said = False

        def emit(self, record: logging.LogRecord) -> None:
            if not self.said:
                self.said = True
                say(f"telemetry may be incomplete: {' '.join(record.getMessage().split())[:300]}")

    logger, handler = logging.getLogger("opentelemetry"), First(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _CollectorTelemetry(Telemetry):
    """Reports to a collector."""

    def __init__(self, endpoint: str, signals: Sequence[str], traceparent: str, stack: ExitStack) -> None:
        from opentelemetry import trace
        from opentelemetry.metrics import NoOpMeter
        from opentelemetry.propagate import extract

        self._api: Any = trace
        self._reads: list[Callable[[], int]] = []
        self._remote = extract({"traceparent": traceparent}) if traceparent else None
        resource = _name_process()
        self._tracer = _open_tracer(endpoint, resource, stack) if "traces" in signals else trace.NoOpTracer()
        meter = _open_meter(endpoint, resource, stack) if "metrics" in signals else NoOpMeter("autoif")
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKEN_BOUNDS
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_SECOND_BOUNDS
        )
        self._records = meter.create_counter("autoif.records", "{record}")
        meter.create_observable_counter("autoif.retries", [self._observe_retries], "{attempt}")

    def traceparent(self) -> str:
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier)
        return carrier.get("traceparent", "")

    @contextmanager
    def run(self, preset: str) -> Iterator[None]:
        span, token = self._start("autoif run", {"autoif.preset": preset}), _OPEN.set(self)
        try:
            with self._within(span):
                yield
        finally:
            _OPEN.reset(token)
            span.end()

    @contextmanager
    def shard(self, step: str, index: int) -> Iterator[Callable[[str], AbstractContextManager[None]]]:
        outer = self._outer()  # a stage begins within the one before, but its span is no part of that
        spans: dict[str, Any] = {}
        ended: dict[str, int] = {}

        @contextmanager
        def enter(stage: str) -> Iterator[None]:
            if stage not in spans:
                known: dict[str, str | int] = {"autoif.step": step, "autoif.shard": index}
                spans[stage] = self._tracer.start_span(stage, outer, attributes=known)
            try:
                with self._within(spans[stage]):
                    yield
            finally:
                ended[stage] = time.time_ns()

        try:
            yield enter
        finally:
            for stage, span in spans.items():
                span.end(ended.get(stage))

    @contextmanager
    def request(self, request: Request, model: str) -> Iterator[Callable[[Sequence[Completion]], None]]:
        known = {"gen_ai.operation.name": "chat" if request.messages else "text_completion"}
        known |= {"gen_ai.request.model": model, "autoif.stage": request.stage}
        span = self._start(f"{known['gen_ai.operation.name']} {model}", known, self._api.SpanKind.CLIENT)
        began, failed = time.monotonic(), {}

        def note(completions: Sequence[Completion]) -> None:
            tokens = {
                "input": sum(each.prompt_tokens for each in completions),
                "output": sum(each.completion_tokens for each in completions),
            }
            for kind, count in tokens.items():
                self._tokens.record(count, {**known, "gen_ai.token.type": kind})
                span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
            refused = sum(each.finish_reason == "refused" for each in completions)
            span.set_attributes({"autoif.samples": len(completions), "autoif.refused": refused})
            if refused:
                failed["error.type"] = "refused"

        try:
            with self._within(span):
                yield note
        except BaseException as error:
            failed["error.type"] = type(error).__name__
            raise
        finally:
            self._seconds.record(time.monotonic() - began, {**known, **failed})
            span.end()

    def count_retries(self, read: Callable[[], int]) -> None:
        self._reads.append(read)

    def count_records(self, stage: str, kept: int, dropped: Sequence[Dropped]) -> None:
        self._records.add(kept, {"autoif.stage": stage, "autoif.outcome": "kept"})
        for reason, count in Counter(each.reason.value for each in dropped).items():
            known = {"autoif.stage": stage, "autoif.outcome": "dropped", "autoif.reason": reason}
            self._records.add(count, known)

    def _observe_retries(self, options: object) -> list[Any]:
        from opentelemetry.metrics import Observation

        return [Observation(sum(read() for read in self._reads))]

    def _start(self, name: str, attributes: Mapping[str, str | int], kind: Any = None) -> Any:
        return self._tracer.start_span(name, self._outer(), kind or self._api.SpanKind.INTERNAL, dict(attributes))

    def _outer(self) -> Any:
        """Return the parent of a new span: the current span here, or else that of the other process."""
        from opentelemetry.context import get_current

        return get_current() if self._api.get_current_span().get_span_context().is_valid else self._remote

    @contextmanager
    def _within(self, span: Any) -> Iterator[None]:
        """Make a span current. Of an error only its class is noted, as its message may quote a text."""
        try:
            with self._api.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(self._api.StatusCode.ERROR)
            raise


def _name_process() -> Any:
    """Return the resource that describes this process; the standard variables override it."""
    import uuid
    from importlib.metadata import version

    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = {"service.name": "autoif", "service.version": version("autoif"), "service.instance.id": str(uuid.uuid4())}
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _open_tracer(endpoint: str, resource: Any, stack: ExitStack) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    stack.callback(provider.shutdown)
    return provider.get_tracer("autoif")


def _open_meter(endpoint: str, resource: Any, stack: ExitStack) -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/')}/v1/metrics" if endpoint else None)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource, shutdown_on_exit=False)
    stack.callback(provider.shutdown)
    return provider.get_meter("autoif")
