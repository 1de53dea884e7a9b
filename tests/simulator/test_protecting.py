"""Required checks: what a branch asks for, and whether a pull request may be merged."""

from __future__ import annotations

from typing import Any

import pytest

from bot.simulator import PullRequest, Repository, Simulator, SimulatorError
from tests.simulator.conftest import Client

PULL = "/repos/octo/hello/pulls/1"


@pytest.fixture
async def pull(github: Simulator, repository: Repository) -> PullRequest:
    await github.push(repository, "topic", {"a.txt": "a\n"})
    return await github.open_pull_request(repository, "topic")


async def check(github: Simulator, pull: PullRequest, sha: str | None = None, **body: Any) -> None:
    commit = await github.git_of(pull.repository).commit(sha or pull.head_sha)
    app = github.other_app if body.pop("is_foreign", False) else github.app
    github.create_check_run(pull.repository, commit, {"name": "buildhook", **body}, app=app)


async def test_a_required_check_blocks_until_it_has_passed(client: Client, pull: PullRequest) -> None:
    github = client.github
    assert github.merge_state(pull).may_merge
    github.required_checks(pull.repository, "main", ["buildhook", "lint"])
    assert (await client("GET", PULL)).body["mergeable_state"] == "blocked"
    await check(github, pull)
    state = github.merge_state(pull)
    assert (state.state, state.may_merge) == ("blocked", False)
    assert state.checks == {"buildhook": "pending", "lint": "missing"}
    assert state.reasons == ["the check 'buildhook' is pending", "the check 'lint' is missing"]
    with pytest.raises(SimulatorError, match="may not be merged: the check 'buildhook' is pending; the check 'lint'"):
        await github.merge(pull)
    await check(github, pull, conclusion="success")
    await check(github, pull, name="lint", conclusion="neutral")
    assert github.merge_state(pull).may_merge
    assert (await client("GET", PULL)).body["mergeable_state"] == "clean"
    await github.merge(pull)
    assert github.merge_state(pull).reasons == ["it is not open"]


async def test_an_administrator_may_all_the_same(github: Simulator, pull: PullRequest) -> None:
    github.required_checks(pull.repository, "main", ["buildhook"])
    await github.merge(pull, force=True)
    assert pull.merged_at is not None


@pytest.mark.parametrize(
    ("conclusion", "state"),
    [
        ("success", "passed"),
        ("neutral", "passed"),
        ("skipped", "passed"),
        ("failure", "failing"),
        ("cancelled", "failing"),
        ("timed_out", "failing"),
        ("action_required", "failing"),
    ],
)
async def test_each_conclusion_passes_or_fails(
    github: Simulator, pull: PullRequest, conclusion: str, state: str
) -> None:
    github.required_checks(pull.repository, "main", "buildhook")
    await check(github, pull, conclusion=conclusion)
    assert github.merge_state(pull).checks == {"buildhook": state}


async def test_the_newest_run_of_the_name_counts(github: Simulator, pull: PullRequest) -> None:
    github.required_checks(pull.repository, "main", ["buildhook"])
    await check(github, pull, conclusion="success")
    await check(github, pull, status="in_progress")
    assert github.merge_state(pull).checks == {"buildhook": "pending"}
    await check(github, pull, conclusion="failure")
    assert github.merge_state(pull).checks == {"buildhook": "failing"}


async def test_a_pinned_check_must_come_from_its_app(github: Simulator, pull: PullRequest) -> None:
    github.required_checks(pull.repository, "main", {"buildhook": github.app_id})
    forged = {"state": "success", "context": "buildhook"}
    github.create_status(pull.repository, pull.head_sha, forged, creator=github.user("hubot"))
    await check(github, pull, is_foreign=True, conclusion="success")
    assert github.merge_state(pull).checks == {"buildhook": "missing"}
    await check(github, pull, conclusion="success")
    await check(github, pull, is_foreign=True, conclusion="failure")
    assert github.merge_state(pull).checks == {"buildhook": "passed"}
    github.required_checks(pull.repository, "main", {"buildhook": None})
    assert github.merge_state(pull).checks == {"buildhook": "failing"}


async def test_a_status_counts_too_and_both_must_pass_where_there_are_both(
    github: Simulator, pull: PullRequest
) -> None:
    github.required_checks(pull.repository, "main", {"buildhook": github.app_id})

    def status(state: str) -> None:
        body = {"state": state, "context": "buildhook"}
        github.create_status(pull.repository, pull.head_sha, body, creator=github.app.bot)

    for state, seen in (("pending", "pending"), ("error", "failing"), ("failure", "failing"), ("success", "passed")):
        status(state)
        assert github.merge_state(pull).checks == {"buildhook": seen}
    await check(github, pull, conclusion="failure")
    assert github.merge_state(pull).checks == {"buildhook": "failing"}


async def test_a_check_of_the_test_merge_counts_in_place_of_that_of_the_head(
    github: Simulator, pull: PullRequest
) -> None:
    github.required_checks(pull.repository, "main", ["buildhook"])
    await check(github, pull, conclusion="success")
    await check(github, pull, pull.merge_commit_sha, conclusion="failure")
    assert github.merge_state(pull).checks == {"buildhook": "failing"}
    # A new base makes a new test merge, of which nothing is known yet.
    await github.push(pull.repository, "main", {"b.txt": "b\n"})
    assert github.merge_state(pull).checks == {"buildhook": "passed"}


async def test_drafts_and_conflicts_are_said(github: Simulator, pull: PullRequest) -> None:
    await github.convert_to_draft(pull)
    assert (github.merge_state(pull).state, github.merge_state(pull).reasons) == ("draft", ["it is a draft"])
    with pytest.raises(SimulatorError, match="it is a draft"):
        await github.merge(pull, force=True)
    await github.push(pull.repository, "main", {"a.txt": "other\n"})
    assert (github.merge_state(pull).state, github.merge_state(pull).reasons) == ("dirty", ["it has conflicts"])


async def test_a_branch_says_what_it_requires(client: Client, repository: Repository) -> None:
    client.github.required_checks(repository, "main", {"buildhook": client.github.app_id, "lint": None})
    body = (await client("GET", "/repos/octo/hello/branches/main")).body
    assert (body["protected"], body["protection"]["enabled"]) == (True, True)
    assert body["protection"]["required_status_checks"]["checks"] == [
        {"context": "buildhook", "app_id": client.github.app_id},
        {"context": "lint", "app_id": None},
    ]
    assert [one["protected"] for one in (await client("GET", "/repos/octo/hello/branches")).body] == [True]
    client.github.required_checks(repository, "main", [])
    assert (await client("GET", "/repos/octo/hello/branches/main")).body["protected"] is False


async def test_a_ruleset_stands_beside_the_protection(client: Client, pull: PullRequest) -> None:
    github, path = client.github, "/repos/octo/hello/rules/branches/main"
    assert (await client("GET", path)).body == []
    github.ruleset(pull.repository, "main", {"buildhook": github.app_id, "lint": None})
    (rule,) = (await client("GET", path)).body
    assert rule["type"] == "required_status_checks"
    assert rule["parameters"]["required_status_checks"] == [
        {"context": "buildhook", "integration_id": github.app_id},
        {"context": "lint"},
    ]
    github.required_checks(pull.repository, "main", {"buildhook": None})
    await check(github, pull, is_foreign=True, conclusion="success")
    # The protection takes any App's, the ruleset does not.
    assert github.merge_state(pull).checks == {"buildhook": "missing", "lint": "missing"}
    await check(github, pull, conclusion="success")
    assert github.merge_state(pull).checks == {"buildhook": "passed", "lint": "missing"}
