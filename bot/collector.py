"""Whether OpenTelemetry is switched on, and where its collector is: pure, from OpenTelemetry's own variables.

Its SDK reads these variables itself, and many more: certificates, headers, timeouts, what tells this service from
others. A list of ours of all of them would be an older one than the SDK's, so none is made: as with the variables of
object stores, `bot.settings` alone decides by them whether the SDK is loaded, and the SDK alone reads how it sends.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

#: Where an exporter sends to when it is asked for without an address.
DEFAULT = "http://localhost:4318"
_EXPORTERS = {"traces": "OTEL_TRACES_EXPORTER", "metrics": "OTEL_METRICS_EXPORTER"}
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def signals(given: Mapping[str, str]) -> Mapping[str, str]:
    """Where traces and metrics go, for people to read: scheme, host and port. What is not sent is not there.

    :param given: the environment.
    :raises ValueError: if it asks for what is not there; with one sentence.
    """
    if given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    found = {}
    for signal, name in _EXPORTERS.items():
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
        where = (given.get(own) or given.get(_ENDPOINT) or "").strip()
        asked = given.get(name, "").strip() or ("otlp" if where else "none")
        if asked not in {"otlp", "none"}:
            raise ValueError(f"{name}: write otlp or none")
        if asked == "none":
            continue
        for protocol in ("OTEL_EXPORTER_OTLP_PROTOCOL", f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"):
            if given.get(protocol, "").strip() not in {"", "http/protobuf"}:
                raise ValueError(f"{protocol}: write http/protobuf, and the collector's port for it, mostly 4318")
        parts = urlsplit(where or DEFAULT)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{own if given.get(own) else _ENDPOINT}: write a URL like {DEFAULT}")
        # What else is in it may be a secret.
        found[signal] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return found
