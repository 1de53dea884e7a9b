"""Log lines: bytes in pieces of any size become numbered lines, the same ones however they were cut; pure.

A progress bar that returns to the line's start shows its last state, as on a terminal.
"""

from __future__ import annotations

from collections import deque

import msgspec
from markupsafe import Markup

from bot.web import ansi, terminal

#: How much of one line is shown; the rest is counted.
MAX_LINE_BYTES = 16 * 1024
#: So many returns to a line's start are looked back: what was written before them is overwritten.
MAX_RETURNS = 16


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a log, as a page shows it."""

    #: From 1.
    number: int
    #: Text and `span` elements.
    html: Markup


class _Segment(msgspec.Struct):
    """What stands between two returns to the line's start, as far as it is shown."""

    kept: bytearray
    left_out_bytes: int = 0

    def add(self, data: bytes, *, max_bytes: int) -> None:
        room = max_bytes - len(self.kept)
        self.kept += data[:room]
        self.left_out_bytes += max(0, len(data) - room)


class Assembler:
    """Makes lines of pieces."""

    def __init__(self, *, number: int, start_bytes: int, max_line_bytes: int | None = None) -> None:
        """:param number: of the line in which byte `start_bytes`, the first that is fed, lies.
        :param max_line_bytes: how much of a line is shown; None: as much as of any.
        """
        self._max_bytes = MAX_LINE_BYTES if max_line_bytes is None else max_line_bytes
        self._number = number
        self._line_start_bytes = start_bytes
        self._end_bytes = start_bytes
        self._begin_line()

    @property
    def next_bytes(self) -> int:
        """Where the first line that is not whole begins: reading can go on there without a gap."""
        return self._line_start_bytes

    def copy(self) -> Assembler:
        """One that goes on from here and leaves this one as it is."""
        made = Assembler(number=self._number, start_bytes=self._line_start_bytes, max_line_bytes=self._max_bytes)
        made._end_bytes = self._end_bytes
        kept = [_Segment(bytearray(one.kept), one.left_out_bytes) for one in self._segments]
        made._segments = deque(kept, maxlen=MAX_RETURNS)
        return made

    def feed(self, data: bytes) -> list[Line]:
        """Take the next bytes; gives the lines that they make whole."""
        lines: list[Line] = []
        pieces = data.split(b"\n")
        for piece in pieces[:-1]:
            self._add(piece)
            self._end_bytes += len(piece) + 1
            lines.append(self._line())
            self._number += 1
            self._line_start_bytes = self._end_bytes
            self._begin_line()
        self._add(pieces[-1])
        self._end_bytes += len(pieces[-1])
        return lines

    def rest(self) -> Line | None:
        """The line that is not whole, as it stands; None where there is none."""
        return self._line() if self._end_bytes > self._line_start_bytes else None

    def _begin_line(self) -> None:
        self._segments = deque([_Segment(bytearray())], maxlen=MAX_RETURNS)

    def _add(self, piece: bytes) -> None:
        first, *others = piece.split(b"\r")
        self._segments[-1].add(first, max_bytes=self._max_bytes)
        for other in others:
            if self._segments[-1].kept:
                self._segments.append(_Segment(bytearray()))
            self._segments[-1].add(other, max_bytes=self._max_bytes)

    def _line(self) -> Line:
        written = [one for one in self._segments if one.kept]
        html = ansi.markup(terminal.runs([one.kept.decode("utf-8", "replace") for one in written]))
        if written and (left_out := written[-1].left_out_bytes):
            html += Markup('<span class="a-more"> … {} more bytes in the raw log</span>').format(left_out)
        return Line(number=self._number, html=html)


def text(data: bytes) -> str:
    """What is read in a line, whose bytes are given without its break."""
    pieces = [piece.decode("utf-8", "replace") for piece in data.split(b"\r") if piece]
    return "".join(shown for _, shown in terminal.runs(pieces[-MAX_RETURNS:]))


def html(line: Line, *, has_anchor: bool = True) -> Markup:
    """The row of a line; with an anchor it can be linked to as `#L<number>`."""
    anchor = f' id="L{line.number}"' if has_anchor else ""
    # A number, and what `ansi.render` escaped.
    return Markup(  # noqa: S704
        f'<div class="line"{anchor}><a class="n" href="#L{line.number}" tabindex="-1">{line.number}</a>'
        f'<span class="t">{line.html}</span></div>'
    )
