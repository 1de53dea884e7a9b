"""Any text gives a tree or a problem at its place, and any tree a value or a problem, in little time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.expressions import evaluate, names, origins, syntax, templates, values

#: Every tree of these is within what one evaluation may cost.
CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/a", "event": {"labels": [{"name": "a"}, {"name": None}], "number": 7.0}},
    "matrix": {"list": [1.0, "two", None, True, [], {}]},
}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", ("name", "a")),
        ("A.b", ("get", ("name", "a"), ("value", "b"))),
        ("a-b", ("name", "a-b")),
        ("a.true", ("get", ("name", "a"), ("value", "true"))),
        ("a.*.b", ("get", ("all", ("name", "a")), ("value", "b"))),
        ("a[*]", ("all", ("name", "a"))),
        ("a['b'][0]", ("get", ("get", ("name", "a"), ("value", "b")), ("value", 0.0))),
        ("f()", ("call", "f")),
        ("F ( 1 , a )", ("call", "f", ("value", 1.0), ("name", "a"))),
        ("!a", ("!", ("name", "a"))),
        ("a && b && c || d", ("||", ("&&", ("name", "a"), ("name", "b"), ("name", "c")), ("name", "d"))),
        ("a == b < c", ("==", ("name", "a"), ("<", ("name", "b"), ("name", "c")))),
        ("!a == b", ("==", ("!", ("name", "a")), ("name", "b"))),
        ("((a))", ("name", "a")),
        ("\n a\t\n", ("name", "a")),
    ],
)
def test_trees(text: str, tree: object) -> None:
    assert syntax.parse(text) == tree


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("", 0, "The expression is empty."),
        ("  ", 0, "The expression is empty."),
        ('a == "b"', 5, "Text in an expression stands in single quotes: write 'text'."),
        ("a == 'b", 5, "A single quote is not closed."),
        ("a = b", 2, "`=` alone means nothing: write `==`."),
        ("a & b", 2, "`&` alone means nothing: write `&&`."),
        ("a | b", 2, "`|` alone means nothing: write `||`."),
        ("a + b", 2, "`+` means nothing in an expression: there are no arithmetic and no other signs here."),
        ("a\u202eb", 1, "`U+202E` means nothing in an expression: there are no arithmetic and no other signs here."),
        ("a ==", 4, "The expression ends too early: "),
        ("f(a", 3, "The expression ends too early"),
        ("a b", 2, "`b` is not expected here: "),
        ("f(,)", 2, "`,` is not expected here: "),
        ("a.", 2, "The expression ends too early: a name has to come."),
        ("a.1", 2, "`1` is not expected here: a name has to come."),
        ("1a", 0, "This is neither a number nor a name: names begin with a letter or `_`."),
        ("a[", 2, "The expression ends too early: "),
        (")", 0, "`)` is not expected here: "),
        ("a" * 2001, 0, "The expression has 2001 characters: at most 2000."),
        ("(" * 100 + "a" + ")" * 100 + ".b" * 60, 0, "The expression is nested deeper than 50 levels."),
        ("!" * 60 + "a", 0, "The expression is nested deeper than 50 levels."),
    ],
)
def test_what_is_no_expression_is_told_at_its_place(text: str, at: int, problem: str) -> None:
    with pytest.raises(syntax.SyntaxProblem) as wrong:
        syntax.parse(text)
    assert wrong.value.text.startswith(problem)
    assert wrong.value.at == at


def test_a_long_row_is_no_depth() -> None:
    assert len(syntax.parse(" || ".join(["a"] * 300))) == 301


_WORDS = st.sampled_from(
    [
        *"()[].,!*<>='\"&|+- \n{}$01a",
        "&&",
        "||",
        "==",
        "!=",
        "<=",
        "github",
        ".event",
        ".labels",
        ".*",
        "[*]",
        ".name",
        "matrix.list",
        "[0]",
        "null",
        "true",
        "NaN",
        "-Infinity",
        "0x",
        "0xff",
        "1e9",
        "'a'",
        "'{0}'",
        "format(",
        "join(",
        "contains(",
        "fromJSON(",
        "toJSON(",
        "hashFiles(",
        "success()",
    ]
)
_TEXTS = st.one_of(st.text(max_size=100), st.lists(_WORDS, max_size=25).map("".join))


def value_or_none(tree: Any) -> Any:
    try:
        return evaluate.evaluate(tree, CONTEXTS, {"success": lambda: True})
    except evaluate.EvaluationProblem as problem:
        reason = str(problem)
    assert reason.isprintable()
    return None


def tree_or_problem(text: str) -> syntax.Tree | syntax.SyntaxProblem:
    try:
        return syntax.parse(text)
    except syntax.SyntaxProblem as problem:
        return problem


@settings(max_examples=500)
@given(_TEXTS)
def test_t111_any_text_gives_a_tree_or_a_problem_and_any_tree_a_value_or_a_problem(text: str) -> None:
    tree = tree_or_problem(text)
    if isinstance(tree, syntax.SyntaxProblem):
        assert 0 <= tree.at <= len(text)
        assert len(tree.text) < 400
        return
    assert names.problem(tree, names.STEP_IF) is None or "`" in (names.problem(tree, names.STEP_IF) or "")
    if _calls_right(tree):
        values.text(value_or_none(tree))
    origins.outside(tree, of=lambda _: True)
    list(names.paths(tree))


def _calls_right(tree: Any) -> bool:
    """Whether its functions are there and get what they take: what a file says is checked before it is evaluated."""
    wanted = names.STEP_IF
    known = names.Place(
        wanted.name, frozenset(one[1] for one in names.walk(tree) if one[0] == "name"), wanted.functions
    )
    return names.problem(tree, known) is None


@st.composite
def _trees(draw: st.DrawFn, depth: int = 4) -> str:
    """Text of a right expression."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(
            st.sampled_from(["null", "true", "1.5", "'a'", "''", "github.ref", "matrix.list", "github.event.*"])
        )
    inner = _trees(depth=depth - 1)
    match draw(st.integers(0, 5)):
        case 0:
            return f"!({draw(inner)})"
        case 1:
            operator = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||"]))
            return f"({draw(inner)}) {operator} ({draw(inner)})"
        case 2:
            return f"({draw(inner)})[{draw(inner)}]"
        case 3:
            return f"({draw(inner)}).*"
        case 4:
            name = draw(st.sampled_from(["contains", "startsWith", "endsWith", "join", "format"]))
            return f"{name}({draw(inner)}, {draw(inner)})"
        case _:
            return f"{draw(st.sampled_from(['toJSON', 'fromJSON']))}({draw(inner)})"


