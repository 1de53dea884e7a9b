"""The text of an expression to its tree, by a grammar.

A tree is one of these tuples: `("value", literal)`, `("name", context)`, `("get", tree, tree)`, `("all", tree)` for
`.*`, `("call", function, *trees)`, and `(operator, tree, ...)` for `!`, `&&`, `||`, `==`, `!=`, `<`, `<=`, `>`, `>=`.
Contexts and functions are in lower case.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import lark

Tree = tuple[Any, ...]

#: Characters of one expression, and how deep it may be nested.
MAX_CHARACTERS = 2000
MAX_DEPTH = 50

_GRAMMAR = r"""
?start: either
?either: both | either "||" both -> or_
?both: equality | both "&&" equality -> and_
?equality: comparison | equality EQUALITY comparison -> binary
?comparison: unary | comparison COMPARISON unary -> binary
?unary: postfix | "!" unary -> not_
?postfix: atom
    | postfix "." NAME -> property
    | postfix "." "*" -> all_
    | postfix "[" "*" "]" -> all_
    | postfix "[" either "]" -> index
?atom: NAME "(" [either ("," either)*] ")" -> call
    | NAME -> name
    | NUMBER -> number
    | STRING -> string
    | "(" either ")"

EQUALITY: "==" | "!="
COMPARISON: "<=" | ">=" | "<" | ">"
NAME: /[A-Za-z_][A-Za-z0-9_-]*/
NUMBER.2: /[-+]Infinity(?![A-Za-z0-9_-])/
    | /[-+]?(0x[0-9A-Fa-f]+|0o[0-7]+|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)(?![A-Za-z0-9_])/
STRING: /'(?:[^']|'')*'/
%ignore /[ \t\r\n]+/
"""
_KEYWORDS = {"true": True, "false": False, "null": None, "NaN": float("nan"), "Infinity": float("inf")}
_TERMINALS = {
    "EQUALITY": "`==`",
    "COMPARISON": "`<`",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "text in single quotes",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "$END": "the end",
}


class SyntaxProblem(Exception):
    """The text is not an expression; says where, and what to write."""

    def __init__(self, text: str, *, at: int) -> None:
        super().__init__(text)
        self.text = text
        #: Position in the text, from 0.
        self.at = at


@functools.cache
def _parser() -> lark.Lark:
    import lark

    return lark.Lark(_GRAMMAR, parser="lalr", propagate_positions=False, maybe_placeholders=False)


@functools.lru_cache(maxsize=2048)
def parse(text: str) -> Tree:
    """The tree of an expression, without `${{` and `}}` around it.

    :raises SyntaxProblem: if it is none.
    """
    if len(text) > MAX_CHARACTERS:
        _refuse(f"The expression has {len(text)} characters: at most {MAX_CHARACTERS}.", at=0)
    if not text.strip():
        _refuse("The expression is empty.", at=0)
    # With the first expression: a service is ready before there is one.
    from lark import exceptions

    try:
        found = _parser().parse(text)
    except exceptions.UnexpectedCharacters as wrong:
        _refuse(_about_character(text, _position(wrong)), at=_position(wrong))
    except exceptions.UnexpectedToken as wrong:
        _refuse(_about_token(wrong), at=len(text) if wrong.token.type == "$END" else _position(wrong))
    return _tree(found, depth=0)


def _position(wrong: Any) -> int:
    return wrong.pos_in_stream or 0


def _refuse(text: str, *, at: int) -> NoReturn:
    raise SyntaxProblem(text, at=at) from None


def _about_character(text: str, at: int) -> str:
    if text[at] == '"':
        return "Text in an expression stands in single quotes: write 'text'."
    if text[at] == "'":
        return "A single quote is not closed."
    if text[at] in "=&|":
        return f"`{text[at]}` alone means nothing: write `{text[at] * 2}`."
    if text[at].isdigit():
        return "This is neither a number nor a name: names begin with a letter or `_`."
    shown = text[at] if text[at].isprintable() else f"U+{ord(text[at]):04X}"
    return f"`{shown}` means nothing in an expression: there are no arithmetic and no other signs here."


def _about_token(wrong: lark.exceptions.UnexpectedToken) -> str:
    wanted = sorted({_TERMINALS[name] for name in wrong.expected if name in _TERMINALS})
    what = (
        "The expression ends too early" if wrong.token.type == "$END" else f"`{wrong.token[:40]}` is not expected here"
    )
    if not wanted:
        return f"{what}."
    return f"{what}: {' or '.join(filter(None, (', '.join(wanted[:-1]), wanted[-1])))} has to come."


def _tree(node: Any, *, depth: int) -> Tree:
    if depth > MAX_DEPTH:
        _refuse(f"The expression is nested deeper than {MAX_DEPTH} levels.", at=0)

    def inner(one: Any) -> Tree:
        return _tree(one, depth=depth + 1)

    children = node.children
    match node.data:
        case "or_" | "and_":
            # Written out in a row they nest to the left: a long row is no depth.
            operator = "||" if node.data == "or_" else "&&"
            row = _row(node, node.data)
            return (operator, *(inner(one) for one in row))
        case "not_":
            return ("!", inner(children[0]))
        case "binary":
            return (str(children[1]), inner(children[0]), inner(children[2]))
        case "property":
            return ("get", inner(children[0]), ("value", str(children[1])))
        case "index":
            return ("get", inner(children[0]), inner(children[1]))
        case "all_":
            return ("all", inner(children[0]))
        case "call":
            return ("call", str(children[0]).lower(), *(inner(one) for one in children[1:]))
        case "name":
            name = str(children[0])
            return ("value", _KEYWORDS[name]) if name in _KEYWORDS else ("name", name.lower())
        case "number":
            return ("value", _number(str(children[0])))
        case _:
            return ("value", str(children[0])[1:-1].replace("''", "'"))


def _row(node: Any, data: str) -> list[Any]:
    found: list[Any] = []
    while getattr(node, "data", None) == data:
        found.append(node.children[1])
        node = node.children[0]
    return [node, *reversed(found)]


def _number(text: str) -> float:
    unsigned = text.lstrip("+-")
    sign = -1.0 if text.startswith("-") else 1.0
    if unsigned == "Infinity":
        return sign * float("inf")
    if unsigned[:2] in ("0x", "0o"):
        try:
            return sign * float(int(unsigned[2:], 16 if unsigned[1] == "x" else 8))
        except OverflowError:
            return sign * float("inf")
    return sign * float(unsigned)
