"""The life of a repository while its builds are under way: its id decides where they are told, whatever its name is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bot.model import build, check, delivery, job
from bot.simulator import Repository
from bot.store import builds, checks, jobs
from tests.events.conftest import PIPELINE, House

PHASES = (job.State.QUEUED, job.State.STARTING, job.State.RUNNING, job.State.PASSED)


async def built(house: House, phase: job.State = job.State.QUEUED, name: str = "octo/hello") -> Repository:
    """A repository whose one build is in this phase."""
    repository = await house.simulator.create_repository(name, files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await enter(house, phase)
    return repository


async def enter(house: House, phase: job.State) -> None:
    """Bring the newest build into a phase, as the scheduler would."""
    newest = (await house.builds())[0]
    for one in await house.store.read(jobs.list_of_builds, [newest.id]):
        is_over = phase in job.FINAL
        moved = replace(one, state=phase, started_at=house.now(), finished_at=house.now() if is_over else None)
        await house.store.write(jobs.save, moved)
    if phase != job.State.QUEUED:
        state = build.State.PASSED if phase in job.FINAL else build.State.RUNNING
        at = house.now()
        await house.store.write(builds.save_state, newest.id, state=state, started_at=at, finished_at=at)


async def checks_of(house: House) -> list[check.Check]:
    """The checks of all builds, the newest build's first."""
    return [one for made in await house.builds() for one in await house.store.read(checks.list_of_build, made.id)]


async def is_stopped(house: House, build_id: str) -> bool:
    """Whether somebody wants the build cancelled."""
    return await house.store.read(jobs.is_ending, build_id)


@pytest.mark.parametrize("phase", PHASES)
async def test_f40_what_is_under_way_goes_on_under_the_new_name(house: House, phase: job.State) -> None:
    repository = await built(house, phase)
    house.simulator.rename(repository, "renamed")
    done = await house.deliver(house.sent("repository", "renamed"))
    assert done.reason == f"Repository {repository.id} is octo/renamed now."
    (made,) = await house.builds()
    assert made.repository == "octo/renamed"
    assert {one.repository for one in await checks_of(house)} == {"octo/renamed"}
    assert not await is_stopped(house, made.id)


async def test_f40_an_old_name_that_another_repository_bears_leads_nobody_astray(house: House) -> None:
    repository = await built(house)
    house.simulator.rename(repository, "renamed")
    renamed = house.sent("repository", "renamed")
    other = await built(house)
    assert (other.full_name, other.id != repository.id) == ("octo/hello", True)
    await house.deliver(renamed)
    labels = {one.repository_id: one.repository for one in await checks_of(house)}
    assert labels == {repository.id: "octo/renamed", other.id: "octo/hello"}


@pytest.mark.parametrize("phase", PHASES)
async def test_f40_what_is_under_way_goes_on_in_the_new_owners_installation(house: House, phase: job.State) -> None:
    await house.simulator.create_repository("acme/other", files=PIPELINE)
    repository = await built(house, phase)
    house.simulator.transfer(repository, "acme")
    # It is told first that it went: whether it came somewhere else is waited for.
    removed = await house.deliver(house.sent("installation_repositories", "removed"))
    is_busy = phase not in job.FINAL
    assert (removed.state == delivery.State.RETRYING) == is_busy
    await house.deliver(house.sent("repository", "transferred"))
    await house.pass_time(6)
    (made,) = await house.builds()
    acme = house.simulator.installation_of("acme")
    assert acme is not None
    assert (made.repository, made.installation_id) == ("acme/hello", acme.id)
    assert {(one.repository, one.installation_id) for one in await checks_of(house)} == {("acme/hello", acme.id)}
    assert not await is_stopped(house, made.id)


async def test_f39_what_is_deleted_ends_and_is_given_up_with_the_reason(house: House) -> None:
    repository = await built(house)
    other = await built(house, name="octo/other")
    await house.simulator.delete_repository(repository)
    done = await house.deliver(house.sent("repository", "deleted"))
    assert done.reason == "octo/hello was deleted."
    stopped = {one.repository_id: await is_stopped(house, one.id) for one in await house.builds()}
    assert stopped == {repository.id: True, other.id: False}
    told = {one.repository_id: (one.is_stale, one.error) for one in await checks_of(house)}
    assert told == {repository.id: (False, "octo/hello was deleted."), other.id: (True, None)}


