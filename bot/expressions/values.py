"""Values of expressions and how one kind becomes another: nothing, truth, numbers, text, lists and objects.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#operators
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_BASES = {"0x": 16, "0o": 8}
_DIGITS = frozenset("0123456789+-.eE")


class Filtered(list[Any]):
    """What `.*` gives: a property of it is a list of that property of each item."""


def is_true(value: Any) -> bool:
    """`false`, `0`, `''`, `null` and NaN are false; all else is true."""
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)
    return isinstance(value, (list, Mapping)) or bool(value)


def number(value: Any) -> float:
    """The number that a value counts as where it is compared with another kind; NaN where it is none."""
    if value is None:
        return 0.0
    if isinstance(value, (bool, int, float)):
        return float(value)
    return _parsed(value.strip()) if isinstance(value, str) else math.nan


def _parsed(text: str) -> float:
    if not text:
        return 0.0
    try:
        if text[:2] in _BASES:
            return float(int(text[2:], _BASES[text[:2]]))
        # Python takes more than JSON has: underscores, `inf`, digits of other scripts.
        return float(text) if _DIGITS.issuperset(text) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def text(value: Any) -> str:
    """The text of a value: what stands in place of the expression."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return _number_text(float(value))
        case Mapping():
            return "Object"
        case _:
            return "Array"


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, ".15G") if value else "0"


def are_equal(left: Any, right: Any) -> bool:
    """Whether two values are equal: text without regard to case, unlike kinds as numbers, lists only to themselves."""
    if _kind(left) != _kind(right):
        return number(left) == number(right)
    if isinstance(left, str):
        return left.upper() == str(right).upper()
    if isinstance(left, (list, Mapping)):
        return left is right
    return bool(left == right)


def is_less(left: Any, right: Any) -> bool:
    """Whether one value comes before another."""
    if isinstance(left, str) and isinstance(right, str):
        return left.upper() < right.upper()
    return number(left) < number(right)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def get(value: Any, key: Any) -> Any:
    """A property of an object, or an item of a list; None where there is none. Names know no case."""
    if isinstance(value, Filtered):
        found = (get(one, key) for one in value)
        return Filtered(one for one in found if one is not None)
    if isinstance(value, Mapping):
        return _property(value, text(key))
    if isinstance(value, list):
        at = number(key)
        # Comparisons with NaN are false.
        return value[int(at)] if 0 <= at < len(value) else None
    return None


def _property(value: Mapping[str, Any], name: str) -> Any:
    if name in value:
        return value[name]
    wanted = name.upper()
    return next((one for key, one in value.items() if key.upper() == wanted), None)


def every(value: Any) -> Filtered:
    """What `.*` gives of a list or an object."""
    if isinstance(value, Filtered):
        return Filtered(one for each in value for one in every(each))
    if isinstance(value, Mapping):
        return Filtered(value.values())
    return Filtered(value) if isinstance(value, list) else Filtered()
