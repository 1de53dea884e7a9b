"""What the pages show to be typed, and what they say comes of it.

A block of `console` holds commands, each behind the prompt that the block begins with, and what each prints. A comment
of HTML right before it says more, and nobody sees it on the page:

- `<!-- not run: REASON -->`: no test runs it.
- `<!-- first: COMMAND -->`: typed before it: what another page had, or a wait for what a reader sees come.
- `<!-- file: PATH -->`: the block, whatever its language, is what a reader puts into this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
#: Every page with commands; `docs/explain.md` is written by the tests whose commands it shows.
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "explain.md"),
)
_MARK = re.compile(r"<!-- (not run|first|file):\s+(.*?)\s+-->\s*", re.DOTALL)
_SHELLS = ("console", "sh", "bash", "shell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command, and the lines that follow it on the page."""

    text: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a page."""

    page: Path
    #: Its first line, from 1.
    line: int
    text: str
    is_commands: bool
    #: Why it is not run; None where it is.
    reason: str | None = None
    first: str | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def commands(self) -> list[Command]:
        """Its commands in their order."""
        found: list[list[str]] = []
        prompt = self.text[:2]
        for line in self.text.splitlines():
            if line.startswith(prompt) and not (found and found[-1][-1].endswith("\\")):
                found.append([line[2:]])
            elif found:
                found[-1].append(line)
        return [_command(lines) for lines in found]


def of(page: Path) -> Iterator[Block]:
    """The blocks of a page that are commands, or files that commands need."""
    mark: re.Match[str] | None = None
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            mark = _MARK.fullmatch(token.content)
        elif token.type == "fence":
            is_commands = token.info.strip() in _SHELLS
            kind, said = (mark[1], mark[2]) if mark is not None else ("", "")
            if is_commands or kind == "file":
                yield Block(
                    page=page,
                    line=1 + (token.map or [0])[0],
                    text=token.content,
                    is_commands=is_commands and kind != "file",
                    reason=said if kind == "not run" else None,
                    first=said if kind == "first" else None,
                    file=said if kind == "file" else None,
                )
            mark = None
        elif token.type.endswith("_open"):
            mark = None


def _command(lines: list[str]) -> Command:
    """A command may go on in the next line behind a backslash."""
    end = 1
    while lines[end - 1].endswith("\\") and end < len(lines):
        end += 1
    return Command(text="\n".join(lines[:end]), shown=tuple(lines[end:]))
