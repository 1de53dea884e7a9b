"""Matrices: what GitHub's documentation says they expand to, and that they are counted before anything is made.

https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
"""

from __future__ import annotations

import itertools
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import job
from bot.pipelines import matrix, plan
from bot.pipelines.document import Matrix
from bot.pipelines.parse import parse

_PUSH = plan.Facts(event="push", ref="refs/heads/main")


def file(strategy: str, *, extra: str = "") -> str:
    """A file with one job `test` of this strategy."""
    return f"on: push\njobs:\n  test:\n{extra}    strategy:\n{strategy}\n    steps: [run: make]\n"


def made(strategy: str, *, payload: Any = None, extra: str = "") -> plan.Plan:
    """The plan of a push of that file."""
    parsed = parse(file(strategy, extra=extra))
    assert parsed.pipeline is not None, parsed.problems
    return plan.make(parsed.pipeline, _PUSH, {"github": {"event": payload or {}}, "inputs": {}})


def jobs(strategy: str, **given_more: Any) -> tuple[job.Plan, ...]:
    found = made(strategy, **given_more)
    assert found.problem is None, found.problem
    return found.jobs


def values(strategy: str, **given_more: Any) -> list[dict[str, Any]]:
    return [dict(one.matrix) for one in jobs(strategy, **given_more)]


def problem(strategy: str, **given_more: Any) -> str:
    """Why there are no jobs: told by the file alone, or else once the event is known."""
    parsed = parse(file(strategy, extra=given_more.get("extra", "")))
    if parsed.pipeline is None:
        (one,) = parsed.problems
        return one.text
    found = made(strategy, **given_more)
    assert found.problem is not None
    assert found.jobs == ()
    return found.problem.text


def test_the_jobs_of_a_matrix_of_two_names_in_their_order() -> None:
    assert values("      matrix:\n        version: [10, 12, 14]\n        os: [ubuntu-latest, windows-latest]") == [
        {"version": 10, "os": "ubuntu-latest"},
        {"version": 10, "os": "windows-latest"},
        {"version": 12, "os": "ubuntu-latest"},
        {"version": 12, "os": "windows-latest"},
        {"version": 14, "os": "ubuntu-latest"},
        {"version": 14, "os": "windows-latest"},
    ]


def test_the_example_of_include_in_githubs_documentation() -> None:
    strategy = """\
      matrix:
        fruit: [apple, pear]
        animal: [cat, dog]
        include:
          - color: green
          - color: pink
            animal: cat
          - fruit: apple
            shape: circle
          - fruit: banana
          - fruit: banana
            animal: cat
"""
    assert values(strategy) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_the_example_of_expanding_configurations() -> None:
    strategy = """\
      matrix:
        os: [windows-latest, ubuntu-latest]
        node: [14, 16]
        include:
          - os: windows-latest
            node: 16
            npm: 6
"""
    assert values(strategy) == [
        {"os": "windows-latest", "node": 14},
        {"os": "windows-latest", "node": 16, "npm": 6},
        {"os": "ubuntu-latest", "node": 14},
        {"os": "ubuntu-latest", "node": 16},
    ]


def test_the_example_of_adding_configurations() -> None:
    strategy = """\
      matrix:
        os: [macos-latest, windows-latest, ubuntu-latest]
        version: [12, 14, 16]
        include:
          - os: windows-latest
            version: 17
"""
    found = values(strategy)
    assert len(found) == 10
    assert found[-1] == {"os": "windows-latest", "version": 17}


def test_a_matrix_of_include_alone() -> None:
    strategy = """\
      matrix:
        include:
          - site: production
            datacenter: site-a
          - site: staging
            datacenter: site-b
"""
    assert values(strategy) == [
        {"site": "production", "datacenter": "site-a"},
        {"site": "staging", "datacenter": "site-b"},
    ]


def test_the_example_of_exclude() -> None:
    strategy = """\
      matrix:
        os: [macos-latest, windows-latest]
        version: [12, 14, 16]
        environment: [staging, production]
        exclude:
          - os: macos-latest
            version: 12
            environment: production
          - os: windows-latest
            version: 16
"""
    found = values(strategy)
    # The documentation: twelve, less one, less two.
    assert len(found) == 9
    assert {"os": "macos-latest", "version": 12, "environment": "production"} not in found
    assert not any(one["os"] == "windows-latest" and one["version"] == 16 for one in found)


