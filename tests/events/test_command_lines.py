"""Which lines of a comment are commands, and that nothing quoted, coded or hidden ever is one."""

from __future__ import annotations

import re
import time

import markdown_it
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.events import command_lines
from bot.events.command_lines import Command, Verb

SHA = "0123456789abcdef0123456789abcdef01234567"
ALL = Command(verb=Verb.TEST)
FAILED = Command(verb=Verb.RETEST)
CANCEL = Command(verb=Verb.CANCEL)
HELP = Command(verb=Verb.HELP)


def one_job(name: str) -> Command:
    return Command(verb=Verb.TEST, argument=name)


#: The text of a comment, and what it asks for.
COMMENTS: list[tuple[str, list[Command]]] = [
    # Asked for.
    ("/test", [ALL]),
    ("/test lint", [one_job("lint")]),
    ("/test  lint (3.12, linux) ", [one_job("lint (3.12, linux)")]),
    ("/test\tlint", [one_job("lint")]),
    ("/retest", [FAILED]),
    ("/cancel", [CANCEL]),
    ("/help", [HELP]),
    (f"/ok-to-test {SHA}", [Command(verb=Verb.OK_TO_TEST, argument=SHA)]),
    ("/test\r\n/retest\r\n", [ALL, FAILED]),
    ("/test\r/retest", [ALL, FAILED]),
    ("/Test\n/RETEST", [ALL, FAILED]),
    ("Thanks, that helps!\n/retest", [FAILED]),
    ("Thanks.\n\n/retest\n\nSee you.", [FAILED]),
    ("/test lint\n/test unit\n/test lint", [one_job("lint"), one_job("unit")]),
    ("> what he said\n\n/retest", [FAILED]),
    ("- first\n- second\n\n/retest", [FAILED]),
    ("```\n/cancel\n```\n/retest", [FAILED]),
    ("~~~ sh\n/cancel\n~~~\n\n/retest", [FAILED]),
    ("<!-- /cancel -->\n\n/retest", [FAILED]),
    ("1. run it\n\n   ```\n   /cancel\n   ```\n\n/retest", [FAILED]),
    # Quoted.
    ("> /test", []),
    (">/test", []),
    ("> so be it\n/test", []),
    ("> a\n> b\n/test\n/retest", []),
    ("- > a\n/test", []),
    ("* 1. > a\n/test", []),
    ("<blockquote>\n\n/test\n\n</blockquote>", []),
    ("On Monday mona wrote:\n>\n> /ok-to-test " + SHA, []),
    # Code.
    ("```\n/test\n```", []),
    ("```\n/test", []),
    ("~~~\n/test\n~~~", []),
    ("~~~\n```\n/test\n```\n~~~", []),
    ("````\n```\n/test\n````", []),
    ("```\n/test\n````x\n/test\n```", []),
    ("   ```\n/test\n   ```", []),
    ("- ```\n/test\n  ```\n/test\n```", []),
    ("- a\n\n  ```\n/x\n```\n/test\n```", []),
    ("    /test", []),
    ("\t/test", []),
    ("`\n/test\n`", []),
    ("Say `` a\n/test `` or so", []),
    ("`/test`", []),
    ("<pre>\n/test\n</pre>", []),
    ("<pre>\n```\n</pre>\n```\n/test\n```", []),
    ("$$\n/test\n$$", []),
    # Hidden.
    ("<!--\n/test\n-->", []),
    ("<!-- what to write:\n\n/test\n\n-->", []),
    ("<!--\n/test", []),
    ("a <!-- b\n\n/test", []),
    ("`<!--`\n```\n-->\n/test\n```", []),
    ("<!--\n```\n-->\n```\n-->\n/test\n```", []),
    ("<details>\n```\n\n```\n/test\n```", []),
    ("[a]:\n/test", []),
    ("![a](\n/test)", []),
    ("<details><summary>a</summary>\n/test\n</details>", []),
    # No command of ours.
    ("", []),
    ("/", []),
    ("/tests", []),
    ("/test-all", []),
    ("/approve", []),
    ("/ok-to-test-please", []),
    ("/help wanted", []),
    ("//test", []),
    ("/ test", []),
    (" /test", []),
    ("please /test", []),
    ("/test: lint", []),
    ("/test/lint", []),
    ("\\/test", []),
    # Look alike, or carry what cannot be seen.
    ("\u200b/test", []),
    ("\ufeff/test", []),
    ("/test\u200b", []),
    ("/te\u00adst", []),
    ("/test\u00a0lint", []),
    ("\uff0ftest", []),
    ("\u2215test", []),
    ("/\u0442est", []),
    ("/cance\u217c", []),
    ("/o\u212a-to-test " + SHA, []),
    ("a\u2028/test", []),
    ("a\x0b/test", []),
    ("a\x0c/test", []),
    ("a\x85/test", []),
    ("/test\x00", []),
]


@pytest.mark.parametrize(("body", "wanted"), COMMENTS, ids=[ascii(body)[:60] for body, _ in COMMENTS])
def test_t27_commands_are_plain_lines_that_begin_with_a_slash(body: str, wanted: list[Command]) -> None:
    assert list(command_lines.read(body).commands) == wanted


