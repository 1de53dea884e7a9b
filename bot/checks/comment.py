"""Renders an answer into the comment that GitHub should show: pure. Names and commands are hostile, and ping nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from bot.checks import board, markdown
from bot.model import answer

#: By this our comment is known again, together with our App as its author. Nobody sees it.
MARKER = "<!-- buildhook:answer -->"
_COMMAND_BYTES = 120


def body(told: answer.Answer, *, page: Callable[[str, str], str], shown: board.Board | None = None) -> str:
    """The comment's text.

    :param page: gives the address of a page, by its kind and id.
    :param shown: how the newest build stands, where that is to be shown.
    """
    builds = "" if shown is None else board.section(shown, page=page)
    if not builds and not told.entries:
        builds = board.SWITCHED_OFF
    newest_first = told.entries[::-1]
    table = [markdown.row("", "command", "by", "what followed"), markdown.row("---", "---", "---", "---")]
    table += [_row(one, page) for one in newest_first]
    lines = next((one.lines for one in newest_first if one.lines), ())
    listed = "\n".join(f"- {markdown.prose(line)}" for line in lines)
    commands = "\n".join(table) if told.entries else ""
    return "\n\n".join(part for part in (MARKER, builds, commands, listed) if part)


def _row(one: answer.Entry, page: Callable[[str, str], str]) -> str:
    at = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    link = f" [Its page]({page('builds', one.build_id)})." if one.build_id is not None else ""
    return markdown.row(
        "👀" if one.is_taken else "✋",
        markdown.code(one.command, limit_bytes=_COMMAND_BYTES),
        f"{markdown.code(one.sender)}, {at}",
        markdown.prose(one.text) + link,
    )
