"""The judge itself: silent about a world in which all is well, and each broken promise is told by its number."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot.logs import packed
from bot.model import answer, build, delivery, job
from bot.simulator import Simulator
from bot.simulator.values import CheckRun, Repository
from tests import factories
from tests.crash import judge
from tests.crash.judge import State

LINES = ("line 1", "line 2")
_LOG = b"$ test\nline 1\nline 2\n"


@dataclass(slots=True, kw_only=True)
class World:
    """One push, delivered, built and shown; every part can be broken."""

    github: Simulator
    repository: Repository
    run: CheckRun
    state: State
    log: Path
    service_log: Path

    def change(self, **changes: Any) -> None:
        """Put other values into the only build, job, check or delivery, by its noun."""
        for noun, changed in changes.items():
            self.state = dataclasses.replace(self.state, **{noun: changed})

    def verdict(self) -> list[str]:
        """The violations."""
        head = self.run.head_sha
        expected = judge.Expected(trusted={head}, builds={head: 1}, lines=LINES)
        evidence = judge.Evidence(job_logs=[self.log.parent], service_logs=[self.service_log])
        return judge.violations(self.state, self.github, expected=expected, evidence=evidence)


def _write(log: Path, data: bytes) -> None:
    with log.open("wb") as file:
        packed.write(iter([data]), file)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Simulator(folder=tmp_path / "github", webhook_secret="a-secret-that-is-long") as github:
        repository = await github.create_repository("octo/hello", files={"a.txt": "a"})
        head = repository.heads["main"]
        sent = github.hooks.prepare("push", {"ref": "refs/heads/main"})
        github.hooks.send(sent)
        sent.url, sent.status_code = "http://127.0.0.1/webhook", 202
        made = factories.make_build(repository_id=repository.id, head_sha=head, state=build.State.PASSED)
        ran = factories.make_job(
            build_id=made.id, state=job.State.PASSED, started_at=factories.NOW, log_size_bytes=len(_LOG)
        )
        check = factories.make_check(
            build_id=made.id,
            job_id=ran.id,
            repository_id=repository.id,
            head_sha=head,
            external_id=ran.id,
            reported_version=1,
        )
        run = github.create_check_run(
            repository,
            await github.git_of(repository).commit(head),
            {"name": "buildhook", "external_id": ran.id, "status": "completed", "conclusion": "success"},
            app=github.app,
        )
        github.deliveries[:] = [sent]
        log, service_log = tmp_path / "logs" / f"{ran.id}.packed", tmp_path / "service.log"
        log.parent.mkdir()
        _write(log, _LOG)
        service_log.write_text("all is well\n")
        came = factories.make_delivery(id=sent.guid, state=delivery.State.HANDLED, reason="Build 1 starts.")
        state = State(deliveries=[came], builds=[made], jobs=[ran], checks=[check])
        yield World(github=github, repository=repository, run=run, state=state, log=log, service_log=service_log)


async def test_a_world_at_rest_is_without_fault(world: World) -> None:
    assert list(judge.unsettled(world.state, world.github)) == []
    assert world.verdict() == []


def _lose(world: World) -> None:
    world.change(deliveries=[])


def _leave_unhandled(world: World) -> None:
    world.change(deliveries=[replace(world.state.deliveries[0], state=delivery.State.RETRYING)])


def _build_twice(world: World) -> None:
    world.change(builds=[*world.state.builds, replace(world.state.builds[0], id=factories.new_id())])


def _show_twice(world: World) -> None:
    body = {"name": "buildhook", "external_id": world.run.external_id, "status": "completed", "conclusion": "success"}
    world.github.create_check_run(world.repository, world.run.suite.head_commit, body, app=world.github.app)


def _show_nothing(world: World) -> None:
    world.github.check_runs_by_id.clear()


def _show_what_nobody_has(world: World) -> None:
    world.run.external_id = "nobody"


def _show_the_older_one(world: World) -> None:
    older = world.state.checks[0]
    world.change(checks=[older, replace(older, id=2, generation=2, external_id=world.state.builds[0].id)])


def _show_wrongly(world: World) -> None:
    world.run.conclusion = "failure"


def _show_no_end(world: World) -> None:
    world.run.status, world.run.conclusion = "in_progress", None


def _never_end(world: World) -> None:
    world.change(jobs=[replace(world.state.jobs[0], state=job.State.RUNNING)])


def _trust_strangers(world: World) -> None:
    world.change(builds=[replace(world.state.builds[0], head_sha="f" * 40)])


def _run_strangers(world: World) -> None:
    world.change(builds=[replace(world.state.builds[0], trust=build.Trust.UNTRUSTED)])


def _say_nothing(world: World) -> None:
    world.change(deliveries=[replace(world.state.deliveries[0], reason=None)])


def _park_without_an_error(world: World) -> None:
    world.change(deliveries=[replace(world.state.deliveries[0], state=delivery.State.PARKED)])


def _tell_the_secret(world: World) -> None:
    world.service_log.write_text("it is a-secret-that-is-long\n")


def _tell_a_token(world: World) -> None:
    _write(world.log, _LOG.replace(b"test", b"ghs_" + b"a" * 20))


def _tear(world: World) -> None:
    _write(world.log, _LOG[:-3])


def _repeat(world: World) -> None:
    data = _LOG + b"line 2\n"
    _write(world.log, data)
    world.change(jobs=[replace(world.state.jobs[0], log_size_bytes=len(data))])


def _leave_unsealed(world: World) -> None:
    world.log.with_suffix(".log").write_bytes(_LOG)


def _answer(world: World) -> answer.Answer:
    return answer.Answer(
        repository_id=world.repository.id,
        pull_number=1,
        installation_id=2,
        repository="octo/hello",
        entries=(factories.make_entry(command="/test"),),
        github_id=4242,
        reported_version=1,
        wanted_at=factories.NOW,
    )


def _answer_nobody(world: World) -> None:
    world.change(answers=[_answer(world)])


async def _comment(world: World) -> None:
    await world.github.commit(world.repository, "topic", {"b.txt": "b"})
    pull = await world.github.open_pull_request(world.repository, "topic")
    world.github.comment(pull, "/test", via_app=world.github.app)
    world.github.deliveries[:] = world.github.deliveries[:1]


async def test_a_comment_that_nobody_asked_for_is_told(world: World) -> None:
    await _comment(world)
    assert world.verdict() == ["I2: 1 comments of ours are on #1"]


async def test_an_answer_that_waits_is_told(world: World) -> None:
    world.change(answers=[replace(_answer(world), desired_version=2, error="It is locked.")])
    assert list(judge.unsettled(world.state, world.github)) == ["the answer on #1 is not sent: It is locked."]


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        (_lose, "I1"),
        (_leave_unhandled, "I1"),
        (_build_twice, "I2"),
        (_show_twice, "I2"),
        (_show_nothing, "I2"),
        (_show_what_nobody_has, "I2"),
        (_show_the_older_one, "I2"),
        (_show_wrongly, "I3"),
        (_show_no_end, "I3"),
        (_never_end, "I3"),
        (_answer_nobody, "I3"),
        (_trust_strangers, "I4"),
        (_run_strangers, "I4"),
        (_say_nothing, "I5"),
        (_park_without_an_error, "I5"),
        (_tell_the_secret, "I5"),
        (_tell_a_token, "I5"),
        (_tear, "log"),
        (_repeat, "log"),
        (_leave_unsealed, "log"),
    ],
)
async def test_each_broken_promise_is_told(world: World, damage: Callable[[World], None], number: str) -> None:
    damage(world)
    assert number in {text.partition(":")[0] for text in world.verdict()}


async def test_what_was_refused_is_delivered_again_until_it_is_taken(world: World) -> None:
    (sent,) = world.github.deliveries
    sent.status_code = 500
    assert judge.undelivered(world.github) == [sent.id]
    assert list(judge.unsettled(world.state, world.github)) == [f"attempt {sent.id} was not acknowledged"]
