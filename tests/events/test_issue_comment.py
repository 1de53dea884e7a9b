"""Commands in comments: who may, what follows, what is answered, and what is never a command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from bot import clock
from bot.model import answer, build, delivery, job
from bot.simulator import Comment, PullRequest, Repository
from bot.store import answers, approvals, builds, jobs
from tests import factories
from tests.databases import long_on_postgresql
from tests.events.conftest import House

pytestmark = long_on_postgresql

PIPELINE = {
    ".buildhook.yml": """\
on: pull_request
jobs:
  lint: {steps: [{run: a}]}
  test: {steps: [{run: b}]}
  pack: {needs: test, steps: [{run: c}]}
"""
}


@dataclass
class Talk:
    """A pull request with a build, and what is said on it."""

    house: House
    repository: Repository
    pull: PullRequest

    async def say(self, body: str, *, author: str = "octo", guid: str | None = None) -> delivery.Delivery:
        """A comment that is delivered and handled."""
        self.house.simulator.comment(self.pull, body, author=author)
        return await self.house.deliver(self.house.sent("issue_comment", "created"), guid=guid)

    async def answer(self) -> answer.Answer | None:
        """What is to be told on the pull request."""
        return await self.house.store.read(answers.find, repository_id=self.repository.id, pull_number=self.pull.number)

    async def told(self) -> list[tuple[str, bool]]:
        """The commands that were answered, oldest first, and whether each was taken."""
        found = await self.answer()
        return [(one.command, one.is_taken) for one in found.entries] if found is not None else []

    def comment(self) -> Comment:
        """The last comment of somebody else than us."""
        return self.house.simulator.comments_on(self.pull)[-1]

    def reactions(self) -> list[str]:
        """Those under the last comment."""
        return [one.content for one in self.comment().reactions]

    async def end(self, states: dict[str, job.State], *, state: build.State = build.State.FAILED) -> build.Build:
        """Let the jobs of the newest build end like this."""
        newest = (await self.house.builds())[0]
        for one in await self.house.store.read(jobs.list_of_builds, [newest.id]):
            ended = replace(one, state=states.get(one.plan.key, job.State.PASSED), finished_at=clock.now())
            await self.house.store.write(jobs.save, ended)
        at = clock.now()
        await self.house.store.write(builds.save_state, newest.id, state=state, started_at=at, finished_at=at)
        return newest

    async def newest_states(self) -> dict[str, job.State]:
        """Of the jobs of the newest build."""
        newest = (await self.house.builds())[0]
        return {one.plan.key: one.state for one in await self.house.jobs() if one.build_id == newest.id}


async def opened(house: House, *, from_fork: bool = False, author: str | None = None) -> Talk:
    """A pull request that was told of."""
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    fork = await house.simulator.fork(repository, "hubot") if from_fork else None
    await house.simulator.commit(fork or repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic", from_fork=fork, author=author)
    await house.deliver(house.sent("pull_request", "opened"))
    return Talk(house, repository, pull)


async def failed(house: House, **given: Any) -> Talk:
    """A pull request whose build has failed in one job."""
    talk = await opened(house, **given)
    await talk.end({"test": job.State.FAILED, "pack": job.State.SKIPPED})
    return talk


def changed(house: House, guid: str, change: Any) -> Any:
    """The last comment's delivery with another payload, signed anew."""
    sent = house.sent("issue_comment", "created")
    payload = json.loads(sent.body)
    change(payload)
    body = json.dumps(payload).encode()
    return type("Sent", (), {"headers": house.simulator.hooks.headers(body, event=sent.event, guid=guid), "body": body})


async def test_all_jobs_run_again(house: House) -> None:
    talk = await failed(house)
    done = await talk.say("Once more, please:\n/test")
    newest = (await house.builds())[0]
    assert (newest.generation, newest.sender, newest.pull_number) == (2, "octo", talk.pull.number)
    assert await talk.newest_states() == {
        "lint": job.State.QUEUED,
        "test": job.State.QUEUED,
        "pack": job.State.WAITING,
    }
    assert done.trail[-1] == f"/test: Build {newest.id} runs all jobs of {newest.head_sha} again."
    assert talk.reactions() == ["eyes"]
    found = await talk.answer()
    assert found is not None
    assert [(one.command, one.sender, one.is_taken, one.build_id) for one in found.entries] == [
        ("/test", "octo", True, newest.id)
    ]


async def test_what_failed_runs_again_with_what_needs_it(house: House) -> None:
    talk = await failed(house)
    await talk.say("/retest")
    assert await talk.newest_states() == {
        "lint": job.State.PASSED,
        "test": job.State.QUEUED,
        "pack": job.State.WAITING,
    }


