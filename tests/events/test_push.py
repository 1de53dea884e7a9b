"""Pushes: what is built, what is covered, what is ignored and why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import clock
from bot.model import build, delivery, job
from tests.events.conftest import PIPELINE, House


async def test_a_push_makes_a_build_with_its_jobs_and_checks(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    head = await house.simulator.push(repository, "main", {"a.txt": "a"}, "Add a\n\nwith a body")
    done = await house.deliver(house.sent("push"))
    assert done.state == delivery.State.HANDLED
    (made,) = await house.builds()
    assert (made.repository_id, made.head_sha, made.base_sha) == (repository.id, head, None)
    assert (made.generation, made.trust, made.title) == (1, build.Trust.TRUSTED, "Add a")
    assert made.delivery_id == done.id
    (one,) = await house.jobs()
    assert (one.state, one.check_name) == (job.State.QUEUED, "buildhook")


async def test_t10_the_same_push_under_another_delivery_id_starts_nothing(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    again = await house.deliver(house.sent("push"), guid="another-id")
    assert "already covers" in (again.reason or "")
    await house.end_build(build.State.CANCELLED, job.State.CANCELLED)
    after_cancel = await house.deliver(house.sent("push"), guid="a-third-id")
    assert "already covers" in (after_cancel.reason or "")
    assert len(await house.builds()) == 1


async def test_a_push_of_a_commit_that_another_branch_built_is_covered(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    head = await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await house.simulator.push(repository, "release", start=head)
    covered = await house.deliver(house.sent("push"))
    assert covered.state == delivery.State.HANDLED
    assert len(await house.builds()) == 1


async def test_a_push_of_a_commit_whose_build_was_stopped_is_built(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    head = await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await house.end_build(build.State.CANCELLED, job.State.CANCELLED)
    await house.simulator.push(repository, "release", start=head)
    await house.deliver(house.sent("push"))
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_a_push_to_a_pull_requests_branch_waits_for_its_other_delivery(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    head = await house.simulator.push(repository, "topic", {"a.txt": "b"})
    pushed = await house.deliver(house.sent("push"))
    assert pushed.state == delivery.State.RETRYING
    assert pushed.attempts == 0
    assert pushed.next_attempt_at is not None
    assert [one.head_sha for one in await house.builds()] != [head]
    await house.deliver(house.sent("pull_request", "synchronize"))
    assert [one.event for one in await house.builds()] == ["pull_request", "pull_request"]


async def test_a_push_whose_pull_request_never_tells_is_built_after_all(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    head = await house.simulator.push(repository, "topic", {"a.txt": "b"})
    await house.receive(house.sent("push"), received_at=clock.now() - timedelta(seconds=6))
    await house.dispatch()
    newest = (await house.builds())[0]
    assert (newest.event, newest.head_sha) == ("push", head)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("on: pull_request\njobs: {t: {steps: [{run: a}]}}\n", "`on` does not name `push`."),
        (
            "on: {push: {branches: [main]}, pull_request: {}}\njobs: {t: {steps: [{run: a}]}}\n",
            "`on.push.branches` does not match",
        ),
    ],
)
async def test_a_push_that_the_file_leaves_out_is_ignored_with_the_reason(house: House, text: str, reason: str) -> None:
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": text})
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    done = await house.deliver(house.sent("push"))
    assert done.state == delivery.State.IGNORED
    assert reason in (done.reason or "")
    assert await house.builds() == []


async def test_t34_a_tag_is_not_a_branch_of_the_same_name(house: House) -> None:
    text = "on: {push: {branches: [v1]}}\njobs: {t: {steps: [{run: a}]}}\n"
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": text})
    await house.simulator.push_tags(repository, ["v1"])
    done = await house.deliver(house.sent("push"))
    assert "is a tag" in (done.reason or "")
    await house.simulator.push(repository, "v1", {"a.txt": "a"})
    assert (await house.deliver(house.sent("push"))).state == delivery.State.HANDLED


async def test_a_deleted_branch_starts_nothing(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.simulator.delete_branch(repository, "topic")
    done = await house.deliver(house.sent("push"))
    assert done.state == delivery.State.IGNORED
    assert "was deleted" in (done.reason or "")


async def test_a_file_deleted_by_the_push_fails_and_one_that_never_was_is_ignored(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {".buildhook.yml": None})
    await house.deliver(house.sent("push"))
    (made,) = await house.builds()
    assert made.state == build.State.FAILED
    assert "was deleted" in (made.reason or "")
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    assert (await house.deliver(house.sent("push"))).state == delivery.State.IGNORED


async def test_t14_a_repository_of_another_installation_is_ignored(house: House) -> None:
    await house.simulator.create_repository("octo/hello", files=PIPELINE)
    other = await house.simulator.create_repository("acme/secret", files=PIPELINE, private=True)
    repository = house.simulator.repository("octo/hello")
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    sent = house.sent("push")
    forged = sent.body.replace(str(repository.id).encode(), str(other.id).encode())
    headers = house.simulator.hooks.headers(forged, event="push", guid="forged")
    done = await house.deliver(type("Sent", (), {"headers": headers, "body": forged}))
    assert done.state == delivery.State.IGNORED
    assert await house.builds() == []


async def test_t14_without_an_installation_it_is_ignored(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    body = house.sent("push").body.replace(b'"installation"', b'"no_installation"')
    headers = house.simulator.hooks.headers(body, event="push", guid="none")
    done = await house.deliver(type("Sent", (), {"headers": headers, "body": body}))
    assert (done.state, done.reason) == (delivery.State.IGNORED, "The delivery names no installation of the App.")


async def test_a_suspended_or_gone_installation_is_ignored(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    house.simulator.suspend("octo")
    assert (await house.deliver(house.sent("push"))).state == delivery.State.IGNORED
    house.simulator.uninstall("octo")
    assert (await house.deliver(house.sent("push"), guid="later")).state == delivery.State.IGNORED


async def test_f30_while_github_is_away_nothing_is_decided_and_nothing_lost(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    house.simulator.faults.add(path="/contents/", status=503, times=None)
    done = await house.deliver(house.sent("push"))
    assert done.state == delivery.State.RETRYING
    assert (done.attempts, await house.builds()) == (0, [])
    assert done.error is not None
