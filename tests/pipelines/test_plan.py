"""Plans: which jobs an event runs, why none runs, what makes two plans equal, and the names of checks."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.model import job
from bot.pipelines import plan
from bot.pipelines.document import Filter, Job, Pipeline
from bot.pipelines.parse import parse
from tests import factories


def pipeline(on: str, *, env: str = "{}") -> Pipeline:
    parsed = parse(f"name: hello\non: {on}\nenv: {env}\njobs: {{test: {{env: {{A: job}}, steps: [{{run: make}}]}}}}")
    assert parsed.pipeline is not None, parsed.problems
    return parsed.pipeline


def push(ref: str) -> plan.Facts:
    return plan.Facts(event="push", ref=ref)


def pull(base_ref: str) -> plan.Facts:
    return plan.Facts(event="pull_request", ref="refs/pull/7/merge", base_ref=base_ref)


@pytest.mark.parametrize(
    ("on", "facts", "reason"),
    [
        ("push", push("refs/heads/main"), None),
        ("push", push("refs/tags/v1"), None),
        ("push", push("refs/notes/a"), "`refs/notes/a` is neither a branch nor a tag."),
        ("push", pull("main"), "`on` does not name `pull_request`."),
        ("pull_request", push("refs/heads/main"), "`on` does not name `push`."),
        ("pull_request", pull("main"), None),
        ("{push: {branches: main}}", push("refs/heads/main"), None),
        ("{push: {branches: main}}", push("refs/heads/dev"), "`on.push.branches` does not match `dev`."),
        (
            "{push: {branches: main}}",
            push("refs/tags/main"),
            "`on.push` names only branches, and `refs/tags/main` is a tag.",
        ),
        (
            "{push: {tags: 'v*'}}",
            push("refs/heads/v1"),
            "`on.push` names only tags, and `refs/heads/v1` is a branch.",
        ),
        ("{push: {tags: 'v*'}}", push("refs/tags/v1"), None),
        ("{push: {tags: 'v*'}}", push("refs/tags/w1"), "`on.push.tags` does not match `w1`."),
        ("{push: {branches: main, tags: 'v*'}}", push("refs/heads/main"), None),
        ("{push: {branches: main, tags: 'v*'}}", push("refs/tags/v1"), None),
        ("{push: {branches-ignore: 'wip/**'}}", push("refs/heads/main"), None),
        (
            "{push: {branches-ignore: 'wip/**'}}",
            push("refs/heads/wip/a/b"),
            "`on.push.branches-ignore` matches `wip/a/b`.",
        ),
        ("{push: {tags-ignore: 'old*'}}", push("refs/tags/old1"), "`on.push.tags-ignore` matches `old1`."),
        ("{push: {tags-ignore: 'old*'}}", push("refs/tags/new1"), None),
        ("{pull_request: {branches: main}}", pull("main"), None),
        ("{pull_request: {branches: main}}", pull("dev"), "`on.pull_request.branches` does not match `dev`."),
        ("{pull_request: {branches-ignore: dev}}", pull("dev"), "`on.pull_request.branches-ignore` matches `dev`."),
    ],
)
def test_the_filters_of_on_decide_as_in_actions(on: str, facts: plan.Facts, reason: str | None) -> None:
    made = plan.make(pipeline(on), facts)
    assert made.reason == reason
    assert made.is_skipped == (reason is not None)
    assert len(made.jobs) == (0 if reason else 1)
    assert made.pipeline == "hello"


def test_t35_a_name_within_another_does_not_match() -> None:
    guarded = pipeline("{push: {branches: [main]}}")
    for name in ("evil-main", "main-evil", "xmain", "a/main", "refs/heads/main"):
        assert plan.make(guarded, push(f"refs/heads/{name}")).is_skipped


def test_t33_a_hostile_name_is_shown_harmless_in_the_reason() -> None:
    reason = plan.make(pipeline("{push: {branches: main}}"), push("refs/heads/`$(id)`\n\u202e" + "a" * 300)).reason
    assert reason is not None
    assert reason.isprintable()
    assert reason.count("`") == 4
    assert len(reason) < 150


def test_a_pull_request_has_a_base() -> None:
    with pytest.raises(ValueError, match="base"):
        plan.Facts(event="pull_request", ref="refs/pull/7/merge")


def test_jobs_get_the_environment_of_the_pipeline_and_keep_their_own() -> None:
    (made,) = plan.make(pipeline("push", env="{A: top, B: top}"), push("refs/heads/main")).jobs
    assert made.env == {"A": "job", "B": "top"}


def test_jobs_stay_in_the_order_of_the_file() -> None:
    jobs = tuple(Job(plan=factories.make_plan(key=key, name=key)) for key in ("c", "a", "b"))
    made = plan.make(Pipeline(name="", on={"push": Filter()}, jobs=jobs), push("refs/heads/main"))
    assert [one.key for one in made.jobs] == ["c", "a", "b"]


_texts = st.text(max_size=5)
_envs = st.dictionaries(_texts, _texts, max_size=2)
_steps = st.builds(job.Step, name=_texts, run=_texts, env=_envs, working_directory=_texts, line=st.integers(1, 99))
_jobs = st.builds(
    job.Plan,
    key=_texts,
    name=_texts,
    steps=st.lists(_steps, max_size=2).map(tuple),
    needs=st.lists(_texts, max_size=2, unique=True).map(tuple),
    env=_envs,
    timeout_minutes=st.floats(0.1, 4320),
    runs_on=st.none() | _texts,
    line=st.integers(1, 99),
)
_plans = st.builds(plan.Plan, pipeline=_texts, jobs=st.lists(_jobs, max_size=3).map(tuple))


def _without_lines(made: plan.Plan) -> plan.Plan:
    jobs = [
        replace(one, line=1, needs=tuple(sorted(one.needs)), steps=tuple(replace(step, line=1) for step in one.steps))
        for one in made.jobs
    ]
    return dataclasses.replace(made, jobs=tuple(jobs))


@given(_plans, _plans)
def test_digests_are_equal_exactly_where_plans_run_the_same(left: plan.Plan, right: plan.Plan) -> None:
    assert (plan.digest(left) == plan.digest(right)) == (_without_lines(left) == _without_lines(right))
    assert plan.digest(left) == plan.digest(_without_lines(left))


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"},
        {"name": "other"},
        {"needs": ("other",)},
        {"env": {"A": "2"}},
        {"timeout_minutes": 1.0},
        {"runs_on": "linux"},
        {"steps": ()},
        {"steps": (factories.make_step(name="other"),)},
        {"steps": (factories.make_step(run="other"),)},
        {"steps": (factories.make_step(env={"A": "1"}),)},
        {"steps": (factories.make_step(working_directory="other"),)},
        {"steps": (factories.make_step(), factories.make_step())},
        {"steps": (factories.make_step(id="a"),)},
        {"steps": (factories.make_step(condition="always()"),)},
        {"steps": (factories.make_step(shell="sh"),)},
        {"steps": (factories.make_step(timeout_minutes=1.0),)},
        {"steps": (factories.make_step(continue_on_error=True),)},
        {"group": "other"},
        {"condition": "always()"},
        {"matrix": {"a": 1.0}},
        {"fail_fast": False},
        {"max_parallel": 1},
        {"continue_on_error": True},
        {"outputs": {"a": "b"}},
        {"secrets": {"A": "B"}},
        {"secret_names": ("A",)},
        {"environment": "production"},
        {"engine": "other"},
        {"container": job.Container(image="a")},
        {"services": {"a": job.Container(image="a")}},
        {"reports": job.Reports(junit=("a",))},
        {"artifacts": (job.Artifact(name="a", paths=("b",)),)},
        {"caches": (job.Cache(key="a"),)},
    ],
)
def test_all_that_influences_a_run_is_in_the_digest(change: dict[str, object]) -> None:
    before = plan.Plan(pipeline="", jobs=(factories.make_plan(env={"A": "1"}),))
    after = plan.Plan(pipeline="", jobs=(factories.make_plan(**{"env": {"A": "1"}, **change}),))
    assert plan.digest(before) != plan.digest(after)


def test_a_digest_is_stable_across_versions() -> None:
    made = plan.Plan(pipeline="hello", jobs=(factories.make_plan(env={"A": "1"}),))
    assert plan.digest(made) == "77cfd0d2017f6f2fd8c6a077ea4b1de2bde89e8043ad10c67b8abeba97944b8c"


def test_values_cannot_flow_from_one_field_into_the_next() -> None:
    left = factories.make_step(env={"a": "b", "c": "d"})
    right = factories.make_step(env={"a": 'b","c":"d'})
    assert plan.digest(plan.Plan(pipeline="", jobs=(factories.make_plan(steps=(left,)),))) != plan.digest(
        plan.Plan(pipeline="", jobs=(factories.make_plan(steps=(right,)),))
    )


def test_one_job_is_the_check_itself() -> None:
    assert plan.check_names(plan.Plan(pipeline="", jobs=(factories.make_plan(key="a", name="Test"),))) == {
        "a": "buildhook"
    }


def test_several_jobs_have_checks_of_their_names() -> None:
    jobs = (factories.make_plan(key="a", name="Unit tests"), factories.make_plan(key="b", name="b"))
    assert plan.check_names(plan.Plan(pipeline="", jobs=jobs)) == {"a": "buildhook / Unit tests", "b": "buildhook / b"}


def test_no_jobs_have_no_names() -> None:
    assert plan.check_names(plan.Plan(pipeline="", reason="Nothing.")) == {}


TWO_JOBS = """\
on: {on}
concurrency: {{group: Deploy, cancel-in-progress: true}}
jobs:
  b: {{steps: [{{run: x}}]}}
  a: {{steps: [{{run: y}}]}}
