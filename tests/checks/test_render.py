"""Rendering: golden texts, every state's word for GitHub, and nothing that GitHub could refuse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from bot.builds import lifecycle
from bot.checks import render, titles
from bot.github import checks
from bot.model import approval, build, check, job
from bot.simulator import openapi
from bot.simulator.rest import check_rules
from tests import factories

URL = "https://ci.example/jobs/01J"
NOW = factories.NOW
STEPS = (
    factories.make_step(name="install", run="pip install -e ."),
    factories.make_step(name="pytest", run="pytest -x\n", line=9),
)
TAIL = """\
\x1b[31m=== FAILURES ===\x1b[0m
>       assert 1 == 2
E       assert 1 == 2

tests/test_hello.py:12: AssertionError
1 failed ```` @mona fixes #1 \u202e in 0.1s
"""


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def ended(state: job.State, **changes: Any) -> job.Job:
    plan = factories.make_plan(key=changes.get("key", "test"), name=changes.pop("name", changes.pop("key", "test")))
    made = factories.make_job(
        id="01JOB", plan=replace(plan, steps=STEPS), state=state, started_at=after(2), finished_at=after(16)
    )
    return replace(made, **changes)


def failed(**changes: Any) -> job.Job:
    results = (
        factories.make_step_result(index=0, finished_at=after(3)),
        factories.make_step_result(index=1, state="failed", exit_code=1, started_at=after(3), finished_at=after(15)),
    )
    return ended(job.State.FAILED, **{"reason": "exit status 1", "exit_code": 1, "steps": results, **changes})


def rendered(
    made: build.Build, jobs: Sequence[job.Job] = (), own: job.Job | None = None, log_tail: str | None = None
) -> check.CheckRun:
    target = factories.make_check(name="buildhook" if own is None else own.check_name, external_id="01EXT")
    return render.check_run(target, build=made, jobs=jobs, job=own, log_tail=log_tail, details_url=URL)


def of_job(one: job.Job, log_tail: str | None = None) -> check.CheckRun:
    made = factories.make_build(id="01BUILD", state=lifecycle.build_state([one.state]), started_at=after(2))
    return rendered(made, [one], one, log_tail)


def test_a_passed_job() -> None:
    found = of_job(ended(job.State.PASSED))
    assert found == check.CheckRun(
        name="buildhook",
        head_sha=factories.HEAD_SHA,
        external_id="01EXT",
        details_url=URL,
        status="completed",
        conclusion="success",
        started_at=after(2),
        completed_at=after(16),
        title="Passed in 14 s",
        summary=f"""\
**✅ Passed** in 14 s, after 2 s in the queue.

Commit `{factories.HEAD_SHA}` of `refs/heads/main`.

The whole log: `buildhook logs 01JOB`. Run it again: `buildhook builds retry 01BUILD`.""",
    )


def test_a_failed_pull_request_is_explained_without_a_click() -> None:
    made = factories.make_pull_build(id="01BUILD", state=build.State.FAILED, started_at=after(2), finished_at=after(16))
    first = failed(tested_sha="ab" * 20)
    second = ended(
        job.State.SKIPPED,
        key="docs",
        position=1,
        started_at=None,
        reason="`test` failed, so this did not run.",
    )
    found = rendered(made, [first, second], log_tail=TAIL)
    assert (found.conclusion, found.title) == ("failure", "test failed: step `pytest` exited with 1")
    assert found.annotations == ()
    assert (
        found.summary
        == f"""\
**❌ Failed** in 14 s, after 3 s in the queue.

Commit `{factories.HEAD_SHA}`, merged into `{factories.BASE_SHA}` of `main`: tested as `{"ab" * 20}`.

### First failure: `test`, step `pytest`

Why: exit status 1

The command:

```sh
pytest -x
```

The end of its output:

`````text
=== FAILURES ===
>       assert 1 == 2
E       assert 1 == 2

tests/test_hello.py:12: AssertionError
1 failed ```` @mona fixes #1 \\u202e in 0.1s
`````

| Job | Result | Time |
| --- | --- | --- |
| `test` | ❌ failed | 14 s |
| `docs` | ⏭️ skipped |  |

The whole log: `buildhook logs 01JOB`. Run it again: `buildhook builds retry 01BUILD`. \
On your machine: `buildhook run test --event pull_request`."""
    )


def test_of_a_long_output_the_lines_around_the_first_error_are_shown() -> None:
    before = "".join(f"building {number}\n" for number in range(50))
    after_it = "".join(f"cleaning up {number}\n" for number in range(50))
    warning, error = "src/a.c:1:1: warning: odd\n", "src/a.c:12:5: error: expected ';'\n"
    summary = of_job(failed(), f"{warning}{before}{error}{after_it}{error}").summary
    excerpt = summary.partition("Around the first error in its output:\n\n```text\n")[2].partition("\n```")[0]
    lines = excerpt.splitlines()
    assert (len(lines), lines[0], lines[5], lines[-1]) == (20, "building 45", error.strip(), "cleaning up 13")
    # One that the end shows anyway is shown there, with how it all ended.
    assert "The end of its output:" in of_job(failed(), f"{before}{error}the end\n").summary


def test_the_check_links_to_how_it_was_decided_only_where_that_can_be_opened() -> None:
    made, target = factories.make_build(), factories.make_check()
    given = {"build": made, "jobs": (), "job": None, "log_tail": None, "details_url": URL}
    assert "How this was decided" not in render.check_run(target, **given).summary  # type: ignore[arg-type]
    url = "https://ci.example/deliveries/72d3162e"
    found = render.check_run(target, **given, decided_url=url)  # type: ignore[arg-type]
    assert found.summary.endswith(f"\n\n[How this was decided]({url})")
    assert found.details_url == URL


def test_a_failed_job_has_its_annotations_and_steps() -> None:
    found = of_job(failed(), TAIL)
    assert found.title == "Failed: step `pytest` exited with 1"
    assert "| `install` | ✅ passed | 3 s |\n| `pytest` | ❌ failed | 12 s |" in found.summary
    assert found.annotations == (
        check.Annotation(
            path="tests/test_hello.py",
            start_line=12,
            end_line=12,
            level=check.Level.FAILURE,
            text="assert 1 == 2",
            title="AssertionError",
        ),
    )


def test_a_failure_that_says_no_place_is_placed_at_its_step() -> None:
    (found,) = of_job(failed(), "no idea").annotations
    assert (found.path, found.start_line, found.text) == (".buildhook.yml", 9, "pytest: exit status 1")


def test_paths_of_a_step_in_a_folder_are_those_of_the_repository() -> None:
    steps = (STEPS[0], replace(STEPS[1], working_directory="sub"))
    one = failed()
    (found,) = of_job(replace(one, plan=replace(one.plan, steps=steps)), TAIL).annotations
    assert found.path == "sub/tests/test_hello.py"


def test_a_merge_conflict_is_told() -> None:
    found = of_job(ended(job.State.FAILED, reason="merge conflict in a.txt"))
    assert found.title == "Failed: merge conflict in a.txt"
    assert "Why: merge conflict in `a.txt`" in found.summary
    assert found.annotations == ()


def test_a_broken_pipeline_file_is_a_failure_with_its_problems() -> None:
    problems = (factories.make_problem(), factories.make_problem(line=7, text="`on` is missing."))
    made = factories.make_build(
        state=build.State.FAILED,
        reason="`.buildhook.yml` has 2 mistakes.",
        problems=problems,
        started_at=NOW,
        finished_at=NOW,
    )
    found = rendered(made)
    assert (found.status, found.conclusion) == ("completed", "failure")
    assert found.title == "2 mistakes in .buildhook.yml, the first in line 3"
    assert [(one.path, one.start_line, one.level, one.text) for one in found.annotations] == [
        (".buildhook.yml", 3, check.Level.FAILURE, "`step` is not known here; did you mean `steps`?"),
        (".buildhook.yml", 7, check.Level.FAILURE, "`on` is missing."),
    ]
    assert (
        found.summary
        == f"""\
**❌ Failed**.

Why: `.buildhook.yml` has 2 mistakes.

Commit `{factories.HEAD_SHA}` of `refs/heads/main`.

- `.buildhook.yml`, line 3, column 5: `step` is not known here; did you mean `steps`?
- `.buildhook.yml`, line 7, column 5: `on` is missing."""
    )


def test_waiting_for_approval_is_action_required() -> None:
    reason = "The head is in a fork: somebody who may push has to approve this commit."
    found = rendered(factories.make_pull_build(state=build.State.WAITING, reason=reason, created_at=NOW))
    assert (found.status, found.conclusion, found.title) == ("completed", "action_required", "Waits for approval")
    assert found.completed_at == NOW
    assert (
        found.summary
        == f"""\
**⏳ Waits for approval**.

Why: {reason}

Commit `{factories.HEAD_SHA}`, to be merged into `{factories.BASE_SHA}` of `main`."""
    )


def test_what_nobody_wanted_yet_is_action_required_with_a_button() -> None:
    reason = "The commit's message holds `[skip ci]`."
    proposal = factories.make_proposal(consent=approval.Consent.RUN_ANYWAY)
    made = factories.make_pull_build(state=build.State.WAITING, proposal=proposal, reason=reason)
    found = rendered(made)
    assert (found.status, found.conclusion) == ("completed", "action_required")
    assert found.title == "Waits for somebody to run it"
    assert found.summary.startswith("**⏳ Waits for somebody to run it**.\n\nWhy: The commit's message holds ")
    (button,) = found.actions
    assert (button.label, button.identifier) == ("Run anyway", "run-anyway")
    # https://docs.github.com/en/rest/checks/runs
    assert len(button.label) <= 20
    assert len(button.description) <= 40
    assert len(button.identifier) <= 20
    assert rendered(replace(made, proposal=replace(proposal, jobs=()))).actions == ()
    assert rendered(replace(made, state=build.State.CANCELLED)).actions == ()


def test_what_the_file_left_out_says_so_on_each_check() -> None:
    reason = "No changed file matches `on.push.paths`."
    made = factories.make_build(state=build.State.SKIPPED, reason=reason, finished_at=NOW)
    jobs = [ended(job.State.SKIPPED, key=key, position=at, reason=reason) for at, key in enumerate(("a", "b"))]
    whole, one = rendered(made, jobs), rendered(made, jobs, jobs[0])
    assert (whole.conclusion, whole.title) == ("skipped", f"Skipped: {reason}")
    assert (one.conclusion, one.title) == ("skipped", f"Skipped: {reason}")
    assert "No changed file matches" in whole.summary
    assert "No changed file matches" in one.summary


def test_a_build_that_waits_for_its_group_says_for_which_build() -> None:
    reason = "Waits for build 01FIRST of the same concurrency group."
    made = factories.make_build(reason=reason)
    jobs = [factories.make_job(plan=factories.make_plan(key=key, name=key)) for key in ("a", "b")]
    assert rendered(made, jobs).title == reason
    assert rendered(made, jobs, jobs[0]).title == reason
    assert rendered(made, jobs[:1], jobs[0]).title == reason
    assert rendered(replace(made, reason=None), jobs, jobs[0]).title == "Queued"


@pytest.mark.parametrize(
    ("state", "status", "conclusion"),
    [
        (job.State.WAITING, "queued", None),
        (job.State.QUEUED, "queued", None),
        (job.State.STARTING, "in_progress", None),
        (job.State.RUNNING, "in_progress", None),
        (job.State.PASSED, "completed", "success"),
        (job.State.FAILED, "completed", "failure"),
        (job.State.ERRORED, "completed", "failure"),
        (job.State.CANCELLED, "completed", "cancelled"),
        (job.State.TIMED_OUT, "completed", "timed_out"),
        (job.State.SKIPPED, "completed", "skipped"),
        (build.State.WAITING, "completed", "action_required"),
        (build.State.QUEUED, "queued", None),
        (build.State.RUNNING, "in_progress", None),
        (build.State.PASSED, "completed", "success"),
        (build.State.FAILED, "completed", "failure"),
        (build.State.ERRORED, "completed", "failure"),
        (build.State.CANCELLED, "completed", "cancelled"),
        (build.State.TIMED_OUT, "completed", "timed_out"),
        (build.State.SKIPPED, "completed", "skipped"),
    ],
)
def test_githubs_words_for_each_state(state: job.State | build.State, status: str, conclusion: str | None) -> None:
    assert (render.status(state), render.conclusion(state)) == (status, conclusion)


@pytest.mark.parametrize("state", [*job.State, *build.State])
def test_a_check_is_sent_again_exactly_when_its_status_changes(state: job.State | build.State) -> None:
    assert lifecycle.phase(state) == render.status(state)


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (ended(job.State.WAITING, plan=factories.make_plan(needs=("lint", "docs"))), "Waits for lint, docs"),
        (ended(job.State.QUEUED), "Queued"),
        (ended(job.State.QUEUED, reason="Waits for the engine: it is full."), "Waits for the engine: it is full."),
        (ended(job.State.STARTING), "Starting"),
        (ended(job.State.RUNNING), "Running"),
        (
            ended(job.State.RUNNING, steps=(factories.make_step_result(index=1, state="running"),)),
            "Step 2 of 2: pytest",
        ),
        (ended(job.State.CANCELLED, reason="A newer push took its place."), "Cancelled: A newer push took its place."),
        (ended(job.State.CANCELLED), "Cancelled"),
        (
            ended(job.State.TIMED_OUT, steps=(factories.make_step_result(index=1, state="timed_out"),)),
            "Timed out in step `pytest`",
        ),
        (ended(job.State.ERRORED, reason="The engine lost the job."), "Errored: The engine lost the job."),
        (
            ended(job.State.SKIPPED, reason="`a` failed, so this did not run."),
            "Skipped: `a` failed, so this did not run.",
        ),
    ],
)
def test_the_title_of_a_job_tells_what_came_of_it(one: job.Job, title: str) -> None:
    assert of_job(one).title == title


@pytest.mark.parametrize(
    ("state", "jobs", "title"),
    [
        (build.State.QUEUED, [job.State.QUEUED, job.State.WAITING], "2 jobs queued"),
        (build.State.RUNNING, [job.State.PASSED, job.State.RUNNING], "1 of 2 jobs done"),
        (build.State.PASSED, [job.State.PASSED, job.State.PASSED], "2 passed in 14 s"),
        (build.State.CANCELLED, [job.State.PASSED, job.State.CANCELLED], "test cancelled"),
        (build.State.SKIPPED, [], "Skipped"),
    ],
)
def test_the_title_of_a_build_counts_its_jobs(state: build.State, jobs: list[job.State], title: str) -> None:
    made = factories.make_build(state=state, started_at=after(2), finished_at=after(16))
    assert rendered(made, [ended(one) for one in jobs]).title == title


def test_a_result_taken_over_says_so() -> None:
    made = factories.make_build(
        state=build.State.PASSED, reason="The push of this commit already tested the same tree."
    )
    one = ended(job.State.PASSED)
    assert "Why: The push of this commit already tested the same tree." in rendered(made, [one], one).summary


def test_the_first_failure_is_one_of_the_code_before_one_of_ours() -> None:
    jobs = [
        ended(job.State.TIMED_OUT, id="a", position=0),
        ended(job.State.ERRORED, id="b", position=1),
        failed(id="d", position=3),
        failed(id="c", position=2),
        ended(job.State.CANCELLED, id="e", position=4),
    ]
    found = []
    while (one := render.first_failure(jobs)) is not None:
        found.append(one.id)
        jobs.remove(one)
    assert found == ["c", "d", "b", "a"]


def test_the_minimal_check_run_keeps_identity_and_result() -> None:
    whole = of_job(failed(), TAIL)
    least = render.minimal(whole)
    assert replace(least, title=whole.title, summary=whole.summary, annotations=whole.annotations) == whole
    assert (least.title, least.annotations, least.text) == ("Failure", (), None)
    assert render.minimal(of_job(ended(job.State.RUNNING))).title == "In progress"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "under 1 s"), (0.4, "under 1 s"), (14.9, "14 s"), (72, "1 min 12 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert titles.duration(seconds) == words


def test_256_jobs_with_long_names_fit_and_those_that_failed_are_shown() -> None:
    jobs = [ended(job.State.PASSED, id=f"j{n}", key="✅" * 99 + str(n), position=n) for n in range(255)]
    jobs.append(failed(id="bad", key="bad", position=255))
    made = factories.make_build(state=build.State.FAILED, started_at=NOW, finished_at=NOW)
    found = rendered(made, jobs, log_tail="\u202e" * 100_000)
    assert_is_accepted(found)
    assert "| `bad` | ❌ failed | 14 s |" in found.summary
    assert re.search(r"… and \d+ more\.", found.summary)
    assert "buildhook builds retry" in found.summary


@pytest.mark.parametrize("sign", ["x", "`", "@ ", "✅", "\u202e", "a/b "])
def test_f41_a_build_at_its_largest_is_accepted(sign: str) -> None:
    much = sign * 30_000
    step = factories.make_step(name=much, run=f"{much}\n" * 12)
    result = factories.make_step_result(state="failed", exit_code=1)
    jobs = [failed(id=much, key=much, reason=much, position=n, tested_sha=much, steps=(result,)) for n in range(256)]
    jobs = [replace(one, plan=replace(one.plan, steps=(step,))) for one in jobs]
    made = factories.make_pull_build(
        id=much,
        state=build.State.FAILED,
        reason=much,
        head_sha=much,
        base_sha=much,
        base_ref=much,
        problems=(factories.make_problem(text=much),) * 60,
        started_at=NOW,
        finished_at=NOW,
    )
    for own in (None, jobs[0]):
        found = rendered(made, jobs if own is None else [own], own, f"{much}\n" * 20)
        assert_is_accepted(found)
        assert_github_takes(found)
        assert "buildhook builds retry" in found.summary
    assert_is_accepted(rendered(replace(made, state=build.State.SKIPPED, problems=())))
    assert_is_accepted(of_job(ended(job.State.CANCELLED, reason=much)))


def test_more_annotations_than_fit_are_counted() -> None:
    found = of_job(failed(), "".join(f"a.c:{n}:1: error: bad\n" for n in range(1, 64)))
    assert len(found.annotations) == 50
    assert "50 of 63 annotations are shown." in found.summary


@pytest.mark.parametrize("blank", ["\r", " \n ", "\x1b[0m"])
def test_a_reason_that_shows_nothing_leaves_a_title(blank: str) -> None:
    assert of_job(ended(job.State.QUEUED, reason=blank)).title == "Queued"
    assert rendered(factories.make_build(state=build.State.ERRORED, reason=blank)).title == "Errored"


# Whatever a build holds, GitHub takes it: a validator stricter than GitHub's documented limits.


def assert_is_accepted(found: check.CheckRun) -> None:
    """https://docs.github.com/en/rest/checks/runs, with bytes where GitHub counts characters."""
    assert found.status in {"queued", "in_progress", "completed"}
    assert (found.conclusion is not None) == (found.status == "completed") == (found.completed_at is not None)
    assert found.conclusion in {None, "success", "failure", "cancelled", "skipped", "timed_out", "action_required"}
    if found.started_at is not None and found.completed_at is not None:
        assert found.started_at <= found.completed_at
    _assert_text(found.title, 255)
    _assert_text(found.summary, 65_535)
    assert "\n" not in found.title
    assert len(found.annotations) <= 50
    for one in found.annotations:
        _assert_text(one.path, 255)
        _assert_text(one.text, 64 * 1024)
        if one.title is not None:
            _assert_text(one.title, 255)
        assert one.raw_details is None
        assert 1 <= one.start_line <= one.end_line < 2**31
        assert not one.path.startswith("/")
        assert one.level in check.Level


def assert_github_takes(found: check.CheckRun) -> None:
    """What is sent, judged by GitHub's own description of its API and by the limits that it tells in words."""
    update = checks._body(found)
    for method, template, body in (
        ("POST", "/repos/{owner}/{repo}/check-runs", {"head_sha": found.head_sha, **update}),
        ("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}", update),
    ):
        sent = msgspec.json.decode(msgspec.json.encode(body))
        assert openapi.request_problems(method, template, sent) == []
        assert list(check_rules.problems(sent)) == []


def _assert_text(text: str, limit_bytes: int) -> None:
    assert 0 < len(text.encode("utf-8")) <= limit_bytes
    assert "\0" not in text


_texts = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        "@mona fixes #1",
        "`",
        "|",
        "</details><img src=x>",
        "![x](https://evil.example)",
        "\x00\ud800\u202e",
        "x" * 70_000,
    ]
)
_levels = st.sampled_from(["error", "warning", "note", "fatal error"])
_instants = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC))
_steps = st.builds(job.Step, name=_texts, run=_texts, line=st.integers(1, 9999))
_results = st.builds(
    job.StepResult,
    index=st.integers(-1, 3),
    state=st.sampled_from(["running", "passed", "failed", "skipped", "cancelled", "timed_out"]) | _texts,
    started_at=st.none() | _instants,
    finished_at=st.none() | _instants,
    exit_code=st.none() | st.integers(-300, 300),
)
_plans = st.builds(
    job.Plan,
    key=_texts,
    name=_texts,
    steps=st.lists(_steps, max_size=2).map(tuple),
    needs=st.lists(_texts, max_size=2).map(tuple),
)
_jobs = st.builds(
    job.Job,
    id=_texts,
    build_id=st.just("b"),
    position=st.integers(0, 9),
    plan=_plans,
    check_name=st.just("buildhook / a"),
    state=st.sampled_from(list(job.State)),
    reason=st.none() | _texts,
    created_at=_instants,
    started_at=st.none() | _instants,
    finished_at=st.none() | _instants,
    steps=st.lists(_results, max_size=3).map(tuple),
    tested_sha=st.none() | _texts,
)
_problems = st.builds(
    build.Problem, path=st.just(".buildhook.yml"), line=st.integers(1, 9999), column=st.integers(1, 9999), text=_texts
)
_builds = st.builds(
    build.Build,
    id=_texts,
    repository_id=st.just(1),
    installation_id=st.just(2),
    repository=_texts,
    event=st.sampled_from(["push", "pull_request"]),
    ref=_texts,
    head_sha=_texts,
    base_sha=st.none() | _texts,
    base_ref=st.none() | _texts,
    state=st.sampled_from(list(build.State)),
    reason=st.none() | _texts,
    problems=st.lists(_problems, max_size=60).map(tuple),
    cause=st.just("c"),
    created_at=_instants,
    started_at=st.none() | _instants,
    finished_at=st.none() | _instants,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=150)
