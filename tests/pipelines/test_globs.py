"""Globs: GitHub's documented examples, whole names only, and linear time for every pattern."""

from __future__ import annotations

import contextlib
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipelines import globs


def matches(pattern: str, name: str) -> bool:
    return globs.compiled(pattern).matches(name)


# https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#patterns-to-match-branches-and-tags
# and #patterns-to-match-file-paths
@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("feature/*", ["feature/my-branch", "feature/your-branch"]),
        ("feature/**", ["feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"]),
        ("releases/mona-the-octocat", ["releases/mona-the-octocat"]),
        ("*", ["main", "releases", "README.md"]),
        ("**", ["all/the/branches", "every/tag", "main", ""]),
        ("*feature", ["mona-feature", "feature", "ver-10-feature"]),
        ("v2*", ["v2", "v2.0", "v2.9"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"]),
        ("*.jsx?", ["page.js", "page.jsx"]),
        ("**.js", ["index.js", "js/index.js", "src/js/app.js"]),
        ("docs/*", ["docs/README.md", "docs/file.txt"]),
        ("docs/**", ["docs/README.md", "docs/mona/octocat.txt"]),
        ("docs/**/*.md", ["docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"]),
        ("**/docs/**", ["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"]),
        ("**/README.md", ["README.md", "js/README.md"]),
        ("**/*src/**", ["a/src/app.js", "my-src/code/js/app.js"]),
        ("**/*-post.md", ["my-post.md", "path/their-post.md"]),
        ("**/migrate-*.sql", ["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"]),
        ("\\*a\\?", ["*a?"]),
        ("c\\+\\+", ["c++"]),
        ("\\!a", ["!a"]),
        ("a!b", ["a!b"]),
        ("[CB]at", ["Cat", "Bat"]),
        ("[a-c1-3_.]+", ["a", "b2", "_.3"]),
        ("a-b]", ["a-b]"]),
        ("", [""]),
    ],
)
def test_documented_examples_match(pattern: str, names: list[str]) -> None:
    assert [name for name in names if not matches(pattern, name)] == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", "a/b"),
        ("feature/*", "feature/a/b"),
        ("feature/**", "feature"),
        ("*.jsx?", "page.jsxx"),
        ("v[12].[0-9]+", "v3.1"),
        ("v[12].[0-9]+", "v1."),
        (".yml", "fyml"),
        ("a.b", "axb"),
        ("**/README.md", "README.md/a"),
        ("**/README.md", "aREADME.md"),
        ("docs/**/a", "docsa"),
        ("a+", ""),
        ("a?", "aa"),
        ("[ab]", "ab"),
        ("Main", "main"),
        ("\\*", "a"),
        ("", "a"),
        ("a", ""),
    ],
)
def test_what_is_not_meant_does_not_match(pattern: str, name: str) -> None:
    assert not matches(pattern, name)


@pytest.mark.parametrize("name", ["evil-main", "main-evil", "xmain", "mainx", "main\n", "\nmain", "a/main", "main/a"])
def test_t35_a_pattern_matches_the_whole_name(name: str) -> None:
    assert matches("main", "main")
    assert not matches("main", name)


@pytest.mark.parametrize("pattern", ["[", "[]", "[!a]", "[^a]", "[a", "[z-a]", "[a-Z]", "[a-", "[a-]", "[.-9]", "\\"])
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(globs.PatternError, match=r".+\.$"):
        globs.compiled(pattern)


@pytest.mark.parametrize("pattern", ["+", "?", "*+", "**?", "a++", "a?+", "a+?", "**/+"])
def test_a_sign_of_repetition_follows_a_character(pattern: str) -> None:
    with pytest.raises(globs.PatternError, match="has to follow a character"):
        globs.compiled(pattern)


@pytest.mark.parametrize(
    ("patterns", "name", "is_taken"),
    [
        (["main", "dev"], "dev", True),
        (["**", "!dev"], "dev", False),
        (["**", "!dev*", "dev2"], "dev2", True),
        (["!dev", "**"], "dev", True),
        (["releases/**", "!releases/**-alpha"], "releases/10", True),
        (["releases/**", "!releases/**-alpha"], "releases/10-alpha", False),
        (["releases/**", "!releases/**-alpha"], "releases/beta/3-alpha", False),
        (["\\!a"], "!a", True),
        ([], "a", False),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: list[str], name: str, is_taken: bool) -> None:
    assert globs.matches(patterns, name) is is_taken


_PIECES = st.sampled_from(["a", "b", "/", "a?", "b+", "/+", "*", "**", "**/", "[ab]", "[a-b]+", "[ab]?", "."])


def _as_regex(pieces: list[str]) -> str:
    known = {"*": "[^/]*", "**": ".*", "**/": "(?:.+/)?", ".": "[.]"}
    return "".join(known.get(piece, piece) for piece in pieces)


@settings(max_examples=500)
@given(st.lists(_PIECES, max_size=8), st.text("ab/.", max_size=10))
def test_the_automaton_agrees_with_a_regular_expression(pieces: list[str], name: str) -> None:
    pattern = "".join(pieces)
    # Pieces that flow together, such as `*` and `**`, mean something else than they do apart.
    if not any(left.endswith("*") and right[0] in "*/" for left, right in pairwise(pieces)):
        assert matches(pattern, name) == bool(re.fullmatch(_as_regex(pieces), name, re.DOTALL))


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_pattern_whatever_raises_anything_else(pattern: str, name: str) -> None:
    with contextlib.suppress(globs.PatternError):
        assert globs.compiled(pattern).matches(name) in {True, False}


@given(st.text(min_size=1, max_size=40))
def test_an_escaped_name_matches_itself_only(name: str) -> None:
    glob = globs.compiled("".join(f"\\{one}" for one in name))
    assert glob.matches(name)
    assert not glob.matches(name + "x")
    assert not glob.matches(name[1:])


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 500, "a" * 10_000 + "b"),
        ("**a" * 333, "a" * 10_000 + "b"),
        ("**/" * 333 + "b", "a/" * 5_000),
        ("a?" * 499 + "b", "a" * 10_000),
        ("[a-zA-Z0-9]+" * 80 + "!", "a" * 10_000),
        ("*" * 999 + "b", "a" * 10_000),
    ],
)
@pytest.mark.timeout(15)
def test_t106_no_pattern_takes_more_than_linear_time(pattern: str, name: str) -> None:
    # A hundredth of a second each; a matcher that goes back takes longer than anybody can wait.
    assert not matches(pattern, name)


def test_t106_a_pattern_of_no_reasonable_length_is_refused_at_once() -> None:
    with pytest.raises(globs.PatternError, match="20000 characters, at most 1000"):
        globs.compiled("*a" * 10_000)
