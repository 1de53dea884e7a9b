"""The answering loop before a simulator of GitHub: one comment, edited in place, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot import clock, telemetry
from bot.builds import transitions
from bot.checks import answering, board, comment
from bot.github import GitHub
from bot.logs import LogStore
from bot.model import answer, job, outcome
from bot.simulator import Comment, PullRequest, Simulator
from bot.store import Store, answers, outcomes, pulls
from tests import factories

LOCKED = {"message": "Unable to create comment because issue is locked."}


@dataclass
class Table:
    """A pull request whose commands are answered."""

    store: Store
    simulator: Simulator
    pull: PullRequest
    answering: answering.Answering
    logs: LogStore
    #: By how much time was moved on, here and on GitHub.
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The time, here."""
        return clock.now() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(seconds=seconds)
        self.simulator.clock.advance(seconds)

    async def add(self, *commands: str, **changes: Any) -> None:
        """Commands that were followed."""
        installation = self.simulator.installation_of("octo")
        assert installation is not None
        told = factories.make_answer(
            *(factories.make_entry(command=one, **changes) for one in commands or ("/test",)),
            repository_id=self.pull.repository.id,
            pull_number=self.pull.number,
            installation_id=installation.id,
        )
        await self.store.write(answers.add, told, now=self.now())

    async def show(self, *, is_wanted: bool = True) -> None:
        """The base branch wants the builds to be shown, or does not any more."""
        seen = factories.make_pull(
            repository_id=self.pull.repository.id,
            number=self.pull.number,
            updated_at=self.now(),
            shows_builds=is_wanted,
        )
        await self.store.write(pulls.save, seen, now=self.now())

    async def build(self, *names: str, **changes: Any) -> outcome.NewBuild:
        """A build of the pull request."""
        installation = self.simulator.installation_of("octo")
        assert installation is not None
        made = factories.make_pull_build(
            repository_id=self.pull.repository.id,
            pull_number=self.pull.number,
            installation_id=installation.id,
            **changes,
        )
        plans = [factories.make_plan(key=name, name=name) for name in names or ("test",)]
        new = factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))
        await self.store.write(outcomes.create, new, now=self.now())
        return new

    async def move(self, one: job.Job, state: str, **changes: Any) -> None:
        """A job of the build goes on, or ends."""
        moved = replace(one, state=job.State(state), **changes)
        await self.store.write(transitions.save, moved, now=self.now())

    async def claim(self) -> list[answer.Answer]:
        """What is to be sent now."""
        return await self.store.write(answers.claim_stale, now=self.now(), owner="test", lease=answering.LEASE, limit=9)

    async def send(self) -> None:
        """Send what is to be sent now, once."""
        claimed_at = self.now()
        for one in await self.claim():
            await self.answering.tell(one, claimed_at=claimed_at)

    async def settle(self, *, within_seconds: int = 120) -> None:
        """Send, and let time pass, until nothing is to be sent."""
        for _ in range(within_seconds):
            await self.send()
            if not (await self.stored()).is_stale:
                return
            self.advance(1)
        raise AssertionError(f"not settled within {within_seconds} seconds: {await self.stored()}")

    async def stored(self) -> answer.Answer:
        """The answer as stored."""
        found = await self.store.read(answers.find, repository_id=self.pull.repository.id, pull_number=self.pull.number)
        assert found is not None
        return found

    def shown(self) -> list[Comment]:
        """The comments on the pull request that are ours."""
        return [one for one in self.simulator.comments_on(self.pull) if one.via_app is not None]

    def calls(self) -> list[str]:
        """The methods of the calls about comments, oldest first."""
        return [one.method for one in self.simulator.requests if "/issues/" in one.path]


