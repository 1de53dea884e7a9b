"""A branch that requires the check `buildhook`: what each kind of change is told, and whether it may be merged.

`pytest tests/acceptance/test_required.py --write-docs` writes the table into `docs/required-checks.md`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.model import build, delivery
from bot.simulator import PullRequest, Repository, Simulator
from bot.store import Store, builds, checks, inbox_list
from tests.acceptance import process

PAGE = Path(__file__).parent.parent.parent / "docs" / "required-checks.md"
STEPS = "    steps:\n      - run: {}\n"
JOBS = f"jobs:\n  test:\n{STEPS}"
BOTH = f"on: [push, pull_request]\n{JOBS}"
SETTLED = frozenset(delivery.State) - delivery.UNFINISHED
RUNNING = (build.State.QUEUED, build.State.RUNNING)
NOTHING = "nothing"
#: It differs from run to run.
DURATION = re.compile(r" in (under )?[0-9]+ s$")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A simulated GitHub, a service that it delivers to, and a look into its database."""

    github: Simulator
    store: Store

    async def repository(self, file: str | None) -> Repository:
        """A repository with this pipeline file, whose default branch requires the check."""
        files = {"README.md": "# hello\n", **({} if file is None else {".buildhook.yml": file})}
        repository = await self.github.create_repository("octo/hello", files=files)
        self.github.required_checks(repository, "main", ["buildhook"])
        return repository

    async def propose(
        self,
        file: str | None,
        files: Mapping[str, str | None] | None = None,
        *,
        message: str = "Change it",
        is_draft: bool = False,
    ) -> PullRequest:
        """A pull request of one commit on a branch of the repository."""
        repository = await self.repository(file)
        await self.github.push(repository, "topic", {"a.txt": "a"} if files is None else files, message=message)
        return await self.github.open_pull_request(repository, "topic", draft=is_draft)

    async def propose_from_fork(self, file: str) -> PullRequest:
        """A pull request of one commit on a branch of a stranger's fork."""
        repository = await self.repository(file)
        fork = await self.github.fork(repository, "stranger")
        await self.github.commit(fork, "topic", {"a.txt": "a"}, author="stranger")
        return await self.github.open_pull_request(repository, "topic", from_fork=fork)

    async def enqueue(self, pull: PullRequest) -> str:
        """Put it into the merge queue; gives the commit that is tested there."""
        self.github.enable_merge_queue(pull.repository, "main", ["buildhook"])
        await self.github.enqueue(pull, force=True)
        (group,) = self.github.merge_groups(pull.repository)
        return group.head_sha

    async def quiet(self) -> None:
        """Wait until every delivery is handled, no build runs, and GitHub was told everything."""

        async def is_quiet() -> bool:
            found = await self.store.read(inbox_list.list_newest, limit=500)
            settled = {one.id for one in found if one.state in SETTLED}
            built = await self.store.read(builds.list_newest, limit=100)
            is_over = all(one.state not in RUNNING for one in built)
            sent = {one.guid for one in self.github.deliveries}
            return sent <= settled and is_over and await self.store.read(checks.count_stale) == 0

        await wait_for(is_quiet)

    def shown(self, repository: Repository, sha: str) -> str:
        """The newest check of a commit, as the table tells it."""
        runs = [run for run in self.github.check_runs(repository, sha) if run.name == "buildhook"]
        if not runs:
            return NOTHING
        if runs[-1].conclusion is None:
            return f"*{runs[-1].status}*".replace("_", " ")
        state = runs[-1].conclusion.replace("_", " ")
        return f"*{state}*: {DURATION.sub('', runs[-1].title or '')}"

    def told(self, pull: PullRequest) -> tuple[str, str]:
        """What the head shows, and whether the pull request may be merged."""
        state = self.github.merge_state(pull)
        return self.shown(pull.repository, pull.head_sha), "yes" if state.may_merge else f"no: {state.reasons[0]}"

    async def told_in_queue(self, pull: PullRequest, sha: str) -> tuple[str, str]:
        """What the group's commit shows, and whether GitHub merged it."""
        await self.github.settle_queues()
        await self.quiet()
        return self.shown(pull.repository, sha), "yes" if pull.merged_at else "no: taken out of the queue"


