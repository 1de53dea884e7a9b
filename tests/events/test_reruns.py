"""Re-runs asked for on GitHub: who may, what runs, and what a replayed wish does."""

from __future__ import annotations

from bot import clock
from bot.model import build, delivery, job
from bot.simulator import CheckRun, Repository
from bot.store import audit, checks
from tests.events.conftest import House

PIPELINE = {
    ".buildhook.yml": """\
on: push
jobs:
  lint: {steps: [{run: a}]}
  test: {steps: [{run: b}]}
"""
}


async def failed(house: House, name: str) -> tuple[Repository, CheckRun]:
    """A failed build whose checks GitHub knows; gives one of its check runs."""
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await house.end_build(build.State.FAILED, job.State.FAILED)
    return repository, await report(house, repository, name)


async def report(house: House, repository: Repository, name: str) -> CheckRun:
    """Show the newest build's checks on the simulator, as the reporter would; gives the one of this name."""
    newest = (await house.builds())[0]
    shown = {}
    for one in await house.store.read(checks.list_of_build, newest.id):
        body = {
            "name": one.name,
            "head_sha": one.head_sha,
            "external_id": one.external_id,
            "status": "completed",
            "conclusion": "failure",
        }
        commit = await house.simulator.git_of(repository).commit(one.head_sha)
        run = house.simulator.create_check_run(repository, commit, body, app=house.simulator.app)
        await house.store.write(
            checks.acknowledge, one, version=1, github_id=run.id, status="completed", now=clock.now()
        )
        shown[one.name] = run
    return shown[name]


async def test_one_job_runs_again_and_the_other_is_taken_over(house: House) -> None:
    repository, run = await failed(house, "buildhook / test")
    house.simulator.rerequest_check_run(repository, run.id)
    done = await house.deliver(house.sent("check_run", "rerequested"))
    assert done.state == delivery.State.HANDLED
    newest = (await house.builds())[0]
    assert (newest.generation, newest.sender) == (2, "mona")
    states = {one.plan.key: one.state for one in await house.jobs() if one.build_id == newest.id}
    assert states == {"lint": job.State.FAILED, "test": job.State.QUEUED}


async def test_t117_whoever_presses_the_button_is_written_down_once_with_their_number(house: House) -> None:
    repository, run = await failed(house, "buildhook / test")
    house.simulator.rerequest_check_run(repository, run.id)
    done = await house.deliver(house.sent("check_run", "rerequested"))
    await house.deliver(house.sent("check_run", "rerequested"), guid="again")
    newest, first = await house.builds()
    (entry,) = await house.store.read(audit.list_newest, limit=9)
    assert (entry.action, entry.via, entry.actor) == ("retry", "button", "mona")
    assert entry.actor_id == newest.sender_id > 0
    assert (entry.build_id, entry.delivery_id, entry.head_sha) == (newest.id, done.id, newest.head_sha)
    assert entry.detail == f"Of build {first.id}: `test`."


async def test_the_aggregate_runs_all_again(house: House) -> None:
    repository, run = await failed(house, "buildhook")
    house.simulator.rerequest_check_run(repository, run.id)
    await house.deliver(house.sent("check_run", "rerequested"))
    newest = (await house.builds())[0]
    states = {one.state for one in await house.jobs() if one.build_id == newest.id}
    assert states == {job.State.QUEUED}


async def test_t10_a_replayed_wish_is_answered_once(house: House) -> None:
    repository, run = await failed(house, "buildhook")
    house.simulator.rerequest_check_run(repository, run.id)
    wish = house.sent("check_run", "rerequested")
    await house.deliver(wish)
    await house.deliver(wish, guid="while-it-runs")
    await house.end_build(build.State.FAILED, job.State.FAILED)
    await report(house, repository, "buildhook")
    late = await house.deliver(wish, guid="after-it-ended")
    assert "is not the newest" in (late.reason or "")
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_t10_a_suite_is_run_again_once_for_each_press(house: House) -> None:
    repository, run = await failed(house, "buildhook")
    house.simulator.rerequest_check_suite(repository, run.suite.id)
    wish = house.sent("check_suite", "rerequested")
    await house.deliver(wish)
    await house.end_build(build.State.FAILED, job.State.FAILED)
    await house.deliver(wish, guid="replayed")
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_t37_who_may_not_push_re_runs_nothing(house: House) -> None:
    repository, run = await failed(house, "buildhook")
    house.simulator.create_user("hubot")
    house.simulator.set_permission(repository, "hubot", "triage")
    house.simulator.rerequest_check_run(repository, run.id, sender="hubot")
    done = await house.deliver(house.sent("check_run", "rerequested"))
    assert "hubot has no write permission" in (done.reason or "")
    house.simulator.rerequest_check_suite(repository, run.suite.id, sender="hubot")
    done = await house.deliver(house.sent("check_suite", "rerequested"))
    assert "hubot has no write permission" in (done.reason or "")
    assert len(await house.builds()) == 1


async def test_a_check_run_that_is_not_ours_is_ignored(house: House) -> None:
    repository, run = await failed(house, "buildhook")
    house.simulator.rerequest_check_run(repository, run.id)
    sent = house.sent("check_run", "rerequested")
    body = sent.body.replace(str(run.id).encode(), b"424242")
    headers = house.simulator.hooks.headers(body, event="check_run", guid="forged")
    forged = type("Sent", (), {"headers": headers, "body": body})
    done = await house.deliver(forged)
    assert done.state == delivery.State.IGNORED
    assert "none of ours" in (done.reason or "")


async def test_our_own_check_runs_and_suites_start_nothing(house: House) -> None:
    await failed(house, "buildhook")
    for event, action in (("check_run", "created"), ("check_run", "completed"), ("check_suite", "requested")):
        assert (await house.deliver(house.sent(event, action))).state == delivery.State.IGNORED
    assert len(await house.builds()) == 1