def test_include_comes_after_exclude_and_brings_back() -> None:
    strategy = "      matrix: {a: [1, 2], exclude: [{a: 1}], include: [{a: 1, b: x}]}"
    assert values(strategy) == [{"a": 2}, {"a": 1, "b": "x"}]


def test_values_keep_their_kind() -> None:
    (one,) = jobs("      matrix: {a: [{b: [1, null, true, '1', x]}]}")
    assert one.matrix == {"a": {"b": [1.0, None, True, "1", "x"]}}
    assert values("      matrix: {a: [1, '1', true], exclude: [{a: true}]}") == [{"a": 1}, {"a": "1"}]


def test_names_tell_the_jobs_apart() -> None:
    strategy = "      matrix: {python: ['3.12', '3.13'], os: [linux]}"
    assert [(one.key, one.name, one.id) for one in jobs(strategy)] == [
        ("test (3.12, linux)", "test (3.12, linux)", "test"),
        ("test (3.13, linux)", "test (3.13, linux)", "test"),
    ]
    assert [one.name for one in jobs(strategy, extra="    name: Unit\n")] == [
        "Unit (3.12, linux)",
        "Unit (3.13, linux)",
    ]
    assert [one.name for one in jobs(strategy, extra="    name: On ${{ matrix.python }}\n")] == ["On 3.12", "On 3.13"]


def test_names_that_would_be_the_same_are_a_problem_or_numbered() -> None:
    strategy = "      matrix: {a: [1, '1']}"
    assert [one.name for one in jobs(strategy)] == ["test (1)", "test (1) #2"]
    assert problem(strategy, extra="    name: A ${{ matrix.b }}\n") == (
        "The job in line 3 has the name `A` too: checks are told apart by it."
    )


def test_the_strategy_context_and_late_keys_are_filled_in() -> None:
    strategy = "      max-parallel: ${{ fromJSON('1') }}\n      fail-fast: ${{ false }}\n      matrix: {n: [5, 6]}"
    extra = (
        "    name: ${{ strategy.job-index }} of ${{ strategy.job-total }}, ${{ matrix.n }}\n"
        "    timeout-minutes: ${{ matrix.n }}\n    continue-on-error: ${{ matrix.n == 6 }}\n"
        "    runs-on: n${{ matrix.n }}\n"
    )
    assert [
        (one.name, one.timeout_minutes, one.continue_on_error, one.runs_on, one.max_parallel, one.fail_fast)
        for one in jobs(strategy, extra=extra)
    ] == [("0 of 2, 5", 5.0, False, "n5", 1, False), ("1 of 2, 6", 6.0, True, "n6", 1, False)]


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ("    timeout-minutes: ${{ matrix.a }}\n", "`timeout-minutes` has to give a number of minutes above 0 and at"),
        ("    continue-on-error: ${{ matrix.a }}\n", "`continue-on-error` has to give `true` or `false`, not `x`."),
        ("    name: ${{ fromJSON(matrix.a) }}\n", "`name` has no value: `fromJSON` was given text that is not JSON:"),
    ],
)
def test_what_an_expression_gives_has_to_fit(extra: str, text: str) -> None:
    assert problem("      matrix: {a: [x]}", extra=extra).startswith(text)


def test_values_from_the_event() -> None:
    payload = {"text": json.dumps({"a": [1, 2], "include": [{"b": 3}]}), "list": '["x", "y"]'}
    assert values("      matrix: ${{ fromJSON(github.event.text) }}", payload=payload) == [
        {"a": 1, "b": 3},
        {"a": 2, "b": 3},
    ]
    assert values("      matrix: {a: '${{ fromJSON(github.event.list) }}'}", payload=payload) == [
        {"a": "x"},
        {"a": "y"},
    ]
    assert values("      matrix: {a: ['${{ github.event.list }}']}", payload={"list": "${{ 1 }}"}) == [
        {"a": "${{ 1 }}"}
    ]


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("      matrix: ${{ fromJSON('[]') }}", "`matrix` has to be an object: give one, e.g. by `fromJSON`."),
        ("      matrix: ${{ fromJSON('{\"a\":1}') }}", "`a` of the matrix has to be a list of values, and not empty."),
        ("      matrix: ${{ fromJSON('{\"a\":[]}') }}", "`a` of the matrix has to be a list of values, and not empty."),
        ("      matrix: {a: [1], include: '${{ null }}'}", "`include` of the matrix has to be a list of objects."),
        ("      matrix: ${{ fromJSON('x') }}", "`fromJSON` was given text that is not JSON: Expecting value: line 1"),
        (
            "      matrix: {a: [1], exclude: [{a: 1}]}",
            "The matrix has no combination left: `exclude` takes all of them",
        ),
        (
            "      max-parallel: ${{ 0 }}\n      matrix: {a: [1]}",
            "`max-parallel` has to give a whole number from 1 on.",
        ),
    ],
)
def test_a_matrix_that_makes_no_jobs_says_why(strategy: str, text: str) -> None:
    assert problem(strategy).startswith(text)


