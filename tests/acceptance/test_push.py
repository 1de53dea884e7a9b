"""From a signed push to a green check, through the running service."""

from __future__ import annotations

import re

from bot.simulator import Simulator
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process

#: What the reconcilers ask beside the way of a delivery, at the start and every few minutes.
_RECONCILERS = re.compile(
    r"GET /(?:app/|installation/|repos/[^/]+/[^/?]+(?:$|\?|/pulls\?|/branches|/tags|/commits/[^/]+/check-runs))"
)


def calls(github: Simulator) -> list[str]:
    """The API calls so far of the way of deliveries, without those for tokens."""
    made = [f"{one.method} {one.path}" for one in github.requests if not one.path.endswith("/access_tokens")]
    return [one for one in made if not _RECONCILERS.match(one)]


async def test_a_push_becomes_a_green_check_in_three_calls(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    made = await service.command("builds", "list")
    assert run.external_id == (await service.command("builds", "show", made[0]["id"]))["jobs"][0]["id"]
    assert run.details_url == f"{service.url}/jobs/{run.external_id}"
    assert run.title
    assert len(calls(github)) == 3, calls(github)


async def test_the_deliveries_tell_what_became_of_them(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    listed = await service.command("deliveries", "list", "--limit", "1000")
    pushes = [one for one in listed if one["event"] == "push"]
    assert [one["state"] for one in pushes] == ["handled"]
    assert set(pushes[0]) == {
        "id",
        "event",
        "action",
        "repository",
        "received_at",
        "state",
        "reason",
        "error",
        "attempts",
    }
    assert pushes[0]["repository"] == "octo/hello"
    assert "starts with 1 job" in pushes[0]["reason"]
    assert [one["received_at"] for one in listed] == sorted((one["received_at"] for one in listed), reverse=True)


async def test_every_step_and_need_is_honoured_and_the_aggregate_tells_the_truth(
    github: Simulator, service: Process
) -> None:
    files = {
        ".buildhook.yml": """\
on: push
env: {GREETING: hello}
jobs:
  first:
    steps:
      - run: test "$GREETING $CI $GITHUB_REPOSITORY" = "hello true octo/hello"
      - run: test "$(git rev-parse HEAD)" = "$GITHUB_SHA"
  second:
    needs: first
    steps:
      - run: exit 3
  third:
    needs: [first, second]
    steps:
      - run: echo never
"""
    }
    repository = await github.create_repository("octo/hello", files=files)
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    whole = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    assert (await github.wait_for_check(repository, head, name="buildhook / first")).conclusion == "success"
    assert (await github.wait_for_check(repository, head, name="buildhook / second")).conclusion == "failure"
    assert (await github.wait_for_check(repository, head, name="buildhook / third")).conclusion == "skipped"
    assert "second" in (whole.summary or "")


async def test_a_mistake_in_the_pipeline_file_is_a_failed_check_on_its_line(
    github: Simulator, service: Process
) -> None:
    files = {".buildhook.yml": "on: push\njobs:\n  test:\n    step:\n      - run: echo\n"}
    repository = await github.create_repository("octo/hello", files=files)
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    annotations = run.annotations
    assert annotations[0]["path"] == ".buildhook.yml"
    assert any("steps" in one["message"] for one in annotations)


async def test_without_a_pipeline_file_nothing_is_posted_and_the_reason_is_kept(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello"})
    await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    await github.wait_until(lambda: len(github.deliveries) > 0)
    found = await _settled(service)
    assert [one["state"] for one in found if one["event"] == "push"] == ["ignored"]
    assert any("no `.buildhook.yml`" in (one["reason"] or "") for one in found)
    assert not github.check_runs(repository, repository.heads["main"])


async def test_a_push_that_deletes_the_pipeline_file_fails(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, branch="main", files={".buildhook.yml": None}, message="Get around it")
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    assert "deleted" in (run.summary or "")


async def test_a_deleted_branch_and_an_unknown_event_are_taken_and_ignored(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    await github.push(repository, branch="topic", files={"a.txt": "a"}, message="Add a")
    await github.delete_branch(repository, "topic")
    body = b'{"action": "created", "zen": "?", "repository": {"id": 1, "full_name": "octo/hello"}}'
    assert (await github.deliver_raw(body, event="star"))[0] == 202
    found = {(one["event"], one["state"]) for one in await _settled(service)}
    assert ("star", "ignored") in found
    assert ("push", "ignored") in found


async def _settled(service: Process) -> list[dict[str, str]]:
    """All deliveries, once none of them has to be worked on any more."""
    while True:
        found: list[dict[str, str]] = await service.command("deliveries", "list", "--limit", "1000")
        if found and all(one["state"] in {"handled", "ignored", "parked"} for one in found):
            return found
