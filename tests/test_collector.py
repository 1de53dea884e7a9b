"""OpenTelemetry's own variables switch it on, and what it cannot do is said at the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bot import collector

AT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:hunter2@collector.example.org:4318/otlp"}
WHERE = "https://collector.example.org:4318"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"OTEL_SERVICE_NAME": "ci"}, {}),
        (AT, {"traces": WHERE, "metrics": WHERE}),
        ({**AT, "OTEL_METRICS_EXPORTER": "none"}, {"traces": WHERE}),
        ({**AT, "OTEL_SDK_DISABLED": "true"}, {}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, {"traces": "http://127.0.0.1:1"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"traces": "http://localhost:4318"}),
    ],
)
def test_what_is_sent_and_where(given: dict[str, str], wanted: dict[str, str]) -> None:
    assert collector.signals(given) == wanted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: write otlp or none"),
        ({**AT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: write http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: write a URL"),
    ],
)
def test_what_cannot_be_done_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        collector.signals(given)


def test_a_service_without_it_loads_nothing_of_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, bot.app; print([one for one in sys.modules if 'opentelemetry' in one])"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "[]\n", said.stderr
