"""How the builds of a pull request stand, as a comment shows it: nothing from outside does anything in it."""

from __future__ import annotations

import re

import markdown_it
import pytest
from msgspec.structs import replace

from bot.checks import board, comment
from bot.model import answer, build, job
from tests import factories
from tests.checks.test_comment import HOSTILE

_MARKDOWN = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
_HARMLESS = {"text", "code_inline", "softbreak", "strong_open", "strong_close", "link_open", "link_close"}


def body(shown: board.Board | None, *entries: answer.Entry) -> str:
    told = answer.Answer(
        repository_id=1,
        pull_number=7,
        installation_id=2,
        repository="octo/hello",
        entries=entries,
        wanted_at=factories.NOW,
    )
    return comment.body(told, page=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}", shown=shown)


def make(name: str, state: job.State) -> job.Job:
    return factories.make_job(plan=factories.make_plan(key=name, name=name), state=state)


def test_each_job_stands_with_its_page_and_what_went_wrong_with_the_lines_that_say_why() -> None:
    made = factories.make_pull_build(state=build.State.FAILED)
    jobs = [make("lint", job.State.PASSED), make("test", job.State.FAILED)]
    tail = "collected 2 items\nsrc/a.py:3:1: error: no such name\nmore\n" + "noise\n" * 30
    shown = board.Board(made=made, jobs=jobs, tails={jobs[1].id: tail})
    assert body(shown).split("\n") == [
        comment.MARKER,
        "",
        "**❌ Failed:** test failed",
        "",
        f"Commit `{made.head_sha}` [on its page](https://builds.example/builds/{made.id}).",
        "",
        "| Job | Result | Time |  |",
        "| --- | --- | --- | --- |",
        f"| `lint` | ✅ passed |  | [log](https://builds.example/jobs/{jobs[0].id}) |",
        f"| `test` | ❌ failed |  | [log](https://builds.example/jobs/{jobs[1].id}) |",
        "",
        "`test`: Failed",
        "",
        "```text",
        "src/a.py:3:1: error: no such name",
        "more",
        *["noise"] * 8,
        "```",
    ]


def test_what_waits_says_why_and_commands_stand_below() -> None:
    made = factories.make_pull_build(state=build.State.WAITING, reason="`mona` may not push.")
    text = body(board.Board(made=made, jobs=()), factories.make_entry(command="/test"))
    assert "**⏳ Waiting:** Waits for approval" in text
    assert "Why: `mona` may not push." in text
    assert text.index("Waits for approval") < text.index("`/test`")
    assert board.SWITCHED_OFF not in text


def test_what_is_no_longer_to_be_shown_says_so() -> None:
    assert body(None) == f"{comment.MARKER}\n\n{board.SWITCHED_OFF}"


@pytest.mark.parametrize("text", [*HOSTILE, "```\n@octo", "\x1b]8;;https://evil.example\x07a\x1b]8;;\x07"])
def test_t88_nothing_from_outside_does_anything(text: str) -> None:
    made = factories.make_pull_build(state=build.State.FAILED, title=text, pipeline=text, base_ref=text)
    one = factories.make_job(plan=factories.make_plan(key="a", name=text), state=job.State.FAILED, reason=text)
    shown = body(board.Board(made=made, jobs=[one], tails={one.id: f"a.py:1:1: error: {text}\n{text}\n"}))
    tokens = _MARKDOWN.parse(shown.removeprefix(comment.MARKER))
    assert "html_block" not in {token.type for token in tokens}
    assert len([token for token in tokens if token.type == "tr_open"]) == 2
    for token in tokens:
        for child in token.children or ():
            assert child.type in _HARMLESS
            if child.type == "link_open":
                assert str(child.attrs["href"]).startswith("https://builds.example/")
            if child.type == "text":
                assert not re.search(r"[@#<>\[\]!]|://|fixes #|ghp_", child.content), child.content
    assert "\u202e" not in shown
    assert "ghp_" not in shown


def test_the_longest_fits_with_what_went_wrong_first() -> None:
    jobs = [make("`|" * 200 + str(number), job.State.PASSED) for number in range(300)]
    jobs += [make(f"bad {number}", job.State.FAILED) for number in range(20)]
    jobs = [replace(one, position=number) for number, one in enumerate(jobs)]
    tails = {one.id: "error: " + "x" * 60_000 for one in jobs}
    entries = [factories.make_entry(command="`|" * 200, text="`|@" * 1000) for _ in range(answer.KEPT_ENTRIES)]
    made = factories.make_pull_build(state=build.State.FAILED)
    text = body(board.Board(made=made, jobs=jobs, tails=tails), *entries)
    assert len(text) < 65_536
    assert all(f"`bad {number}`" in text for number in range(20))
    assert len(board.failures(jobs)) == board.MOST_FAILURES
