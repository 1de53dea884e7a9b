"""Expressions in a pipeline file: where they may stand, what they may name, and what may never become a script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipelines.document import Pipeline
from bot.pipelines.parse import parse


def good(text: str) -> Pipeline:
    parsed = parse(text)
    assert parsed.problems == ()
    assert parsed.pipeline is not None
    return parsed.pipeline


def only(text: str) -> str:
    parsed = parse(text)
    (problem,) = parsed.problems
    return f"{problem.line}:{problem.column} {problem.text}"


def one_job(step: str = "run: make", *, top: str = "on: push", extra: str = "") -> str:
    return f"{top}\njobs:\n  test:\n{extra}    steps:\n      - {step}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # What is no expression, at its place.
        (one_job("run: echo ${{ github.sha"), "5:14 An expression is not closed: write `}}` behind it."),
        (one_job("run: echo ${{ }}"), "5:14 The expression is empty."),
        (
            one_job("run: echo ${{ github.sha = 'a' }}"),
            "5:34 `=` alone means nothing: write `==`.",
        ),
        (
            one_job('run: |\n          true\n          echo ${{ github.sha == "a" }}'),
            "7:34 Text in an expression stands in single quotes: write 'text'.",
        ),
        # Names that are not known where they stand.
        (
            one_job("run: echo ${{ vars.A }}"),
            "5:23 `vars` is not supported: there are no variables of a repository here: write the value in `env`.",
        ),
        (one_job("run: echo ${{ gihub.sha }}"), "5:23 `gihub` is not a context. Did you mean `github`?"),
        (
            one_job("run: a", extra="    if: matrix.os == 'linux'\n"),
            "4:9 `matrix` is not known in `if` of a job: `github`, `inputs`, `needs` are.",
        ),
        (
            one_job("run: a", extra="    if: github.ref == main\n"),
            "4:9 `main` is not a context. Known in `if` of a job: `github`, `inputs`, `needs`. Text needs",
        ),
        (
            one_job("run: a\n        if: secrets.A != ''"),
            "6:13 `secrets` is not known in `if` of a step: `env`, `github`, `inputs`, `job`, `matrix`, `needs`,"
            " `runner`, `steps`, `strategy` are.",
        ),
        (
            one_job("run: a", top="on: push\nconcurrency: ${{ env.A }}"),
            "2:18 `env` is not known in `concurrency`: `github`, `inputs` are.",
        ),
        (
            one_job("run: a", extra="    strategy: {matrix: {a: ['${{ needs.b.outputs.c }}']}}\n"),
            "4:34 `needs` is not known in `strategy`: `github`, `inputs` are.",
        ),
        (one_job("run: a\n        if: alwys()"), "6:13 `alwys` is not a function. Did you mean `always`?"),
        (one_job("run: echo ${{ success() }}"), "5:23 `success` can only be called in `if`."),
        # What is needed, and steps.
        (
            "on: push\njobs:\n  build: {steps: [run: a]}\n  test:\n    env: {A: '${{ needs.Build.result }}'}\n"
            "    steps: [run: a]\n",
            "5:19 `needs.build` is not known in `test`: add `build` to `needs`.",
        ),
        (
            "on: push\njobs:\n  build: {steps: [run: a]}\n  test:\n    needs: build\n"
            "    if: needs.biuld.outputs.a == 'b'\n    steps: [run: a]\n",
            "6:9 `needs.biuld` is not known in `test`: it needs no such job. Did you mean `build`?",
        ),
        (
            one_job("{run: a, id: build}\n      - {run: b, if: steps.buid.outcome == 'success'}"),
            "6:22 `steps.buid` is no step of `test`. Did you mean `build`?",
        ),
        (
            one_job("{run: b, if: steps.build.outcome == 'success'}"),
            "5:22 `steps.build` is no step of `test`. Give that step `id: build`.",
        ),
        # Keys that take none.
        (one_job("run: a", top="on: push\nname: a ${{ github.ref }}"), "2:9 `name` cannot hold an expression: "),
        (one_job("run: a\n        shell: ${{ github.ref }}"), "6:16 `shell` cannot hold an expression: "),
        (one_job("run: a", extra="    needs: ${{ github.ref }}\n"), "4:12 `needs` cannot hold an expression: "),
        (
            one_job("run: a", extra="    if: ${{ github.ref }} == 'a'\n"),
            "4:9 `if` has to be one expression: write all of it inside of `${{ }}`, or none of it.",
        ),
        (
            one_job("run: a", extra="    if:\n"),
            "4:5 `if` has to be an expression, e.g. `github.ref == 'refs/heads/main'`.",
        ),
        (one_job("run: a\n        id: 1a"), "6:13 `1a` cannot be an id: use letters, digits, `-` and `_`, a letter or"),
        (
            one_job("{run: a, id: x}\n      - {run: a, id: X}"),
            "6:9 The step in line 5 has the id `x` too: choose another.",
        ),
        (
            one_job("run: a\n        shell: fish"),
            "6:16 `fish` is not a shell. Did you mean `sh`? Any other program needs `{0}`",
        ),
        (
            one_job("run: a\n        shell: cmd"),
            "6:16 `cmd` is a shell of Windows, and builds run on Linux: use `bash`",
        ),
        (one_job("run: a", extra="    outputs: {a b: c}\n"), "4:15 `a b` cannot name an output: "),
    ],
)
def test_each_mistake_is_told_at_its_place_with_what_to_write(text: str, problem: str) -> None:
    assert only(text).startswith(problem)


@pytest.mark.parametrize(
    ("script", "extra", "place", "advice"),
    [
        (
            "echo ${{ github.head_ref }}",
            "",
            "5:19",
            "`github.head_ref` comes from outside, and would become a part of the script: write"
            ' `HEAD_REF: ${{ github.head_ref }}` under `env` of the step, and `"$HEAD_REF"` here.',
        ),
        (
            "echo '${{ github.event.pull_request.title }}'",
            "",
            "5:20",
            'write `TITLE: ${{ github.event.pull_request.title }}` under `env` of the step, and `"$TITLE"` here.',
        ),
        ("echo ${{ format('{0}', github.ref_name) }}", "", "5:19", "`github.ref_name` comes from outside"),
        ("echo ${{ toJSON(github) }}", "", "5:19", "`github` comes from outside"),
        ("echo ${{ secrets.TOKEN }}", "", "5:19", "`secrets.token` is a secret, and would become a part of the script"),
        ("echo ${{ env.NAME }}", "    env: {NAME: '${{ github.head_ref }}'}\n", "6:19", 'write `"$NAME"` instead.'),
        ("echo ${{ env.WHAT }}", "", "5:19", "`env.what` may hold anything"),
        (
            "echo ${{ matrix.a }}",
            "    strategy: {matrix: {a: ['${{ github.head_ref }}']}}\n",
            "6:19",
            "`matrix.a` comes from outside",
        ),
        (
            "echo ${{ matrix.b }}",
            "    strategy: {matrix: {a: [1], include: [{b: '${{ github.head_ref }}'}]}}\n",
            "6:19",
            "`matrix.b` comes from outside",
        ),
        (
            "echo ${{ matrix.a }}",
            "    strategy: {matrix: '${{ fromJSON(github.event.pull_request.body) }}'}\n",
            "6:19",
            "`matrix.a` comes from outside",
        ),
        ("echo ${{ matrix }}", "    strategy: {matrix: {a: ['${{ github.head_ref }}']}}\n", "6:19", "`matrix` comes"),
    ],
)
def test_t33_t111_what_comes_from_outside_never_becomes_a_part_of_a_script(
    script: str, extra: str, place: str, advice: str
) -> None:
    problem = only(one_job(f"run: {script}", extra=extra))
    assert problem.startswith(f"{place} ")
    assert advice in problem


def test_t33_the_way_that_the_message_shows_is_taken() -> None:
    text = one_job('run: echo "$HEAD_REF"\n        env: {HEAD_REF: "${{ github.head_ref }}"}')
    assert good(text).jobs[0].plan.steps[0].env == {"HEAD_REF": "${{ github.head_ref }}"}


@pytest.mark.parametrize(
    ("script", "extra"),
    [
        ("echo ${{ github.sha }}", ""),
        ("echo ${{ github.event_name == 'push' && 'a' || 'b' }}", ""),
        ("echo ${{ env.NAME }}", "    env: {NAME: fixed}\n"),
        ("echo ${{ env.NAME }}", "    env: {NAME: '${{ github.sha }}'}\n"),
        ("echo ${{ matrix.a }}", "    strategy: {matrix: {a: [1, 2]}}\n"),
        ("echo ${{ hashFiles('**/poetry.lock') }}", ""),
        ("echo ${{ contains(github.event.pull_request.title, 'wip') }}", ""),
    ],
)
def test_t33_what_the_file_says_itself_may_stand_in_a_script(script: str, extra: str) -> None:
    assert script in good(one_job(f"run: {script}", extra=extra)).jobs[0].plan.steps[0].run


def test_t33_a_variable_that_is_made_of_another_is_followed() -> None:
    chain = "env: {A: '${{ github.head_ref }}'}"
    text = one_job("run: echo ${{ env.B }}\n        env: {B: '${{ env.A }}'}", extra=f"    {chain}\n")
    assert "`env.b` may hold anything" in only(text)


_SAFE = "github.sha", "github.run_id", "runner.os", "'a'"
_OUTSIDE = "github.head_ref", "github.event.head_commit.message", "inputs.x", "secrets.A", "env.A"


@st.composite
def _built(draw: st.DrawFn, depth: int = 3) -> tuple[str, bool]:
    """An expression, and whether its value holds something from outside."""
    if depth == 0:
        is_outside = draw(st.booleans())
        return draw(st.sampled_from(_OUTSIDE if is_outside else _SAFE)), is_outside
    left, is_left = draw(_built(depth=depth - 1))
    right, is_right = draw(_built(depth=depth - 1))
    match draw(st.integers(0, 5)):
        case 0:
            return f"format('{{0}}{{1}}', {left}, {right})", is_left or is_right
        case 1:
            return f"({left} || {right})", is_left or is_right
        case 2:
            return f"({left} && {right})", is_right
        case 3:
            return f"({left} == {right})", False
        case 4:
            return f"toJSON({left})", is_left
        case _:
            return f"contains({left}, {right})", False


@given(_built())
def test_t33_t111_whatever_is_built_from_it_is_refused_and_nothing_else(built: tuple[str, bool]) -> None:
    text, is_outside = built
    assert bool(parse(one_job(f'run: echo "${{{{ {text} }}}}"').replace("\\", "\\\\")).problems) == is_outside


@pytest.mark.parametrize("script", ["echo $(( 1 + 2 ))", "echo ${A}", "echo $ {{ a }}", "echo {{ a }}", "echo }}"])
def test_what_only_looks_like_an_expression_is_text(script: str) -> None:
    assert good(one_job(f"run: '{script}'")).jobs[0].plan.steps[0].run == script
