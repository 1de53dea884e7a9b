"""The parts of the benchmarks that need no peer: how figures are written down, and the load at a fixed rate."""

from __future__ import annotations

import http.server
import math
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import figures, load, run


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_POST(self) -> None:
        """Every third one is refused."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["X-GitHub-Delivery"])
        self.send_response(503 if self.seen[-1].endswith(("3", "6", "9")) else 202)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[tuple[int, list[str]]]:
    """A server that answers, and the ids that it has seen."""
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        made.daemon_threads = False
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made.server_port, seen
        made.shutdown()
        thread.join()


def test_the_load_sends_each_request_once_with_an_id_of_its_own(server: tuple[int, list[str]]) -> None:
    port, seen = server
    headers = {"X-GitHub-Delivery": "replaced", "X-GitHub-Event": "ping"}
    took, refused, lost = load.offer(
        port=port, rate=100, seconds=0.1, connections=4, body=b"{}" * 20_000, headers=headers, run="r"
    )
    assert sorted(seen) == [f"r-{number}" for number in range(10)]
    assert (len(took), refused, lost) == (7, 3, 0)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [figures.percentile(values, part) for part in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert figures.percentile([3.0], 0.5) == 3


@pytest.mark.parametrize(
    ("value", "is_rate", "verdict"),
    [
        (5, False, "goal reached"),
        (10, False, "holds"),
        (11, False, "**missed**"),
        (20, True, "goal reached"),
        (math.nan, False, "not measured"),
    ],
)
def test_a_target_says_how_it_stands(value: float, is_rate: bool, verdict: str) -> None:
    assert figures.Target(name="x", value=value, must=10, goal=7, is_rate=is_rate).verdict == verdict


def test_a_part_is_written_with_its_rows_its_targets_and_its_notes() -> None:
    rows = [
        figures.Row(subject="a", case="one", values={"ms": "1.0"}),
        figures.Row(subject="b", case="two", values={"other": "2.0"}),
    ]
    target = figures.Target(name="late", value=1234.5, must=15, goal=8.5, unit="ms")
    assert figures.text(figures.Part(rows=rows, targets=[target], notes=["Slow."])) == (
        "|  | case | ms | other |\n|---|---|---|---|\n| a | one | 1.0 |  |\n| b | two |  | 2.0 |\n\n"
        "| target | must | goal | here |  |\n|---|---|---|---|---|\n"
        "| late | ≤ 15 ms | ≤ 8.5 ms | 1,234 ms | **missed** |\n\n> Slow.\n"
    )


def test_every_part_has_its_place_in_the_document() -> None:
    assert set(run.BENCHMARKS) == set(re.findall("<!-- measured: (.+) -->", run.DOCUMENT.read_text()))


def test_figures_are_written_between_the_marks_of_their_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(run, "DOCUMENT", page)
    page.write_text("Before.\n<!-- measured: a -->\nold\n<!-- end of measured: a -->\nBehind.\n")
    run.write("a", "new \\1\n")
    assert page.read_text() == "Before.\n<!-- measured: a -->\nnew \\1\n<!-- end of measured: a -->\nBehind.\n"
    with pytest.raises(ValueError, match="no place for b"):
        run.write("b", "x")
