"""Renders and lints the Helm chart: `python -m tests.packaging.charted`, values by name as JSON in, what came out out.

A process of its own, because Helm is a library in Go: with its threads and signals a process of tests should not fork.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CHART = Path(__file__).parents[2] / "packaging/helm/buildhook"


def main() -> None:
    """Read the cases, write what Helm makes of each: templates by name, or why it refused."""
    import helm_python

    made: dict[str, dict[str, str] | str] = {}
    with helm_python.Chart.load(CHART) as chart:
        for name, values in json.load(sys.stdin).items():
            try:
                made[name] = chart.render(values, name="demo", namespace="prod")
            except helm_python.HelmError as error:
                made[name] = str(error)
    json.dump({"made": made, "lint": helm_python.lint(CHART, strict=True)}, sys.stdout)


if __name__ == "__main__":
    main()