def _measured(strategy: str, **given_more: Any) -> str:
    before = time.process_time()
    tracemalloc.start()
    try:
        found = problem(strategy, **given_more)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 60 * 1024 * 1024
    assert time.process_time() - before < 5
    return found


def test_t107_a_million_combinations_are_refused_before_one_is_made() -> None:
    axes = "".join(f"        a{number}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for number in range(6))
    assert _measured(f"      matrix:\n{axes}") == "The matrix has 1000000 combinations: at most 256 jobs."


def test_t107_a_matrix_that_is_too_large_is_told_at_its_place_before_any_event() -> None:
    (one,) = parse(file(f"      matrix: {{a: {list(range(20))}, b: {list(range(20))}}}")).problems
    assert (one.line, one.column, one.text) == (5, 15, "The matrix has 400 combinations: at most 256 jobs.")


def test_t107_a_million_combinations_from_an_event_are_refused_too() -> None:
    text = json.dumps({f"a{number}": list(range(10)) for number in range(6)})
    assert (
        _measured("      matrix: ${{ fromJSON(github.event.text) }}", payload={"text": text})
        == "The matrix has 1000000 combinations: at most 256 jobs."
    )


def test_t107_many_entries_of_include_and_exclude_are_refused() -> None:
    many = json.dumps([{"a": number} for number in range(100_000)])
    assert _measured(
        "      matrix: {a: [1], exclude: '${{ fromJSON(github.event.text) }}'}", payload={"text": many}
    ) == ("`exclude` has 100000 entries: at most 1000.")
    assert _measured(
        "      matrix: {a: [1], include: '${{ fromJSON(github.event.text) }}'}", payload={"text": many}
    ) == ("The matrix has 1 combinations and 100000 under `include`: at most 256 jobs.")


def test_t107_all_matrices_together_make_at_most_256_jobs() -> None:
    one = "strategy: {matrix: {a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}"
    text = "on: push\njobs:\n" + "".join(f"  j{n}: {{{one}, steps: [run: a]}}\n" for n in range(3))
    parsed = parse(text)
    assert parsed.pipeline is not None
    found = plan.make(parsed.pipeline, _PUSH, {}).problem
    assert found is not None
    assert found.text == "The pipeline makes 300 jobs of this event: at most 256."


_VALUES = st.sampled_from([1.0, 2.0, "a", "b", True, None])
_OBJECTS = st.dictionaries(st.sampled_from("abcd"), _VALUES, max_size=3)


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(_VALUES, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(_OBJECTS, max_size=3),
    st.lists(_OBJECTS.filter(bool), max_size=3),
)
def test_a_matrix_holds_what_the_rules_say(
    axes: dict[str, list[Any]], include: list[dict[str, Any]], exclude: list[dict[str, Any]]
) -> None:
    try:
        found = matrix.expand(Matrix(axes=axes, include=tuple(include), exclude=tuple(exclude)), {})
    except matrix.MatrixProblem:
        return

    def same(left: Any, right: Any) -> bool:
        return type(left) is type(right) and bool(left == right)

    combinations = [dict(zip(axes, one, strict=True)) for one in itertools.product(*axes.values())]
    kept = [
        one
        for one in combinations
        if not any(all(name in one and same(one[name], value) for name, value in out.items()) for out in exclude)
    ]
    # Those of the names themselves stand first, with their values as they were.
    assert [{name: one[name] for name in axes} for one in found[: len(kept)]] == kept
    # Every entry of `include` is in some job, unless a later one wrote over what it had added.
    assert len(found) <= len(kept) + len(include)
    for added in found[len(kept) :]:
        assert added in include
