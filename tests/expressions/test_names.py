"""What an expression may name where it stands, and what comes from outside; each mistake with what to write instead.

https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#context-availability
"""

from __future__ import annotations

import pytest

from bot.expressions import names, origins, syntax


@pytest.mark.parametrize(
    ("place", "known", "functions"),
    [
        (names.TOP_ENV, "github inputs secrets", ""),
        (names.GROUP, "github inputs", ""),
        (names.MATRIX, "github inputs", ""),
        (names.JOB, "github inputs matrix strategy", ""),
        (names.JOB_IF, "github inputs needs", "always cancelled failure success"),
        (names.JOB_ENV, "github inputs matrix needs secrets strategy", ""),
        (names.OUTPUTS, "env github inputs job matrix needs runner secrets steps strategy", ""),
        (names.STEP, "env github inputs job matrix needs runner secrets steps strategy", "hashfiles"),
        (names.STEP_NAME, "github inputs matrix strategy", ""),
        (
            names.STEP_IF,
            "env github inputs job matrix needs runner steps strategy",
            "always cancelled failure hashfiles success",
        ),
        (names.CACHE, "env github inputs matrix needs runner strategy", "hashfiles"),
    ],
    ids=lambda one: one.name if isinstance(one, names.Place) else "",
)
def test_each_place_knows_what_is_known_there(place: names.Place, known: str, functions: str) -> None:
    assert place.contexts == set(known.split())
    assert place.functions == set(functions.split())
    for context in names.CONTEXTS:
        assert (names.problem(("name", context), place) is None) == (context in place.contexts)
    for function in names.STATUS | {"hashfiles"}:
        arguments = [("value", "a")] if function == "hashfiles" else []
        assert (names.problem(("call", function, *arguments), place) is None) == (function in place.functions)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        (
            "needs.a.result",
            names.JOB,
            "`needs` is not known in a job: `github`, `inputs`, `matrix`, `strategy` are.",
        ),
        ("secrets.A", names.STEP_IF, "`secrets` is not known in `if` of a step: "),
        ("matrix.os", names.JOB_IF, "`matrix` is not known in `if` of a job: `github`, `inputs`, `needs` are."),
        (
            "vars.A",
            names.STEP,
            "`vars` is not supported: there are no variables of a repository here: write the value in `env`.",
        ),
        (
            "jobs.a.result",
            names.STEP,
            "`jobs` is not supported: it is for reusable workflows, which there are not here.",
        ),
        ("githb.ref", names.STEP, "`githb` is not a context. Did you mean `github`?"),
        (
            "main",
            names.JOB_IF,
            "`main` is not a context. Known in `if` of a job: `github`, `inputs`, `needs`. Text needs",
        ),
        ("always", names.STEP_IF, "`always` is a function: write `always()`."),
        ("alway()", names.STEP_IF, "`alway` is not a function. Did you mean `always`?"),
        ("toUpper('a')", names.STEP, "`toupper` is not a function. Known: `contains`, `startsWith`, `endsWith`, "),
        ("success()", names.STEP, "`success` can only be called in `if`."),
        ("hashFiles('a')", names.JOB, "`hashFiles` can only be called in a step, or in `cache`."),
        ("contains('a')", names.STEP, "`contains` takes 2 arguments, not 1."),
        ("join()", names.STEP, "`join` takes 1 or 2 arguments, not 0."),
        ("format()", names.STEP, "`format` takes at least 1 argument, not 0."),
        ("toJSON(1, 2)", names.STEP, "`toJSON` takes 1 argument, not 2."),
        ("always(1)", names.STEP_IF, "`always` takes 0 arguments, not 1."),
        ("a" * 300, names.STEP, f"`{'a' * 40}` is not a context. "),
        ("github.event[needs.a]", names.JOB, "`needs` is not known in a job: "),
        ("format('{0}', vars.a)", names.JOB, "`vars` is not supported: "),
    ],
)
def test_a_wrong_name_is_told_with_what_to_write(text: str, place: names.Place, problem: str) -> None:
    assert (names.problem(syntax.parse(text), place) or "").startswith(problem)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("steps.Build.outputs.tag", ["steps.build.outputs.tag"]),
        ("steps['build'].outputs[matrix.os]", ["steps.build.outputs.*", "matrix.os"]),
        ("needs.*.result", ["needs.*.result"]),
        ("contains(needs.a.result, github.ref) && !steps.b", ["needs.a.result", "github.ref", "steps.b"]),
        ("fromJSON(needs.a.outputs.b).c", ["needs.a.outputs.b"]),
        ("'a'", []),
    ],
)
def test_the_ways_that_an_expression_names(text: str, paths: list[str]) -> None:
    assert [".".join(path) for path in names.paths(syntax.parse(text))] == paths


