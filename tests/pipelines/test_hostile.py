"""Hostile files: whatever a pipeline file holds, it costs little, raises nothing, and is never more than text."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipelines import composing, plan, scan, vocabulary
from bot.pipelines.parse import parse

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
_JOB = "{steps: [{run: a}]}"
#: Each is as expensive as its kind gets within the limits, or beyond them.
CORPUS: dict[str, str | bytes] = {
    "empty": "",
    "aliases": _BOMB,
    "aliases of text": f"a: &a '{'x' * 60_000}'\nb: [{','.join(['*a'] * 5000)}]",
    "alias of itself": "a: &a [*a]",
    "alias of a key": "? &a {b: *a}\n: c",
    "alias of nothing": "a: *b",
    "anchors": "".join(f"a{n}: &x{n} 1\n" for n in range(6000)),
    "nested lists": "[" * 100_000,
    "nested mappings": "{a: " * 30_000,
    "nested blocks": "- " * 60_000,
    "nested keys": "? " * 60_000,
    "nested by indentation": "".join(f"{' ' * n}a:\n" for n in range(300)),
    "closing brackets": "]" * 100_000,
    "flow entries": f"a: [{'1,' * 60_000}]",
    "flow pairs": f"a: {{{'a: 1,' * 20_000}}}",
    "many keys": "".join(f"a{n}: 1\n" for n in range(12_000)),
    "many lines": "- a\n" * 30_000,
    "duplicate keys": "a: 1\n" * 20_000,
    "one long word": "x" * 131_000,
    "one long quoted text": f"'{'x' * 131_000}",
    "many words": f"a: {'x ' * 65_000}",
    "many folded lines": "a: " + "x\n " * 40_000,
    "many escapes": f'a: "{chr(92)}n' * 40_000,
    "long script": "a: |\n" + " x\n" * 40_000,
    "empty lines": "\n" * 131_000,
    "spaces": " " * 131_000,
    "comments": "# x\n" * 30_000,
    "directives": "%FOO bar\n" * 14_000,
    "documents": "---\n" * 30_000,
    "ten megabytes": "a: 1\n" * 2_000_000,
    "tags": "a: !!python/object/apply:os.system [id]\n",
    "many tags": "!a " * 40_000,
    "long tag": f"!{'a%41' * 20_000} b",
    "merge keys": "a: &a {b: 1}\nc: {<<: *a}\n",
    "expressions": "".join(f"a{n}: ${{{{ a }}}}\n" for n in range(8000)),
    "expressions in scripts": "on: push\njobs:\n a:\n  steps:\n"
    + "".join("  - run: echo ${{ contains('a', 'b') || (1 == 2 && '3' > '4') }}\n" for _ in range(1500)),
    "expressions in one script": f"on: push\njobs:\n a:\n  steps:\n  - run: '{'${{ 1 }}' * 12_000}'\n",
    "open expressions": f"on: push\njobs:\n a:\n  steps:\n  - run: '{'${{' * 40_000}'\n",
    "a long expression": f"on: push\njobs:\n a:\n  if: {'!' * 100_000}a\n  steps: [run: a]\n",
    "expressions of variables": "on: push\nenv:\n"
    + "".join(f" A{n}: ${{{{ format('{{0}}', github.sha) }}}}\n" for n in range(300))
    + f"jobs:\n{''.join(f' a{n}: {_JOB}{chr(10)}' for n in range(100))}",
    "variables of variables": "on: push\njobs:\n a:\n  env:\n"
    + "".join(f"   A{n}: ${{{{ env.A{n + 1} }}}}\n" for n in range(900))
    + "  steps:\n  - run: echo ${{ env.A0 }}\n",
    "a wide matrix": "on: push\njobs:\n a:\n  strategy:\n   matrix:\n"
    + "".join(f"    a{n}: [{','.join(map(str, range(50)))}]\n" for n in range(100))
    + "  steps: [run: a]\n",
    "a deep matrix": f"on: push\njobs:\n a: {{strategy: {{matrix: {{a: {'[' * 25}{']' * 25}}}}}, steps: [run: a]}}",
    "many outputs": "on: push\njobs:\n a:\n  outputs:\n"
    + "".join(f"   a{n}: ${{{{ steps.x{n}.outputs.a }}}}\n" for n in range(1000))
    + "  steps: [run: a]\n",
    "needs of everything": "on: push\njobs:\n"
    + "".join(f" a{n}: {{if: needs.b{n}.result, steps: [run: a]}}\n" for n in range(250)),
    "unknown keys": f"on: push\njobs:\n{''.join(f' a{n}: {{stepz: 1, nedds: 2}}{chr(10)}' for n in range(250))}",
    "unknown needs": "on: push\njobs:\n"
    + "".join(f" {'ab' * 14}{n}: {{needs: {'ba' * 14}{n}, steps: [{{run: a}}]}}\n" for n in range(250)),
    "everybody needs everybody": f"on: push\njobs:\n a: {{needs: &n [{','.join(f'a{n}' for n in range(40))}]}}\n"
    + "".join(f" a{n}: {{needs: *n, steps: [run: a]}}\n" for n in range(40)),
    "shared steps": f"on: push\njobs:\n a: {{steps: &s [{','.join(['{run: a}'] * 60)}]}}\n"
    + "".join(f" a{n}: {{steps: *s}}\n" for n in range(80)),
    "shared environment": f"on: push\nenv: {{{','.join(f'a{n}: {chr(97) * 400}' for n in range(150))}}}\njobs:\n"
    + "".join(f" a{n}: {_JOB}\n" for n in range(150)),
    "brackets within limits": f"a: [{('[' * 30 + ']' * 30 + ',') * 2000}]",
    "patterns": f"on: {{push: {{branches: [{','.join([chr(39) + '*a' * 400 + chr(39)] * 100)}]}}}}\n"
    f"jobs: {{a: {_JOB}}}",
    "patterns within limits": f"on: {{push: {{branches: [{','.join([chr(39) + '*a' * 20 + chr(39)] * 100)}]}}}}\n"
    f"jobs: {{a: {_JOB}}}",
    "not UTF-8": b"\xff\xfe" * 1000,
    "UTF-16": "on: push".encode("utf-16"),
    "NUL": "a: \x00",
    "NUL by escape": 'a: "\\0"',
    "surrogate by escape": 'a: "\\ud800"',
    "no character": 'a: "\\UFFFFFFFF"',
    "lone surrogate": "a: \ud800",
    "other line ends": "a\x85b\u2028c\u2029d: e",
    "tab": "a:\n\tb: 1",
    "a quote": "'",
    "a question": "?",
    "a dash": "-",
    "a colon": ":",
    "an anchor": "&",
    "an alias": "*",
    "a tag": "!",
    "a bar": "|",
    "a percent": "%",
    "end of document": "...\n...\n",
}
#: They are large, and right.
WITHIN_LIMITS = {"shared steps", "patterns within limits", "a deep matrix"}


@pytest.mark.parametrize("name", CORPUS)
def test_t105_t106_a_hostile_file_is_refused_in_little_time_and_memory(name: str) -> None:
    text = CORPUS[name]
    tracemalloc.start()
    try:
        parsed = parse(text)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (parsed.pipeline is None) == bool(parsed.problems)
    assert peak_bytes < 50 * 1024 * 1024


@pytest.mark.parametrize("name", sorted(set(CORPUS) - WITHIN_LIMITS))
def test_t105_a_hostile_file_says_what_is_wrong(name: str) -> None:
    parsed = parse(CORPUS[name])
    assert parsed.pipeline is None
    for problem in parsed.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.text.isprintable()
        assert len(problem.text) < 700


@pytest.mark.timeout(15)
def test_t105_deep_nesting_is_refused_before_the_scanner_looks_ahead() -> None:
    assert parse("[" * 100_000).problems


def test_t105_an_environment_that_every_job_copies_is_bounded() -> None:
    text = f"on: push\nenv: {{A: {'a' * 10_000}}}\njobs:\n" + "".join(f" a{n}: {_JOB}\n" for n in range(110))
    assert only(text) == ("2:6 `env` is too large for 110 jobs, which all get it: move it into the jobs that need it.")


@pytest.mark.parametrize("escape", ["\\0", "\\ud800", "\\x00", "\\U0000dfff"])
def test_t105_no_escape_makes_a_character_that_breaks_a_command(escape: str) -> None:
    text = f'on: push\njobs:\n  a:\n    steps:\n      - run: "a{escape}b"\n'
    assert only(text) == "5:14 An escape here gives a character that no command can take: delete it."


def only(text: str) -> str:
    problem, *_ = parse(text).problems
    return f"{problem.line}:{problem.column} {problem.text}"


def test_t105_tags_construct_nothing_and_are_told() -> None:
    texts = [one.text for one in parse("on: push\njobs: !!python/object/apply:os.system [id]\n").problems]
    assert "YAML tags (`!…`) are not supported: delete the tag, or quote the text." in texts


def test_t105_a_duplicate_key_is_told_with_both_places() -> None:
    problems = [
        (one.line, one.column, one.text)
        for one in parse("on: push\njobs:\n  a: {steps: [run: a]}\n  a: {steps: [run: b]}\n").problems
    ]
    assert problems == [(4, 3, "`a` stands here a second time (first in line 3, column 3): keep one of the two.")]


def test_t105_merge_keys_are_told() -> None:
    text = "on: push\njobs:\n  a: &a {steps: [run: a]}\n  b: {<<: *a}\n"
    assert "Merge keys (`<<`) are not supported: write the keys out." in {one.text for one in parse(text).problems}


def test_aliases_within_their_budget_repeat_what_they_name() -> None:
    parsed = parse("on: push\njobs:\n  a: &a {env: {A: 1}, steps: [{run: make}]}\n  b: *a\n")
    assert parsed.pipeline is not None
    first, second = parsed.pipeline.jobs
    assert (first.plan.steps, first.plan.env) == (second.plan.steps, second.plan.env)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 40, f"1:33 Lists and mappings are nested deeper than {scan.MAX_DEPTH} levels."),
        ("- " * 40, f"1:65 Lists and mappings are nested deeper than {scan.MAX_DEPTH} levels."),
        ("a: &a [*a]", "1:8 `*a` stands inside of what it names."),
        ("a: *b", "1:4 `*b` names no anchor that stands before it."),
        ("%YAML 1.1\n---\na: b", "1:1 YAML directives (lines that begin with `%`) are not supported: delete them."),
        ("a: b\n---\na: b", "2:1 The file holds more than one YAML document: keep one, without `---` in between."),
        ("a: \x07", "1:4 The character U+0007 may not stand in a YAML file."),
        ('a: "\\UFFFFFFFF"', "1:7 An escape here names no character."),
        (" " * 140_000, "1:1 The file is larger than 128 KiB: move scripts into files."),
        ("a:\n\tb: 1", "2:1 This is not valid YAML (found character '\\t' that cannot start any token): indent with"),
        ("a: b: c", "1:5 This is not valid YAML (mapping values are not allowed here): put text that holds `: ` in"),
        ("a: [1\nb: 2", "2:2 This is not valid YAML (expected ',' or ']', but got ':'): a bracket is not closed"),
    ],
)
def test_t105_what_is_no_yaml_is_told_at_its_place(text: str, problem: str) -> None:
    assert only(text).startswith(problem)


def test_t105_aliases_may_not_make_nesting_deeper_than_what_is_written() -> None:
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40))
    assert "nested deeper" in only(text)


def test_t105_the_budget_of_aliases_counts_text_and_nodes() -> None:
    repeats = composing.MAX_WEIGHT // 10_000
    text = f"a: &a '{'x' * 10_000}'\nb: [{','.join(['*a'] * repeats)}]"
    assert "Aliases (`*name`) make the file too large" in only(text)


_WORDS = st.sampled_from(
    [
        *"-[]{},|>'\"&*!%#?:~1\t\\\r\n ",
        "on: ",
        "push",
        "jobs:",
        "a:",
        "steps:",
        "run: ",
        "\n  ",
        "${{",
        "}}",
        "<<:",
        "true",
        "if: ",
        "matrix: ",
        "${{ github.sha }}",
        "${{ env.A }}",
    ]
)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=200), st.lists(_WORDS, max_size=60).map("".join), st.binary(max_size=200)))
def test_t105_no_text_whatever_raises_anything(text: str | bytes) -> None:
    parsed = parse(text)
    assert (parsed.pipeline is None) == bool(parsed.problems)


@settings(max_examples=200)
@given(st.lists(_WORDS, max_size=60).map(" ".join))
def test_t111_a_file_of_yaml_words_gives_text_only(text: str) -> None:
    parsed = parse(text)
    if parsed.pipeline is not None:
        for job in parsed.pipeline.jobs:
            assert all(
                type(value) is str for step in job.plan.steps for value in (step.name, step.run, *step.env.values())
            )


_KEYS = st.sampled_from(
    [*vocabulary.PIPELINE.known, *vocabulary.JOB.known, *vocabulary.STEP.known, "push", "matrix", "a"]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 400),
    st.sampled_from(["push", "make", "a", "${{ github.sha }}", "${{ matrix.a }}", "always()", "**", "!", "{0}", "a/b"]),
    st.text(max_size=8),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=20,
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(vocabulary.PIPELINE.known), _VALUES, max_size=4),
    st.dictionaries(st.sampled_from(vocabulary.JOB.known), _VALUES, max_size=5),
    st.dictionaries(st.sampled_from(vocabulary.STEP.known), _VALUES, max_size=5),
)
def test_t105_whatever_stands_under_known_keys_gives_a_plan_or_precise_problems(
    top: dict[str, object], one: dict[str, object], step: dict[str, object]
) -> None:
    file = {"on": "push", **top}
    file["jobs"] = {"a": {"steps": [{"run": "make", **step}], **one}}
    parsed = parse(json.dumps(file))
    assert (parsed.pipeline is None) == bool(parsed.problems)
    for problem in parsed.problems:
        assert (problem.line, problem.column) > (0, 0)
        assert problem.text.isprintable()
    if parsed.pipeline is not None:
        made = plan.make(parsed.pipeline, plan.Facts(event="push", ref="refs/heads/a"), {"github": {}, "inputs": {}})
        assert made.problem is not None or made.reason is not None or made.jobs
        plan.digest(made)
