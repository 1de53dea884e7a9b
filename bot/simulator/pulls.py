"""What happens to pull requests: opened, pushed to, edited, closed; with `refs/pull/N/head` and `refs/pull/N/merge`."""

from __future__ import annotations

import contextlib
from typing import Any

from bot.simulator import accounts, git, values, world


class Pulls(accounts.Accounts):
    """Pull requests, without what needs a push."""

    async def open_pull_request(
        self,
        repo: values.Repository | str,
        head_branch: str,
        base: str | None = None,
        *,
        author: str | None = None,
        from_fork: values.Repository | str | None = None,
        title: str | None = None,
        body: str | None = None,
        draft: bool = False,
    ) -> values.PullRequest:
        """Opens a pull request for a branch of the repository, or of a fork of it.

        :param base: the branch to merge into; the default branch if not given
        :param author: by default `mona`, or the owner of the fork
        :raises SimulatorError: if a branch is not there, or has nothing that the base has not, or has one already, or
            `from_fork` is no fork
        """
        repository = self.repository(repo)
        head_repository = self.repository(from_fork) if from_fork is not None else repository
        if head_repository.network_id != repository.network_id:
            raise world.SimulatorError(f"{head_repository.full_name} is no fork of {repository.full_name}")
        base_branch = base or repository.default_branch
        head_sha, base_sha = self._head(head_repository, head_branch), self._head(repository, base_branch)
        for other in self.open_pulls(repository):
            if (other.head_repository, other.head_branch, other.base_branch) == (
                head_repository,
                head_branch,
                base_branch,
            ):
                raise world.SimulatorError(f"pull request {other.number} has this head and this base already")
        its_git = self.git_of(repository)
        number, repository.next_number = repository.next_number, repository.next_number + 1
        await self._point_at_head(repository, number, head_sha)
        if (await its_git.count(base_sha, head_sha))[1] == 0:
            raise world.SimulatorError(f"there are no commits between {base_branch} and {head_branch}")
        at = self.clock.now()
        person = author or (head_repository.owner.login if from_fork is not None else world.SOMEONE)
        pull = values.PullRequest(
            id=self.new_id("pull"),
            number=number,
            repository=repository,
            head_repository=head_repository,
            head_branch=head_branch,
            head_sha=head_sha,
            base_branch=base_branch,
            base_sha=base_sha,
            author=self.user(person),
            title=title if title is not None else (await its_git.commit(head_sha)).message.partition("\n")[0],
            body=body,
            created_at=at,
            updated_at=at,
            is_draft=draft,
        )
        self.pulls[repository.id, pull.number] = pull
        await self._try_merge(pull)
        await self._tell_pull("opened", pull, pull.author)
        return pull

    def _head(self, repository: values.Repository, branch: str) -> str:
        if branch not in repository.heads:
            raise world.SimulatorError(f"{repository.full_name} has no branch {branch!r}")
        return repository.heads[branch]

    def pull_request(self, repo: values.Repository | str, number: int) -> values.PullRequest:
        """:raises SimulatorError: if there is none of that number"""
        found = self.pulls.get((self.repository(repo).id, number))
        if found is None:
            raise world.SimulatorError(f"there is no pull request {number}")
        return found

    async def close(self, pull: values.PullRequest, *, sender: str | None = None) -> None:
        """Closes a pull request without merging it."""
        self._check(pull, "open")
        pull.state = "closed"
        pull.closed_at = self.clock.now()
        await self.changed("closed", pull, sender)

    async def reopen(self, pull: values.PullRequest, *, sender: str | None = None) -> None:
        """:raises SimulatorError: if it is open or merged, or its branch is gone"""
        self._check(pull, "closed")
        if pull.merged_at is not None or pull.head_repository is None:
            raise world.SimulatorError(f"pull request {pull.number} can no longer be reopened")
        head_sha = self._head(pull.head_repository, pull.head_branch)
        pull.state, pull.closed_at = "open", None
        await self._point_at_head(pull.repository, pull.number, head_sha)
        pull.head_sha, pull.base_sha = head_sha, self._head(pull.repository, pull.base_branch)
        await self._try_merge(pull)
        await self.changed("reopened", pull, sender)

    async def retarget(self, pull: values.PullRequest, base: str, *, sender: str | None = None) -> None:
        """Changes the branch that it is to be merged into; sends `edited` with the old base.

        :raises SimulatorError: if it is closed or there is no such branch
        """
        self._check(pull, "open")
        base_sha = self._head(pull.repository, base)
        changes = {"base": {"ref": {"from": pull.base_branch}, "sha": {"from": pull.base_sha}}}
        pull.base_branch, pull.base_sha = base, base_sha
        await self._try_merge(pull)
        await self.changed("edited", pull, sender, changes=changes)

    async def edit_title(self, pull: values.PullRequest, title: str, *, sender: str | None = None) -> None:
        changes = {"title": {"from": pull.title}}
        pull.title = title
        await self.changed("edited", pull, sender, changes=changes)

    async def edit_body(self, pull: values.PullRequest, body: str, *, sender: str | None = None) -> None:
        changes = {"body": {"from": pull.body or ""}}
        pull.body = body
        await self.changed("edited", pull, sender, changes=changes)

    async def ready_for_review(self, pull: values.PullRequest, *, sender: str | None = None) -> None:
        """A draft no longer is one."""
        self._check(pull, "open")
        pull.is_draft = False
        await self.changed("ready_for_review", pull, sender)

    async def convert_to_draft(self, pull: values.PullRequest, *, sender: str | None = None) -> None:
        """It becomes a draft: work that is not to be merged yet."""
        self._check(pull, "open")
        pull.is_draft = True
        await self.changed("converted_to_draft", pull, sender)

    async def label(self, pull: values.PullRequest, name: str, *, sender: str | None = None) -> None:
        """Adds a label; one that is there already is told nobody."""
        if name not in pull.labels:
            pull.labels.append(name)
            await self.changed("labeled", pull, sender, label=self.shapes.label(pull.repository, name))

    async def unlabel(self, pull: values.PullRequest, name: str, *, sender: str | None = None) -> None:
        """Takes a label away.

        :raises SimulatorError: if it has none of that name
        """
        if name not in pull.labels:
            raise world.SimulatorError(f"pull request {pull.number} has no label {name!r}")
        pull.labels.remove(name)
        await self.changed("unlabeled", pull, sender, label=self.shapes.label(pull.repository, name))

    def _check(self, pull: values.PullRequest, state: str) -> None:
        if pull.state != state:
            raise world.SimulatorError(f"pull request {pull.number} is {pull.state}")

    # What a push to a branch does to pull requests

    async def follow_push(
        self, repository: values.Repository, branch: str, before: str, after: str | None, sender: values.User
    ) -> None:
        """Brings the pull requests up to date with a branch that has moved or (`after` None) is gone."""
        for pull in [pull for pull in self.pulls.values() if pull.state == "open"]:
            is_head = pull.head_repository is repository and pull.head_branch == branch
            is_base = pull.repository is repository and pull.base_branch == branch
            if after is None and (is_head or is_base):
                await self.close(pull, sender=sender.login)
            elif after is not None and is_head:
                await self._synchronize(pull, before, after, sender)
            elif after is not None and is_base:
                await self._follow_base(pull, after, sender)

    async def _synchronize(self, pull: values.PullRequest, before: str, after: str, sender: values.User) -> None:
        await self._point_at_head(pull.repository, pull.number, after)
        pull.head_sha = after
        pull.base_sha = self._head(pull.repository, pull.base_branch)
        await self._try_merge(pull)
        await self.changed("synchronize", pull, sender.login, before=before, after=after)

    async def _follow_base(self, pull: values.PullRequest, after: str, sender: values.User) -> None:
        if await self.git_of(pull.repository).is_ancestor(pull.head_sha, after):
            self.mark_merged(pull, pull.head_sha, sender)
            await self.changed("closed", pull, sender.login)
        else:
            # GitHub leaves `base.sha` as it was, and only makes a new test merge.
            await self._try_merge(pull)
            self.changes.ring()

    def mark_merged(self, pull: values.PullRequest, merge_commit_sha: str, sender: values.User) -> None:
        pull.state = "closed"
        pull.closed_at = pull.merged_at = self.clock.now()
        pull.merged_by = sender
        pull.merge_commit_sha = merge_commit_sha

    # Git

    async def _point_at_head(self, repository: values.Repository, number: int, sha: str) -> None:
        """Makes the head, also that of a fork, reachable in the base repository as `refs/pull/N/head`."""
        await self.git_of(repository).set_refs({f"refs/pull/{number}/head": sha})

    async def _try_merge(self, pull: values.PullRequest) -> None:
        """Makes the test merge with the base as it is now, and `refs/pull/N/merge`."""
        its_git = self.git_of(pull.repository)
        base_sha = self._head(pull.repository, pull.base_branch)
        merged: str | None = None
        with contextlib.suppress(git.GitError):  # two histories without a common commit
            merged = await its_git.merge(
                base_sha,
                pull.head_sha,
                message=f"Merge {pull.head_sha} into {base_sha}",
                author=self.signature(pull.author),
            )
        pull.merge_commit_sha, pull.is_mergeable = merged, merged is not None
        await its_git.set_refs({f"refs/pull/{pull.number}/merge": merged})

    async def pull_commits(self, pull: values.PullRequest) -> list[str]:
        """The commits that it would bring, oldest first."""
        return await self.git_of(pull.repository).range([pull.head_sha], excluding=[pull.base_sha])

    async def pull_files(self, pull: values.PullRequest) -> list[values.FileChange]:
        """What it would change."""
        its_git = self.git_of(pull.repository)
        start = await its_git.merge_base(pull.base_sha, pull.head_sha)
        return await its_git.changes(start or pull.base_sha, pull.head_sha)

    def mergeable_state(self, pull: values.PullRequest) -> str:
        """GitHub's word for whether it can be merged: `clean`, `dirty`, `draft` or `unknown`."""
        if pull.state != "open" or pull.is_mergeable is None:
            return "unknown"
        return "dirty" if not pull.is_mergeable else "draft" if pull.is_draft else "clean"

    # Telling

    async def full_pull_request(self, pull: values.PullRequest, *, is_settled: bool) -> dict[str, Any]:
        """A pull request as `GET .../pulls/{number}` says it, or (not settled) as webhooks do."""
        commits, files = await self.pull_commits(pull), await self.pull_files(pull)
        counts = {
            "comments": sum(
                c.repository is pull.repository and c.number == pull.number for c in self.comments.values()
            ),
            "commits": len(commits),
            "additions": sum(file.additions for file in files),
            "deletions": sum(file.deletions for file in files),
            "changed_files": len(files),
        }
        association = self.association(pull.repository, pull.author)
        state = self.mergeable_state(pull) if is_settled else None
        return self.shapes.full_pull_request(pull, association=association, counts=counts, state=state)

    async def changed(self, action: str, pull: values.PullRequest, sender: str | None, **extra: Any) -> None:
        pull.updated_at = self.clock.now()
        await self._tell_pull(action, pull, self.user(sender) if sender else pull.author, **extra)

    async def _tell_pull(self, action: str, pull: values.PullRequest, sender: values.User, **extra: Any) -> None:
        payload = {
            "action": action,
            "number": pull.number,
            "pull_request": await self.full_pull_request(pull, is_settled=False),
            **extra,
        }
        self.emit("pull_request", payload, repository=pull.repository, sender=sender)
