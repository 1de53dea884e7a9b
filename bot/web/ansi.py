"""ANSI colours as HTML, pure: keeps colours and weight, drops every other sequence, hides no text.

What moves within a line is for `bot.web.terminal`.

A line is rendered on its own: colours end with it, so a line looks the same wherever reading begins. Colours become
one of sixteen, whose contrast the style sheet guarantees; a background brings its own text colour with it.

https://ecma-international.org/publications-and-standards/standards/ecma-48/
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator

import msgspec
from markupsafe import Markup, escape
from msgspec.structs import replace

_TOKEN = re.compile(
    r"""
      (?:\x1b\[|\x9b)(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])   # a control sequence; `m` sets colours
    | \x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)              # titles, links, clipboard, device strings
    | \x1b[ -/]*[0-~]?                                              # other escapes
    | [\x00-\x08\x0a-\x1f\x7f-\x9f]
    """,
    re.VERBOSE,
)
#: Characters that change what is seen without being seen: direction, zero width, tags.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f]"
)
_XTERM = (
    *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)),
    *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255)),
    (255, 255, 255),
)
_CUBE = (0, 95, 135, 175, 215, 255)
#: SGR parameters that set or unset one attribute; 8 (conceal) and blinking are left out on purpose.
_ON = {1: "is_bold", 2: "is_dim", 3: "is_italic", 4: "is_underlined", 7: "is_inverse", 9: "is_struck"}
_OFF = {
    21: ("is_bold",),
    22: ("is_bold", "is_dim"),
    23: ("is_italic",),
    24: ("is_underlined",),
    27: ("is_inverse",),
    29: ("is_struck",),
}


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How the text that follows looks."""

    is_bold: bool = False
    is_dim: bool = False
    is_italic: bool = False
    is_underlined: bool = False
    is_inverse: bool = False
    is_struck: bool = False
    #: 0 to 15, or None for the page's own.
    foreground: int | None = None
    background: int | None = None


PLAIN = Style()


def render(line: str) -> Markup:
    """One line, without its break, as HTML: text and `span` with class names, nothing else."""
    return markup(runs(line))


def markup(of: Iterable[tuple[str, str]]) -> Markup:
    """Stretches of text with the class names of their style as HTML."""
    parts: list[str] = []
    for classes, text in of:
        shown = _UNSEEN.sub(_mark, str(escape(text)))
        parts.append(f'<span class="{classes}">{shown}</span>' if classes else shown)
    # The text was escaped piece by piece above.
    return Markup("".join(parts))  # noqa: S704


def plain(line: str) -> str:
    """The text that `render` shows: without sequences, with unseen characters named."""
    return visible("".join(text for _, text in runs(line)))


def visible(text: str) -> str:
    """The text with control characters and characters that deceive the eye written out."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", _name, _UNSEEN.sub(_name, text))


def _name(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"


def _mark(found: re.Match[str]) -> str:
    return f'<span class="a-x">{_name(found)}</span>'


def pieces(line: str) -> Iterator[tuple[str, str, str]]:
    """Text, and the control that stands behind it: its parameters and its kind, which is empty where it is none.

    The kind is a control sequence's last letter, or a character that moves back (`\\b`).
    """
    at = 0
    for found in _TOKEN.finditer(line):
        kind = found.group("final") or ("\b" if found.group() == "\b" else "")
        yield line[at : found.start()], found.group("parameters") or "", kind
        at = found.end()
    yield line[at:], "", ""


def runs(line: str) -> Iterator[tuple[str, str]]:
    """Stretches of text with the class names of their style; neighbours differ."""
    style, classes, text = PLAIN, "", ""
    for piece, parameters, kind in pieces(line):
        text += piece
        if kind != "m":
            continue
        style = changed(style, parameters)
        new_classes = classes_of(style)
        if new_classes != classes:
            if text:
                yield classes, text
            classes, text = new_classes, ""
    if text:
        yield classes, text


@functools.lru_cache(maxsize=1024)
def classes_of(style: Style) -> str:
    """The class names in the style sheet."""
    front, back = style.foreground, style.background
    flags = (
        ("a-b", style.is_bold),
        ("a-d", style.is_dim),
        ("a-i", style.is_italic),
        ("a-u", style.is_underlined),
        ("a-s", style.is_struck),
        ("a-v", style.is_inverse and front is None),
    )
    names = [name for name, is_on in flags if is_on]
    if style.is_inverse:
        names += [] if front is None else [f"g{front}"]
    elif back is not None:
        names.append(f"g{back}")
    elif front is not None:
        names.append(f"f{front}")
    return " ".join(names)


@functools.lru_cache(maxsize=1024)
def changed(style: Style, parameters: str) -> Style:
    """The style behind a sequence that sets colours."""
    if not re.fullmatch(r"[0-9;:]*", parameters):
        return style
    codes = iter(parameters.split(";"))
    for code in codes:
        number, *details = (min(int(digits or 0), 999) if len(digits) < 6 else 999 for digits in code.split(":"))
        if number == 0:
            style = PLAIN
        elif number == 4 and details:
            style = replace(style, is_underlined=details[0] != 0)
        elif number in _ON:
            style = replace(style, **{_ON[number]: True})
        elif number in _OFF:
            style = replace(style, **dict.fromkeys(_OFF[number], False))
        elif number in (38, 48):
            color = _extended(details) if details else _extended(_following(codes))
            style = _colored(style, is_front=number == 38, color=color)
        elif number in (39, 49):
            style = _colored(style, is_front=number == 39, color=None)
        elif 30 <= number <= 37 or 40 <= number <= 47:
            style = _colored(style, is_front=number < 40, color=number % 10)
        elif 90 <= number <= 97 or 100 <= number <= 107:
            style = _colored(style, is_front=number < 100, color=number % 10 + 8)
    return style


def _colored(style: Style, *, is_front: bool, color: int | None) -> Style:
    return replace(style, foreground=color) if is_front else replace(style, background=color)


def _following(codes: Iterator[str]) -> list[int]:
    """The parameters that belong to 38 or 48 where they are parted by semicolons."""
    kind = _byte(next(codes, ""))
    count = {5: 1, 2: 3}.get(kind, 0)
    return [kind, *(_byte(code) for code in itertools.islice(codes, count))]


def _byte(digits: str) -> int:
    return min(int(digits), 255) if digits.isdigit() and len(digits) < 6 else 0


def _extended(values: list[int]) -> int | None:
    """`5, n` or `2, [color space,] r, g, b` as one of sixteen colours."""
    if len(values) >= 2 and values[0] == 5:
        return _of_256(min(values[1], 255))
    if len(values) >= 4 and values[0] == 2:
        red, green, blue = (min(value, 255) for value in values[-3:])
        return _nearest(red, green, blue)
    return None


def _of_256(number: int) -> int:
    if number < 16:
        return number
    if number >= 232:
        return _nearest(*([8 + 10 * (number - 232)] * 3))
    number -= 16
    return _nearest(_CUBE[number // 36], _CUBE[number // 6 % 6], _CUBE[number % 6])


@functools.lru_cache(maxsize=1024)
def _nearest(red: int, green: int, blue: int) -> int:
    def distance(index: int) -> int:
        other = _XTERM[index]
        return (red - other[0]) ** 2 + (green - other[1]) ** 2 + (blue - other[2]) ** 2

    return min(range(16), key=distance)