@pytest.mark.parametrize("name", ["test", "buildhook / test"])
async def test_one_job_runs_again_with_what_needs_it(house: House, name: str) -> None:
    talk = await failed(house)
    await talk.say(f"/test {name}")
    assert await talk.newest_states() == {
        "lint": job.State.PASSED,
        "test": job.State.QUEUED,
        "pack": job.State.WAITING,
    }


async def test_several_commands_of_a_comment_make_one_build(house: House) -> None:
    talk = await failed(house)
    await talk.say("/retest\n/test lint\n/cancel")
    assert [one.generation for one in await house.builds()] == [2, 1]
    assert set((await talk.newest_states()).values()) == {job.State.QUEUED, job.State.WAITING}
    assert await talk.told() == [("/retest", True), ("/test lint", True), ("/cancel", False)]
    assert talk.reactions() == ["eyes"]


async def test_a_job_that_is_not_there_is_told_with_those_that_are(house: House) -> None:
    talk = await failed(house)
    done = await talk.say("/test tset | @octo <b>")
    assert "has no job `tset | @octo <b>`; it has `lint`, `test`, `pack`" in (done.reason or "")
    assert talk.reactions() == ["confused"]
    assert len(await house.builds()) == 1


async def test_what_runs_is_cancelled_and_what_waits_for_approval_is_not(house: House) -> None:
    talk = await opened(house)
    waits = factories.make_pull_build(
        repository_id=talk.repository.id, pull_number=talk.pull.number, state=build.State.WAITING
    )
    await house.store.write(builds.insert, waits)
    done = await talk.say("/cancel")
    asked = [one for one in await house.jobs() if one.cancel_requested_at is not None]
    assert {one.plan.key for one in asked} == {"lint", "test", "pack"}
    assert {one.cancel_reason for one in asked} == {"octo cancelled it by a comment."}
    assert "will end" in (done.reason or "")
    assert [one.state for one in await house.builds() if one.id == waits.id] == [build.State.WAITING]
    assert talk.reactions() == ["eyes"]


async def test_what_runs_is_not_run_again(house: House) -> None:
    talk = await opened(house)
    done = await talk.say("/test")
    assert "has not ended yet" in (done.reason or "")
    assert talk.reactions() == ["confused"]


async def test_anybody_may_ask_for_help_and_nothing_is_asked_of_github(house: House) -> None:
    talk = await failed(house)
    house.simulator.create_user("stranger")
    house.simulator.requests.clear()
    await talk.say("/help", author="stranger")
    assert [one.method for one in house.simulator.requests if "/app/" not in one.path] == ["POST"]
    assert talk.reactions() == ["eyes"]
    found = await talk.answer()
    assert found is not None
    assert any("/ok-to-test SHA" in line for line in found.entries[-1].lines)


@pytest.mark.parametrize("body", ["Nice work.", "> /test", "```\n/retest\n```", "<!-- /cancel -->", "/approve"])
async def test_t27_a_comment_without_commands_costs_no_call(house: House, body: str) -> None:
    talk = await failed(house)
    house.simulator.requests.clear()
    done = await talk.say(body)
    assert done.state == delivery.State.IGNORED
    assert house.simulator.requests == []
    assert talk.reactions() == []
    assert await talk.answer() is None


async def test_t27_the_longest_comment_is_read_beside_other_work(house: House) -> None:
    talk = await failed(house)
    await talk.say("a `b` " * 10_000 + "\n\n/retest")
    assert await talk.told() == [("/retest", True)]


@pytest.mark.parametrize("command", ["/test", "/test lint", "/retest", "/cancel", f"/ok-to-test {'a' * 40}"])
async def test_t27_a_stranger_is_refused_in_words(house: House, command: str) -> None:
    talk = await failed(house)
    house.simulator.create_user("stranger")
    done = await talk.say(command, author="stranger")
    assert "`stranger` may not push to this repository (GitHub says `read`)" in (done.reason or "")
    assert talk.reactions() == ["-1"]
    assert await talk.told() == [(command, False)]
    assert len(await house.builds()) == 1


@pytest.mark.parametrize("permission", ["none", "read", "triage", "write", "maintain", "admin"])
async def test_t30_t37_only_who_may_push_runs_builds_again(house: House, permission: str) -> None:
    talk = await failed(house)
    house.simulator.create_user("hubot")
    house.simulator.set_permission(talk.repository, "hubot", permission)
    await talk.say("/retest", author="hubot")
    may = permission in {"write", "maintain", "admin"}
    assert len(await house.builds()) == (2 if may else 1)
    assert talk.reactions() == ["eyes" if may else "-1"]


async def test_t27_an_edit_gives_no_command(house: House) -> None:
    talk = await failed(house)
    comment = house.simulator.comment(talk.pull, "Nice.", author="octo")
    house.simulator.edit_comment(comment, "/test")
    done = await house.deliver(house.sent("issue_comment", "edited"))
    assert done.state == delivery.State.IGNORED
    assert len(await house.builds()) == 1


