"""Pull requests: tested as merged, red then green; strangers wait; newer pushes and the end stop what runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process, serving
from tests.acceptance.test_push import calls

RED = {
    **pipeline("python3 -m unittest -v"),
    "greeting.py": 'def greet(name: str) -> str:\n    return f"Hello, {name}"\n',
    "test_greeting.py": """\
import unittest

from greeting import greet


class GreetingTest(unittest.TestCase):
    def test_greets(self) -> None:
        self.assertEqual(greet("octo"), "Hello, octo!")
""",
}
GREEN = {"greeting.py": 'def greet(name: str) -> str:\n    return f"Hello, {name}!"\n'}


async def test_a_pull_request_goes_red_with_its_line_and_green_after_the_fix(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    await github.commit(repository, branch="topic", files=RED, message="Greet")
    pull = await github.open_pull_request(repository, head_branch="topic", title="Greet everybody")
    red = await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="failure")
    assert "test_greeting.py" in {one["path"] for one in red.annotations}
    assert "AssertionError" in (red.summary or "")
    assert f"buildhook logs {red.external_id}" in (red.summary or "")
    assert pull.head_sha in (red.summary or "")
    assert len(calls(github)) <= 5, calls(github)

    head = await github.push(repository, branch="topic", files=GREEN, message="Mend it")
    green = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    assert green.id != red.id
    # The push and the pull request tell of the same commit: one build of it.
    built = [one["head_sha"] for one in await service.command("builds", "list")]
    assert built.count(head) == 1


async def test_a_pull_request_from_a_fork_waits_for_approval_and_runs_nothing(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    fork = await github.fork(repository, owner="hubot")
    await github.commit(fork, branch="topic", files=pipeline("touch stolen"), message="Change the pipeline")
    pull = await github.open_pull_request(repository, head_branch="topic", from_fork=fork)
    run = await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="action_required")
    assert "approval" in (run.title or "").lower()
    (made,) = await service.command("builds", "list")
    assert made["state"] == "waiting"
    assert (await service.command("builds", "show", made["id"]))["jobs"] == []


async def test_t25_an_author_without_write_waits_however_the_commit_is_signed(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    github.create_user("hubot")
    github.set_permission(repository, "hubot", "read")
    await github.commit(repository, branch="topic", files={"a.txt": "a"}, message="By octo, it says", author="octo")
    pull = await github.open_pull_request(repository, head_branch="topic", author="hubot")
    await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="action_required")


async def test_a_newer_push_cancels_the_older_build_and_concludes_its_check(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("sleep 600"))
    await github.commit(repository, branch="topic", files={"a.txt": "a"}, message="Add a")
    pull = await github.open_pull_request(repository, head_branch="topic")
    older = pull.head_sha
    await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, older)))
    newer = await github.push(repository, branch="topic", files=pipeline("echo ok"), message="Faster")
    await github.wait_for_check(repository, newer, name="buildhook", conclusion="success")
    cancelled = await github.wait_for_check(repository, older, name="buildhook", conclusion="cancelled")
    assert "newer push" in (cancelled.summary or "")


async def test_closing_stops_the_build_and_opening_again_starts_it_anew(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("sleep 600"))
    await github.commit(repository, branch="topic", files={"a.txt": "a"}, message="Add a")
    pull = await github.open_pull_request(repository, head_branch="topic")
    head = pull.head_sha
    await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
    await github.close(pull)
    await github.wait_for_check(repository, head, name="buildhook", conclusion="cancelled")
    await github.reopen(pull)
    await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
    assert len(await service.command("builds", "list")) == 2


async def test_a_conflict_with_the_base_is_said_on_the_check(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files={**pipeline("echo ok"), "a.txt": "one\n"})
    await github.commit(repository, branch="topic", files={"a.txt": "two\n"}, message="Two")
    await github.commit(repository, branch="main", files={"a.txt": "three\n"}, message="Three")
    pull = await github.open_pull_request(repository, head_branch="topic")
    run = await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="failure")
    assert "a.txt" in (run.summary or "")
    assert "conflict" in (run.summary or "").lower()


async def test_a_pull_request_after_a_green_push_takes_the_proved_result_over(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, branch="topic", files={"a.txt": "a"}, message="Add a")
    first = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    await github.open_pull_request(repository, head_branch="topic")
    await github.wait_until(
        lambda: [one.conclusion for one in github.check_runs(repository, head)] == ["success", "success"]
    )
    newest, oldest = await service.command("builds", "list")
    assert (newest["event"], newest["generation"], newest["origin_id"]) == ("pull_request", 2, oldest["id"])
    jobs = (await service.command("builds", "show", newest["id"]))["jobs"]
    assert [one["origin_id"] for one in jobs] == [first.external_id]


async def test_re_run_makes_the_next_generation_for_those_who_may(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("exit 1"))
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    first = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")

    github.create_user("hubot")
    github.set_permission(repository, "hubot", "read")
    github.rerequest_check_run(repository, first.id, sender="hubot")
    # Sent one after the other: the other way round the refusal would be that there is a newer build.
    await github.hooks.settle()
    github.rerequest_check_run(repository, first.id)
    await github.wait_until(
        lambda: [one.conclusion for one in github.check_runs(repository, head)] == ["failure", "failure"]
    )
    reasons = [one["reason"] or "" for one in await service.command("deliveries", "list")]
    assert any("hubot has no write permission" in reason for reason in reasons)

    github.rerequest_check_suite(repository, github.check_runs(repository, head)[0].suite.id)
    await github.wait_until(lambda: len(github.check_runs(repository, head)) == 3)
    assert [one["generation"] for one in await service.command("builds", "list")] == [3, 2, 1]


async def test_a_command_in_a_comment_runs_what_failed_again_and_is_answered_in_one_comment(
    github: Simulator, service: Process
) -> None:
    jobs = "  good: {steps: [{run: echo good}]}\n  bad: {steps: [{run: exit 1}]}\n"
    repository = await github.create_repository(
        "octo/hello", files={".buildhook.yml": f"on: pull_request\njobs:\n{jobs}"}
    )
    await github.commit(repository, branch="topic", files={"a.txt": "a"}, message="Add a")
    pull = await github.open_pull_request(repository, head_branch="topic")
    await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="failure")

    github.create_user("hubot")
    refused = github.comment(pull, "/retest", author="hubot")
    asked = github.comment(pull, "Flaky, I think.\n\n/retest", author="octo")
    await github.wait_until(lambda: len(github.check_runs(repository, pull.head_sha)) == 6)
    await github.wait_until(lambda: all(one.conclusion for one in github.check_runs(repository, pull.head_sha)))

    def ours() -> list[str]:
        return [one.body for one in github.comments_on(pull) if one.via_app is not None]

    await github.wait_until(lambda: len(ours()) == 1 and ours()[0].count("`/retest`") == 2)
    assert [one.content for one in refused.reactions] == ["-1"]
    assert [one.content for one in asked.reactions] == ["eyes"]
    newest, oldest = await service.command("builds", "list")
    assert (newest["generation"], newest["origin_id"]) == (2, oldest["id"])
    assert f"/builds/{newest['id']}" in ours()[0]
    states = {one["key"]: one["origin_id"] for one in (await service.command("builds", "show", newest["id"]))["jobs"]}
    assert states["good"] is not None
    assert states["bad"] is None
    # By the command line it means the same.
    again = await service.command("builds", "retry", newest["id"], "--failed")
    assert (again["generation"], again["origin_id"]) == (3, newest["id"])


@pytest.mark.long
async def test_builds_are_shown_in_one_comment_over_a_kill(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    file = "on: {pull_request: {comment: true}}\njobs:\n  test: {steps: [{run: python3 -m unittest}]}\n"
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": file})
    files = {name: text for name, text in RED.items() if name != ".buildhook.yml"}
    await github.commit(repository, branch="topic", files=files, message="Greet")

    def ours() -> list[tuple[int, str]]:
        return [(one.id, one.body) for one in github.comments_on(pull) if one.via_app is not None]

    async with serving(environment, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        pull = await github.open_pull_request(repository, head_branch="topic")
        await github.wait_until(lambda: len(ours()) == 1 and "**❌ Failed:**" in ours()[0][1])
        ((made, text),) = ours()
        assert "AssertionError" in text
        assert pull.head_sha in text
        await service.kill()
    async with serving(environment, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, branch="topic", files=GREEN, message="Mend it")
        await github.wait_until(lambda: "**✅ Passed:**" in ours()[0][1])
        assert [one for one, _ in ours()] == [made]
        assert head in ours()[0][1]
