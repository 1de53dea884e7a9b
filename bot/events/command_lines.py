"""The commands in a comment: its text in, commands out, and never one from what is quoted. Pure, in linear time.

A command is a line that begins with `/` in its first column, in plain text. What is quoted, code, HTML or hidden never
holds one. Markdown leaves some places open to doubt when it is read line by line (a fence within a list, a comment that
may be none): from there on nothing is taken, so that a doubt never becomes a command.

https://spec.commonmark.org/0.31.2/, https://github.github.com/gfm/
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

import msgspec

#: So many of one comment are taken.
MOST_COMMANDS = 5
#: What is longer names no job.
_LONGEST_ARGUMENT = 200


class Verb(enum.StrEnum):
    """What can be asked for. Every other word after a slash is somebody else's."""

    #: All jobs again, or one with what needs it.
    TEST = "test"
    #: What failed again, with what needs it.
    RETEST = "retest"
    CANCEL = "cancel"
    #: Let the code of one commit run.
    OK_TO_TEST = "ok-to-test"
    HELP = "help"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command as it was written."""

    verb: Verb
    #: The rest of the line: hostile text, bounded.
    argument: str = ""

    def __str__(self) -> str:
        return f"/{self.verb} {self.argument}".rstrip()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a comment asks for."""

    #: In the order written, none twice.
    commands: tuple[Command, ...] = ()
    #: How many more there were than are taken.
    left_out: int = 0


def read(body: str) -> Found:
    """The commands in the text of a comment."""
    if "/" not in body:
        return Found()
    found = dict.fromkeys(command for line in _plain_lines(body) if (command := _command(line)) is not None)
    return Found(commands=tuple(found)[:MOST_COMMANDS], left_out=max(len(found) - MOST_COMMANDS, 0))


def mistake(command: Command) -> str | None:
    """What is wrong with a command whoever wrote it; None where it can be followed."""
    match command.verb:
        case Verb.OK_TO_TEST if not _WHOLE_SHA.fullmatch(command.argument):
            return "An approval holds for one commit: write its whole SHA of 40 or 64 lower-case digits behind it."
        case Verb.RETEST if command.argument:
            return "`/retest` runs all that failed and takes no name: write `/test NAME` for one job."
        case Verb.CANCEL if command.argument:
            return "`/cancel` ends all that runs for this pull request and takes no name."
    return None


_WHOLE_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VERBS = {f"/{verb}": verb for verb in Verb}


def _command(line: str) -> Command | None:
    # Only these two are space here: what only looks like one makes another word.
    word, _, rest = line.replace("\t", " ").partition(" ")
    # Telephones write the first letter large; no letter of another script becomes one of ours.
    verb = _VERBS.get(word.lower()) if word.isascii() else None
    argument = rest.strip(" ")[:_LONGEST_ARGUMENT]
    if verb is None or (verb is Verb.HELP and argument):
        # Others have commands that begin with `/help`.
        return None
    return Command(verb=verb, argument=argument)


# Only these end a line in Markdown; other separators of Unicode are letters like any.
_LINE_END = re.compile(r"\r\n|\n|\r")
_MARKERS = r"(?:(?:[-+*]|[0-9]{1,9}[.)])[ \t]+)*"
_QUOTE = re.compile(rf"[ \t]*{_MARKERS}>")
_BULLET = re.compile(rf"[ ]{{0,3}}{_MARKERS}")
_FENCE = re.compile(r"(?:(`{3,})([^`]*)|(~{3,})(.*))")
_HTML = re.compile(r"<[A-Za-z/!?]")
#: These begin blocks that blank lines do not end.
_OPEN_HTML = re.compile(r"<(?:\?|!(?!--))")
#: What stands in these is quoted, code or hidden.
_QUOTING_TAG = re.compile(
    r"<(/?)(blockquote|pre|code|samp|kbd|script|style|textarea|template|title|noscript|svg|math|xmp)\b", re.IGNORECASE
)
#: What a paragraph may hold that goes on in its next line: code, HTML, links, formulas, and what takes their meaning.
_GOES_ON = frozenset("`<[\\$")


