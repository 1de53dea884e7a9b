"""Nothing runs: each check says so where the file decided it, and nobody gets around a required check that way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.model import approval, build, delivery, job
from bot.store import builds, checks
from tests.databases import long_on_postgresql
from tests.events.conftest import PIPELINE, House

pytestmark = long_on_postgresql

JOBS = "jobs:\n  lint: {steps: [{run: a}]}\n  test: {needs: lint, steps: [{run: b}]}\n"
PATHS = "{paths: ['src/**']}"
NAMES = ["buildhook", "buildhook / lint", "buildhook / test"]


def pipeline(on: str, *, jobs: str = JOBS) -> dict[str, str]:
    return {".buildhook.yml": f"on: {on}\n{jobs}"}


async def newest(house: House) -> build.Build:
    return (await house.builds())[0]


async def shown(house: House) -> list[str]:
    """The names of the checks of the newest build."""
    return sorted(one.name for one in await house.store.read(checks.list_of_build, (await newest(house)).id))


def asked_for(house: House, *parts: str) -> int:
    """How many calls were made whose address holds one of these."""
    return sum(any(part in one.path for part in parts) for one in house.simulator.requests)


def changed(house: House, sent: Any, guid: str, **changes: Any) -> Any:
    """A delivery of a pull request with some members of the payload changed, signed anew."""
    payload = json.loads(sent.body)
    payload.update(changes)
    body = json.dumps(payload).encode()
    return type("Sent", (), {"headers": house.simulator.hooks.headers(body, event=sent.event, guid=guid), "body": body})


async def assert_left_out(house: House, reason: str) -> build.Build:
    made = await newest(house)
    assert made.state == build.State.SKIPPED
    assert reason in (made.reason or "")
    own = [one for one in await house.jobs() if one.build_id == made.id]
    assert {(one.state, one.reason) for one in own} == {(job.State.SKIPPED, made.reason)}
    assert await shown(house) == NAMES
    return made


async def test_a_push_that_changes_nothing_of_interest_shows_each_check_as_skipped(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{push: {PATHS}}}"))
    await house.simulator.push(repository, "main", {"README.md": "a"})
    await house.deliver(house.sent("push"))
    await assert_left_out(house, "No changed file matches `on.push.paths`.")
    assert asked_for(house, "/compare/") == 1
    await house.simulator.push(repository, "main", {"src/a.py": "a"})
    await house.deliver(house.sent("push"))
    assert (await newest(house)).state == build.State.QUEUED


async def test_files_are_asked_for_only_where_the_file_filters_by_them(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"README.md": "a"})
    await house.deliver(house.sent("push"))
    await house.simulator.commit(repository, "topic", {"README.md": "b"})
    await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    assert asked_for(house, "/compare/", "/files") == 0


async def test_t31_what_a_forced_push_took_away_counts_as_changed(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{push: {PATHS}}}"))
    await house.simulator.push(repository, "main", {"src/a.py": "a"})
    await house.simulator.push(repository, "main", {"README.md": "a"}, force=True)
    await house.deliver(house.sent("push"))
    assert (await newest(house)).state == build.State.QUEUED


async def test_t31_more_files_than_github_shows_run(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{push: {PATHS}}}"))
    await house.simulator.push(repository, "main", {f"docs/{number}.md": "a" for number in range(301)})
    await house.deliver(house.sent("push"))
    assert (await newest(house)).state == build.State.QUEUED


async def test_t31_what_cannot_be_compared_runs(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{push: {PATHS}}}"))
    await house.simulator.push(repository, "main", {"README.md": "a"})
    house.simulator.faults.add(path="/compare/", status=404, times=None)
    await house.deliver(house.sent("push"))
    assert (await newest(house)).state == build.State.QUEUED


async def test_t31_a_skip_never_passes_over_what_failed_before(house: House) -> None:
    """Where pushes alone say what may be merged, the last push of a branch speaks for all of them."""
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{push: {PATHS}}}"))
    await house.simulator.push(repository, "topic", {"src/a.py": "broken"})
    await house.deliver(house.sent("push"))
    await house.end_build(build.State.FAILED, job.State.FAILED)
    await house.simulator.push(repository, "topic", {"README.md": "a"})
    await house.deliver(house.sent("push"))
    assert (await newest(house)).state == build.State.QUEUED
    await house.end_build(build.State.PASSED, job.State.PASSED)
    for text in ("b", "c"):
        await house.simulator.push(repository, "topic", {"README.md": text})
        await house.deliver(house.sent("push"))
        await assert_left_out(house, "No changed file")


async def test_t31_a_push_of_which_nothing_runs_says_nothing_for_the_pull_request_to_come(house: House) -> None:
    on = "{push: {branches: [main]}, pull_request: {}}"
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(on))
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    done = await house.deliver(house.sent("push"))
    assert (done.state, await house.builds()) == (delivery.State.IGNORED, [])
    assert "for its pull request to say" in (done.reason or "")
    await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    assert (await newest(house)).state == build.State.QUEUED


async def test_a_branch_that_the_file_leaves_out_shows_each_check_as_skipped(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("{push: {branches: [main]}}"))
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await assert_left_out(house, "`on.push.branches` does not match `topic`.")


async def test_t31_a_skip_hides_nothing_that_was_told_of_the_commit(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("{push: {branches: [main]}}"))
    head = await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await house.end_build(build.State.CANCELLED, job.State.CANCELLED)
    await house.simulator.push(repository, "topic", start=head)
    assert (await house.deliver(house.sent("push"))).state == delivery.State.IGNORED
    await house.simulator.push_tags(repository, ["v1"], head)
    assert (await house.deliver(house.sent("push"))).state == delivery.State.IGNORED
    assert [one.state for one in await house.builds()] == [build.State.CANCELLED]


@pytest.mark.parametrize("message", ["Mend [skip ci]", "Mend\n\n\nskip-checks: true"])
async def test_a_push_to_the_default_branch_whose_message_asks_for_it_is_skipped(house: House, message: str) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("[push, pull_request]"))
    await house.simulator.push(repository, "main", {"a.txt": "a"}, message)
    await house.deliver(house.sent("push"))
    await assert_left_out(house, "The commit's message ")


async def test_t31_a_message_lets_nothing_in(house: House) -> None:
    """What could be merged on the strength of its check waits until somebody runs it."""
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("push"))
    await house.simulator.push(repository, "topic", {"a.txt": "a"}, "Mend [skip ci]")
    await house.deliver(house.sent("push"))
    made = await newest(house)
    assert (made.state, made.waits_for) == (build.State.WAITING, approval.Consent.RUN_ANYWAY)
    assert await house.jobs() == []


async def test_a_tag_on_a_commit_whose_message_asks_for_it_is_ignored(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("{push: {tags: ['v*']}}"))
    head = await house.simulator.commit(repository, "main", {"a.txt": "a"}, "Release [skip ci]")
    await house.simulator.push_tags(repository, ["v1"], head)
    done = await house.deliver(house.sent("push"))
    assert (done.state, await house.builds()) == (delivery.State.IGNORED, [])
    assert "[skip ci]" in (done.reason or "")


async def test_t31_a_pull_request_whose_message_asks_for_it_waits_for_somebody(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline("[push, pull_request]"))
    head = await house.simulator.push(repository, "topic", {"a.txt": "a"}, "Mend [skip ci]")
    pushed = await house.deliver(house.sent("push"))
    assert pushed.state == delivery.State.IGNORED
    await house.simulator.open_pull_request(repository, "topic")
    sent = house.sent("pull_request", "opened")
    await house.deliver(sent)
    made = await newest(house)
    assert (made.state, made.waits_for, made.head_sha) == (build.State.WAITING, approval.Consent.RUN_ANYWAY, head)
    assert made.reason == "The commit's message holds `[skip ci]`."
    assert await shown(house) == ["buildhook"]
    # Neither a replay nor the push behind it changes that.
    await house.deliver(sent, guid="again")
    await house.deliver(house.sent("push"), guid="push-again")
    assert [one.id for one in await house.builds()] == [made.id]


async def test_a_pull_request_that_changes_nothing_of_interest_shows_each_check_as_skipped(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(f"{{pull_request: {PATHS}}}"))
    await house.simulator.commit(repository, "topic", {"README.md": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    sent = house.sent("pull_request", "opened")
    await house.deliver(sent)
    await assert_left_out(house, "No changed file matches `on.pull_request.paths`.")
    assert asked_for(house, "/compare/") == 1
    await house.deliver(sent, guid="again")
    assert len(await house.builds()) == 1
    # All of the pull request counts, not its last push alone.
    for files in ({"src/a.py": "a"}, {"README.md": "b"}):
        await house.simulator.push(repository, "topic", files)
        await house.deliver(house.sent("pull_request", "synchronize"))
        assert (await newest(house)).state == build.State.QUEUED


async def test_a_draft_that_is_left_out_is_built_when_it_is_ready(house: House) -> None:
    on = "{pull_request: {drafts: false}}"
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(on))
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic", draft=True)
    await house.deliver(house.sent("pull_request", "opened"))
    await assert_left_out(house, "It is a draft")
    house.simulator.clock.advance(2)
    await house.simulator.ready_for_review(pull)
    await house.deliver(house.sent("pull_request", "ready_for_review"))
    await house.deliver(house.sent("pull_request", "ready_for_review"), guid="again")
    assert [(one.state, one.generation) for one in await house.builds()] == [
        (build.State.QUEUED, 2),
        (build.State.SKIPPED, 1),
    ]


async def test_t31_a_type_that_is_left_out_proves_nothing_and_a_label_builds(house: House) -> None:
    repository = await house.simulator.create_repository(
        "octo/hello", files=pipeline("{pull_request: {types: [labeled]}}")
    )
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    opened = house.sent("pull_request", "opened")
    await house.deliver(opened)
    made = await newest(house)
    assert (made.state, made.waits_for) == (build.State.WAITING, approval.Consent.RUN_ANYWAY)
    assert made.reason == "`on.pull_request.types` does not name `opened`."
    labeled = changed(house, opened, "labeled", action="labeled", label={"name": "go"})
    await house.deliver(labeled)
    assert [one.state for one in await house.builds()] == [build.State.QUEUED, build.State.CANCELLED]
    before = len(house.simulator.requests)
    again = changed(house, opened, "labeled-again", action="labeled", label={"name": "more"})
    assert (await house.deliver(again)).state == delivery.State.IGNORED
    assert (len(await house.builds()), len(house.simulator.requests)) == (2, before)


async def forked(house: House, on: str, files: dict[str, str | None]) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=pipeline(on))
    fork = await house.simulator.fork(repository, "hubot")
    await house.simulator.commit(fork, "topic", files)
    await house.simulator.open_pull_request(repository, "topic", from_fork=fork)
    await house.deliver(house.sent("pull_request", "opened"))


async def test_what_the_bases_file_leaves_out_of_a_fork_needs_no_approval(house: House) -> None:
    await forked(house, f"{{pull_request: {PATHS}}}", {"README.md": "a"})
    made = await assert_left_out(house, "No changed file matches")
    assert made.trust == build.Trust.UNTRUSTED


@pytest.mark.parametrize(
    "file", [None, f"on: {{pull_request: {{branches: [other]}}}}\n{JOBS}", f"on: {{pull_request: {PATHS}}}\n{JOBS}\n"]
)
async def test_t31_a_fork_that_touches_the_file_skips_nothing(house: House, file: str | None) -> None:
    await forked(house, f"{{pull_request: {PATHS}}}", {".buildhook.yml": file})
    made = await newest(house)
    assert (made.state, made.waits_for) == (build.State.WAITING, approval.Consent.APPROVE)


async def test_t31_a_fork_cannot_skip_by_its_own_file_what_the_base_runs(house: House) -> None:
    await forked(house, "pull_request", {".buildhook.yml": f"on: {{pull_request: {{branches: [other]}}}}\n{JOBS}"})
    assert (await newest(house)).state == build.State.WAITING


async def test_t31_a_forced_push_that_deletes_the_file_fails(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.simulator.push(repository, "main", {".buildhook.yml": None}, force=True)
    await house.deliver(house.sent("push"))
    made = await newest(house)
    assert (made.state, made.reason) == (
        build.State.FAILED,
        "`.buildhook.yml` was deleted. Put it back to build again.",
    )


async def test_builds_of_one_group_wait_for_each_other(house: House) -> None:
    text = f"on: push\nconcurrency: {{group: deploy, scope: repository}}\n{JOBS}"
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": text})
    for branch in ("main", "topic"):
        await house.simulator.push(repository, branch, {"a.txt": branch})
        await house.deliver(house.sent("push"))
    second, first = await house.builds()
    assert first.concurrency_group == second.concurrency_group == "* deploy"
    assert (first.reason, second.reason) == (None, f"Waits for build {first.id} of the same concurrency group.")
    assert await house.store.read(builds.get, second.id) == second