async def wait_for(is_true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(40):
        while not await is_true():
            await asyncio.sleep(0.05)


@pytest.fixture
async def place(github: Simulator, service: process.Process, environment: Mapping[str, str]) -> AsyncIterator[Place]:
    assert service.url
    store = await Store(f"sqlite:///{environment['BUILDHOOK_DATA_DIR']}/buildhook.db").open()
    yield Place(github=github, store=store)
    await store.close()


async def passes(place: Place) -> tuple[str, str]:
    """its jobs pass"""
    pull = await place.propose(BOTH.format("true"))
    await place.quiet()
    return place.told(pull)


async def fails(place: Place) -> tuple[str, str]:
    """a job fails"""
    pull = await place.propose(BOTH.format("exit 3"))
    await place.quiet()
    return place.told(pull)


async def runs(place: Place) -> tuple[str, str]:
    """a job still runs"""
    pull = await place.propose(BOTH.format("sleep 600"))

    async def is_told() -> bool:
        # The push's build may have been shown before that of the pull request took its place.
        return [run.status for run in place.github.check_runs(pull.repository, pull.head_sha)][-1:] == ["in_progress"]

    await wait_for(is_told)
    return place.told(pull)


async def need_failed(place: Place) -> tuple[str, str]:
    """a job was skipped, because one that it needs failed"""
    file = f"on: [push, pull_request]\n{JOBS.format('exit 3')}  deploy:\n    needs: test\n{STEPS.format('true')}"
    pull = await place.propose(file)
    await place.quiet()
    return place.told(pull)


async def newer(place: Place) -> tuple[str, str]:
    """it passed, and a newer commit fails"""
    pull = await place.propose(BOTH.format("test ! -e b.txt"))
    await place.quiet()
    await place.github.push(pull.repository, "topic", {"b.txt": "b"})
    await place.quiet()
    return place.told(pull)


async def paths(place: Place) -> tuple[str, str]:
    """`paths` matches no changed file"""
    pull = await place.propose(f"on:\n  pull_request:\n    paths: ['src/**']\n{JOBS.format('false')}")
    await place.quiet()
    return place.told(pull)


async def paths_of_push(place: Place) -> tuple[str, str]:
    """the same, where only pushes are built, and the commit before passed"""
    pull = await place.propose(f"on:\n  push:\n    paths: ['src/**']\n{JOBS.format('true')}", {"src/a.txt": "a"})
    await place.quiet()
    await place.github.push(pull.repository, "topic", {"b.txt": "b"})
    await place.quiet()
    return place.told(pull)


async def branches(place: Place) -> tuple[str, str]:
    """`branches` leaves the base out"""
    pull = await place.propose(f"on:\n  pull_request:\n    branches: [release]\n{JOBS.format('false')}")
    await place.quiet()
    return place.told(pull)


async def draft(place: Place) -> tuple[str, str]:
    """a draft, and `drafts` is `false`"""
    pull = await place.propose(f"on:\n  pull_request:\n    drafts: false\n{JOBS.format('false')}", is_draft=True)
    await place.quiet()
    return place.told(pull)


async def ready(place: Place) -> tuple[str, str]:
    """the same, once it is ready"""
    file = f"on:\n  pull_request:\n    drafts: false\n{JOBS.format('true')}"
    pull = await place.propose(file, is_draft=True)
    await place.quiet()
    await place.github.ready_for_review(pull)
    await place.quiet()
    return place.told(pull)


async def types(place: Place) -> tuple[str, str]:
    """`types` names only `labeled`, and it has no label yet"""
    pull = await place.propose(f"on:\n  pull_request:\n    types: [labeled]\n{JOBS.format('true')}")
    await place.quiet()
    return place.told(pull)


async def skip_ci(place: Place) -> tuple[str, str]:
    """`[skip ci]` in the newest commit's message"""
    pull = await place.propose(BOTH.format("true"), message="Change it [skip ci]")
    await place.quiet()
    return place.told(pull)


async def skip_ci_run_anyway(place: Place) -> tuple[str, str]:
    """the same, after **Run anyway**"""
    pull = await place.propose(BOTH.format("true"), message="Change it [skip ci]")
    await place.quiet()
    (run,) = place.github.check_runs(pull.repository, pull.head_sha)
    place.github.press_action(run, "run-anyway")
    await place.github.wait_for_check(pull.repository, pull.head_sha, name="buildhook", conclusion="success")
    await place.quiet()
    return place.told(pull)


async def no_file(place: Place) -> tuple[str, str]:
    """there is no pipeline file, neither in it nor in its base"""
    pull = await place.propose(None)
    await place.quiet()
    return place.told(pull)


async def deleted_file(place: Place) -> tuple[str, str]:
    """it deletes the pipeline file"""
    pull = await place.propose(BOTH.format("true"), {".buildhook.yml": None})
    await place.quiet()
    return place.told(pull)


async def broken_file(place: Place) -> tuple[str, str]:
    """it breaks the pipeline file"""
    pull = await place.propose(BOTH.format("true"), {".buildhook.yml": "on: push\njobs:\n  test:\n    step: []\n"})
    await place.quiet()
    return place.told(pull)


async def no_event(place: Place) -> tuple[str, str]:
    """`on` names neither `push` nor `pull_request`"""
    pull = await place.propose(f"on: merge_group\n{JOBS.format('true')}")
    await place.quiet()
    return place.told(pull)


async def fork(place: Place) -> tuple[str, str]:
    """from a fork, by somebody who may not push"""
    pull = await place.propose_from_fork(BOTH.format("true"))
    await place.quiet()
    return place.told(pull)


async def fork_approved(place: Place) -> tuple[str, str]:
    """the same, after **Approve and run**"""
    pull = await place.propose_from_fork(BOTH.format("true"))
    await place.quiet()
    (run,) = place.github.check_runs(pull.repository, pull.head_sha)
    place.github.press_action(run, "approve")
    await place.github.wait_for_check(pull.repository, pull.head_sha, name="buildhook", conclusion="success")
    await place.quiet()
    return place.told(pull)


async def fork_left_out(place: Place) -> tuple[str, str]:
    """the same, and `paths` of the base's file matches no changed file"""
    pull = await place.propose_from_fork(f"on:\n  pull_request:\n    paths: ['src/**']\n{JOBS.format('false')}")
    await place.quiet()
    return place.told(pull)


async def fork_of_pushes(place: Place) -> tuple[str, str]:
    """from a fork, where only pushes are built"""
    pull = await place.propose_from_fork(f"on: push\n{JOBS.format('true')}")
    await place.quiet()
    return place.told(pull)


async def queue(place: Place) -> tuple[str, str]:
    """in the merge queue, the jobs pass"""
    pull = await place.propose(f"on: [pull_request, merge_group]\n{JOBS.format('true')}")
    sha = await place.enqueue(pull)
    await place.quiet()
    return await place.told_in_queue(pull, sha)


async def queue_fails(place: Place) -> tuple[str, str]:
    """in the merge queue, a job fails"""
    pull = await place.propose(f"on: [pull_request, merge_group]\n{JOBS.format('exit 3')}")
    sha = await place.enqueue(pull)
    await place.quiet()
    return await place.told_in_queue(pull, sha)


async def queue_skip_ci(place: Place) -> tuple[str, str]:
    """in the merge queue, `[skip ci]` in a commit's message"""
    pull = await place.propose(f"on: [pull_request, merge_group]\n{JOBS.format('exit 3')}", message="x [skip ci]")
    sha = await place.enqueue(pull)
    await place.quiet()
    return await place.told_in_queue(pull, sha)


async def queue_not_named(place: Place) -> tuple[str, str]:
    """in the merge queue, and `on` names only `pull_request`"""
    pull = await place.propose(f"on: pull_request\n{JOBS.format('true')}")
    sha = await place.enqueue(pull)
    await place.quiet()
    return await place.told_in_queue(pull, sha)


async def queue_no_event(place: Place) -> tuple[str, str]:
    """in the merge queue, and `on` names no event of pull requests"""
    file = f"on:\n  push:\n    tags: ['v*']\n{JOBS.format('true')}"
    pull = await place.propose(file)
    sha = await place.enqueue(pull)
    await place.quiet()
    return await place.told_in_queue(pull, sha)


CASES: Mapping[str, Callable[[Place], Awaitable[tuple[str, str]]]] = {
    make.__name__: make
    for make in (
        passes,
        fails,
        runs,
        need_failed,
        newer,
        paths,
        paths_of_push,
        branches,
        draft,
        ready,
        types,
        skip_ci,
        skip_ci_run_anyway,
        no_file,
        deleted_file,
        broken_file,
        no_event,
        fork,
        fork_approved,
        fork_left_out,
        fork_of_pushes,
        queue,
        queue_fails,
        queue_skip_ci,
        queue_not_named,
        queue_no_event,
    )
}
#: What may be merged. The page is written by these tests: this alone is said twice.
MERGED = {
    *("passes", "paths", "paths_of_push", "branches", "ready", "skip_ci_run_anyway", "fork_approved", "fork_left_out"),
    *("queue", "queue_not_named", "queue_no_event"),
}
#: Said elsewhere too, or close to another row: their turn is in `make test-all`.
LONG = {"fails", "newer", "paths_of_push", "branches", "types", "no_event", "fork_of_pushes", "queue_not_named"}


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.long) if one in LONG else one for one in CASES])
async def test_each_change_is_told_and_judged_as_the_table_says(
    place: Place, name: str, pytestconfig: pytest.Config
) -> None:
    posted, judged = await CASES[name](place)
    assert (judged == "yes") == (name in MERGED), judged
    row = f"| {CASES[name].__doc__} | {posted} | {judged} |"
    page = PAGE.read_text()
    if pytestconfig.getoption("write_docs"):
        pattern = rf"^\| {re.escape(CASES[name].__doc__ or '')} \|.*$"
        PAGE.write_text(re.sub(pattern, lambda _: row, page, count=1, flags=re.MULTILINE))
    else:
        assert row in page.splitlines()


def test_the_table_has_every_row_once_and_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| it is")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [make.__doc__ for make in CASES.values()]
