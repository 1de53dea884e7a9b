"""`parse`: the words of GitHub Actions mean the same here, and each mistake is told at its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.model import job
from bot.pipelines import problems
from bot.pipelines.document import Concurrency, Filter, Job, Pipeline
from bot.pipelines.parse import parse

#: As sentences list them.
EVENTS = "`push`, `pull_request`, `merge_group`, `hook`, `schedule` or `workflow_dispatch`"
FULL = """\
# yaml-language-server: $schema=https://example.com/schema.json
name: hello
on:
  push:
    branches: [main, 'release/**', '!release/old']
    tags: v*
  pull_request:
    branches-ignore:
      - wip
env:
  GREETING: hello
  VERSION: 1.10
jobs:
  lint:
    runs-on: [self-hosted, linux]
    steps:
      - run: ruff check
  test:
    name: Test
    needs: lint
    env: {LEVEL: 3, STRICT: yes}
    timeout-minutes: 7.5
    steps:
      - name: install
        run: |
          pip install -e .
          pip list
        working-directory: ./a//b/../c/
      - run: >-
          pytest
          -x
        env:
          EMPTY:
"""


def one_job(step: str = "run: make", *, top: str = "on: push", extra: str = "") -> str:
    return f"{top}\njobs:\n  test:\n{extra}    steps:\n      - {step}\n"


def good(text: str) -> Pipeline:
    parsed = parse(text)
    assert parsed.problems == ()
    assert parsed.pipeline is not None
    return parsed.pipeline


def told(text: str | bytes) -> list[str]:
    """Each problem as `line:column text`."""
    parsed = parse(text)
    assert parsed.pipeline is None
    return [f"{one.line}:{one.column} {one.text}" for one in parsed.problems]


def only(text: str | bytes) -> str:
    (problem,) = told(text)
    return problem


def test_a_whole_file_is_read() -> None:
    assert good(FULL) == Pipeline(
        name="hello",
        on={
            "push": Filter(branches=("main", "release/**", "!release/old"), tags=("v*",)),
            "pull_request": Filter(branches_ignore=("wip",)),
        },
        env={"GREETING": "hello", "VERSION": "1.1"},
        jobs=(
            Job(
                plan=job.Plan(
                    key="lint",
                    name="lint",
                    steps=(job.Step(name="ruff check", run="ruff check", line=17),),
                    runs_on="self-hosted, linux",
                    line=14,
                )
            ),
            Job(
                has_name=True,
                plan=job.Plan(
                    key="test",
                    name="Test",
                    needs=("lint",),
                    env={"LEVEL": "3", "STRICT": "yes"},
                    timeout_minutes=7.5,
                    steps=(
                        job.Step(name="install", run="pip install -e .\npip list\n", working_directory="a/c", line=24),
                        job.Step(name="pytest -x", run="pytest -x", env={"EMPTY": ""}, line=29),
                    ),
                    line=18,
                ),
            ),
        ),
    )


@pytest.mark.parametrize("on", ["push", "[push]", "{push: }", "{push: {}}", '"push"', "{push: null}"])
def test_on_is_a_word_a_list_or_a_mapping(on: str) -> None:
    assert good(one_job(top=f"on: {on}")).on == {"push": Filter()}


def test_on_is_never_a_boolean() -> None:
    assert good(one_job(top="on: [push, pull_request]")).on == {"push": Filter(), "pull_request": Filter()}
    assert good(one_job(top='"on": push')).on == {"push": Filter()}
    assert "1:1 `true` is not supported in the pipeline: write `on` (some tools turn it into this word)." in told(
        one_job(top="true: push")
    )


def test_bytes_are_utf_8_with_or_without_a_byte_order_mark() -> None:
    text = one_job("run: grüße")
    assert parse(text.encode()) == parse(text) == parse(b"\xef\xbb\xbf" + text.encode())
    assert only(b"on: push\njobs: \xff") == "2:1 The file is not UTF-8: save it as UTF-8."
    assert "not UTF-8" in only(text.encode("utf-16"))


def test_signs_within_words_need_no_quotes_in_a_list() -> None:
    assert good(one_job(top="on: {push: {tags: [v1?, a:b]}}")).on == {"push": Filter(tags=("v1?", "a:b"))}


def test_windows_line_ends_are_read() -> None:
    assert good(FULL.replace("\n", "\r\n")) == good(FULL)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("hello", "hello"),
        ("1", "1"),
        ("010", "10"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("1.50", "1.5"),
        ("'1.50'", "1.50"),
        ("1e3", "1000"),
        ("1e20", "1E+20"),
        ("-0", "0"),
        ("1e999", "Infinity"),
        ("-1e999", "-Infinity"),
        ("0x" + "f" * 300, "0x" + "f" * 300),
        ("true", "true"),
        ("TRUE", "true"),
        ("False", "false"),
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("null", ""),
        ("~", ""),
        ("'null'", "null"),
        ("", ""),
        ("1_000", "1_000"),
        ("2026-03-04", "2026-03-04"),
        ("3.11.4", "3.11.4"),
        ("1:30", "1:30"),
    ],
)
def test_values_of_the_environment_are_printed_as_actions_prints_them(written: str, printed: str) -> None:
    assert good(one_job(extra=f"    env: {{A: {written}}}\n")).jobs[0].plan.env == {"A": printed}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1 The file is empty: it needs `on` and `jobs`."),
        ("# nothing\n", "1:1 The file is empty: it needs `on` and `jobs`."),
        ("- a", "1:1 The pipeline has to be a mapping of keys and values."),
        ("jobs: {a: {steps: [run: b]}}", "1:1 The pipeline has no `on`: write `on: [push, pull_request]`."),
        ("on: push", "1:1 The pipeline has no `jobs`: write `jobs:` with at least one job."),
        ("on: push\njobs: {}", "2:7 `jobs` has to be a mapping with at least one job, e.g. `test:` with its `steps`."),
        ("on: push\njobs:", "2:1 `jobs` has to be a mapping with at least one job, e.g. `test:` with its `steps`."),
        ("on: push\njobs:\n  a: 1", "3:6 A job has to be a mapping of keys and values."),
        (
            "on: push\njobs:\n  a: {}",
            "3:3 The job `a` has no `steps`: write what to run, e.g. `- run: make test`.",
        ),
        (
            "on: push\njobs:\n  a: {steps: []}",
            "3:14 `steps` has to be a list with at least one step, e.g. `- run: make test`.",
        ),
        (one_job("make"), "5:9 A step has to be a mapping: write `run:` before the command."),
        (one_job("name: a"), "5:9 A step needs `run`: the command to run."),
        (one_job("run: ''"), "5:14 `run` is empty: write something, or delete the key."),
        (one_job("run: [a]"), "5:14 `run` has to be text, not a list."),
        (one_job("run: a\n        nmae: b"), "6:9 `nmae` is not a key of a step. Did you mean `name`?"),
        (one_job(top="on: push\nname:"), "2:1 `name` is empty: write something, or delete the key."),
        (one_job(top="on: psh"), "1:5 `psh` is not an event. Did you mean `push`?"),
        (one_job(top="on: []"), "1:5 `on` is an empty list: name something, or delete the key."),
        (one_job(top="on: {}"), f"1:5 `on` names no event: write {EVENTS}."),
        (one_job(top="on: {push: {brnches: a}}"), "1:13 `brnches` is not a key of `on.push`. Did you mean `branches`?"),
        (
            one_job(top="on: {push: {branches: ['!a']}}"),
            "1:23 `on.push.branches` only leaves out: name first what to take, e.g. `'**'`, patterns with `!` come"
            " after it.",
        ),
        (
            one_job(top="on: {push: {branches: ['[a']}}"),
            "1:24 The pattern `[a` is wrong: `[` has no `]`; `\\[` takes it literally.",
        ),
        (
            one_job(top="on: {push: {tags: [a], tags-ignore: [b]}}"),
            "1:37 `tags` and `tags-ignore` exclude each other: keep `tags` and begin what to leave out with `!`.",
        ),
        (
            one_job(top="on: {push: {paths: [a], paths-ignore: [b]}}"),
            "1:39 `paths` and `paths-ignore` exclude each other: keep `paths` and begin what to leave out with `!`.",
        ),
        (
            one_job(top="on: {push: {paths: [./src/**]}}"),
            "1:20 `./src/**` in `paths` matches nothing: write the path from the repository's root, without `/` or"
            " `./` before it.",
        ),
        (
            one_job(top="on: {pull_request: {types: [opened, asigned]}}"),
            "1:37 `asigned` is not a type of `pull_request`. Known here: `edited`, `labeled`, `opened`,"
            " `ready_for_review`, `reopened` and `synchronize`.",
        ),
        (
            one_job(top="on: {pull_request: {types: closed}}"),
            "1:28 The type `closed` is not supported: a merge is built as the push that it is.",
        ),
        (
            one_job(top="on: {pull_request: {drafts: 'no'}}"),
            "1:29 `drafts` has to be `true` or `false`, without quotes.",
        ),
        (
            one_job(top="on: {pull_request: {comment: sometimes}}"),
            "1:30 `comment` has to be `true` or `false`, without quotes.",
        ),
        (
            one_job(top="on: {pull_request: {drafts: false, types: [opened]}}"),
            "1:29 With `drafts: false` a draft is built when it becomes ready: add `ready_for_review` to `types`.",
        ),
        (
            one_job(top="on: {merge_group: {paths: [a]}}"),
            "1:20 `paths` is not supported in `on.merge_group`: delete it, a merge group is tested as a whole before it"
            " is merged.",
        ),
        (
            one_job(top="on: push\nconcurrency: {cancel-in-progress: true}"),
            "2:14 `concurrency` needs `group`: a name, e.g. `group: deploy`.",
        ),
        (
            one_job(top="on: push\nconcurrency: {group: a, cancel-in-progress: yes}"),
            "2:45 `cancel-in-progress` has to be `true` or `false`, without quotes.",
        ),
        (
            one_job(top="on: push\nconcurrency: {group: a, scope: repo}"),
            "2:32 `repo` is not a scope of `concurrency`. Known here: `ref` and `repository`.",
        ),
        (
            one_job(top="on: push\nconcurrency: {group: a, queue: max}"),
            "2:25 `queue` is not supported in `concurrency`: delete it, one build of a group waits, and a newer one"
            " takes its place.",
        ),
        (one_job(top="on: push\nconcurrency: [a]"), "2:14 `concurrency` has to be a mapping of keys and values."),
        (one_job(extra="    needs: []\n"), "4:12 `needs` is an empty list: name something, or delete the key."),
        (
            one_job(extra="    timeout-minutes: 0\n"),
            "4:22 `timeout-minutes` has to be a number of minutes above 0 and at most 4320, without quotes.",
        ),
        (
            one_job("{run: a, working-directory: /etc}"),
            "5:37 `working-directory` has to be a folder of the repository: write it relative to its root.",
        ),
        (
            one_job(extra="    env: {GITHUB_SHA: a}\n"),
            "4:11 `GITHUB_SHA` is reserved: choose a name that does not begin like that.",
        ),
        (
            one_job(extra="    env: {A-B: a}\n"),
            "4:11 `A-B` cannot name an environment variable: use letters, digits and `_`, no digit first.",
        ),
        (one_job(extra="    env: {A: [1]}\n"), "4:14 The value of `A` has to be text, not a list."),
        (one_job(extra="    env: a\n"), "4:10 `env` has to be a mapping of names and values, e.g. `CI: 1`."),
        (
            one_job(extra='    name: "a\\u202Eb"\n'),
            "4:11 The job's `name` holds the invisible character U+202E: delete it.",
        ),
        (one_job(extra=f"    name: {'a' * 101}\n"), "4:11 The job's `name` has 101 characters: at most 100."),
    ],
)
def test_each_mistake_is_told_at_its_place(text: str, problem: str) -> None:
    assert only(text) == problem


def test_the_filters_of_an_event_are_read() -> None:
    on = good(
        one_job(
            top="on: {push: {paths: [src/**, '!src/a']}, merge_group: {branches: main, types: checks_requested},"
            " pull_request: {paths-ignore: docs/**, types: [opened, ready_for_review], drafts: false, comment: true}}"
        )
    ).on
    assert on == {
        "push": Filter(paths=("src/**", "!src/a")),
        "merge_group": Filter(branches=("main",), types=("checks_requested",)),
        "pull_request": Filter(
            paths_ignore=("docs/**",), types=("opened", "ready_for_review"), drafts=False, comment=True
        ),
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("deploy", Concurrency(group="deploy")),
        ("{group: deploy}", Concurrency(group="deploy")),
        ("{group: a b, cancel-in-progress: true}", Concurrency(group="a b", cancel_in_progress=True)),
        ("{group: deploy, scope: repository}", Concurrency(group="deploy", is_per_ref=False)),
        ("{group: deploy, scope: ref, cancel-in-progress: false}", Concurrency(group="deploy")),
    ],
)
def test_concurrency_is_a_name_or_a_mapping(written: str, read: Concurrency) -> None:
    assert good(one_job(top=f"on: push\nconcurrency: {written}")).concurrency == read


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("if: github.ref == 'refs/heads/main'", {"condition": "github.ref == 'refs/heads/main'"}),
        ("if: ${{ failure() }}", {"condition": "failure()"}),
        ("shell: sh", {"shell": "sh"}),
        ("shell: perl {0}", {"shell": "perl {0}"}),
        ("id: a", {"id": "a"}),
        ("continue-on-error: true", {"continue_on_error": True}),
        ("timeout-minutes: 5", {"timeout_minutes": 5.0}),
    ],
)
def test_keys_of_a_step_mean_what_they_mean_in_actions(line: str, read: dict[str, Any]) -> None:
    (step,) = good(one_job(f"run: make\n        {line}")).jobs[0].plan.steps
    assert step == replace(job.Step(name="make", run="make", line=5), **read)


def test_with_is_for_actions() -> None:
    assert only(one_job("run: make\n        with: {a: b}")) == ("6:9 `with` is not supported in a step: use `env`.")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("if: github.event_name == 'push'", {"condition": "github.event_name == 'push'"}),
        ("continue-on-error: true", {"continue_on_error": True}),
        ("outputs: {tag: v1}", {"outputs": {"tag": "v1"}}),
        ("strategy: {fail-fast: false, max-parallel: 2}", {"fail_fast": False, "max_parallel": 2}),
        ("environment: production", {"environment": "production"}),
        ("environment: {name: production}", {"environment": "production"}),
        ("container: python:3.13", {"container": job.Container(image="python:3.13")}),
        ("services: {db: {image: postgres}}", {"services": {"db": job.Container(image="postgres")}}),
        ("runs-on: {labels: [linux]}", {"runs_on": "linux"}),
    ],
)
def test_keys_of_a_job_mean_what_they_mean_in_actions(written: str, read: dict[str, Any]) -> None:
    plan = good(one_job(extra=f"    {written}\n")).jobs[0].plan
    assert replace(plan, line=1, steps=()) == replace(job.Plan(key="test", name="test", steps=()), **read)


def test_defaults_hold_for_steps_that_do_not_say_otherwise() -> None:
    text = (
        "on: push\ndefaults: {run: {shell: sh, working-directory: top}}\njobs:\n"
        "  a: {steps: [run: a, {run: b, shell: bash, working-directory: own}]}\n"
        "  b: {defaults: {run: {working-directory: job}}, steps: [run: a]}\n"
    )
    steps = [step for one in good(text).jobs for step in one.plan.steps]
    assert [(step.shell, step.working_directory) for step in steps] == [("sh", "top"), ("bash", "own"), ("sh", "job")]


@pytest.mark.parametrize("key", ["concurrency", "permissions", "with", "uses"])
def test_keys_of_actions_in_a_job_are_told(key: str) -> None:
    assert only(one_job(extra=f"    {key}: a\n")).startswith(f"4:5 `{key}` is not supported in a job: ")


@pytest.mark.parametrize("key", ["permissions", "run-name"])
def test_keys_of_actions_at_the_top_are_told(key: str) -> None:
    assert only(one_job(top=f"on: push\n{key}: a")).startswith(f"2:1 `{key}` is not supported in the pipeline: ")


@pytest.mark.parametrize("event", ["workflow_call", "pull_request_target", "release"])
def test_events_of_actions_are_told(event: str) -> None:
    assert only(one_job(top=f"on: [push, {event}]")) == f"1:12 The event `{event}` is not supported: use {EVENTS}."


@pytest.mark.parametrize(
    ("on", "problem"),
    [
        ("schedule", "1:5 `schedule` needs times: write `schedule:` with a list, e.g. `- cron: '30 5 * * 1-5'`."),
        ("{schedule: []}", "1:6 `schedule` needs times: write `schedule:` with a list, e.g. `- cron: '30 5 * * 1-5'`."),
        ("{schedule: [{cron: '* * * * *'}]}", "1:24 It comes more often than every 5 minutes"),
        ("{schedule: [{cron: '0 0 * * * *'}]}", "1:24 A `cron` has five fields"),
        ("{schedule: [{at: noon}]}", "1:17 `schedule` needs times"),
        ("{workflow_dispatch: {inputs: {a: {type: choice}}}}", "1:38 A `choice` needs `options`"),
        ("{workflow_dispatch: {inputs: {a: {type: text}}}}", "1:45 `text` is not a type of an input."),
        (
            "{workflow_dispatch: {inputs: {a: {type: boolean, default: 1}}}}",
            "1:63 The input `default` has to be `true`",
        ),
        ("{workflow_dispatch: {inputs: {a b: {}}}}", "1:35 `a b` cannot name an input"),
    ],
)
def test_times_and_inputs_that_are_none_are_told(on: str, problem: str) -> None:
    assert told(one_job(top=f"on: {on}"))[0].startswith(problem)


@pytest.mark.parametrize(
    ("uses", "problem"),
    [
        (
            "actions/setup-python@v5",
            "5:15 `uses: actions/setup-python@v5` is not supported: use what the machine has, or install it in `run`.",
        ),
        ("actions/cache@v4", "5:15 `uses: actions/cache@v4` is not supported: write `cache` in the job."),
        (
            "octo/hello@v1",
            "5:15 `uses: octo/hello@v1` is not supported, actions cannot run here: write its commands in `run`.",
        ),
    ],
)
def test_an_action_is_one_problem_with_advice(uses: str, problem: str) -> None:
    assert only(one_job(f"uses: {uses}\n        with: {{fetch-depth: 0}}")) == problem


def test_checking_the_code_out_is_taken_and_does_nothing() -> None:
    text = one_job("uses: actions/checkout@v4\n        with: {fetch-depth: 0}\n      - run: make")
    assert [step.run for step in good(text).jobs[0].plan.steps] == ["make"]
    assert only(one_job("uses: actions/checkout@v4\n        with: {ref: v1}\n      - run: make")) == (
        "6:16 `ref` is not supported in `actions/checkout`: delete it, the commit that is tested is there."
    )


def test_an_expression_in_a_script_stays_for_the_machine_that_runs_it() -> None:
    (step,) = good(one_job("run: echo ${{ github.sha }}")).jobs[0].plan.steps
    assert step.run == "echo ${{ github.sha }}"


@given(st.text(max_size=30).filter(lambda inner: "}}" not in inner))
def test_t111_nothing_of_a_file_is_evaluated_while_it_is_read(inner: str) -> None:
    for written in (f"${{{{ {inner} }}}}", f"${{{{{inner}}}}}"):
        parsed = parse(one_job(f"run: {written}"))
        assert (parsed.pipeline is None) == bool(parsed.problems)
        if parsed.pipeline is not None:
            assert "${{" in parsed.pipeline.jobs[0].plan.steps[0].run


@pytest.mark.parametrize("key", ["1a", "a b", "-a", "a.b", "ä", "a" * 101])
def test_a_job_id_is_a_word(key: str) -> None:
    assert "cannot name a job" in only(f"on: push\njobs:\n  {key}:\n    steps:\n      - run: a")


def test_words_that_older_yaml_takes_for_booleans_are_job_ids() -> None:
    jobs = "".join(f"  {key}:\n    steps: [run: a]\n" for key in ("no", "yes", "on", "off", "y", "_", "a-b_1"))
    assert [one.plan.key for one in good(f"on: push\njobs:\n{jobs}").jobs] == [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "_",
        "a-b_1",
    ]


def test_needs_that_are_no_jobs_are_told() -> None:
    text = "on: push\njobs:\n  a:\n    needs: [tests]\n    steps: [run: a]\n  test:\n    steps: [run: a]\n"
    assert only(text) == "4:12 `needs` names `tests`, which is no job. Did you mean `test`?"


def test_jobs_that_wait_for_themselves_are_told() -> None:
    steps = "steps: [run: a]"
    text = f"on: push\njobs:\n  a: {{needs: b, {steps}}}\n  b: {{needs: [c], {steps}}}\n  c: {{needs: a, {steps}}}\n"
    assert only(text) == "3:14 `a` needs `b`, which needs `c`, which needs `a`: jobs cannot wait for themselves."
    assert only(f"on: push\njobs: {{a: {{needs: a, {steps}}}}}") == (
        "2:19 `a` needs `a`: jobs cannot wait for themselves."
    )


def test_two_jobs_with_the_name_of_one_check_are_told() -> None:
    text = "on: push\njobs:\n  a: {name: b, steps: [run: a]}\n  b: {steps: [run: a]}\n"
    assert only(text) == ("4:6 The job in line 3 has the name `b` too: checks are told apart by it, so choose another.")


def test_t107_at_most_256_jobs() -> None:
    def jobs(count: int) -> str:
        return "on: push\njobs:\n" + "".join(
            f"  job{number}:\n    steps:\n      - run: make lint\n      - run: make test\n      - run: make docs\n"
            for number in range(count)
        )

    assert len(good(jobs(256)).jobs) == 256
    assert only(jobs(257).replace("      - run: make docs\n", "")) == "3:3 The pipeline has 257 jobs: at most 256."


@pytest.mark.parametrize("minutes", ["-1", "4321", "'5'", "five", "[5]", "~", ".inf", "1e9"])
def test_timeout_minutes_is_a_number_within_three_days(minutes: str) -> None:
    assert "`timeout-minutes` has to be" in only(one_job(extra=f"    timeout-minutes: {minutes}\n"))


@pytest.mark.parametrize("path", ["/", "/a", "..", "a/../..", "./../a", "a/../../b/c"])
def test_a_working_directory_stays_inside(path: str) -> None:
    assert "has to be a folder of the repository" in only(one_job(f"{{run: a, working-directory: {path}}}"))


@given(st.lists(st.sampled_from(["a", "b", "", ".", "..", "a b", "..."]), min_size=1).map("/".join))
def test_a_working_directory_is_normal_or_refused(path: str) -> None:
    parsed = parse(one_job(f"{{run: a, working-directory: '{path}'}}"))
    if parsed.pipeline is not None:
        parts = parsed.pipeline.jobs[0].plan.steps[0].working_directory.split("/")
        assert parts == ["."] or not {"", ".", ".."} & set(parts)


def test_a_step_without_a_name_bears_the_first_line_of_its_command() -> None:
    assert good(one_job('run: "\\n  make\\ttest \\nmore"')).jobs[0].plan.steps[0].name == "make test"
    assert good(one_job(f"run: {'a' * 100}")).jobs[0].plan.steps[0].name == "a" * 79 + "…"


def test_all_mistakes_are_told_together_in_the_order_of_the_file() -> None:
    assert told("on: psh\nenv: {1: a}\njobs:\n  a:\n    stpes: []\n    needs: b\n") == [
        "1:5 `psh` is not an event. Did you mean `push`?",
        "2:7 `1` cannot name an environment variable: use letters, digits and `_`, no digit first.",
        "4:3 The job `a` has no `steps`: write what to run, e.g. `- run: make test`.",
        "5:5 `stpes` is not a key of a job. Did you mean `steps`?",
        "6:12 `needs` names `b`, which is no job.",
    ]


def test_at_most_50_problems_are_told() -> None:
    parsed = parse("".join(f"key{number}: 1\n" for number in range(200)))
    assert len(parsed.problems) == problems.MAX_PROBLEMS == 50


def test_problems_name_the_file_that_was_read() -> None:
    assert {one.path for one in parse("a: b", path="ci/hello.yml").problems} == {"ci/hello.yml"}
    assert {one.path for one in parse("a: b").problems} == {".buildhook.yml"}
