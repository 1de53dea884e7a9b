"""What a value without quotes is and how it is printed: numbers, booleans and nothing, as GitHub Actions has them."""

from __future__ import annotations

import re

from bot.pipelines import nodes

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")


def is_null(node: nodes.Node) -> bool:
    """Whether nothing is written there."""
    return isinstance(node, nodes.Scalar) and node.is_plain and node.text in _NULL


def boolean(node: nodes.Node) -> bool | None:
    """Whether `true` or `false` stands there without quotes; None for all else."""
    return _BOOLEAN.get(node.text) if isinstance(node, nodes.Scalar) and node.is_plain else None


def number(node: nodes.Scalar) -> float | None:
    """The number that stands there without quotes, or None. Infinities and NaN are not numbers here."""
    if not node.is_plain:
        return None
    if _DECIMAL.fullmatch(node.text):
        return float(node.text)
    if _BASED.fullmatch(node.text):
        try:
            return float(int(node.text[2:], 16 if node.text[1] == "x" else 8))
        except OverflowError:
            return None
    return None


def printed(node: nodes.Scalar) -> str:
    """The text that an environment variable gets.

    Numbers have at most 15 digits and none to spare, so `1.10` is `1.1`: as in GitHub Actions, quotes keep the text.
    https://docs.github.com/en/actions/reference/evaluate-expressions-in-workflows-and-actions#literals
    """
    if not node.is_plain:
        return node.text
    if node.text in _NULL:
        return ""
    if node.text in _BOOLEAN:
        return "true" if _BOOLEAN[node.text] else "false"
    value = number(node)
    if value is None:
        return node.text
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, ".15G") if value else "0"