@pytest.fixture
async def table(store: Store, metrics: telemetry.Metrics, tmp_path: Path) -> AsyncIterator[Table]:
    """Nothing to answer yet."""
    async with (
        Simulator(folder=tmp_path / "github") as simulator,
        GitHub(
            api_url=simulator.api_url, app_id=simulator.app_id, private_key=simulator.private_key, metrics=metrics
        ) as github,
    ):
        repository = await simulator.create_repository("octo/hello")
        await simulator.commit(repository, "topic", {"a.txt": "a"})
        pull = await simulator.open_pull_request(repository, "topic")
        logs = LogStore(tmp_path / "logs")
        loop = answering.Answering(
            store,
            github=github,
            logs=logs,
            details_url=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}",
            owner="test",
            now=lambda: made.now(),
        )
        made = Table(store, simulator, pull, loop, logs)
        yield made
        assert simulator.problems == []


async def test_commands_are_answered_in_one_comment_that_is_edited(table: Table) -> None:
    await table.add("/test", "/cancel")
    await table.settle()
    (first,) = table.shown()
    assert comment.MARKER in first.body
    assert "`/test`" in first.body
    await table.add("/retest")
    await table.add("/help")
    await table.settle()
    (second,) = table.shown()
    assert second.id == first.id
    assert "`/retest`" in second.body
    # One look, one comment, one edit for both commands.
    assert table.calls() == ["GET", "POST", "PATCH"]


async def test_f6_a_comment_whose_answer_was_lost_is_found_before_another_is_made(table: Table) -> None:
    table.simulator.faults.add(method="POST", path="/comments$", drop_response_after_applying=True)
    await table.add()
    await table.settle()
    assert len(table.shown()) == 1
    assert (await table.stored()).github_id == table.shown()[0].id
    assert table.calls().count("POST") == 1


async def test_f6_a_comment_that_never_came_to_be_is_made_when_it_would_be_shown(table: Table) -> None:
    table.simulator.faults.add(method="POST", path="/comments$", drop_before=True)
    await table.add()
    started = table.ahead
    await table.settle()
    assert len(table.shown()) == 1
    assert table.ahead - started >= timedelta(seconds=29)


async def test_f77_who_takes_over_from_a_replica_that_died_makes_no_second_comment(table: Table) -> None:
    await table.add()
    (lost,) = await table.claim()
    # It died when GitHub had the comment.
    told = comment.body(lost, page=lambda _, of_id: of_id)
    table.simulator.comment(table.pull, told, via_app=table.simulator.app)
    await table.store.write(answers.release_all)
    await table.settle()
    assert len(table.shown()) == 1


async def test_what_a_lost_database_wrote_is_gone_on_with(table: Table) -> None:
    mine = table.simulator.comment(table.pull, f"{comment.MARKER}\n\nold", via_app=table.simulator.app)
    # Whoever quotes it is not us, and what else we may write is no answer.
    table.simulator.comment(table.pull, f"> {comment.MARKER}\n\nhaha", author="octo")
    table.simulator.comment(table.pull, "Welcome.", via_app=table.simulator.app)
    await table.add()
    await table.settle()
    assert "`/test`" in mine.body
    assert table.shown()[0].id == mine.id
    assert len(table.shown()) == 2


async def test_a_comment_that_was_deleted_is_made_anew_once(table: Table) -> None:
    await table.add()
    await table.settle()
    table.simulator.delete_comment(table.shown()[0], sender="octo")
    # Nobody misses it before there is more to tell.
    table.advance(60)
    await table.send()
    assert table.shown() == []
    await table.add("/retest")
    await table.settle()
    assert len(table.shown()) == 1
    assert "`/retest`" in table.shown()[0].body
    assert table.calls().count("POST") == 2


async def test_an_update_that_is_not_known_everywhere_yet_makes_no_second_comment(table: Table) -> None:
    await table.add()
    await table.settle()
    await table.add("/retest")
    table.advance(4)
    table.simulator.faults.add(method=("PATCH", "GET"), path="/issues/comments/", times=2, status=404)
    await table.settle()
    assert len(table.shown()) == 1
    assert "`/retest`" in table.shown()[0].body