async def test_t27_a_bot_gives_no_command_whatever_it_may(house: House) -> None:
    talk = await failed(house)
    house.simulator.set_permission(talk.repository, "helper[bot]", "admin")
    done = await talk.say("/test", author="helper[bot]")
    assert (done.state, "is a bot" in (done.reason or "")) == (delivery.State.IGNORED, True)
    house.simulator.comment(talk.pull, "/test", via_app=house.simulator.app)
    done = await house.deliver(house.sent("issue_comment", "created"))
    assert (done.state, "is a bot" in (done.reason or "")) == (delivery.State.IGNORED, True)
    assert len(await house.builds()) == 1


async def test_t27_what_we_write_in_somebodys_name_gives_no_command(house: House) -> None:
    talk = await failed(house)
    house.simulator.comment(talk.pull, "/test", author="octo")

    def by_us(payload: Any) -> None:
        payload["comment"]["performed_via_github_app"] = {"id": house.simulator.app_id}

    done = await house.deliver(changed(house, "ours", by_us))
    assert (done.state, done.reason) == (delivery.State.IGNORED, "The comment is our own.")


async def test_t27_a_payload_with_two_authors_gives_no_command(house: House) -> None:
    talk = await failed(house)
    house.simulator.comment(talk.pull, "/test", author="stranger")

    def sent_by_another(payload: Any) -> None:
        payload["sender"]["id"] = house.simulator.user("octo").id

    done = await house.deliver(changed(house, "two", sent_by_another))
    assert (done.state, "contradicts itself" in (done.reason or "")) == (delivery.State.IGNORED, True)


async def test_a_login_that_passed_to_somebody_else_has_no_rights(house: House) -> None:
    talk = await failed(house)
    house.simulator.comment(talk.pull, "/test", author="octo")

    def of_another_id(payload: Any) -> None:
        payload["sender"]["id"] = payload["comment"]["user"]["id"] = 424242

    done = await house.deliver(changed(house, "moved", of_another_id))
    assert "GitHub says `none`" in (done.reason or "")
    assert len(await house.builds()) == 1


async def test_an_issue_is_no_pull_request(house: House) -> None:
    talk = await failed(house)
    house.simulator.comment(talk.pull, "/test", author="octo")
    done = await house.deliver(changed(house, "issue", lambda payload: payload["issue"].pop("pull_request")))
    assert (done.state, "on an issue" in (done.reason or "")) == (delivery.State.IGNORED, True)


async def test_nothing_is_done_on_a_closed_pull_request(house: House) -> None:
    talk = await failed(house)
    house.simulator.comment(talk.pull, "/test", author="octo")
    early = house.sent("issue_comment", "created")
    await house.simulator.close(talk.pull)
    # Written while it was open, handled when it is not any more.
    assert "is closed" in ((await house.deliver(early)).reason or "")
    done = await talk.say("/test")
    assert (done.state, "is closed" in (done.reason or "")) == (delivery.State.IGNORED, True)
    assert len(await house.builds()) == 1
    assert await talk.answer() is None


async def test_the_author_runs_again_and_cancels_what_runs_as_trusted(house: House) -> None:
    house.simulator.create_user("author")
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.simulator.set_permission(repository, "author", "write")
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic", author="author")
    await house.deliver(house.sent("pull_request", "opened"))
    talk = Talk(house, repository, pull)
    # Trusted then, and not any more.
    house.simulator.set_permission(repository, "author", "read")
    await talk.say("/cancel", author="author")
    await talk.end({"test": job.State.FAILED})
    await talk.say("/retest", author="author")
    assert await talk.told() == [("/cancel", True), ("/retest", True)]
    newest = (await house.builds())[0]
    assert (newest.generation, newest.trust) == (2, build.Trust.TRUSTED)


async def test_t37_the_author_of_a_fork_runs_again_only_what_was_approved(house: House) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    done = await talk.say("/retest", author="hubot")
    assert "nobody approved this commit yet" in (done.reason or "")
    assert talk.reactions() == ["-1"]
    await talk.say(f"/ok-to-test {talk.pull.head_sha}")
    await talk.end({"test": job.State.FAILED})
    await talk.say("/retest", author="hubot")
    newest = (await house.builds())[0]
    # Run again as what it was run before.
    assert (newest.generation, newest.trust, newest.sender) == (3, build.Trust.UNTRUSTED, "hubot")
    assert await talk.newest_states() == {
        "lint": job.State.PASSED,
        "test": job.State.QUEUED,
        "pack": job.State.WAITING,
    }


