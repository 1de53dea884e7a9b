"""Text with expressions in it: cut into its parts, and put together again with their values.

A compiled template is a tuple of text and trees. One that is a single expression and nothing else gives that value as
it is; all others give text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.expressions import evaluate, values

OPEN, CLOSE = "${{", "}}"

#: Characters of what one template gives.
MAX_CHARACTERS = 1024 * 1024


def has_expression(text: str) -> bool:
    """Whether there is something to evaluate."""
    return OPEN in text


def parts(text: str) -> list[tuple[bool, int, str]]:
    """The parts of a text: whether each is an expression, where it begins in the text, and the part itself.

    :raises ValueError: if an expression is not closed; the text says where, from 0.
    """
    found: list[tuple[bool, int, str]] = []
    at = 0
    while (start := text.find(OPEN, at)) >= 0:
        if start > at:
            found.append((False, at, text[at:start]))
        end = _end(text, start + len(OPEN))
        found.append((True, start + len(OPEN), text[start + len(OPEN) : end]))
        at = end + len(CLOSE)
    if at < len(text):
        found.append((False, at, text[at:]))
    return found


def _end(text: str, start: int) -> int:
    is_quoted = False
    for at in range(start, len(text)):
        if text[at] == "'":
            is_quoted = not is_quoted
        elif not is_quoted and text.startswith(CLOSE, at):
            return at
    raise ValueError(str(start - len(OPEN)))


def value(
    compiled: tuple[Any, ...], contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """What a compiled template gives.

    :raises evaluate.EvaluationProblem: if an expression in it has no value.
    """
    if len(compiled) == 1 and not isinstance(compiled[0], str):
        return evaluate.evaluate(compiled[0], contexts, functions)
    made = [
        one if isinstance(one, str) else values.text(evaluate.evaluate(one, contexts, functions)) for one in compiled
    ]
    if sum(map(len, made)) > MAX_CHARACTERS:
        raise evaluate.EvaluationProblem(f"The text with its expressions has more than {MAX_CHARACTERS >> 20} MiB.")
    return "".join(made)


def render(
    compiled: tuple[Any, ...], contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
) -> str:
    """The text that a compiled template gives.

    :raises evaluate.EvaluationProblem: if an expression in it has no value, or it is too long.
    """
    return values.text(value(compiled, contexts, functions))
