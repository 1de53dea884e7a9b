"""Draws `docs/images/trace.svg` from a real trace: one pull request, a service, and a collector that shows what came.

Run it as `python -m scripts.draw_trace`.
"""

from __future__ import annotations

import asyncio
import html
import os
import tempfile
from pathlib import Path

from bot.cli import demo
from bot.simulator import Simulator
from tests.tracing import collector
from tests.tracing.collector import Span

IMAGE = Path(__file__).parent.parent / "docs" / "images" / "trace.svg"
PIPELINE = """\
name: test
on: [push]
jobs:
  lint:
    steps:
      - name: Look
        run: sleep 0.15
  test:
    needs: lint
    steps:
      - name: Prepare
        run: sleep 0.1
      - name: Test
        run: sleep 0.25
"""
WIDTH, LEFT, ROW, TOP = 1000, 230, 26, 40
#: By the part of the service that a span is of.
COLOURS = {"root": "#57606a", "controller": "#0969da", "scheduler": "#9a6700", "agent": "#1a7f37", "check": "#8250df"}
STYLE = "text{font:13px system-ui,sans-serif;fill:#1f2328}.light{fill:#59636e}"


async def main() -> None:
    """Build something, and draw what the collector was sent."""
    async with collector.collecting() as taking:
        os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": taking.url, "OTEL_METRICS_EXPORTER": "none"}
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            async with Simulator(folder=home / "github") as github, demo.service(github, home) as url:
                github.webhook_url = f"{url}/webhook"
                repository = await github.create_repository("octo/hello", files={".buildhook.yml": PIPELINE})
                # The first fetch of a repository is longer than those behind it.
                await _built(github, repository, taking, "a.txt", count=1)
                await _built(github, repository, taking, "b.txt", count=2)
    IMAGE.write_text(drawn(list(taking.traces().values())[-1]))
    print("docs/images/trace.svg is made")


async def _built(github: Simulator, repository: object, taking: collector.Collector, name: str, *, count: int) -> None:
    head = await github.push(repository, "main", {name: "a"})  # type: ignore[arg-type]
    await github.wait_for_check(repository, head, conclusion="success")  # type: ignore[arg-type]
    await taking.until(lambda: len({one.trace_id for one in taking.spans}) >= count)


def drawn(spans: list[Span]) -> str:
    """The spans as bars, each below its parent."""
    (root,) = (one for one in spans if not one.parent_id)
    rows = _below(root, spans, depth=0)
    scale = (WIDTH - LEFT - 90) / (root.end - root.start)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + ROW * len(rows) + 12}" role="img"'
        ' aria-label="The spans of one build, from its delivery to the check">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
    ]
    for tenth in range(0, 11, 2):
        x = LEFT + (WIDTH - LEFT - 90) * tenth / 10
        parts.append(f'<path d="M{x:.1f} 28V{TOP + ROW * len(rows)}" stroke="#d1d9e0"/>')
        parts.append(f'<text class="light" x="{x:.1f}" y="20">{(root.end - root.start) * tenth / 1e7:.0f} ms</text>')
    for number, (depth, one) in enumerate(rows):
        x, y = LEFT + (one.start - root.start) * scale, TOP + ROW * number
        width = max(2.0, (one.end - one.start) * scale)
        what = one.attributes.get("buildhook.check.name")
        label = html.escape(f"{one.name} {what}" if what else one.name)
        parts.append(f'<text x="{12 + 16 * depth}" y="{y + 16}">{label}</text>')
        parts.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="17" rx="3" fill="{_colour(one)}"/>')
        shown = f"{(one.end - one.start) / 1e6:.0f} ms"
        parts.append(f'<text class="light" x="{x + width + 6:.1f}" y="{y + 16}">{shown}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _below(one: Span, spans: list[Span], *, depth: int) -> list[tuple[int, Span]]:
    children = sorted(
        (other for other in spans if other.parent_id == one.id), key=lambda other: (other.start, other.end)
    )
    return [(depth, one), *(row for child in children for row in _below(child, spans, depth=depth + 1))]


def _colour(one: Span) -> str:
    if not one.parent_id:
        return COLOURS["root"]
    if one.name == "report check":
        return COLOURS["check"]
    return COLOURS[str(one.attributes.get("cicd.system.component", "agent"))]


if __name__ == "__main__":
    asyncio.run(main())