def test_t27_a_comment_has_few_commands_and_tells_how_many_were_left_out() -> None:
    found = command_lines.read("\n".join(f"/test job-{number}" for number in range(12)))
    assert [str(one) for one in found.commands] == [f"/test job-{number}" for number in range(5)]
    assert found.left_out == 7


def test_what_a_command_names_is_bounded() -> None:
    (one,) = command_lines.read("/test " + "a" * 60_000).commands
    assert one.argument == "a" * 200


@pytest.mark.parametrize(
    "argument",
    [
        "",
        SHA[:7],
        SHA[:39],
        SHA + "0",
        SHA.upper(),
        SHA + " please",
        "HEAD",
        "main",
        "refs/heads/main",
        SHA[:-1] + "g",
        SHA[:-1] + "\u0660",
        SHA + SHA[:23],
    ],
)
def test_t24_an_approval_without_a_whole_sha_is_a_mistake(argument: str) -> None:
    (one,) = command_lines.read(f"/ok-to-test {argument}").commands
    assert "whole SHA" in (command_lines.mistake(one) or "")


@pytest.mark.parametrize("sha", [SHA, "ab" * 32])
def test_t24_an_approval_names_the_whole_sha(sha: str) -> None:
    (one,) = command_lines.read(f"/ok-to-test {sha}").commands
    assert command_lines.mistake(one) is None


@pytest.mark.parametrize(
    ("line", "says"), [("/retest lint", "/test NAME"), ("/cancel lint", "takes no name"), ("/test lint", None)]
)
def test_names_are_for_test_alone(line: str, says: str | None) -> None:
    (one,) = command_lines.read(line).commands
    told = command_lines.mistake(one)
    assert told is None if says is None else says in (told or "")


_MARKDOWN = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
_INDENTS = ["", "", "", "", " ", "  ", "   ", "    ", "\t", "> ", ">", "- ", "1. ", "  - ", "- > ", "-   ", "   > "]
_TEXTS = """\
```|````|~~~|~~~~ x|```a`b|text|<!--|-->|<!-- x -->|<!-->|`|``|<pre>|</pre>|<details>|</details>|<blockquote>
</blockquote>|[a]:|[a](|$$|---|# h|\\`|a `b|<b>|<?|?>|<!X|>|<![CDATA[|]]>|<script>|</script>|x <!-- y|*** |""".replace(
    "\n", "|"
).split("|")
_LINES = st.tuples(
    st.sampled_from(_INDENTS),
    st.one_of(st.sampled_from(_TEXTS), st.just("COMMAND")),
    st.sampled_from(["\n", "\n", "\r\n", "\r"]),
)


def shown(body: str) -> set[str]:
    """The commands that a reader of the rendered comment sees as plain text, outside of quotes, by another parser."""
    found: set[str] = set()
    around: list[str] = []
    for token in _MARKDOWN.parse(body):
        if token.nesting == 1:
            around.append(token.type)
        elif token.nesting == -1:
            around.pop()
        elif token.type == "inline" and "blockquote_open" not in around:
            texts = [child.content for child in token.children or () if child.type == "text"]
            found |= {text.strip() for text in texts if re.fullmatch(r"/test n[0-9]+", text.strip())}
    return found


@settings(max_examples=700)
@given(st.lists(_LINES, max_size=14))
def test_t27_no_command_comes_from_inside_a_quote_code_or_a_comment(lines: list[tuple[str, str, str]]) -> None:
    body = "".join(
        f"/test n{number}{end}" if text == "COMMAND" else f"{indent}{text}{end}"
        for number, (indent, text, end) in enumerate(lines)
    )
    taken = {str(one) for one in command_lines.read(body).commands}
    assert taken <= shown(body)


@settings(max_examples=300)
@given(st.text(max_size=300), st.sampled_from(["> ", ">", "    ", "\t", "- > "]))
def test_t27_whatever_is_quoted_or_indented_holds_no_command(text: str, mark: str) -> None:
    quoted = "\n".join(f"{mark}{line}" for line in re.split(r"\r\n|\n|\r", f"/test\n{text}\n/retest"))
    assert command_lines.read(quoted).commands == ()


@settings(max_examples=300)
@given(st.text(max_size=300), st.sampled_from(["```", "~~~", "`````"]))
def test_t27_whatever_is_fenced_holds_no_command(text: str, fence: str) -> None:
    inside = text.replace(fence[0], "x")
    found = command_lines.read(f"{fence}\n/test\n{inside}\n/retest\n{fence}\n/cancel").commands
    assert found == (CANCEL,)


@settings(max_examples=300)
@given(st.text(max_size=2000))
def test_t27_any_text_is_read(text: str) -> None:
    command_lines.read(text)


@pytest.mark.parametrize(
    "piece",
    [
        "`",
        "- ",
        ">",
        "<!--",
        "-->",
        "<pre>",
        "<pre></pre>",
        "1. ",
        "\n```",
        "\n~~~",
        "/test\n",
        " ",
        "\t",
        "[",
        "\\",
        "*",
    ],
)
def test_t27_the_longest_comment_of_anything_is_read_at_once(piece: str) -> None:
    body = piece * (65_536 // len(piece)) + "\n/test"
    started = time.perf_counter()
    command_lines.read(body)
    assert time.perf_counter() - started < 3
