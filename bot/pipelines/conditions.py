"""Whether the `if` of a job lets it run. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bot.expressions import evaluate, names, syntax, values

_MAX_SHOWN = 120


class Status(msgspec.Struct, frozen=True):
    """How what came before a job ended."""

    #: Whether all that it needs passed, and all that these need.
    is_success: bool = True
    #: Whether something of that failed.
    is_failure: bool = False
    #: Whether somebody wants the build cancelled.
    is_cancelled: bool = False


def against(condition: str, contexts: Mapping[str, Any], status: Status | None = None) -> str | None:
    """Why a job does not run, a sentence for people; None where it runs.

    A condition that asks for no status runs only where all that it needs passed.
    """
    known = status or Status()
    tree = syntax.parse(condition)
    functions = {
        "success": lambda: known.is_success,
        "failure": lambda: known.is_failure,
        "cancelled": lambda: known.is_cancelled,
        "always": lambda: True,
    }
    if not names.uses(tree, *names.STATUS) and not known.is_success:
        return "What it needs did not pass."
    try:
        found = evaluate.evaluate(tree, contexts, functions)
    except evaluate.EvaluationProblem as wrong:
        return f"Its `if` has no value: {wrong}"
    return None if values.is_true(found) else f"Its `if` is not true: `{shown(condition)}`."


def shown(condition: str) -> str:
    """A condition as a sentence can show it."""
    line = " ".join(condition.split()).replace("`", "'")
    return line if len(line) <= _MAX_SHOWN else f"{line[: _MAX_SHOWN - 1]}…"
