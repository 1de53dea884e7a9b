"""OTLP over HTTP by OpenTelemetry's SDK, which reads its own standard variables. Only imported where it is switched on.

https://opentelemetry.io/docs/languages/sdk-configuration/otlp-exporter/
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import bot
from bot import telemetry
from bot.model import trace

#: Which version of the conventions the names are of.
SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
_NAME = "buildhook"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
#: So many go with one request: collectors bound those, often at 4 MiB.
_MAX_SPANS = 1000
#: A build lasts from seconds to hours.
_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600)


class OtlpExporter:
    """Sends spans and metrics to a collector. Its calls wait for the network: they are for threads."""

    def __init__(self, metrics: telemetry.Metrics, *, has_traces: bool = True, has_metrics: bool = True) -> None:
        """:raises ValueError: if a variable of OpenTelemetry's cannot be used."""
        self._metrics = metrics
        given = Resource({"service.name": _NAME, "service.version": bot.__version__})
        self._resource = given.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope(_NAME, bot.__version__, SCHEMA_URL)
        self._sampler = TracerProvider(resource=self._resource, shutdown_on_exit=False).sampler
        self._spans = OTLPSpanExporter() if has_traces else None
        self._meters = self._meter_provider() if has_metrics else None
        # Only now: what it says of its variables is for people. A collector that is away is told of by whoever sends.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def is_sampled(self, trace_id: int) -> bool:
        """Whether a trace is kept: all replicas decide alike, by `OTEL_TRACES_SAMPLER`."""
        return self._sampler.should_sample(None, trace_id, _NAME).decision != Decision.DROP

    def send(self, spans: Sequence[trace.Span]) -> bool:
        """Send spans; gives whether the collector took them. Waits for it, for `OTEL_EXPORTER_OTLP_TIMEOUT` at most."""
        if self._spans is None or not spans:
            return True
        made = [self._readable(one) for one in spans if self.is_sampled(one.trace_id)]
        parts = (made[at : at + _MAX_SPANS] for at in range(0, len(made), _MAX_SPANS))
        return all(self._spans.export(part) is SpanExportResult.SUCCESS for part in parts)

    def measure_run(self, *, seconds: float, attributes: Mapping[str, str]) -> None:
        """Note one build that ended."""
        if self._meters is None:
            return
        self._durations.record(seconds, {**attributes, "cicd.pipeline.run.state": "executing"})
        if "error.type" in attributes:
            self._errors.add(1, {name: attributes[name] for name in ("cicd.pipeline.name", "error.type")})

    def close(self) -> None:
        """Send the last metrics, if the collector takes them at once, and let go of it."""
        if self._meters is not None:
            self._meters.shutdown(timeout_millis=1000)
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, one: trace.Span) -> ReadableSpan:
        parent = None if one.parent_id is None else _context(one.trace_id, one.parent_id)
        wrong = {} if one.error_type is None else {"error.type": one.error_type}
        return ReadableSpan(
            one.name,
            context=_context(one.trace_id, one.id),
            parent=parent,
            resource=self._resource,
            attributes={**one.attributes, **wrong},
            links=[Link(_context(link.trace_id, link.span_id)) for link in one.links],
            kind=SpanKind[one.kind],
            status=Status(StatusCode.UNSET if one.error_type is None else StatusCode.ERROR),
            start_time=_nanoseconds(one.started_at),
            end_time=_nanoseconds(one.finished_at),
            instrumentation_scope=self._scope,
        )

    def _meter_provider(self) -> MeterProvider:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        provider = MeterProvider([reader], resource=self._resource, shutdown_on_exit=False)
        meter = provider.get_meter(_NAME, bot.__version__, SCHEMA_URL)
        self._durations = meter.create_histogram(
            "cicd.pipeline.run.duration",
            unit="s",
            description="Duration of a pipeline run.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._errors = meter.create_counter(
            "cicd.pipeline.run.errors", unit="{error}", description="Errors of pipeline runs."
        )
        # What is shown to Prometheus as well is read from there: one figure has one place.
        for name, unit, text, own, labels in (
            ("cicd.pipeline.run.active", "{run}", "Runs that have not ended.", "builds_unfinished", _STATE),
            ("cicd.worker.count", "{count}", "Places for jobs of this process.", "workers", _WORKER),
        ):
            meter.create_observable_up_down_counter(name, [self._observer(own, labels)], unit=unit, description=text)
        meter.create_observable_counter(
            "cicd.system.errors",
            [self._observer("system_errors_total", {"component": "cicd.system.component", "kind": "error.type"})],
            unit="{error}",
            description="Errors of the system itself, not of what it builds.",
        )
        return provider

    def _observer(self, own: str, labels: Mapping[str, str]):  # type: ignore[no-untyped-def]
        def observe(_options: object) -> list[Observation]:
            return [
                Observation(sample.value, {labels[name]: value for name, value in sample.labels.items()})
                for family in self._metrics.registry.restricted_registry([f"buildhook_{own}"]).collect()
                for sample in family.samples
                if sample.name == f"buildhook_{own}"
            ]

        return observe


_STATE = {"state": "cicd.pipeline.run.state"}
_WORKER = {"state": "cicd.worker.state"}


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=_SAMPLED)


def _nanoseconds(at: datetime) -> int:
    # In whole numbers: a float of so many seconds has no microseconds left.
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
