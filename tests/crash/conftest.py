"""The table at the end of a sweep."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the sweep ran, and how much of it was wrong."""
    rows: list[Any] = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "crash"
    ]
    if not rows:
        return
    terminalreporter.section("crash sweep")
    scenarios = sorted({row[3] for row in rows})
    terminalreporter.write_line(f"{'action':<12}{'database':<14}" + "".join(f"{name:>26}" for name in scenarios))
    for action, database in sorted({(row[1], row[2]) for row in rows}):
        cells = [[row for row in rows if row[1:4] == [action, database, name]] for name in scenarios]
        shown = (f"{len(cell)} at {len({row[0] for row in cell})} points" if cell else "" for cell in cells)
        terminalreporter.write_line(f"{action:<12}{database:<14}" + "".join(f"{text:>26}" for text in shown))
    counts = [len({row[column] for row in rows}) for column in range(4)]
    violations = sum(row[4] for row in rows)
    terminalreporter.write_line(
        f"{counts[0]} points x {counts[1]} actions x {counts[2]} databases x {counts[3]} scenarios: "
        f"{len(rows)} cases, {violations} violations"
    )