@given(_builds, st.lists(_jobs, max_size=4), st.none() | _texts, st.booleans())
def test_f41_any_build_result_is_accepted(
    made: build.Build, jobs: list[job.Job], log_tail: str | None, is_own: bool
) -> None:
    own = jobs[0] if jobs and is_own else None
    found = rendered(made, jobs, own, log_tail)
    for one in (found, render.minimal(found)):
        assert_is_accepted(one)
        assert_github_takes(one)


_places = st.sampled_from(
    ["a.c", "/workspace/src/a.py", "../x", "-", "dir with space/é.c", "x" * 300, "\u202e.c", "C:\\a.c"]
)
_log_lines = st.one_of(
    st.builds("{}:{}:{}: {}: {}".format, _places, st.integers(0, 10**7), st.integers(0, 99), _levels, _texts),
    st.builds("E   {}\n{}:{}: AssertionError".format, _texts, _places, st.integers(0, 10**7)),
    st.builds("FAILED {}::test_it - {}".format, _places, _texts),
    st.builds('  File "{}", line {}, in f\n    x\nError: {}'.format, _places, st.integers(0, 10**7), _texts),
    _texts,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=150)
@given(st.lists(_log_lines, max_size=70).map("\n".join), st.sampled_from(render._FAILURES))
def test_f41_the_annotations_of_any_log_are_accepted(log_tail: str, state: job.State) -> None:
    found = of_job(replace(failed(), state=state), log_tail)
    assert_is_accepted(found)
    assert_github_takes(found)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=100)
@given(_builds, st.lists(_jobs, max_size=4), st.none() | _texts, st.booleans())
def test_t88_nothing_in_a_summary_reaches_out_of_it(
    made: build.Build, jobs: list[job.Job], log_tail: str | None, is_own: bool
) -> None:
    found = rendered(made, jobs, jobs[0] if jobs and is_own else None, log_tail)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(found.summary)
    inner = [child for token in tokens for child in token.children or []]
    kinds = {token.type for token in [*tokens, *inner]}
    assert not kinds & {"html_block", "html_inline", "image", "link_open", "code_block", "blockquote_open", "hr"}
    outside = "\n".join(token.content for token in inner if token.type == "text")
    assert not set("@#<>[]_~|\\`$") & set(outside)
