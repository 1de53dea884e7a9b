"""The value of an expression: every operator, coercion, function and literal, as GitHub's documentation says it.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from bot.expressions import evaluate, syntax, values

CONTEXTS: dict[str, Any] = {
    "github": {
        "ref": "refs/heads/main",
        "event": {
            "number": 7.0,
            "labels": [{"name": "bug", "id": 1.0}, {"name": "Help", "id": None}, {"id": 3.0}],
            "pull_request": {"draft": False, "body": None, "Title": "Say hello"},
        },
    },
    "matrix": {"os": "linux", "list": [1.0, "two", None, True], "nested": [[1.0, 2.0], [3.0]]},
    "fruits": [{"name": "apple", "quantity": 1.0}, {"name": "orange", "quantity": 2.0}, {"name": "pear"}],
    "vegetables": {
        "scallions": {"colors": ["green", "white", "red"], "ediblePortions": ["roots", "stalks"]},
        "beets": {"colors": ["purple", "red", "gold"], "ediblePortions": ["roots", "stems", "leaves"]},
        "artichokes": {"colors": ["green", "purple", "red", "black"], "ediblePortions": ["hearts", "stems", "leaves"]},
    },
}


def value(text: str) -> Any:
    return evaluate.evaluate(syntax.parse(text), CONTEXTS)


def shown(text: str) -> str:
    return values.text(value(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None),
        ("true", True),
        ("false", False),
        ("711", 711.0),
        ("-9.2", -9.2),
        ("+3", 3.0),
        ("0xff", 255.0),
        ("0o17", 15.0),
        ("-2.99e-2", -0.0299),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e999", math.inf),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("0x" + "f" * 300, math.inf),
        ("'Mona the Octocat'", "Mona the Octocat"),
        ("'It''s open source!'", "It's open source!"),
        ("''", ""),
        ("'}}'", "}}"),
        ("' \n '", " \n "),
    ],
)
def test_literals(text: str, expected: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


def test_nan_is_a_literal() -> None:
    assert math.isnan(value("NaN"))
    assert shown("NaN") == "NaN"


@pytest.mark.parametrize("text", ["True", "TRUE", "Null", "nan", "infinity"])
def test_keywords_know_case(text: str) -> None:
    assert syntax.parse(text)[0] == "name"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Text without regard to case.
        ("'a' == 'A'", True),
        ("'ä' == 'Ä'", True),
        ("'ß' == 'SS'", False),
        ("'a' != 'B'", True),
        # Unlike kinds become numbers.
        ("null == 0", True),
        ("null == ''", True),
        ("null == false", True),
        ("true == 1", True),
        ("false == 0", True),
        ("true == 'true'", False),
        ("1 == '1'", True),
        ("1 == '1.0'", True),
        ("255 == '0xff'", True),
        ("15 == '0o17'", True),
        ("1 == ' 1 '", True),
        ("16 == '0x1_0'", False),
        ("1000 == '1_000'", False),
        ("-5 == '0x-5'", False),
        ("3 == '٣'", False),
        ("Infinity == 'Infinity'", True),
        ("0 == ''", True),
        ("0 == 'a'", False),
        ("1 == true", True),
        # NaN is equal to nothing.
        ("NaN == NaN", False),
        ("NaN != NaN", True),
        ("NaN < 1 || NaN > 1 || NaN <= NaN || NaN >= NaN", False),
        # Lists and objects are equal to themselves only.
        ("matrix.list == matrix.list", True),
        ("github.event == github.event", True),
        ("fromJSON('[]') == fromJSON('[]')", False),
        ("fromJSON('{}') == fromJSON('{}')", False),
        ("matrix.list == 0", False),
        ("github.event == ''", False),
        ("github.event <= github.event", True),
        ("matrix.list < 1 || matrix.list > 1", False),
        # Order.
        ("1 < 2", True),
        ("2 <= 2", True),
        ("3 > 2", True),
        ("2 >= 3", False),
        ("'a' < 'B'", True),
        ("'b' >= 'B'", True),
        ("'10' < '9'", True),
        ("10 < '9'", False),
        ("false < true", True),
        ("null <= 0", True),
        ("null < null", False),
        ("null <= null", True),
    ],
)
def test_comparisons(text: str, expected: bool) -> None:
    assert value(text) is expected


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        ("false", False),
        ("0", False),
        ("-0", False),
        ("''", False),
        ("null", False),
        ("NaN", False),
        ("true", True),
        ("1", True),
        ("'false'", True),
        ("' '", True),
        ("fromJSON('[]')", True),
        ("fromJSON('{}')", True),
        ("github", True),
        ("github.nothing", False),
    ],
)
def test_what_counts_as_true(text: str, is_true: bool) -> None:
    assert values.is_true(value(text)) is is_true
    assert value(f"!({text})") is not is_true


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # `&&` and `||` give one of their values, not a boolean.
        ("true && 'a'", "a"),
        ("'' && 'a'", ""),
        ("false || 'a'", "a"),
        ("null || 0", 0.0),
        ("github.ref == 'refs/heads/main' && 'value_for_main' || 'value_for_other'", "value_for_main"),
        ("false && 'a' || 'b'", "b"),
        ("'a' && 'b' && 'c'", "c"),
        ("'' || null || 'c'", "c"),
        # What is not needed is not evaluated.
        ("false && fromJSON('no')", False),
        ("true || fromJSON('no')", True),
        # Precedence: `!`, then order, equality, `&&`, `||`; parentheses first.
        ("!true == false", True),
        ("!(true == false)", True),
        ("1 < 2 == true", True),
        ("true == 1 < 2", True),
        ("true || true && false", True),
        ("(true || true) && false", False),
        ("false == false != true", False),
        ("1 == 1 && 2 == 3 || 4 == 4", True),
        ("!!'a'", True),
    ],
)
def test_logic(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("github.ref", "refs/heads/main"),
        ("GitHub.REF", "refs/heads/main"),
        ("github['ref']", "refs/heads/main"),
        ("github[format('{0}f', 're')]", "refs/heads/main"),
        ("github.event.pull_request.title", "Say hello"),
        ("github.nothing", None),
        ("github.nothing.at.all", None),
        ("github.ref.length", None),
        ("nothing", None),
        ("matrix.list[0]", 1.0),
        ("matrix.list[1]", "two"),
        ("matrix.list['1']", "two"),
        ("matrix.list[1.9]", "two"),
        ("matrix.list[-1]", None),
        ("matrix.list[4]", None),
        ("matrix.list['a']", None),
        ("matrix.list[NaN]", None),
        ("matrix.list[matrix.list]", None),
        ("github[matrix.list]", None),
        ("matrix.nested[0][1]", 2.0),
        ("github.event.labels[0].name", "bug"),
        ("fromJSON('{\"a b\": 1}')['A B']", 1.0),
    ],
)
def test_properties_and_items(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fruits.*.name", ["apple", "orange", "pear"]),
        ("fruits[*].quantity", [1.0, 2.0]),
        (
            "vegetables.*.ediblePortions",
            [["roots", "stalks"], ["roots", "stems", "leaves"], ["hearts", "stems", "leaves"]],
        ),
        ("vegetables.*.ediblePortions[1]", ["stalks", "stems", "stems"]),
        (
            "vegetables.*.ediblePortions.*",
            ["roots", "stalks", "roots", "stems", "leaves", "hearts", "stems", "leaves"],
        ),
        ("github.event.labels.*.id", [1.0, None, 3.0]),
        ("github.ref.*", []),
        ("nothing.*.name", []),
    ],
)
def test_filters_of_objects(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("contains('Hello world', 'llo')", True),
        ("contains('Hello world', 'LLO')", True),
        ("contains('Hello world', 'x')", False),
        ("contains('a', '')", True),
        ("contains(123, 2)", True),
        ("contains(github.event.labels.*.name, 'bug')", True),
        ("contains(github.event.labels.*.name, 'help')", True),
        ("contains(github.event.labels.*.name, 'hel')", False),
        ("contains(fromJSON('[\"push\", \"pull_request\"]'), 'push')", True),
        ("contains(matrix.list, 1)", True),
        ("contains(matrix.list, '1')", True),
        ("contains(github.event, 'number')", False),
        ("contains('Array', matrix.list)", False),
        ("startsWith('Hello world', 'He')", True),
        ("startsWith('Hello world', 'hE')", True),
        ("startsWith(123, 12)", True),
        ("startsWith(matrix.list, 'Arr')", False),
        ("endsWith('Hello world', 'LD')", True),
        ("endsWith('Hello world', 'Hello')", False),
        ("endsWith(null, '')", True),
        ("format('Hello {0} {1} {2}', 'Mona', 'the', 'Octocat')", "Hello Mona the Octocat"),
        (
            "format('{{Hello {0} {1} {2}!}}', 'Mona', 'the', 'Octocat')",
            "{Hello Mona the Octocat!}",
        ),
        ("format('{1}{0}{1}', 'a', 'b')", "bab"),
        ("format('{0}', '{0}')", "{0}"),
        ("format('{0}|{1}|{2}|{3}', null, true, 1.50, matrix.list)", "|true|1.5|Array"),
        ("join(github.event.labels.*.name, ', ')", "bug, Help"),
        ("join(matrix.list)", "1,two,,true"),
        ("join('a', ', ')", "a"),
        ("join(github.event, ', ')", ""),
        ("toJSON(matrix.os)", '"linux"'),
        ("toJSON(null)", "null"),
        ("toJSON(1.0)", "1"),
        ("toJSON(fromJSON('{\"a\": [1, true, null]}'))", '{\n  "a": [\n    1,\n    true,\n    null\n  ]\n}'),
        ("fromJSON('true')", True),
        ("fromJSON('3')", 3.0),
        ("fromJSON('[1, [2]]')[1][0]", 2.0),
        ("fromJSON(toJSON(matrix.list))[1]", "two"),
        ("FORMAT('{0}', ToJson('a'))", '"a"'),
    ],
)
def test_functions(text: str, expected: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", ""),
        ("true", "true"),
        ("1", "1"),
        ("1.10", "1.1"),
        ("-0", "0"),
        ("1e20", "1E+20"),
        ("123456789012345", "123456789012345"),
        ("0.1", "0.1"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("matrix.list", "Array"),
        ("github", "Object"),
    ],
)
def test_what_stands_in_place_of_an_expression(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("format('{0} {1}', 'a')", "`format` has nothing for `{1}`."),
        ("format('{a}')", "`format` has nothing for `{a}`."),
        ("format('{')", "`format` has nothing for `{`."),
        ("format('}')", "`format` has a `}` without its `{`: write `}}` for the sign itself."),
        ("fromJSON('no')", "`fromJSON` was given text that is not JSON: Expecting value: line 1 column 1 (char 0)."),
        ("fromJSON('')", "`fromJSON` was given text that is not JSON: Expecting value: line 1 column 1 (char 0)."),
        ("fromJSON('[NaN]')", "`fromJSON` was given text that is not JSON: NaN is not a number."),
        (f"fromJSON('{'[' * 101}')", "`fromJSON` reads at most 100 levels of lists and objects."),
        ("hashFiles('a')", "`hashfiles` cannot be called here."),
    ],
)
def test_what_has_no_value_says_why(text: str, reason: str) -> None:
    with pytest.raises(evaluate.EvaluationProblem) as wrong:
        value(text)
    assert str(wrong.value) == reason


def test_functions_of_the_place_come_first() -> None:
    tree = syntax.parse("success() && hashFiles('a', 'b')")
    found = evaluate.evaluate(tree, {}, {"success": lambda: True, "hashfiles": lambda *names: "-".join(names)})
    assert found == "a-b"


def test_t111_one_evaluation_makes_at_most_4_mib_of_text() -> None:
    text = "a" * 1_000_000
    with pytest.raises(evaluate.EvaluationProblem, match="more than 4 MiB"):
        evaluate.evaluate(syntax.parse("format('{0}{0}{0}{0}{0}{0}', x)"), {"x": text})
    # What is made is counted again where it is used.
    doubled = "x"
    for _ in range(30):
        doubled = f"format('{{0}}{{0}}', {doubled})"
    with pytest.raises(evaluate.EvaluationProblem, match="more than 4 MiB"):
        evaluate.evaluate(syntax.parse(doubled), {"x": "a" * 1000})


def test_t111_what_is_in_a_value_is_never_read_as_an_expression() -> None:
    hostile = {"github": {"head_ref": "${{ secrets.A }}' || true || '"}}
    assert evaluate.evaluate(syntax.parse("github.head_ref == ''"), hostile) is False
    assert evaluate.evaluate(syntax.parse("format('{0}', github.head_ref)"), hostile) == hostile["github"]["head_ref"]