async def test_a_locked_conversation_is_given_up_with_its_reason(table: Table) -> None:
    table.simulator.faults.add(method="POST", path="/comments$", status=403, body=LOCKED)
    await table.add()
    await table.send()
    stored = await table.stored()
    assert (stored.is_stale, "is locked" in (stored.error or "")) == (False, True)
    # It may be unlocked when somebody gives another command.
    await table.add("/retest")
    await table.settle()
    assert len(table.shown()) == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_a_pull_request_that_is_gone_is_given_up_after_a_few_looks(table: Table, status: int) -> None:
    table.simulator.faults.add(path="/issues/", times=None, status=status)
    await table.add()
    await table.settle()
    assert table.shown() == []
    assert len(table.calls()) == 3
    assert (await table.stored()).error


async def test_what_github_finds_invalid_is_given_up(table: Table) -> None:
    table.simulator.faults.add(method="POST", path="/comments$", status=422, body={"message": "Validation Failed"})
    await table.add()
    await table.send()
    stored = await table.stored()
    assert (stored.is_stale, "Validation Failed" in (stored.error or "")) == (False, True)


async def test_f49_no_call_is_made_while_github_asks_to_wait(table: Table) -> None:
    table.simulator.faults.add(
        method="POST",
        path="/comments$",
        status=403,
        body={"message": "You have exceeded a secondary rate limit."},
        headers={"Retry-After": "60"},
    )
    await table.add()
    await table.send()
    for _ in range(5):
        table.advance(10)
        await table.send()
    assert table.calls().count("POST") == 1
    stored = await table.stored()
    # What was never sent is no attempt.
    assert (stored.is_stale, stored.attempts) == (True, 0)
    assert "secondary rate limit" in (stored.error or "")


async def test_an_outage_is_waited_for(table: Table) -> None:
    table.simulator.faults.add(path="/issues/", times=9, status=503)
    await table.add()
    await table.settle()
    assert len(table.shown()) == 1


async def test_a_permission_that_is_not_accepted_is_asked_for_again_and_again(table: Table) -> None:
    installation = table.simulator.installation_of("octo")
    assert installation is not None
    table.simulator.faults.add(method="POST", path="/comments$", status=403, body={"message": "Forbidden"})
    await table.add()
    await table.send()
    assert (await table.stored()).is_stale
    await table.store.write(answers.resume, installation_id=installation.id)
    await table.settle()
    assert len(table.shown()) == 1


async def test_builds_are_shown_in_one_comment_from_the_first_job_to_the_last(table: Table) -> None:
    await table.show()
    new = await table.build("lint", "test")
    await table.settle()
    (first,) = table.shown()
    assert first.body.startswith(f"{comment.MARKER}\n\n**⏳ Queued:**")
    assert f"`{new.build.head_sha}`" in first.body
    lint, test = new.jobs
    await table.move(test, "running")
    await table.settle()
    await table.logs.append(test.id, offset_bytes=0, data=b"a.c:1:1: error: no such thing\nbye\n")
    calls = len(table.calls())
    # What passes in between is shown with the next change.
    await table.move(lint, "running")
    await table.move(lint, "passed")
    assert not (await table.stored()).is_stale
    await table.move(test, "failed", log_size_bytes=34)
    await table.settle()
    (last,) = table.shown()
    assert last.id == first.id
    assert "**❌ Failed:**" in last.body
    assert "| `lint` | ✅ passed |" in last.body
    assert "```text\na.c:1:1: error: no such thing\nbye\n```" in last.body
    assert f"[log](https://builds.example/jobs/{test.id})" in last.body
    # One edit for the job and the build that ended with it.
    assert table.calls()[calls:] == ["PATCH"]


