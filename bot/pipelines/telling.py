"""Problems of a pipeline file for people at a terminal, with the line and a caret, and for programs as SARIF. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.model import build

#: Characters of a line of the file that are shown.
_MAX_SHOWN = 160
SARIF_VERSION = "2.1.0"
_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def lines(problem: build.Problem, text: str) -> list[str]:
    """A problem as lines: where and what it is, the line of the file, and a caret below the place.

    What of the file cannot be printed is shown as `?`, so that the caret stands where it belongs.
    """
    told = f"{problem.path}:{problem.line}:{problem.column}: {problem.text}"
    written = text.split("\n")
    if not 1 <= problem.line <= len(written):
        return [told]
    line = "".join(
        one if one.isprintable() else " " if one == "\t" else "?" for one in written[problem.line - 1].rstrip()
    )
    start = max(0, problem.column - _MAX_SHOWN // 2) if len(line) > _MAX_SHOWN else 0
    shown = line[start : start + _MAX_SHOWN]
    number = f"{problem.line:>5} | "
    return [told, f"{number}{shown}", f"{'| ':>{len(number)}}{' ' * (problem.column - 1 - start)}^"]


def sarif(problems: Sequence[build.Problem], *, version: str) -> dict[str, Any]:
    """The problems as a SARIF log.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    rule = {
        "id": "pipeline-file",
        "shortDescription": {"text": "A mistake in a pipeline file."},
        "defaultConfiguration": {"level": "error"},
    }
    driver = {"name": "buildhook", "version": version, "rules": [rule]}
    return {
        "$schema": _SARIF_SCHEMA,
        "version": SARIF_VERSION,
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one) for one in problems],
            }
        ],
    }


def _result(problem: build.Problem) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    place = {"artifactLocation": {"uri": _uri(problem.path)}, "region": region}
    return {
        "ruleId": "pipeline-file",
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": problem.text},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    """A path as a reference of RFC 3986: what is no letter, digit or `-._~/` is written as its bytes."""
    safe = "-._~/"
    return "".join(
        one
        if one.isascii() and (one.isalnum() or one in safe)
        else "".join(f"%{byte:02X}" for byte in one.encode("utf-8", "replace"))
        for one in path
    )
