"""The comment's text: what was asked for, by whom and what followed; nothing from outside does anything in it."""

from __future__ import annotations

import re

import markdown_it
import pytest

from bot.checks import comment
from bot.model import answer
from tests import factories

HOSTILE = [
    "@octo/everyone",
    "` @octo `",
    "``` @octo",
    "a | b | c",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "![a](https://evil.example/pixel)",
    "fixes #1",
    "octo/hello#1",
    "</details><!-- ",
    "-->",
    comment.MARKER,
    "\u202etxet",
    "a\n\n# b",
    "https://evil.example",
    "ghp_" + "a" * 36,
]
_MARKDOWN = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])


def make(*entries: answer.Entry) -> str:
    told = answer.Answer(
        repository_id=1,
        pull_number=7,
        installation_id=2,
        repository="octo/hello",
        entries=entries,
        wanted_at=factories.NOW,
    )
    return comment.body(told, page=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}")


def test_the_newest_command_stands_first_with_its_build() -> None:
    text = make(
        factories.make_entry(command="/retest", sender="mona", text="No job failed.", is_taken=False),
        factories.make_entry(command="/test", build_id="01JZZZ1X5GQKSTZ8V0A9E2M3N4", text="It runs again."),
    )
    assert text.split("\n") == [
        comment.MARKER,
        "",
        "|  | command | by | what followed |",
        "| --- | --- | --- | --- |",
        "| 👀 | `/test` | `octo`, 2026-03-04 05:06 UTC | It runs again."
        " [Its page](https://builds.example/builds/01JZZZ1X5GQKSTZ8V0A9E2M3N4). |",
        "| ✋ | `/retest` | `mona`, 2026-03-04 05:06 UTC | No job failed. |",
    ]


def test_what_was_asked_for_last_is_explained() -> None:
    text = make(
        factories.make_entry(command="/help", lines=("`/test` runs all again: anybody.", "Two.")),
        factories.make_entry(),
    )
    assert text.endswith("\n\n- `/test` runs all again: anybody.\n- Two.")


@pytest.mark.parametrize("text", HOSTILE)
def test_t88_nothing_from_outside_does_anything(text: str) -> None:
    shown = make(
        factories.make_entry(command=text, sender=text, text=f"There is no job `{text}`; {text}", lines=(text,))
    )
    assert shown.startswith(comment.MARKER)
    tokens = _MARKDOWN.parse(shown.removeprefix(comment.MARKER))
    kinds = {token.type for token in tokens}
    assert "html_block" not in kinds
    assert len([token for token in tokens if token.type == "tr_open"]) == 2
    assert len([token for token in tokens if token.type == "td_open"]) == 4
    for token in tokens:
        for child in token.children or ():
            assert child.type in {"text", "code_inline", "softbreak"}, child
            if child.type == "text":
                assert not re.search(r"[@#<>\[\]!]|://|fixes #|ghp_", child.content), child.content
    assert "\u202e" not in shown
    assert "ghp_" not in shown


def test_the_longest_answer_fits() -> None:
    entries = [
        factories.make_entry(command="/test " + "`|" * 100, text="`|@" * 1000, lines=("@" * 500,) * 5)
        for _ in range(answer.KEPT_ENTRIES)
    ]
    assert len(make(*entries)) < 65_536