async def test_f39_what_was_archived_ends_and_begins_again_when_it_is_back(house: House) -> None:
    repository = await built(house)
    house.simulator.archive(repository)
    await house.deliver(house.sent("repository", "archived"))
    (first,) = await house.builds()
    assert await is_stopped(house, first.id)
    house.simulator.archive(repository, back=True)
    done = await house.deliver(house.sent("repository", "unarchived"))
    assert done.reason == "octo/hello can be written to. 1 build that this had stopped begins again."
    newest = (await house.builds())[0]
    assert (newest.head_sha, newest.generation) == (first.head_sha, 2)
    assert not await is_stopped(house, newest.id)


@pytest.mark.parametrize("phase", PHASES)
async def test_f39_a_suspension_stops_what_runs_and_its_end_takes_it_up_again(house: House, phase: job.State) -> None:
    await built(house, phase)
    await house.deliver(house.sent("installation", "created"))
    await house.pass_time(1)
    house.simulator.suspend("octo")
    await house.deliver(house.sent("installation", "suspend"))
    (first,) = await house.builds()
    is_busy = phase not in job.FINAL
    assert await is_stopped(house, first.id) == is_busy
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    again = await house.deliver(house.sent("installation", "unsuspend"))
    assert len(await house.builds()) == (2 if is_busy else 1)
    # Told twice, it begins again once.
    assert "begins again" in (again.reason or "") or not is_busy
    await house.deliver(house.sent("installation", "unsuspend"), guid="told-again")
    assert len(await house.builds()) == (2 if is_busy else 1)