async def test_t38_what_was_approved_runs_again_only_while_the_approval_holds(house: House) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    house.simulator.create_user("helper")
    house.simulator.set_permission(talk.repository, "helper", "write")
    await talk.say(f"/ok-to-test {talk.pull.head_sha}", author="helper")
    await talk.end({"test": job.State.FAILED})
    house.simulator.set_permission(talk.repository, "helper", "read")
    for author in ("hubot", "octo"):
        done = await talk.say("/retest", author=author)
        assert "helper, who approved" in (done.reason or "")
        assert "may not push any more" in (done.reason or "")
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_what_waits_is_not_run_again_by_anybody(house: House) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    done = await talk.say("/test")
    assert "waits for approval" in (done.reason or "")
    assert "`/ok-to-test SHA` lets it run" in (done.reason or "")
    assert [one.state for one in await house.builds()] == [build.State.WAITING]


async def test_t24_an_approval_names_the_whole_head(house: House) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    head = talk.pull.head_sha
    for sha in (head[:7], head[:39], head.upper(), "", "topic", f"{head} now", "0" * 40):
        done = await talk.say(f"/ok-to-test {sha}")
        assert "whole SHA" in (done.reason or "") or "is not the head" in (done.reason or ""), sha
        assert talk.reactions() == ["confused"]
    assert [one.state for one in await house.builds()] == [build.State.WAITING]
    await talk.say(f"/ok-to-test {head}")
    newest = (await house.builds())[0]
    assert (newest.generation, newest.head_sha, newest.state) == (2, head, build.State.QUEUED)
    (given,) = await house.store.read(
        approvals.list_of_pull, repository_id=talk.repository.id, pull_number=talk.pull.number
    )
    assert (given.head_sha, given.approver, given.via) == (head, "octo", "comment")
    assert talk.reactions() == ["eyes"]
    found = await talk.answer()
    assert found is not None
    assert (found.entries[-1].is_taken, found.entries[-1].build_id) == (True, newest.id)


async def test_t22_an_approval_of_what_the_head_was_lets_nothing_run(house: House) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    seen = talk.pull.head_sha
    assert talk.pull.head_repository is not None
    await house.simulator.push(talk.pull.head_repository, "topic", {"a.txt": "worse"}, author="hubot")
    # The comment is handled before the push is heard of.
    done = await talk.say(f"/ok-to-test {seen}")
    assert "is not the head of" in (done.reason or "")
    assert [one.state for one in await house.builds()] == [build.State.WAITING]


@pytest.mark.parametrize("permission", ["none", "read", "triage"])
async def test_t30_who_may_not_push_approves_nothing(house: House, permission: str) -> None:
    talk = await opened(house, from_fork=True, author="hubot")
    house.simulator.create_user("helper")
    house.simulator.set_permission(talk.repository, "helper", permission)
    await talk.say(f"/ok-to-test {talk.pull.head_sha}", author="helper")
    # Nor does whoever opened it.
    await talk.say(f"/ok-to-test {talk.pull.head_sha}", author="hubot")
    assert [one for _, one in await talk.told()] == [False, False]
    assert [one.state for one in await house.builds()] == [build.State.WAITING]


async def test_what_does_not_wait_is_not_approved(house: House) -> None:
    talk = await failed(house)
    done = await talk.say(f"/ok-to-test {talk.pull.head_sha}")
    assert "No build of" in (done.reason or "")
    assert "waits for approval here" in (done.reason or "")


async def test_t10_a_comment_under_another_delivery_id_is_answered_once(house: House) -> None:
    talk = await failed(house)
    await talk.say("/test")
    again = house.sent("issue_comment", "created")
    await house.deliver(again, guid="while-it-runs")
    await talk.end({"test": job.State.FAILED})
    done = await house.deliver(again, guid="after-it-ended")
    assert "already answers comment" in (done.reason or "")
    await talk.say("/cancel")
    done = await house.deliver(house.sent("issue_comment", "created"), guid="cancel-again")
    assert "was answered already" in (done.reason or "")
    assert len(await house.builds()) == 2
    assert await talk.told() == [("/test", True), ("/cancel", False)]


async def test_a_reaction_that_cannot_be_given_keeps_nothing_from_being_done(house: House) -> None:
    talk = await failed(house)
    house.simulator.faults.add(method="POST", path="/reactions$", status=403, body={"message": "Forbidden"})
    await talk.say("/test")
    assert len(await house.builds()) == 2
    assert talk.reactions() == []


async def test_t27_of_many_commands_few_are_taken(house: House) -> None:
    talk = await failed(house)
    done = await talk.say("\n".join(f"/test j{number}" for number in range(9)))
    assert len(await talk.told()) == 5
    assert "4 more commands of the comment were left out" in (done.reason or "")
    for number in range(3):
        await talk.say(f"/test k{number}\n/test l{number}\n/test m{number}")
    # The comment tells of the newest only.
    assert [one for one, _ in await talk.told()][-1] == "/test m2"
    assert len(await talk.told()) == answer.KEPT_ENTRIES
