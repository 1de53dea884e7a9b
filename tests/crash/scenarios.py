"""What happens on GitHub while the service meets its failpoint; each gives the world at rest and what it should be."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bot.simulator.values import CheckRun
from tests.acceptance.conftest import pipeline
from tests.crash.harness import SETTLE_SECONDS, Harness
from tests.crash.judge import Expected, State

#: What each passed job's log has to show.
LINES = tuple(f"line {number}" for number in range(1, 41))
#: In two pieces, the second of which comes after the first was noted.
_QUICK = (
    "for i in $(seq 20); do echo line $i; done; sleep 0.3; for i in $(seq 21 40); do echo line $i; done;"
    " echo well > $BUILDHOOK_RESULTS/summary.md"
)
_ENDLESS = "echo begins; sleep 600"


async def push(stage: Harness) -> tuple[State, Expected]:
    """A push to the default branch."""
    repository = await stage.github.create_repository("octo/hello", files=pipeline(_QUICK), private=True)
    await stage.prepare()
    async with stage.serving(is_armed=True):
        head = await stage.github.push(repository, "main", {"a.txt": "a"})
        state = await stage.settle()
    return state, Expected(trusted={head}, builds={head: 1}, lines=LINES)


async def several_jobs(stage: Harness) -> tuple[State, Expected]:
    """A push whose build has several jobs, so that their checks go together."""
    (name, text), *others = pipeline(_QUICK).items()
    matrix = "    strategy:\n      matrix:\n        n: [1, 2, 3]\n    steps:\n"
    files = {name: text.replace("    steps:\n", matrix), **dict(others)}
    repository = await stage.github.create_repository("octo/hello", files=files, private=True)
    await stage.prepare()
    async with stage.serving(is_armed=True):
        head = await stage.github.push(repository, "main", {"a.txt": "a"})
        state = await stage.settle()
    return state, Expected(trusted={head}, builds={head: 1}, lines=LINES)


async def pull_request_newer_push(stage: Harness) -> tuple[State, Expected]:
    """A pull request whose build runs when its head is pushed to; and one from a fork, whose code must not run."""
    github = stage.github
    repository = await github.create_repository("octo/hello", files=pipeline(_QUICK), private=True)
    await github.commit(repository, branch="topic", files=pipeline(_ENDLESS), message="Take long")
    fork = await github.fork(repository, owner="hubot")
    await github.commit(fork, branch="topic", files=pipeline("touch stolen"), message="Change the pipeline")
    await stage.prepare()
    async with stage.serving(is_armed=True):
        pull = await github.open_pull_request(repository, head_branch="topic")
        older = pull.head_sha
        runs = functools.partial(github.check_runs, repository, older)
        await github.wait_until(
            lambda: any(one.status == "in_progress" for one in runs()), timeout_seconds=SETTLE_SECONDS
        )
        newer = await github.push(repository, "topic", files=pipeline(_QUICK), message="Take less")
        strange = await github.open_pull_request(repository, head_branch="topic", from_fork=fork)
        state = await stage.settle()
    counts = {older: 1, newer: 1, strange.head_sha: 1}
    return state, Expected(trusted={older, newer, repository.heads["main"]}, builds=counts, lines=LINES)


async def rerun(stage: Harness) -> tuple[State, Expected]:
    """Somebody presses "Re-run" beside a check that has ended."""
    github = stage.github
    repository = await github.create_repository("octo/hello", files=pipeline(_QUICK), private=True)
    async with stage.serving(is_armed=False):
        head = await github.push(repository, "main", {"a.txt": "a"})
        await stage.settle()
    await stage.prepare()
    run: CheckRun
    (run,) = github.check_runs(repository, head)
    async with stage.serving(is_armed=True):
        github.rerequest_check_run(repository, run.id)
        state = await stage.settle()
    return state, Expected(trusted={head}, builds={head: 2}, lines=LINES)


async def command(stage: Harness) -> tuple[State, Expected]:
    """Somebody asks in a comment for all jobs of a pull request again."""
    github = stage.github
    repository = await github.create_repository("octo/hello", files=pipeline(_QUICK), private=True)
    await github.commit(repository, branch="topic", files={"a.txt": "a"})
    async with stage.serving(is_armed=False):
        pull = await github.open_pull_request(repository, head_branch="topic")
        await stage.settle()
    await stage.prepare()
    async with stage.serving(is_armed=True):
        github.comment(pull, "Once more, please.\n\n/test", author="octo")
        state = await stage.settle()
    trusted = {pull.head_sha, repository.heads["main"]}
    return state, Expected(trusted=trusted, builds={pull.head_sha: 2}, answered={pull.number}, lines=LINES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How a scenario is played."""

    play: Callable[[Harness], Awaitable[tuple[State, Expected]]]
    #: What the App hears of. Fewer events make it certain which of them meets the failpoint.
    events: frozenset[str]
    #: Failpoints that are not on its way.
    misses: frozenset[str]


#: Where nobody gives a command.
_ANSWERS = frozenset({"answer.before_http", "answer.after_http_before_mark"})
SCENARIOS: Mapping[str, Scenario] = {
    "push": Scenario(play=push, events=frozenset({"push"}), misses=_ANSWERS | {"cancel.after_mark"}),
    "several_jobs": Scenario(play=several_jobs, events=frozenset({"push"}), misses=_ANSWERS | {"cancel.after_mark"}),
    "pull_request_newer_push": Scenario(
        play=pull_request_newer_push, events=frozenset({"pull_request"}), misses=_ANSWERS
    ),
    "rerun": Scenario(
        play=rerun,
        events=frozenset({"push", "check_run"}),
        # The plan is that of the first run, and the database is there from it.
        misses=_ANSWERS | {"cancel.after_mark", "plan.after_config_fetch", "migrate.each_step"},
    ),
    "command": Scenario(
        play=command,
        events=frozenset({"pull_request", "issue_comment"}),
        misses=frozenset({"cancel.after_mark", "plan.after_config_fetch", "migrate.each_step"}),
    ),
}
