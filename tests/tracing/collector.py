"""A collector of OpenTelemetry's: takes OTLP over HTTP, as the real ones do, and shows what came."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, kw_only=True)
class Span:
    """One that came."""

    trace_id: str
    id: str
    parent_id: str
    name: str
    kind: int
    status: int
    start: int
    end: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What came, and what is answered."""

    port: int = 0
    status: int = 200
    #: Whether it takes a request and never answers.
    is_hanging: bool = False
    spans: list[Span] = field(default_factory=list)
    #: The names of the metrics, and the attributes of their points.
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    #: How many requests with traces came.
    offered: int = 0
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def take(self, request: web.Request) -> web.Response:
        """Take one request."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.offered += request.path == "/v1/traces"
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status == 200 and not self.is_hanging:
            self._traces(body) if request.path == "/v1/traces" else self._metrics(body)
        async with self._came:
            self._came.notify_all()
        if self.is_hanging:
            await asyncio.Event().wait()
        return web.Response(status=self.status, content_type="application/x-protobuf")

    async def until(self, is_there: Callable[[], bool]) -> None:
        """Wait until what came is enough."""
        async with asyncio.timeout(30), self._came:
            await self._came.wait_for(is_there)

    def traces(self) -> dict[str, list[Span]]:
        """The spans of each trace, in the order they came; fails where one came twice."""
        twice = [span for span, times in Counter((one.trace_id, one.id) for one in self.spans).items() if times > 1]
        assert not twice, twice
        found: dict[str, list[Span]] = {}
        for one in self.spans:
            found.setdefault(one.trace_id, []).append(one)
        return found

    def _traces(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        trace_id=one.trace_id.hex(),
                        id=one.span_id.hex(),
                        parent_id=one.parent_span_id.hex(),
                        name=one.name,
                        kind=one.kind,
                        status=one.status.code,
                        start=one.start_time_unix_nano,
                        end=one.end_time_unix_nano,
                        attributes=_values(one.attributes),
                        links=[(link.trace_id.hex(), link.span_id.hex()) for link in one.links],
                        resource=_values(resource.resource.attributes),
                    )
                    for one in scope.spans
                ]

    def _metrics(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for one in scope.metrics:
                    points = getattr(one, one.WhichOneof("data")).data_points
                    self.metrics.setdefault(one.name, []).extend(_values(point.attributes) for point in points)


def _values(given: Any) -> dict[str, Any]:
    def value(one: KeyValue) -> Any:
        kind = one.value.WhichOneof("value")
        return None if kind is None else getattr(one.value, kind)

    return {one.key: value(one) for one in given}


@contextlib.asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """A collector on a port of this machine's loopback."""
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/{signal}", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert site._server is not None
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await runner.cleanup()