@settings(max_examples=300)
@given(_trees())
def test_t111_a_right_expression_always_has_a_value_or_a_reason(text: str) -> None:
    tree = syntax.parse(text)
    assert names.problem(tree, names.STEP_IF) is None
    found = value_or_none(tree)
    assert values.is_true(found) in (True, False)
    values.number(found)


@settings(max_examples=200)
@given(_trees(), _trees())
def test_an_operator_and_its_opposite_never_agree(left: str, right: str) -> None:
    one, other = (value_or_none(syntax.parse(f"({left}) {sign} ({right})")) for sign in ("==", "!="))
    assert (one, other) in {(True, False), (False, True), (None, None)}


@given(st.text(), st.text())
def test_text_in_quotes_is_itself(text: str, other: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    if len(quoted) <= syntax.MAX_CHARACTERS:
        assert syntax.parse(quoted) == ("value", text)


@given(st.lists(st.one_of(st.text(max_size=10), st.sampled_from(["${{ 'a' }}", "${{", "}}", "'"])), max_size=8))
def test_t111_the_parts_of_a_text_are_all_of_it(given_parts: list[str]) -> None:
    text = "".join(given_parts)
    try:
        parts = templates.parts(text)
    except ValueError:
        assert templates.OPEN in text
        return
    assert "".join(f"${{{{{part}}}}}" if is_expression else part for is_expression, _, part in parts) == text
    for _, start, part in parts:
        assert text.startswith(part, start)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("${{ github.event.number }}", 7.0),
        ("n${{ github.event.number }}", "n7"),
        ("${{ 'a' }}${{ 'b' }}", "ab"),
        ("${{ '}}' }}", "}}"),
        ("a }} b", "a }} b"),
    ],
)
def test_a_text_of_one_expression_gives_its_value_and_all_others_text(text: str, expected: Any) -> None:
    compiled = tuple(syntax.parse(part) if is_one else part for is_one, _, part in templates.parts(text))
    assert templates.value(compiled, CONTEXTS) == expected


BOMBS = {
    "parentheses": "(" * 2000,
    "closed": "(" * 999 + "1" + ")" * 999,
    "brackets": "a" + "[a" * 900,
    "not": "!" * 2000,
    "or": "||".join("a" * 600),
    "compare": "==".join("1" * 600),
    "properties": "a" + ".b" * 900,
    "all": "a" + ".*" * 900,
    "calls": "f(" * 900,
    "commas": "format(" + ",".join("1" * 900) + ")",
    "quotes": "'" * 1999,
    "text": "'" + "a" * 1990 + "'",
    "spaces": " " * 2000,
    "digits": "1" * 2000,
    "hex": "0x" + "f" * 1990,
    "exponent": "1e" + "9" * 1990,
    "too long": "a" * 1_000_000,
    "filters": "matrix" + ".*" * 40,
    "format": "format('" + "{0}" * 600 + "', toJSON(matrix))",
    "json": "fromJSON('" + "[" * 1900 + "')",
    "json in json": "toJSON(" * 40 + "matrix" + ")" * 40,
}


@pytest.mark.parametrize("name", BOMBS)
def test_t111_a_bomb_is_refused_or_evaluated_in_little_time(name: str) -> None:
    syntax.parse("warm || up")
    before = time.process_time()
    try:
        tree = syntax.parse(BOMBS[name])
    except syntax.SyntaxProblem:
        pass
    else:
        if _calls_right(tree):
            value_or_none(tree)
    assert time.process_time() - before < 1
