"""The merge queue: pull requests wait in a row, each merged with all before it on a temporary branch until it passes.

See https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.simulator import pushing, values, world

#: Who acts where the queue does.
BOT = "github-merge-queue[bot]"

#: Nobody but the queue pushes below this, see https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/incorporating-changes-from-a-pull-request/merging-a-pull-request-with-a-merge-queue.
PREFIX = "gh-readonly-queue"


@dataclass(slots=True, kw_only=True, eq=False)
class _Queue:
    """The queue of one branch."""

    repository: values.Repository
    branch: str
    method: str
    #: The next one to be merged first; each begins where the one before it ends.
    groups: list[values.MergeGroup] = field(default_factory=list)
    #: Held while the row changes.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def end(self) -> str:
        """The commit that the next group begins at."""
        return self.groups[-1].head_sha if self.groups else self.repository.heads[self.branch]


class Queueing(pushing.Pushing):
    """Merge queues, on top of pushes, merges and required checks."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._queues: dict[tuple[int, str], _Queue] = {}
        self._looking: set[asyncio.Task[None]] = set()

    # What people do

    def enable_merge_queue(
        self,
        repo: values.Repository | str,
        branch: str,
        checks: Iterable[str] | Mapping[str, int | None] = (),
        *,
        method: str = "merge",
    ) -> None:
        """Lets a branch be merged into through a queue only, which waits for these required checks.

        :param checks: as `required_checks` takes them; they are required of pull requests and of merge groups
        :param method: `merge` or `squash`
        """
        repository = self.repository(repo)
        self.required_checks(repository, branch, checks)
        self._queues[repository.id, branch] = _Queue(repository=repository, branch=branch, method=method)

    def merge_groups(self, repo: values.Repository | str) -> list[values.MergeGroup]:
        """What waits in the queues of a repository, what is merged next first."""
        repository = self.repository(repo)
        return [group for queue in self._queues.values() if queue.repository is repository for group in queue.groups]

    def has_merge_queue(self, repository: values.Repository, branch: str) -> bool:
        return (repository.id, branch) in self._queues

    def find_merge_group(self, pull: values.PullRequest) -> values.MergeGroup | None:
        """The group of a pull request that is in a queue."""
        return next((group for group in self.merge_groups(pull.repository) if group.pull is pull), None)

    async def enqueue(
        self, pull: values.PullRequest, *, sender: str | None = None, force: bool = False
    ) -> values.MergeGroup:
        """Presses "Merge when ready": puts a pull request at the end of the queue of its base.

        Sends the push and `merge_group.checks_requested` of a new branch below `gh-readonly-queue/`, and
        `pull_request.enqueued`.

        :param force: although its own required checks have not passed
        :raises SimulatorError: if its base has no queue, it is in it already or it may not be merged
        """
        queue = self._queue_of(pull)
        async with queue.lock:
            if any(group.pull is pull for group in queue.groups):
                raise world.SimulatorError(f"pull request {pull.number} is in the merge queue already")
            state = self.merge_state(pull)
            if not state.may_merge and not (force and state.state == "blocked"):
                raise world.SimulatorError(f"pull request {pull.number} may not be merged: {'; '.join(state.reasons)}")
            await self.changed("enqueued", pull, sender or world.SOMEONE)
            group = await self._add(queue, pull, sender or world.SOMEONE)
            if group is None:
                raise world.SimulatorError(f"pull request {pull.number} has conflicts with what is before it")
        return group

    async def dequeue(self, pull: values.PullRequest, *, sender: str | None = None) -> None:
        """Takes a pull request out of the queue; sends `merge_group.destroyed` (`dequeued`).

        What waits behind it is `invalidated` and gets new groups.

        :raises SimulatorError: if it is in no queue
        """
        queue = self._queue_of(pull)
        async with queue.lock:
            await self._remove(queue, self._group_of(queue, pull), "MANUAL", sender or world.SOMEONE)

    async def invalidate(self, pull: values.PullRequest) -> None:
        """Lets GitHub make the group of a pull request, and those behind it, anew; sends `destroyed` (`invalidated`).

        :raises SimulatorError: if it is in no queue
        """
        queue = self._queue_of(pull)
        async with queue.lock:
            await self._make_anew(queue, queue.groups.index(self._group_of(queue, pull)))

    async def merge(
        self, pull: values.PullRequest, *, method: str = "merge", sender: str | None = None, force: bool = False
    ) -> str:
        """As ever, but not beside a merge queue, unless `force`."""
        if self.has_merge_queue(pull.repository, pull.base_branch) and not force:
            raise world.SimulatorError(f"changes to {pull.base_branch} must be made through the merge queue")
        return await super().merge(pull, method=method, sender=sender, force=force)

    def _queue_of(self, pull: values.PullRequest) -> _Queue:
        found = self._queues.get((pull.repository.id, pull.base_branch))
        if found is None:
            raise world.SimulatorError(f"{pull.base_branch} has no merge queue; enable_merge_queue makes one")
        return found

    def _group_of(self, queue: _Queue, pull: values.PullRequest) -> values.MergeGroup:
        for group in queue.groups:
            if group.pull is pull:
                return group
        raise world.SimulatorError(f"pull request {pull.number} is not in the merge queue")

    # What the queue does; everything below is called with its lock held

    async def _add(self, queue: _Queue, pull: values.PullRequest, sender: str) -> values.MergeGroup | None:
        """Makes the group of a pull request at the end of the queue; on a conflict takes it out: None."""
        repository, base_sha = queue.repository, queue.end
        sha = await self.merge_commit(pull, base_sha, method=queue.method, author=self.user(sender))
        if sha is None:
            await self._tell_dequeued(pull, "MERGE_CONFLICT", BOT)
            return None
        group = values.MergeGroup(
            pull=pull,
            branch=f"{PREFIX}/{queue.branch}/pr-{pull.number}-{base_sha}",
            head_commit=await self.git_of(repository).commit(sha),
            base_branch=queue.branch,
            base_sha=base_sha,
            pull_head_sha=pull.head_sha,
            sender=sender,
        )
        queue.groups.append(group)
        await self._move(repository, f"refs/heads/{group.branch}", sha)
        await self._announce(repository, f"refs/heads/{group.branch}", values.ZERO_SHA, sha, BOT)
        self._tell_group("checks_requested", group)
        return group

    async def _remove(self, queue: _Queue, group: values.MergeGroup, reason: str, sender: str) -> None:
        """Takes a pull request out; `reason` is GitHub's word in `pull_request.dequeued`."""
        index = queue.groups.index(group)
        del queue.groups[index]
        await self._destroy(group, "dequeued")
        await self._tell_dequeued(group.pull, reason, sender)
        await self._make_anew(queue, index)

    async def _make_anew(self, queue: _Queue, index: int) -> None:
        """Replaces the groups from this one on, the last of which would no longer become what it was."""
        stale, queue.groups = queue.groups[index:], queue.groups[:index]
        for group in stale:
            await self._destroy(group, "invalidated")
        for group in stale:
            await self._add(queue, group.pull, group.sender)

    async def _merge_first(self, queue: _Queue) -> None:
        group = queue.groups.pop(0)
        pull = group.pull
        ref, before = f"refs/heads/{queue.branch}", queue.repository.heads[queue.branch]
        await self._move(queue.repository, ref, group.head_sha)
        self.mark_merged(pull, group.head_sha, self.user(BOT))
        await self._destroy(group, "merged")
        await self._tell_dequeued(pull, "MERGE", BOT)
        await self.changed("closed", pull, BOT)
        await self._announce(queue.repository, ref, before, group.head_sha, BOT)

    async def _destroy(self, group: values.MergeGroup, reason: str) -> None:
        self._tell_group("destroyed", group, reason=reason)
        repository, ref = group.pull.repository, f"refs/heads/{group.branch}"
        await self._move(repository, ref, None)
        await self._announce(repository, ref, group.head_sha, values.ZERO_SHA, BOT)

    def _tell_group(self, action: str, group: values.MergeGroup, **extra: str) -> None:
        """Sends https://docs.github.com/en/webhooks/webhook-events-and-payloads#merge_group."""
        payload = {"action": action, **extra, "merge_group": self.shapes.merge_group(group)}
        self.emit("merge_group", payload, repository=group.pull.repository, sender=self.user(BOT))

    async def _tell_dequeued(self, pull: values.PullRequest, reason: str, sender: str) -> None:
        await self.changed("dequeued", pull, sender, reason=reason)

    # When it does so

    def create_check_run(
        self, repository: values.Repository, commit: values.Commit, body: Mapping[str, Any], *, app: values.App
    ) -> values.CheckRun:
        run = super().create_check_run(repository, commit, body, app=app)
        self._look_again(repository)
        return run

    def update_check_run(self, run: values.CheckRun, body: Mapping[str, Any]) -> None:
        super().update_check_run(run, body)
        self._look_again(run.repository)

    def create_status(
        self, repository: values.Repository, sha: str, body: Mapping[str, Any], *, creator: values.User
    ) -> values.Status:
        status = super().create_status(repository, sha, body, creator=creator)
        self._look_again(repository)
        return status

    async def follow_push(
        self, repository: values.Repository, branch: str, before: str, after: str | None, sender: values.User
    ) -> None:
        await super().follow_push(repository, branch, before, after, sender)
        self._look_again(repository)

    async def changed(self, action: str, pull: values.PullRequest, sender: str | None, **extra: Any) -> None:
        await super().changed(action, pull, sender, **extra)
        self._look_again(pull.repository)

    def _look_again(self, repository: values.Repository) -> None:
        for queue in self._queues.values():
            if queue.repository is repository and queue.groups:
                task = asyncio.get_running_loop().create_task(self._look(queue))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)

    async def _look(self, queue: _Queue) -> None:
        """Brings a queue up to date with what has become of its pull requests, its branch and its checks."""
        async with queue.lock:
            if queue.repository.id not in self.repositories:
                queue.groups.clear()
            for group in list(queue.groups):
                pull = group.pull
                is_same = (pull.head_sha, pull.base_branch) == (group.pull_head_sha, queue.branch)
                if group in queue.groups and not (pull.state == "open" and is_same and not pull.is_draft):
                    await self._remove(queue, group, "MANUAL", BOT)
            if queue.groups and queue.groups[0].base_sha != queue.repository.heads.get(queue.branch):
                await self._make_anew(queue, 0)
            while queue.groups and self._verdict(queue.groups[0]) == "passed":
                await self._merge_first(queue)
            for group in list(queue.groups):
                if group in queue.groups and self._verdict(group) == "failing":
                    await self._remove(queue, group, "CI_FAILURE", BOT)

    def _verdict(self, group: values.MergeGroup) -> str:
        """`passed`, `failing` or, while something is missing or pending, `pending`."""
        states = self.check_states(group.pull.repository, group.base_branch, group.head_sha).values()
        if "failing" in states:
            return "failing"
        return "passed" if all(state == "passed" for state in states) else "pending"

    async def settle_queues(self) -> None:
        """Returns when no queue has anything left to do for now; raises what went wrong meanwhile."""
        while self._looking:
            done, _ = await asyncio.wait(self._looking)
            for task in done:
                task.result()

    async def close_queues(self) -> None:
        """Cuts what is under way."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
