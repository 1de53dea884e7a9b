"""Workflows of GitHub Actions become pipeline files: what is the same stays, and what cannot is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.pipelines import converting, starting
from bot.pipelines.parse import parse

CORPUS = Path(__file__).parent.parent.parent / "fixtures" / "pipelines"
URL = "https://ci.example.org/schema.json"


def convert(text: str) -> converting.Converted:
    return converting.convert(text, path="ci.yml", schema_url=URL)


def remarks(made: converting.Converted) -> list[str]:
    return [f"{one.line} {one.text}" for one in made.remarks]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yml")), ids=lambda path: path.stem)
def test_what_both_know_means_the_same_behind_it(path: Path) -> None:
    text = path.read_text()
    made = convert(text)
    assert made.text is not None
    before, after = parse(text), parse(made.text)
    assert after.problems == ()
    if not made.remarks:
        assert before.pipeline is not None
        assert after.pipeline is not None
        assert [one.plan.key for one in before.pipeline.jobs] == [one.plan.key for one in after.pipeline.jobs]
        assert before.pipeline.on == after.pipeline.on


WORKFLOW = """\
name: CI
on:
  push:
    branches: [main]
  pull_request:
    types: [opened, synchronize, closed]
  release:
    types: [published]
  workflow_call:
permissions:
  contents: read
jobs:
  # The tests.
  test:
    runs-on: ubuntu-latest
    permissions: read-all
    strategy:
      matrix:
        python: ['3.12', '3.13']  # as CPython supports
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - uses: actions/cache@v4
        with:
          path: ~/.cache/pip
          key: pip-${{ hashFiles('**/requirements.txt') }}
      - run: pytest  # all of them
      - name: Say which
        run: echo "Branch ${{ github.head_ref }} of ${{ github.sha }}"
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: report-${{ matrix.python }}
          path: report.xml
  shared:
    uses: octo/hello/.github/workflows/a.yml@v1
  deploy:
    needs: [test, shared]
    runs-on: ubuntu-latest
    steps:
      - uses: octo/deploy@v1
