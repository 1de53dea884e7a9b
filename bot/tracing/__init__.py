"""Traces: each build as OpenTelemetry spans, from its delivery to what GitHub acknowledged. Off unless asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot import errors, telemetry
from bot.model import trace
from bot.tracing.sender import Exporter


def exporter(collectors: Mapping[str, str], *, metrics: telemetry.Metrics) -> Exporter | None:
    """Who sends to these collectors; None where there are none.

    :raises errors.SettingsError: if OpenTelemetry's SDK is not installed, or cannot use one of its variables.
    """
    if not collectors:
        return None
    try:
        # A sixth of a second and 15 MB, which a service without it does not pay.
        from bot.tracing.otlp import OtlpExporter
    except ImportError:
        raise errors.SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed: `pip install 'buildhook[otel]'`"
        ) from None
    telemetry.derive(trace_of)
    try:
        return OtlpExporter(metrics, has_traces="traces" in collectors, has_metrics="metrics" in collectors)
    except ValueError as error:
        raise errors.SettingsError(f"A variable of OpenTelemetry's (OTEL_...) cannot be used: {error}") from None


def trace_of(facts: Mapping[str, Any]) -> Mapping[str, str]:
    """The trace that a line of the log with these facts belongs to, under OpenTelemetry's name for it."""
    build_id = facts.get("build_id")
    if not isinstance(build_id, str):
        return {}
    try:
        return {"trace_id": f"{trace.trace_id(build_id):032x}"}
    except ValueError:
        return {}