async def test_nothing_is_shown_where_nobody_asked_for_it(table: Table) -> None:
    await table.show(is_wanted=False)
    await table.build()
    assert await table.claim() == []
    assert await table.store.read(answers.find, repository_id=table.pull.repository.id, pull_number=7) is None
    assert table.calls() == []


async def test_commands_and_builds_share_the_comment(table: Table) -> None:
    await table.add("/test")
    await table.settle()
    await table.show()
    await table.build()
    await table.settle()
    (one,) = table.shown()
    assert one.body.index("Queued") < one.body.index("`/test`")


async def test_f6_a_comment_about_builds_whose_answer_was_lost_is_found_before_another_is_made(table: Table) -> None:
    table.simulator.faults.add(method="POST", path="/comments$", drop_response_after_applying=True)
    await table.show()
    await table.build()
    await table.settle()
    assert len(table.shown()) == 1
    assert (await table.stored()).github_id == table.shown()[0].id
    assert table.calls().count("POST") == 1


async def test_f77_a_crash_behind_the_call_and_a_lost_database_make_no_second_comment(table: Table) -> None:
    await table.show()
    await table.build()
    (lost,) = await table.claim()
    # It died when GitHub had the comment: nothing was written of that.
    mine = table.simulator.comment(table.pull, f"{comment.MARKER}\n\nold", via_app=table.simulator.app)
    # What others write that looks the same is not ours.
    table.simulator.comment(table.pull, f"{comment.MARKER}\n\nforged", author="octo")
    await table.store.write(answers.release_all)
    await table.settle()
    assert [one.id for one in table.shown()] == [mine.id]
    assert "Queued" in mine.body
    # As after a restore from before the pull request.
    table.advance(60)
    await table.store.write(answers.delete_of_installation, lost.installation_id, limit=9)
    await table.build(head_sha="9" * 40)
    await table.settle()
    assert [one.id for one in table.shown()] == [mine.id]
    assert "9" * 40 in mine.body


async def test_a_comment_that_somebody_deletes_shows_no_builds_any_more(table: Table) -> None:
    await table.show()
    new = await table.build()
    await table.settle()
    table.simulator.delete_comment(table.shown()[0], sender="octo")
    table.advance(60)
    await table.move(new.jobs[0], "running")
    await table.settle()
    await table.move(new.jobs[0], "passed")
    await table.build(head_sha="9" * 40)
    await table.settle()
    assert table.shown() == []
    assert table.calls().count("POST") == 1
    # Whoever asks for something is answered all the same.
    await table.add("/test")
    await table.settle()
    (one,) = table.shown()
    assert "`/test`" in one.body
    assert "Commit" not in one.body


async def test_a_command_given_after_the_comment_was_deleted_is_answered_without_builds(table: Table) -> None:
    await table.show()
    await table.build()
    await table.settle()
    table.simulator.delete_comment(table.shown()[0], sender="octo")
    table.advance(60)
    await table.add("/test", at=table.now())
    await table.settle()
    (one,) = table.shown()
    assert ("`/test`" in one.body, "Commit" in one.body) == (True, False)


async def test_an_older_build_changes_nothing_and_a_switch_off_is_said_once(table: Table) -> None:
    await table.show()
    old = await table.build()
    await table.build(head_sha="9" * 40)
    await table.settle()
    await table.move(old.jobs[0], "cancelled")
    assert not (await table.stored()).is_stale
    table.advance(5)
    await table.show(is_wanted=False)
    await table.settle()
    (one,) = table.shown()
    assert board.SWITCHED_OFF in one.body
    await table.build(head_sha="8" * 40)
    assert not (await table.stored()).is_stale


async def test_the_loop_finds_its_work_by_a_hint_and_by_looking(table: Table) -> None:
    task = asyncio.create_task(table.answering.run())
    try:
        await table.add()
        table.answering.wake()
        await asyncio.wait_for(table.simulator.wait_until(lambda: len(table.shown()) == 1), 20)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert not (await table.stored()).is_stale