async def test_f39_what_a_pull_request_no_longer_wants_does_not_begin_again(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    house.simulator.suspend("octo")
    await house.deliver(house.sent("installation", "suspend"))
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    await house.simulator.close(pull)
    await house.deliver(house.sent("pull_request", "closed"))
    await house.deliver(house.sent("installation", "unsuspend"))
    assert len(await house.builds()) == 1


async def test_f94_what_waits_for_approval_waits_through_a_suspension_and_ends_with_the_app(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    fork = await house.simulator.fork(repository, "hubot")
    await house.simulator.commit(fork, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic", from_fork=fork)
    await house.deliver(house.sent("pull_request", "opened"))
    house.simulator.suspend("octo")
    await house.deliver(house.sent("installation", "suspend"))
    assert [one.state for one in await house.builds()] == [build.State.WAITING]
    house.simulator.uninstall("octo")
    await house.deliver(house.sent("installation", "deleted"))
    assert [one.state for one in await house.builds()] == [build.State.CANCELLED]


@pytest.mark.parametrize("phase", PHASES)
async def test_f94_whoever_installs_the_app_again_can_run_old_builds_again(house: House, phase: job.State) -> None:
    repository = await built(house, phase)
    house.simulator.uninstall("octo")
    await house.deliver(house.sent("installation", "deleted"))
    (made,) = await house.builds()
    assert await is_stopped(house, made.id) == (phase not in job.FINAL)
    late = await house.deliver(house.sent("push"), guid="late")
    assert "already covers" in (late.reason or "")
    new = house.simulator.install("octo", [repository])
    await house.deliver(house.sent("installation", "created"))
    assert {one.installation_id for one in await house.builds()} == {new.id}


async def test_f39_checks_that_were_given_up_are_sent_when_the_repository_is_back(house: House) -> None:
    repository = await built(house)
    later = timedelta(minutes=1)
    (claimed,) = await house.store.write(
        checks.claim_stale, now=house.now() + later, owner="test", lease=later, limit=9
    )
    await house.store.write(checks.give_up, claimed, error="It is not there.")
    house.simulator.remove_from_installation(repository)
    house.simulator.install("octo", [repository])
    await house.deliver(house.sent("installation_repositories", "added"))
    assert [one.is_stale for one in await checks_of(house)] == [True]


@pytest.mark.parametrize("action", ["edited", "privatized"])
async def test_what_else_happens_to_a_repository_is_ignored_with_the_reason(house: House, action: str) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    sender = house.simulator.user("mona")
    house.simulator.emit("repository", {"action": action}, repository=repository, sender=sender)
    done = await house.deliver(house.sent("repository", action))
    assert (done.state, done.reason) == (
        delivery.State.IGNORED,
        f"octo/hello was {action}: what depends on it is asked each time.",
    )


async def test_f46_a_tag_whose_push_never_came_is_built_and_once_for_both(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "main", {"a.txt": "a"})
    await house.simulator.push_tags(repository, ["v1/ü"], message="First")
    await house.deliver(house.sent("create"))
    (made,) = await house.builds()
    assert (made.event, made.ref, made.head_sha) == ("push", "refs/tags/v1/ü", repository.heads["main"])
    pushed = await house.deliver(house.sent("push"))
    assert "already covers" in (pushed.reason or "")
    await house.simulator.delete_tag(repository, "v1/ü")
    gone = await house.deliver(house.sent("delete"))
    assert gone.reason == "The tag `v1/ü` was deleted: there is nothing to build. What is under way of it ends."
    late = await house.deliver(house.sent("create"), guid="late")
    assert "is gone already" in (late.reason or "")
    assert not await is_stopped(house, made.id)


async def test_a_new_branch_is_told_by_its_push(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    done = await house.deliver(house.sent("create"))
    assert done.state == delivery.State.IGNORED
    assert await house.builds() == []


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", ["pushed", "closed", "merged", "draft", "retargeted", "deleted"])
async def test_f43_what_happens_to_a_pull_request_while_it_is_built(
    house: House, phase: job.State, change: str
) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "release", {"b.txt": "b"})
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    await enter(house, phase)
    (first,) = await house.builds()
    await house.pass_time(1)
    told = len(house.simulator.deliveries)
    match change:
        case "pushed":
            await house.simulator.push(repository, "topic", {"a.txt": "b"}, force=True)
        case "closed":
            await house.simulator.close(pull)
        case "merged":
            await house.simulator.merge(pull)
        case "draft":
            await house.simulator.convert_to_draft(pull)
        case "retargeted":
            await house.simulator.retarget(pull, "release")
        case "deleted":
            await house.simulator.delete_branch(repository, "topic")
    for one in house.simulator.deliveries[told:]:
        if one.event == "pull_request":
            await house.deliver(one)
    is_busy = phase not in job.FINAL
    assert await is_stopped(house, first.id) == (is_busy and change != "draft")
    newer = [one for one in await house.builds() if one.id != first.id]
    assert len(newer) == (1 if change in {"pushed", "retargeted"} else 0)
    # Whatever is told of the first build is told of its own commit, and nothing else is.
    for made in await house.builds():
        shown = await house.store.read(checks.list_of_build, made.id)
        assert {one.head_sha for one in shown} == {made.head_sha}
        assert made.head_sha in {first.head_sha, pull.head_sha}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("change", ["forced", "deleted"])
async def test_f43_what_happens_to_a_plain_branch_lets_its_builds_run_to_their_end(
    house: House, phase: job.State, change: str
) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await enter(house, phase)
    (first,) = await house.builds()
    if change == "forced":
        await house.simulator.push(repository, "topic", {"a.txt": "b"}, force=True)
    else:
        await house.simulator.delete_branch(repository, "topic")
    done = await house.deliver(house.sent("push"))
    assert not await is_stopped(house, first.id)
    assert ("What is under way of it ends." in (done.reason or "")) == (change == "deleted")
    assert len(await house.builds()) == (2 if change == "forced" else 1)


async def test_f49_a_push_that_comes_five_hours_late_is_built_only_if_it_is_the_head_still(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    first = await house.simulator.push(repository, "main", {"a.txt": "a"})
    old = house.sent("push")
    second = await house.simulator.push(repository, "main", {"a.txt": "b"})
    new = house.sent("push")
    await house.simulator.push(repository, "gone", {"a.txt": "c"})
    gone = house.sent("push")
    await house.simulator.delete_branch(repository, "gone")
    five_hours_later = house.now() + timedelta(hours=5)
    for sent in (old, gone, new):
        await house.receive(sent, received_at=five_hours_later)
    await house.dispatch()
    assert [one.head_sha for one in await house.builds()] == [second] != [first]


async def test_f49_a_pull_request_that_is_told_of_five_hours_late_is_built_as_it_stands(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    opened = house.sent("pull_request", "opened")
    head = await house.simulator.push(repository, "topic", {"a.txt": "b"})
    for sent in (opened, house.sent("pull_request", "synchronize")):
        await house.receive(sent, received_at=house.now() + timedelta(hours=5))
    await house.dispatch()
    assert [one.head_sha for one in await house.builds()] == [head]
