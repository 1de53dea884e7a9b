"""Values of expressions and how one kind becomes another: nothing, truth, numbers, text, lists and objects.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#operators
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_BASED = re.compile(r"0x([0-9a-fA-F]+)|0o([0-7]+)")
_DIGITS = frozenset("0123456789+-.eE")
_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}


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
    if not text or text in _INFINITE:
        return _INFINITE.get(text, 0.0)
    try:
        if (based := _BASED.fullmatch(text)) is not None:
            return float(int(based[1], 16) if based[1] else int(based[2], 8))
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


def folded(text: str) -> str:
    """A text as it is compared: in upper case, each character by itself, so that `ß` is not `SS`."""
    if text.isascii():
        return text.upper()
    return "".join(upper if len(upper := one.upper()) == 1 else one for one in text)


def are_equal(left: Any, right: Any) -> bool:
    """Whether two values are equal: text without regard to case, unlike kinds as numbers, lists only to themselves."""
    if _kind(left) != _kind(right):
        return number(left) == number(right)
    if isinstance(left, str):
        return folded(left) == folded(right)
    if isinstance(left, (list, Mapping)):
        return left is right
    return bool(left == right)


def is_less(left: Any, right: Any) -> bool:
    """Whether one value comes before another."""
    if isinstance(left, str) and isinstance(right, str):
        return folded(left) < folded(right)
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
        return Filtered(found for one in value for found in _found(one, key))
    return next(iter(_found(value, key)), None)


def _found(value: Any, key: Any) -> list[Any]:
    """What is there under a key: one value, which may be `null`, or none."""
    if isinstance(key, (list, Mapping)):
        return []
    if isinstance(value, Mapping):
        name = text(key)
        if name in value:
            return [value[name]]
        wanted = folded(name)
        return [one for known, one in value.items() if folded(known) == wanted][:1]
    if isinstance(value, list):
        at = number(key)
        # Comparisons with NaN are false.
        return [value[int(at)]] if 0 <= at < len(value) else []
    return []


def every(value: Any) -> Filtered:
    """What `.*` gives of a list or an object."""
    if isinstance(value, Filtered):
        return Filtered(one for each in value for one in every(each))
    if isinstance(value, Mapping):
        return Filtered(value.values())
    return Filtered(value) if isinstance(value, list) else Filtered()
