"""`reports` at a job: globs by kind, and words for every other thing that somebody may write."""

from __future__ import annotations

import pytest

from bot.model import build, job
from bot.pipelines import parse

FILE = "on: push\njobs:\n  test:\n    steps: [run: make test]\n    reports:\n{}"


def read(text: str) -> job.Reports | tuple[build.Problem, ...]:
    indented = "".join(f"      {line}\n" for line in text.splitlines())
    found = parse.parse(FILE.format(indented))
    return found.problems if found.pipeline is None else found.pipeline.jobs[0].plan.reports


def test_one_glob_or_a_list_of_them_for_each_kind() -> None:
    text = (
        "junit: '**/junit*.xml'\nsarif: [a.sarif, './b/*.sarif', '!b/old.sarif']\ncoverage: lcov.info\nmatchers: m.json"
    )
    assert read(text) == job.Reports(
        junit=("**/junit*.xml",),
        sarif=("a.sarif", "b/*.sarif", "!b/old.sarif"),
        coverage=("lcov.info",),
        matchers=("m.json",),
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("junit: /tmp/a.xml", 6, 14, "leads out of the repository"),
        ("junit: [a.xml, ../b.xml]", 6, 22, "$BUILDHOOK_RESULTS"),
        ("junit: 'a/../../b.xml'", 6, 14, "leads out of the repository"),
        ("junit: '[a'", 6, 14, "is no pattern"),
        ("junit: ''", 6, 14, "is empty"),
        ("junit: []", 6, 14, "is an empty list"),
        ("junit: '!a.xml'", 6, 14, "only leaves files out"),
        ("junits: a.xml", 6, 7, "Did you mean `junit`?"),
        ("lcov: a.info", 6, 7, "write `coverage`"),
        ("summary: a.md", 6, 7, "$BUILDHOOK_RESULTS/summary.md"),
        ("junit: [" + ", ".join(["a"] * 21) + "]", 6, 14, "at most 20"),
    ],
)
def test_a_mistake_is_said_at_its_place(text: str, line: int, column: int, said: str) -> None:
    problems = read(text)
    assert isinstance(problems, tuple)
    assert (problems[0].line, problems[0].column) == (line, column)
    assert said in problems[0].text