"""


def two_jobs(on: str) -> Pipeline:
    parsed = parse(TWO_JOBS.format(on=on))
    assert parsed.pipeline is not None, parsed.problems
    return parsed.pipeline


def test_what_a_filter_leaves_out_is_still_there_with_its_reason_and_its_names() -> None:
    runs, left_out = (plan.make(two_jobs(on), push("refs/heads/main")) for on in ("push", "{push: {branches: dev}}"))
    assert (left_out.jobs, left_out.verdict) == ((), plan.Verdict.SKIPPED)
    assert [(one.plan.key, one.reason) for one in left_out.left_out] == [
        ("b", "`on.push.branches` does not match `main`."),
        ("a", "`on.push.branches` does not match `main`."),
    ]
    # Branch protection asks for the names, whatever runs.
    assert plan.check_names(left_out) == plan.check_names(runs) == {"b": "buildhook / b", "a": "buildhook / a"}
    assert plan.digest(left_out) != plan.digest(runs)


def test_what_the_file_does_not_speak_of_has_no_jobs_at_all() -> None:
    made = plan.make(two_jobs("pull_request"), push("refs/heads/main"))
    assert (made.jobs, made.left_out, made.verdict) == ((), (), plan.Verdict.NOT_NAMED)


def test_a_plan_can_be_left_out_for_a_reason_of_its_commit() -> None:
    runs = plan.make(two_jobs("push"), push("refs/heads/main"))
    skipped = plan.skip(runs, "Because.")
    assert (skipped.jobs, skipped.reason, skipped.declared) == ((), "Because.", runs.jobs)
    assert {one.reason for one in skipped.left_out} == {"Because."}


def test_the_group_is_the_refs_own_and_no_part_of_what_is_tested() -> None:
    made = plan.make(two_jobs("push"), push("refs/heads/main"))
    other = plan.make(two_jobs("push"), push("refs/heads/dev"))
    assert made.concurrency_group == "refs/heads/main deploy"
    assert made.cancel_in_progress
    assert made.concurrency_group != other.concurrency_group
    assert plan.digest(made) == plan.digest(other)


def test_an_if_of_a_job_that_needs_no_other_is_decided_at_once() -> None:
    text = (
        "on: push\njobs:\n  a: {if: github.ref == 'refs/heads/dev', steps: [run: a]}\n"
        "  b: {needs: a, if: always(), steps: [run: b]}\n"
    )
    parsed = parse(text)
    assert parsed.pipeline is not None
    made = plan.make(parsed.pipeline, push("refs/heads/main"), {"github": {"ref": "refs/heads/main"}})
    assert [(one.plan.key, one.reason) for one in made.left_out] == [
        ("a", "Its `if` is not true: `github.ref == 'refs/heads/dev'`.")
    ]
    assert [one.key for one in made.jobs] == ["b"]
    assert plan.check_names(made) == {"a": "buildhook / a", "b": "buildhook / b"}


def test_where_no_if_is_true_nothing_runs_and_the_checks_are_there() -> None:
    parsed = parse("on: push\njobs: {a: {if: false, steps: [run: a]}}\n")
    assert parsed.pipeline is not None
    made = plan.make(parsed.pipeline, push("refs/heads/main"), {})
    assert (made.verdict, made.reason) == (
        plan.Verdict.SKIPPED,
        "No job runs: the `if` of none of them is true.",
    )
    assert plan.check_names(made) == {"a": "buildhook"}


def test_a_group_whose_name_is_empty_is_a_problem_of_the_event() -> None:
    parsed = parse("on: push\nconcurrency: ${{ github.head_ref }}\njobs: {a: {steps: [run: a]}}\n")
    assert parsed.pipeline is not None
    made = plan.make(parsed.pipeline, push("refs/heads/main"), {"github": {"head_ref": ""}})
    assert made.problem is not None
    assert made.problem.text == "`concurrency`: `concurrency.group` gives empty text."
    assert made.jobs == ()
