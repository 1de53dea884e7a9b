"""The value of a tree: no effect, no call into Python, and bounds on what it may cost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from bot.expressions import values

#: Characters that one evaluation may make, in all.
MAX_WORK = 4 * 1024 * 1024
_MAX_JSON_DEPTH = 100


class EvaluationProblem(Exception):
    """An expression has no value; the text says why."""


class _Evaluator:
    def __init__(self, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
        self._contexts = contexts
        self._functions = functions
        self._left = MAX_WORK

    def value(self, tree: tuple[Any, ...]) -> Any:
        match tree[0]:
            case "value":
                return tree[1]
            case "name":
                return self._contexts.get(tree[1])
            case "get":
                return values.get(self.value(tree[1]), self.value(tree[2]))
            case "all":
                return values.every(self.value(tree[1]))
            case "!":
                return not values.is_true(self.value(tree[1]))
            case "&&":
                return self._first(tree[1:], wanted=False)
            case "||":
                return self._first(tree[1:], wanted=True)
            case "call":
                return self._call(tree[1], [self.value(one) for one in tree[2:]])
            case operator:
                return self._compared(operator, self.value(tree[1]), self.value(tree[2]))

    def _first(self, trees: tuple[Any, ...], *, wanted: bool) -> Any:
        found = None
        for one in trees:
            found = self.value(one)
            if values.is_true(found) == wanted:
                break
        return found

    def _compared(self, operator: str, left: Any, right: Any) -> bool:
        self._spend(sum(len(one) if isinstance(one, str) else 1 for one in (left, right)))
        match operator:
            case "==":
                return values.are_equal(left, right)
            case "!=":
                return not values.are_equal(left, right)
            case "<":
                return values.is_less(left, right)
            case ">":
                return values.is_less(right, left)
            case "<=":
                return values.is_less(left, right) or values.are_equal(left, right)
            case _:
                return values.is_less(right, left) or values.are_equal(left, right)

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise EvaluationProblem(f"The expression makes more than {MAX_WORK >> 20} MiB of text.")

    def _call(self, name: str, given: list[Any]) -> Any:
        if name in self._functions:
            return self._functions[name](*given)
        match name:
            case "contains":
                return self._contains(given[0], given[1])
            case "startswith":
                return _are_single(given) and self._folded(given[0]).startswith(self._folded(given[1]))
            case "endswith":
                return _are_single(given) and self._folded(given[0]).endswith(self._folded(given[1]))
            case "format":
                return self._format(self._text(given[0]), given[1:])
            case "join":
                return self._join(given[0], self._text(given[1]) if len(given) > 1 else ",")
            case "tojson":
                return self._json(given[0])
            case "fromjson":
                return self._parsed(self._text(given[0]))
            case _:
                raise EvaluationProblem(f"`{name}` cannot be called here.")

    def _text(self, value: Any) -> str:
        found = values.text(value)
        self._spend(len(found))
        return found

    def _folded(self, value: Any) -> str:
        return values.folded(self._text(value))

    def _contains(self, searched: Any, item: Any) -> bool:
        if isinstance(searched, list):
            self._spend(sum(len(one) if isinstance(one, str) else 1 for one in searched))
            return any(values.are_equal(one, item) for one in searched)
        return _are_single([searched, item]) and self._folded(item) in self._folded(searched)

    def _join(self, items: Any, separator: str) -> str:
        if not isinstance(items, list):
            return "" if isinstance(items, Mapping) else self._text(items)
        self._spend(len(separator) * len(items))
        return separator.join(self._text(one) for one in items)

    def _format(self, pattern: str, given: list[Any]) -> str:
        """https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#format"""
        made: list[str] = []
        at = 0
        while at < len(pattern):
            sign = pattern[at]
            if pattern[at : at + 2] in ("{{", "}}"):
                made.append(sign)
                at += 2
            elif sign == "{":
                end = pattern.find("}", at)
                place = pattern[at + 1 : end] if end > 0 else ""
                if not (place.isascii() and place.isdigit()) or len(place) > 3 or int(place) >= len(given):
                    raise EvaluationProblem(f"`format` has nothing for `{_shown(pattern[at : at + 12])}`.")
                made.append(self._text(given[int(place)]))
                at = end + 1
            elif sign == "}":
                raise EvaluationProblem("`format` has a `}` without its `{`: write `}}` for the sign itself.")
            else:
                end = min((found for one in "{}" if (found := pattern.find(one, at)) >= 0), default=len(pattern))
                made.append(pattern[at:end])
                at = end
        return "".join(made)

    def _json(self, value: Any) -> str:
        self._spend(_weight(value))
        try:
            return json.dumps(_plain(value), indent=2, ensure_ascii=False)
        except (RecursionError, ValueError):
            raise EvaluationProblem("`toJSON` cannot write this value.") from None

    def _parsed(self, text: str) -> Any:
        if max(text.count("["), text.count("{")) and _depth(text) > _MAX_JSON_DEPTH:
            raise EvaluationProblem(f"`fromJSON` reads at most {_MAX_JSON_DEPTH} levels of lists and objects.")
        try:
            return _as_values(json.loads(text, parse_constant=_refuse_constant))
        except (ValueError, RecursionError) as wrong:
            raise EvaluationProblem(f"`fromJSON` was given text that is not JSON: {_first_line(wrong)}.") from None


def evaluate(
    tree: tuple[Any, ...], contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """The value of a tree.

    :param contexts: by their name in lower case; a context that is not there is `null`.
    :param functions: those that depend on where it is evaluated, by their name in lower case.
    :raises EvaluationProblem: if it has none.
    """
    return _Evaluator(contexts, functions or {}).value(tree)


def _are_single(given: list[Any]) -> bool:
    return not any(isinstance(one, (list, Mapping)) for one in given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return values.text(value)
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return value


def _as_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_values(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_values(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    return value


def _weight(value: Any) -> int:
    if isinstance(value, Mapping):
        return 4 + sum(len(name) + 8 + _weight(one) for name, one in value.items())
    if isinstance(value, list):
        return 4 + sum(8 + _weight(one) for one in value)
    return len(value) if isinstance(value, str) else 8


def _depth(text: str) -> int:
    depth = most = 0
    for sign in text:
        if sign in "[{":
            depth += 1
            most = max(most, depth)
        elif sign in "]}":
            depth -= 1
    return most


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _first_line(wrong: Exception) -> str:
    return _shown(str(wrong).partition("\n")[0][:120])


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text.replace("`", "'"))