class _Fence(msgspec.Struct, frozen=True):
    letter: str
    length: int
    indent: int


class _Doubt(Exception):
    """From here on it cannot be told line by line what is code and what is not."""


def _plain_lines(body: str) -> Iterator[str]:
    """The lines that begin with a slash and stand in plain text for certain."""
    reader = _Reader()
    for line in _LINE_END.split(body):
        try:
            is_plain = reader.take(line)
        except _Doubt:
            return
        if is_plain and line.startswith("/"):
            yield line


class _Reader:
    """Where in a text we are, line by line."""

    def __init__(self) -> None:
        self._fence: _Fence | None = None
        self._is_hidden = False
        #: Until a blank line: a quote, which what follows it belongs to; HTML; a paragraph with something unfinished.
        self._is_quote = self._is_html = self._goes_on = False

    def take(self, line: str) -> bool:
        """Whether this line is plain text.

        :raises _Doubt: if that cannot be told, of this line or one that follows.
        """
        if self._fence is not None:
            self._in_fence(line, self._fence)
            return False
        is_inside = self._is_hidden or self._is_html
        opened = _opened_fence(line)
        if opened is not None:
            if is_inside:
                raise _Doubt
            self._end_paragraph()
            self._fence = opened
            return False
        if not line.strip(" \t"):
            self._end_paragraph()
            return False
        if _QUOTE.match(line):
            self._is_quote = True
        self._look_for_html(line)
        is_plain = not (is_inside or self._is_hidden or self._is_html or self._is_quote or self._goes_on)
        self._goes_on = self._goes_on or not _GOES_ON.isdisjoint(line)
        return is_plain

    def _end_paragraph(self) -> None:
        self._is_quote = self._is_html = self._goes_on = False

    def _in_fence(self, line: str, fence: _Fence) -> None:
        if not line.strip(" \t"):
            return
        indent, text = _indented(line)
        if indent < fence.indent:
            # Within a list the item ends here, and the fence with it; elsewhere it goes on.
            raise _Doubt
        run = len(text) - len(text.lstrip(fence.letter))
        if indent <= 3 and run >= fence.length and not text[run:].strip(" \t"):
            self._fence = None

    def _look_for_html(self, line: str) -> None:
        begins = line[_prefix(line) :]
        if _OPEN_HTML.match(begins):
            raise _Doubt
        opened: list[str] = []
        closed: list[str] = []
        for slash, name in _QUOTING_TAG.findall(line):
            (closed if slash else opened).append(name.lower())
        if sorted(opened) != sorted(closed):
            raise _Doubt
        self._is_html = self._is_html or _HTML.match(begins) is not None
        at = 0
        while at >= 0:
            if not self._is_hidden:
                at = line.find("<!--", at)
                self._is_hidden = at >= 0
                # `<!-->` is whole.
                at = at + 2 if at >= 0 else -1
            else:
                at = line.find("-->", at)
                self._is_hidden = at < 0


def _opened_fence(line: str) -> _Fence | None:
    at = _prefix(line)
    indent, _ = _indented(line)
    if at == len(line) - len(line.lstrip(" \t")) and indent > 3:
        # Indented code; or in a list, where the next line in the first column ends it.
        return None
    opened = _FENCE.fullmatch(line, at)
    if opened is None:
        return None
    run = opened[1] or opened[3]
    return _Fence(letter=run[0], length=len(run), indent=len(line[:at].expandtabs(4)))


def _prefix(line: str) -> int:
    """How much of a line stands before its text: spaces and the signs of lists."""
    bullets = _BULLET.match(line)
    return bullets.end() if bullets is not None else 0


def _indented(line: str) -> tuple[int, str]:
    text = line.lstrip(" \t")
    return len(line[: len(line) - len(text)].expandtabs(4)), text
