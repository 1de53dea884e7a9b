"""Annotations: found at the right line of the right file, never outside of the repository, in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.checks import annotations as marks
from bot.model import check

PLACES = marks.Places("/workspace")

PYTEST = """\
=================================== FAILURES ===================================
___________________________________ test_it ____________________________________

    def test_it() -> None:
>       assert hello("mona") == "Hello, mona!"
E       AssertionError: assert 'hello mona' == 'Hello, mona!'
E
E         - Hello, mona!
E         + hello mona

tests/test_hello.py:6: AssertionError
___________________________________ test_deep __________________________________

    def test_deep() -> None:
>       deep()

tests/test_deep.py:9:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def deep() -> None:
>       1 / 0
E       ZeroDivisionError: division by zero

src/deep.py:2: ZeroDivisionError
=========================== short test summary info ============================
FAILED tests/test_hello.py::test_it - AssertionError: assert 'hello mona' == ...
FAILED tests/test_deep.py::test_deep - ZeroDivisionError: division by zero
ERROR tests/test_broken.py - SyntaxError: invalid syntax
========================= 2 failed, 1 error in 0.03s ==========================
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/lib/python3.11/runpy.py", line 198, in _run_module_as_main
    return _run_code(code, main_globals, None,
  File "/workspace/tools/make.py", line 3, in <module>
    main()
    ^^^^^^
  File "/workspace/tools/main.py", line 14, in main
    json.loads("")
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
"""
COMPILER = """\
src/hello.c: In function 'main':
src/hello.c:12:5: error: 'x' undeclared (first use in this function)
   12 |     x = 1;
src/hello.c:12:5: note: each undeclared identifier is reported only once
/workspace/src/other.c:3:1: warning: unused variable 'y' [-Wunused-variable]
src/big.c:1:10: fatal error: missing.h: No such file or directory
bot/a.py:7: error: Incompatible return value type  [return-value]
src/hello.c:12:5: error: 'x' undeclared (first use in this function)
"""


def found(log: str, places: marks.Places = PLACES) -> list[tuple[str, int, str, str | None]]:
    return [(one.path, one.start_line, one.text, one.title) for one in marks.find(log, places=places).annotations]


def test_pytest_failures_are_placed_where_they_happened() -> None:
    assert found(PYTEST) == [
        ("tests/test_hello.py", 6, "AssertionError: assert 'hello mona' == 'Hello, mona!'", "AssertionError"),
        ("src/deep.py", 2, "ZeroDivisionError: division by zero", "ZeroDivisionError"),
        ("tests/test_deep.py", 9, "ZeroDivisionError: division by zero", "test_deep"),
        ("tests/test_broken.py", 1, "SyntaxError: invalid syntax", "pytest"),
    ]


def test_a_traceback_is_placed_at_its_innermost_frame_in_the_repository() -> None:
    assert found(TRACEBACK) == [
        (
            "tools/main.py",
            14,
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            "json.decoder.JSONDecodeError",
        )
    ]


def test_a_traceback_outside_of_the_repository_says_nothing() -> None:
    assert found(TRACEBACK.replace("/workspace/", "/opt/")) == []


def test_compiler_messages_are_found_once_with_their_level() -> None:
    assert [(one.path, one.start_line, one.level) for one in marks.find(COMPILER, places=PLACES).annotations] == [
        ("src/hello.c", 12, check.Level.FAILURE),
        ("src/hello.c", 12, check.Level.NOTICE),
        ("src/other.c", 3, check.Level.WARNING),
        ("src/big.c", 1, check.Level.FAILURE),
        ("bot/a.py", 7, check.Level.FAILURE),
    ]


def test_colours_do_not_hide_a_message() -> None:
    assert found("\x1b[1msrc/a.c:1:2: \x1b[31merror: \x1b[0mbad\x1b[0m\r\n") == [("src/a.c", 1, "bad", "error")]


@pytest.mark.parametrize(
    ("path", "folder", "relative"),
    [
        ("a/b.py", ".", "a/b.py"),
        ("./a//b.py", ".", "a/b.py"),
        ("a/../b.py", ".", "b.py"),
        ("b.py", "sub/dir", "sub/dir/b.py"),
        ("../b.py", "sub/dir", "sub/b.py"),
        ("/workspace/a.py", "sub", "a.py"),
        ("/data/jobs/01J/workspace/tests/a.py", ".", "tests/a.py"),
        ("../a.py", ".", None),
        ("a/../../b.py", ".", None),
        ("/etc/passwd", ".", None),
        ("/workspace/../etc/passwd", ".", None),
        ("/workspaces/a.py", ".", None),
        ("/workspace/", ".", None),
        (".", ".", None),
        (".git/hooks/a.py", ".", None),
        (".venv/lib/python3.11/site-packages/a.py", ".", None),
        ("a\u202eb.py", ".", None),
        ("a  b.py", ".", None),
        ("a/" * 200 + "b.py", ".", None),
    ],
)
def test_paths_are_those_of_the_repository_or_none(path: str, folder: str, relative: str | None) -> None:
    assert marks.Places("/workspace", folder).relative(path) == relative


def test_line_0_is_no_line() -> None:
    assert found("src/a.c:0:1: error: bad") == []


def test_at_most_50_are_given_and_all_are_counted() -> None:
    log = "".join(f"src/a.c:{number}:1: error: bad\n" for number in range(1, 70))
    result = marks.find(log, places=PLACES)
    assert (len(result.annotations), result.total) == (50, 69)


def test_no_log_has_no_annotations() -> None:
    assert marks.find("", places=PLACES) == marks.Found(annotations=(), total=0)


_PIECES = st.sampled_from(
    [
        "/workspace/", "../", "a.py", "src/a.c", ":12", ":", ": error: ", "bad", "\n", "E   ", 'File "', '", line 3',
        "Traceback (most recent call last):\n", '  File "a.py", line 3, in b\n', "FAILED ", "::test", " - ", "\x1b[0m",
        "\u202e", "@mona", " ", "\ud800", "\0", ": AssertionError",
    ]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_whatever_a_log_holds_annotations_are_fit_to_send(log: str) -> None:
    for one in marks.find(log, places=PLACES).annotations:
        assert not one.path.startswith("/")
        assert ".." not in one.path.split("/")
        assert 1 <= one.start_line == one.end_line
        for text, limit in ((one.path, 255), (one.text, 65_536), (one.title or "a", 255)):
            assert 0 < len(text.encode("utf-8")) <= limit
            assert "\0" not in text


@pytest.mark.parametrize(
    "piece",
    [
        "a" * 100 + ":",
        "a:1:",
        'File "',
        '  File "a.py", line 1\n',
        "E ",
        "E   a\n",
        "FAILED a.py::" + "b" * 90,
        "a.c:1:1: error: a\n",
        "Traceback (most recent call last):\n",
        "FAILED a.py - b\n",
        "/workspace/",
        "../",
    ],
)
@pytest.mark.timeout(15)
def test_t106_a_hostile_log_is_searched_in_linear_time(piece: str) -> None:
    log = piece * (64 * 1024 // len(piece))
    assert marks.find(log, places=PLACES).total <= len(log)
