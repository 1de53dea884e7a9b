"""Problem matchers: those of the usual tools on what the tools really write, and those of a stranger."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bot.model import check
from bot.reports import limits, matchers, paths, usual

FAILURE, WARNING, NOTICE = check.Level.FAILURE, check.Level.WARNING, check.Level.NOTICE

#: (what the tool wrote, path, line, level, title, text)
WRITTEN = {
    "gcc": ("src/a.c:12:5: error: expected ';' [-Wfoo]", "src/a.c", 12, FAILURE, "-Wfoo", "expected ';'"),
    "clang": ("\x1b[1msrc/a.c:12:5: \x1b[0m\x1b[35mwarning: \x1b[0mx", "src/a.c", 12, WARNING, None, "x"),
    "gcc fatal": ("a.h:1:10: fatal error: b.h: No such file", "a.h", 1, FAILURE, None, "b.h: No such file"),
    "mypy": ("bot/a.py:3: error: Bad type  [arg-type]", "bot/a.py", 3, FAILURE, "arg-type", "Bad type"),
    "shellcheck": ("a.sh:2:8: note: Double quote [SC2086]", "a.sh", 2, NOTICE, "SC2086", "Double quote"),
    "ruff": ("bot/a.py:1:8: F401 `os` imported", "bot/a.py", 1, FAILURE, "F401", "`os` imported"),
    "ruff full": ("F401 [*] `os` imported\n --> bot/a.py:1:8", "bot/a.py", 1, FAILURE, "F401", "`os` imported"),
    "eslint": (
        "\n/workspace/src/a.js\n  1:7  warning  'x' is unused  no-unused-vars\n",
        "src/a.js",
        1,
        WARNING,
        "no-unused-vars",
        "'x' is unused",
    ),
    "eslint compact": (
        "/workspace/a.js: line 5, col 12, Error - 'x' is not defined. (no-undef)",
        "a.js",
        5,
        FAILURE,
        "no-undef",
        "'x' is not defined.",
    ),
    "tsc": ("src/a.ts(4,7): error TS2322: Bad.", "src/a.ts", 4, FAILURE, "TS2322", "Bad."),
    "tsc pretty": ("src/a.ts:4:7 - error TS2322: Bad.", "src/a.ts", 4, FAILURE, "TS2322", "Bad."),
    "go build": ("./main.go:10:2: undefined: x", "main.go", 10, FAILURE, None, "undefined: x"),
    "go vet": ("vet: ./main.go:10:2: undefined: x", "main.go", 10, FAILURE, None, "undefined: x"),
    "go test": ("    main_test.go:9: got 1", "main_test.go", 9, FAILURE, None, "got 1"),
    "rustc": ("error[E0308]: mismatch\n --> src/main.rs:2:18", "src/main.rs", 2, FAILURE, "E0308", "mismatch"),
    "clippy": ("warning: unused\r\n  --> src/a.rs:7:1\r", "src/a.rs", 7, WARNING, None, "unused"),
    "pytest": ("tests/test_a.py:3: AssertionError", "tests/test_a.py", 3, FAILURE, None, "AssertionError"),
    "anything": ("doc/a.tex:3:1: something is odd", "doc/a.tex", 3, FAILURE, None, "something is odd"),
}  # fmt: skip


def find(log: str, *, by: Any = None, places: paths.Places | None = None) -> matchers.Found:
    return matchers.Finder(by or usual.known()).find(log, places=places or paths.Places())


def file(*patterns: dict[str, Any], **changes: Any) -> bytes:
    """A file with one matcher."""
    return json.dumps({"problemMatcher": [{"owner": "mine", "pattern": list(patterns), **changes}]}).encode()


@pytest.mark.parametrize("tool", WRITTEN)
def test_the_usual_tools_are_understood(tool: str) -> None:
    text, path, line, level, title, said = WRITTEN[tool]
    (found,) = find(f"Some words.\n{text}\nMore of them.").findings
    assert (found.path, found.line, found.level, found.title, found.text) == (path, line, level, title, said)
    assert found.is_inside


def test_all_problems_of_a_file_are_found_until_its_block_ends() -> None:
    log = "/workspace/a.js\n  1:7  error  One  r1\n  2:7  error  Two  r2\n\n  3:7  error  Not a problem  r3\n"
    assert [(one.line, one.text) for one in find(log).findings] == [(1, "One"), (2, "Two")]


@pytest.mark.parametrize(
    "line",
    ["12:30:45: started", "http://example.org:80:1: x", "make: *** [all] Error 2", "a:1", "error: could not", ""],
)
def test_what_is_no_message_is_none(line: str) -> None:
    assert find(line).findings == ()


def test_a_matcher_of_the_repository_with_all_its_parts() -> None:
    first = {"regexp": r"^in (\S+) of (\S+)$", "file": 1, "fromPath": 2}
    second = {
        "regexp": r"^ (\w+) (\d+)-(\d+) \[(\w+)\] (.*)$",
        "severity": 1,
        "line": 2,
        "endLine": 3,
        "code": 4,
        "message": 5,
        "loop": True,
    }
    made = matchers.parse(file(first, second))
    log = "in a.x of sub/build.proj\n warning 3-5 [W1] One\n ERROR 9-2 [E2] Two\nelse\n error 1-1 [E3] Three\n"
    found = find(log, by=made).findings
    assert [(one.path, one.line, one.end_line, one.level, one.title, one.text) for one in found] == [
        ("sub/a.x", 3, 5, WARNING, "W1", "One"),
        ("sub/a.x", 9, 9, FAILURE, "E2", "Two"),
    ]
    assert {one.tool for one in found} == {"mine"}


def test_a_matcher_may_say_how_bad_what_it_finds_is() -> None:
    one = {"regexp": r"^(\S+)!(\d+) (.*)$", "file": 1, "line": 2, "message": 3}
    assert find("a!3 x", by=matchers.parse(file(one, severity="warning"))).findings[0].level is WARNING
    assert find("a!3 x", by=matchers.parse(file(one))).findings[0].level is FAILURE


def test_paths_are_those_of_the_steps_folder_and_never_lead_out() -> None:
    places = paths.Places(folder="sub")
    assert find("a.c:1:1: error: x", places=places).findings[0].path == "sub/a.c"
    assert not find("../../a.c:1:1: error: x", places=places).findings[0].is_inside
    assert not find("/etc/a.c:1:1: error: x", places=places).findings[0].is_inside


GOOD = {"regexp": "(.*):(.*)", "file": 1, "message": 2}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (file({"regexp": "(?=a)", "file": 0, "message": 0}), "Look-around and back-references"),
        (file({"regexp": r"(a)\1", "file": 0, "message": 0}), "invalid escape sequence"),
        (file({"regexp": "(", "file": 0, "message": 0}), "missing \\)"),
        (file({"regexp": "((((a{30}){30}){30}){30})", "file": 0, "message": 0}), "repetition size"),
        (file({"regexp": "((((((a{9}){9}){9}){9}){9}){9})", "file": 0, "message": 0}), "cannot be used"),
        (file({"regexp": "x" * 2001, "file": 0, "message": 0}), "2001 characters"),
        (file({"regexp": "a", "file": 1, "message": 0}), "`file` of the matcher 'mine' is group 1"),
        (file({"regexp": "a", "file": -1, "message": 0}), "group -1"),
        (file({"regexp": "a", "file": 0}), "names no group for the `message`"),
        (file({"regexp": "a", "message": 0}), "names no group for the `file`"),
        (file({**GOOD, "loop": True}), "its only pattern"),
        (file({**GOOD, "loop": True}, GOOD), "not its last"),
        (file(), "0 patterns"),
        (file(*[GOOD] * 11), "11 patterns"),
        (json.dumps({"problemMatcher": [{"owner": "a", "pattern": [GOOD]}] * 51}).encode(), "51 problem matchers"),
        (b"{}", "missing required field `problemMatcher`"),
        (b"[", "holds no problem matchers"),
        (b'{"problemMatcher": ', "no JSON"),
        (b'{"problemMatcher":[{"owner":"a","pattern":[{"regexp":"\\ud800"}]}]}', "no JSON|Unicode"),
    ],
)  # fmt: skip
def test_t106_a_matcher_that_cannot_be_used_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(limits.Unreadable, match=why):
        matchers.parse(data)


BOMBS = ["(a+)+$", "(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)(.*)x", "^(([a-z])+.)+[A-Z]([a-z])+$"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_t106_an_expression_that_hangs_other_engines_is_done_in_linear_time(bomb: str) -> None:
    (made,) = matchers.parse(file({"regexp": f"({bomb})", "file": 1, "message": 1}))
    log = "\n".join(["a" * 1999 + "!"] * 200)
    began = time.process_time()
    find(log, by=[made])
    assert time.process_time() - began < 2.0


def test_t106_all_usual_matchers_are_linear_in_a_hostile_log() -> None:
    lines = ["a:" * 990, "/" * 1999, " " * 1999, "error: " + "x" * 1900, "a.b:1:" * 300, "1" * 1999, "\x1b[" * 900]
    log = "\n".join(lines * 40)
    began = time.process_time()
    find(log)
    assert time.process_time() - began < 4.0


def test_a_long_log_is_looked_at_from_its_end() -> None:
    log = "a.c:1:1: error: early\n" + "x" * 100 + "\n" * matchers.MAX_LINES + "a.c:2:1: error: late"
    assert [one.text for one in find(log).findings] == ["late"]


def test_more_than_are_wanted_are_counted() -> None:
    log = "\n".join(f"a.c:{line}:1: error: x" for line in range(1, 31))
    found = usual.finder().find(log, places=paths.Places(), most=10)
    assert (len(found.findings), found.total) == (10, 30)
    assert find("a.c:1:1: error: x\na.c:1:1: error: x").total == 1