"""


def test_a_whole_workflow_is_converted_and_each_change_told() -> None:
    made = convert(WORKFLOW)
    assert made.text is not None
    assert remarks(made) == [
        "6 Types that change nothing that is built were left out.",
        "7 The event `release` was left out: it builds nothing here.",
        "9 The event `workflow_call` was left out: it builds nothing here.",
        "10 `permissions` was left out of the pipeline: delete it, builds get no token of GitHub.",
        "16 `permissions` was left out of a job: delete it, builds get no token of GitHub.",
        "21 `actions/checkout` was left out: the code is checked out already, with its history.",
        "22 `actions/setup-python@v5` was left out: use what the machine has, or install it in `run`.",
        "25 `actions/cache` became `cache` of the job.",
        "31 What comes from outside is a variable now: `${HEAD_REF}`. Look at the quotes around it.",
        "32 `actions/upload-artifact` became `artifacts` of the job.",
        "37 The job `shared` was left out: it is a reusable workflow, write its steps out.",
        "39 The job `deploy` has no step left: write what it runs.",
        "40 Jobs that were left out were taken out of `needs`.",
        "43 `octo/deploy@v1` was left out: actions cannot run here: write its commands in `run`.",
    ]
    assert made.text.startswith(f"# yaml-language-server: $schema={URL}\n")
    for kept in ("# The tests.", "# as CPython supports", "# all of them", "python: ['3.12', '3.13']"):
        assert kept in made.text
    parsed = parse(made.text)
    # The name of an artifact that holds an expression is the one thing that is left to do.
    assert [one.text for one in parsed.problems] == [
        "The artifact's `name` cannot hold an expression: write `report-${{ matrix.python }}` out."
    ]
    mended = parse(made.text.replace("report-${{ matrix.python }}", "report"))
    assert mended.pipeline is not None, mended.problems
    test, deploy = (one.plan for one in mended.pipeline.jobs)
    assert [step.run for step in test.steps] == ["pytest", 'echo "Branch ${HEAD_REF} of ${{ github.sha }}"']
    assert test.steps[1].env == {"HEAD_REF": "${{ github.head_ref }}"}
    assert test.caches[0].key == "pip-${{ hashFiles('**/requirements.txt') }}"
    assert deploy.needs == ("test",)


def test_events_that_are_words_are_converted_too() -> None:
    made = convert("on: [push, release]\njobs: {a: {runs-on: x, steps: [run: a]}}\n")
    assert remarks(made) == ["1 The event `release` was left out: it builds nothing here."]
    assert parse(made.text or "").problems == ()
    assert parse(convert("on: release\njobs: {a: {runs-on: x, steps: [run: a]}}\n").text or "").problems == ()


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("", "1 The workflow has to be a mapping of keys and values."),
        ("[a]", "1 The workflow has to be a mapping of keys and values."),
        ("a: b: c", "1 This is not valid YAML (mapping values are not allowed here): put text that holds"),
        ("a: &a [*a]", "1 `*a` stands inside of what it names."),
        ("a: !!python/object/apply:os.system [id]", "1 YAML tags (`!…`) are not supported: delete the tag"),
        ("a: 1\na: 2", "2 `a` stands here a second time"),
    ],
)
def test_t105_what_cannot_be_read_is_told_and_nothing_is_made(text: str, remark: str) -> None:
    made = convert(text)
    assert made.text is None
    assert remarks(made)[0].startswith(remark)


_VALUES = st.recursive(
    st.sampled_from(["null", "a", "'${{ github.ref }}'", "1", "true", "push", "x@v1"]),
    lambda one: st.one_of(
        st.lists(one, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(
            st.sampled_from(
                ["on", "jobs", "a", "steps", "uses", "with", "run", "env", "needs", "types", "push", "path"]
            ),
            one,
            max_size=3,
        ).map(lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"),
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(_VALUES, _VALUES, _VALUES)
def test_t105_no_workflow_whatever_raises_anything(on: str, job: str, step: str) -> None:
    convert(f"on: {on}\njobs:\n  a: {job}\n  b:\n    steps: [{step}, {{run: a}}]\n    needs: a\n")


@pytest.mark.parametrize(
    ("names", "contents", "commands"),
    [
        (["pyproject.toml"], {}, {"python": ".venv/bin/python -m pytest"}),
        (["pyproject.toml", "uv.lock"], {}, {"python": "uv run pytest"}),
        (["pyproject.toml"], {"pyproject.toml": "[tool.tox]\n"}, {"python": ".venv/bin/tox"}),
        (["tox.ini", "setup.py"], {}, {"python": ".venv/bin/tox"}),
        (["noxfile.py", "pyproject.toml"], {}, {"python": ".venv/bin/nox"}),
        (["requirements.txt"], {}, {"python": ".venv/bin/pip install -r requirements.txt"}),
        (["package.json"], {"package.json": '{"scripts": {"test": "jest"}}'}, {"node": "npm run test"}),
        (["package.json", "pnpm-lock.yaml"], {"package.json": "{}"}, {"node": "pnpm install --frozen-lockfile"}),
        (["package.json", "yarn.lock"], {"package.json": "no JSON"}, {"node": "yarn install --frozen-lockfile"}),
        (["package.json", "package-lock.json"], {"package.json": "[]"}, {"node": "npm ci"}),
        (["go.mod"], {}, {"go": "go test ./..."}),
        (["Cargo.toml"], {}, {"rust": "cargo test --locked"}),
        (["pom.xml"], {}, {"maven": "mvn --batch-mode verify"}),
        (["build.gradle", "gradlew"], {}, {"gradle": "./gradlew build"}),
        (["build.gradle.kts"], {}, {"gradle": "gradle build"}),
        (["CMakeLists.txt"], {}, {"cmake": "ctest --test-dir build"}),
        (["Makefile"], {"Makefile": "all:\n\ttrue\ncheck: all\n"}, {"make": "make check"}),
        (["Makefile"], {"Makefile": "all:\n\ttrue\n"}, {}),
        (["README.md"], {}, {}),
        (["go.mod", "package.json"], {}, {"node": "npm install", "go": "go vet ./..."}),
    ],
)
def test_a_first_file_goes_by_what_is_there(
    names: list[str], contents: dict[str, str], commands: dict[str, str]
) -> None:
    jobs = starting.detect(names, contents)
    assert {one.key for one in jobs} == set(commands)
    assert all(commands[one.key] in one.commands for one in jobs)
    text = starting.text(jobs, schema_url=URL)
    assert text.startswith(f"# yaml-language-server: $schema={URL}\n")
    parsed = parse(text)
    assert parsed.pipeline is not None, parsed.problems
    assert [one.plan.key for one in parsed.pipeline.jobs] == [one.key for one in jobs] or not jobs
    if jobs:
        assert [step.run for one in parsed.pipeline.jobs for step in one.plan.steps] == [
            command for one in jobs for command in one.commands
        ]