@pytest.mark.parametrize(
    "text",
    [
        "github.sha",
        "github.run_id",
        "github.actor",
        "github.repository",
        "github.event.number",
        "github.event.pull_request.head.sha",
        "github['sha']",
        "runner.os",
        "strategy.job-index",
        "needs.a.result",
        "steps.a.outcome",
        "github.ref == 'refs/heads/main'",
        "contains(github.event.pull_request.title, 'wip')",
        "!github.head_ref",
        "github.head_ref && 'pull' || 'push'",
        "startsWith(github.ref, 'refs/tags/')",
        "format('{0}', github.sha)",
        "'text'",
        "1",
    ],
)
def test_t33_what_nobody_outside_can_write_may_stand_in_a_script(text: str) -> None:
    assert origins.outside(syntax.parse(text), of=lambda _: False) is None


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("github.head_ref", "github.head_ref"),
        ("github.ref", "github.ref"),
        ("github.ref_name", "github.ref_name"),
        ("github.base_ref", "github.base_ref"),
        ("github.event.pull_request.title", "github.event.pull_request.title"),
        ("github.event.pull_request.body", "github.event.pull_request.body"),
        ("github.event.head_commit.message", "github.event.head_commit.message"),
        ("github.event['head_commit']['message']", "github.event.head_commit.message"),
        ("github.event.pull_request.head.ref", "github.event.pull_request.head.ref"),
        ("github.event.pull_request.labels.*.name", "github.event.pull_request.labels.*.name"),
        ("github.event.issue.title", "github.event.issue.title"),
        ("github.event", "github.event"),
        ("toJSON(github)", "github"),
        ("github.*", "github.*"),
        ("github[format('{0}', 'sha')]", "github.*"),
        ("format('{0}', github.head_ref)", "github.head_ref"),
        ("join(github.event.pull_request.labels.*.name)", "github.event.pull_request.labels.*.name"),
        ("fromJSON(github.event.pull_request.body).a", "github.event.pull_request.body"),
        ("github.sha || github.head_ref", "github.head_ref"),
        ("true && github.head_ref", "github.head_ref"),
        ("(github.head_ref)", "github.head_ref"),
        ("steps.a.outputs.b", "steps.a.outputs.b"),
        ("needs.a.outputs.b", "needs.a.outputs.b"),
        ("needs.*.outputs", "needs.*.outputs"),
        ("inputs.a", "inputs.a"),
        ("secrets.A", "secrets.a"),
    ],
)
def test_t33_what_others_can_write_is_found_whatever_is_built_from_it(text: str, way: str) -> None:
    found = origins.outside(syntax.parse(text), of=lambda _: False)
    assert found is not None
    assert origins.shown(found) == way


def test_t33_what_env_and_matrix_hold_is_asked() -> None:
    for text in ("env.A", "matrix.a", "format('{0}', matrix['a'])"):
        assert origins.outside(syntax.parse(text), of=lambda _: False) is None
        assert origins.outside(syntax.parse(text), of=lambda _: True) is not None
