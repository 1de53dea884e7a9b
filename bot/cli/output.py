"""What every command prints with: tables for people, JSON for programs; hostile bytes cannot move the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

import msgspec

from bot import telemetry

# Loaded where it prints: a service that prints nothing but its log does without its 5 MB.
if TYPE_CHECKING:
    from rich.console import Console

#: Control characters that JSON may hold, and those that turn the order of a text around.
_NOT_FOR_TERMINALS = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NARROWEST = 24
_WIDE = 10_000
#: How each state looks; the word is always there beside the colour.
_STYLES = {
    "passed": "green",
    "handled": "green",
    "success": "green",
    "failed": "red",
    "errored": "red",
    "parked": "red",
    "disabled": "red",
    "active": "green",
    "failure": "red",
    "timed_out": "red",
    "running": "yellow",
    "starting": "yellow",
    "handling": "yellow",
    "retrying": "yellow",
    "waiting": "yellow",
}


def console(*, is_error: bool = False) -> Console:
    """A console for people; plain where the output is no terminal or `NO_COLOR` is set."""
    from rich.console import Console

    stream = _Safe(sys.stderr if is_error else sys.stdout)
    return Console(file=cast("TextIO", stream), highlight=False, soft_wrap=True)


def drawing_console() -> Console:
    """A console that draws over what it drew before: whatever is given to it has to be clean."""
    from rich.console import Console

    return Console(highlight=False)


class _Safe:
    """A stream that takes text and colours only: what nobody cleaned before moves no terminal either."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(telemetry.terminal_safe(text, has_colour=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def clean(text: str) -> str:
    """Text from outside, safe to print: no control characters, no markup."""
    from rich.markup import escape

    return escape(telemetry.one_line(text))


def line(text: str) -> None:
    """Print one line for people, as it is."""
    sys.stdout.write(telemetry.terminal_safe(text, has_colour=False) + "\n")


def state(word: str) -> str:
    """A state as markup."""
    style = _STYLES.get(word)
    return f"[{style}]{word}[/]" if style else word


def json(value: Any) -> None:
    """Print a value as JSON, one line for a pipe, indented for a terminal."""
    encoded = msgspec.json.encode(value)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    sys.stdout.write(escaped(encoded.decode()) + "\n")


def json_line(value: Any) -> None:
    """Print a value as one line of JSON, on a terminal too: one of many."""
    sys.stdout.write(escaped(msgspec.json.encode(value).decode()) + "\n")


def escaped(encoded: str) -> str:
    """JSON that holds no character that a terminal would obey."""
    # They stand in strings only, where this means the same; some terminals obey those that JSON lets through.
    return _NOT_FOR_TERMINALS.sub(lambda found: f"\\u{ord(found.group()):04x}", encoded)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print a table whose cells are markup already; a sentence where there are no rows.

    In a pipe nothing is cut: whoever reads it there has no narrow window.
    """
    if not rows:
        console().print(empty)
        return
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    printed = console()
    if not sys.stdout.isatty():
        printed.width = _WIDE
    longest = [max(Text.from_markup(row[number]).cell_len for row in rows) for number in range(len(columns))]
    # What comes last is folded before it is gone, and what a row is known by is never cut.
    left = printed.width - longest[0] - min(longest[-1], _NARROWEST) - 2 * len(columns)
    share = max(_NARROWEST // 2, left // max(1, len(columns) - 2))
    for number, column in enumerate(columns):
        if number == len(columns) - 1:
            shown.add_column(column, overflow="fold")
        else:
            shown.add_column(column, overflow="ellipsis", no_wrap=True, max_width=None if number == 0 else share)
    for row in rows:
        shown.add_row(*row)
    printed.print(shown)


def facts(pairs: Mapping[str, str | None]) -> None:
    """Print names and values, one a line; what is None is left out."""
    shown = {name: value for name, value in pairs.items() if value is not None}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        console().print(f"[dim]{name:<{width}}[/]  {value}")


def ago(at: datetime | None) -> str:
    """How long ago, in the largest unit that fits."""
    if at is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit} ago"
    return f"{seconds}s ago"


def duration(started_at: datetime | None, finished_at: datetime | None) -> str:
    """How long something took, or takes so far."""
    if started_at is None:
        return "-"
    seconds = ((finished_at or datetime.now(UTC)) - started_at).total_seconds()
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds // 60)}m {int(seconds % 60)}s"


def fail(text: str) -> None:
    """Print an error for people to standard error."""
    for line in text.splitlines() or [""]:
        console(is_error=True).print(f"[red]error:[/] {clean(line)}")
