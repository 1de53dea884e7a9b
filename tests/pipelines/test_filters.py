"""Filters: what leaves out what nobody has to test, what is only put off, and that nothing unknown is left out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import change
from bot.pipelines import filters
from bot.pipelines.document import Filter, Job, Pipeline
from bot.pipelines.filters import Facts, Verdict
from tests import factories


def files(*names: str, is_whole: bool = True) -> change.ChangedFiles:
    return change.ChangedFiles(names=names, is_whole=is_whole)


def decide(event: str, wanted: Filter | None, **facts: Any) -> filters.Decision:
    pipeline = Pipeline(name="", on={event: wanted} if wanted else {}, jobs=(Job(plan=factories.make_plan()),))
    base = None if event == "push" else "main"
    return filters.decide(pipeline, Facts(event=event, **{"ref": "refs/heads/main", "base_ref": base, **facts}))


@pytest.mark.parametrize(
    ("wanted", "changed", "reason"),
    [
        (Filter(paths=("src/**",)), files("src/a/b.py", "README.md"), None),
        (Filter(paths=("src/**",)), files("README.md"), "No changed file matches `on.push.paths`."),
        (Filter(paths=("src/**",)), files(), "No changed file matches `on.push.paths`."),
        (Filter(paths=("**", "!docs/**")), files("docs/a.md"), "No changed file matches `on.push.paths`."),
        (Filter(paths=("**", "!docs/**", "docs/conf.py")), files("docs/conf.py"), None),
        (Filter(paths=("*.py",)), files("src/a.py"), "No changed file matches `on.push.paths`."),
        (Filter(paths_ignore=("docs/**",)), files("docs/a.md", "src/a.py"), None),
        (
            Filter(paths_ignore=("docs/**", "*.md")),
            files("docs/a.md", "README.md"),
            "Every changed file matches `on.push.paths-ignore`.",
        ),
        (Filter(paths_ignore=("docs/**",)), files(), None),
        (Filter(), files("a"), None),
    ],
)
def test_paths_decide_as_in_actions(wanted: Filter, changed: change.ChangedFiles, reason: str | None) -> None:
    decision = decide("push", wanted, changed_files=changed)
    assert decision.reason == reason
    assert decision.verdict == (Verdict.RUNS if reason is None else Verdict.SKIPPED)


def test_t35_a_path_within_another_does_not_match() -> None:
    for name in ("evil/src/a", "src", "xsrc/a", "a/src/b", "SRC/a", "src\\a"):
        assert decide("push", Filter(paths=("src/**",)), changed_files=files(name)).verdict == Verdict.SKIPPED, name
        assert decide("push", Filter(paths_ignore=("src/**",)), changed_files=files(name)).verdict == Verdict.RUNS, name


_filters = st.builds(
    Filter,
    paths=st.none() | st.just(("src/**",)),
    paths_ignore=st.none() | st.just(("docs/**",)),
)
_names = st.lists(st.sampled_from(["docs/a", "src/a", "b"]), max_size=4)


@given(wanted=_filters, names=_names, event=st.sampled_from(["push", "pull_request"]))
def test_t31_a_list_that_is_not_whole_or_not_known_never_leaves_anything_out(
    wanted: Filter, names: list[str], event: str
) -> None:
    assert decide(event, wanted, changed_files=files(*names, is_whole=False)).verdict == Verdict.RUNS
    assert decide(event, wanted, changed_files=None).verdict == Verdict.RUNS


@given(wanted=_filters, names=_names, more=_names)
def test_t31_more_changes_never_make_less_run(wanted: Filter, names: list[str], more: list[str]) -> None:
    few = decide("push", wanted, changed_files=files(*names)).verdict
    many = decide("push", wanted, changed_files=files(*names, *more)).verdict
    assert few == Verdict.SKIPPED or not names or many == Verdict.RUNS


def test_t105_more_than_can_be_compared_in_short_time_runs() -> None:
    wanted = Filter(paths=tuple(f"**/*{number}" for number in range(100)))
    begun = time.perf_counter()
    at_limit = decide("push", wanted, changed_files=files(*["a" * 50] * 100))
    assert time.perf_counter() - begun < 3
    assert at_limit.verdict == Verdict.SKIPPED
    assert decide("push", wanted, changed_files=files(*["a" * 200] * 3000)).verdict == Verdict.RUNS


def test_files_are_wanted_only_where_they_decide() -> None:
    def wants(on: dict[str, Filter], **facts: Any) -> bool:
        pipeline = Pipeline(name="", on=on, jobs=(Job(plan=factories.make_plan()),))
        return filters.wants_files(pipeline, Facts(**{"event": "push", "ref": "refs/heads/main", **facts}))

    assert wants({"push": Filter(paths=("a",))})
    assert wants({"push": Filter(paths_ignore=("a",))})
    assert not wants({"push": Filter()})
    assert not wants({"push": Filter(paths=("a",), branches=("dev",))})
    assert not wants({"push": Filter(paths=("a",))}, ref="refs/tags/v1")
    assert not wants({"push": Filter(paths=("a",))}, changed_files=files())
    assert not wants({"pull_request": Filter(paths=("a",))})


def test_paths_do_not_count_for_tags() -> None:
    decision = decide("push", Filter(paths=("src/**",)), ref="refs/tags/v1", changed_files=files("a"))
    assert decision.verdict == Verdict.RUNS


@pytest.mark.parametrize(
    ("wanted", "action", "verdict"),
    [
        (Filter(), None, Verdict.RUNS),
        (Filter(), "opened", Verdict.RUNS),
        (Filter(), "edited", Verdict.RUNS),
        # Nobody waits for what the file does not speak of.
        (Filter(), "labeled", Verdict.NOT_NAMED),
        (Filter(types=("labeled",)), "labeled", Verdict.RUNS),
        # A head that was never tested must not count as if it were.
        (Filter(types=("labeled",)), "opened", Verdict.WAITS),
        (Filter(types=("opened",)), "synchronize", Verdict.WAITS),
    ],
)
def test_t31_a_type_that_the_file_leaves_out_waits(wanted: Filter, action: str | None, verdict: Verdict) -> None:
    assert decide("pull_request", wanted, action=action).verdict == verdict


@pytest.mark.parametrize(("drafts", "is_draft", "is_left_out"), [(True, True, False), (False, True, True)])
def test_drafts_are_left_out_where_the_file_says_so(drafts: bool, is_draft: bool, is_left_out: bool) -> None:
    decision = decide("pull_request", Filter(drafts=drafts), is_draft=is_draft)
    assert (decision.verdict == Verdict.SKIPPED) == is_left_out
    assert decide("pull_request", Filter(drafts=drafts)).verdict == Verdict.RUNS


def test_a_merge_group_is_filtered_by_its_base() -> None:
    ref = "refs/heads/gh-readonly-queue/main/pr-1-abc"
    assert decide("merge_group", Filter(branches=("main",)), ref=ref).verdict == Verdict.RUNS
    assert decide("merge_group", Filter(branches=("dev",)), ref=ref).verdict == Verdict.SKIPPED
    assert decide("merge_group", None, ref=ref).verdict == Verdict.NOT_NAMED
    with pytest.raises(ValueError, match="base"):
        Facts(event="merge_group", ref=ref)
