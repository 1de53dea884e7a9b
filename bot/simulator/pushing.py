"""What happens to branches and tags: commits, pushes of every kind, merges, and what all that sets off."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bot.simulator import protecting, values, world
from bot.simulator.shapes import pushes

#: A push of more tags than this causes no push event for them, and no create or delete either.
MOST_TAGS = 3

#: A push of more branches than this causes none for those.
MOST_BRANCHES = 5000

#: A push event lists at most this many commits, the newest ones.
MOST_COMMITS = 2048


class Pushing(protecting.Protecting):
    """Branches, on top of pull requests, checks and rules that follow them."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # Held while a git repository's refs and what we know of them may differ.
        self._moving: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def commit(
        self,
        repo: values.Repository | str,
        branch: str,
        files: values.Files,
        message: str = "Change files",
        *,
        author: str | None = None,
    ) -> str:
        """Adds a commit to a branch in silence: no event, no pull request follows. Gives its SHA.

        A branch that is not there begins at the default branch.
        """
        repository = self.repository(repo)
        start = repository.heads.get(branch) or repository.heads[repository.default_branch]
        return await self._write(repository, branch, start, files, message, author)

    async def push(
        self,
        repo: values.Repository | str,
        branch: str,
        files: values.Files | None = None,
        message: str = "Change files",
        *,
        author: str | None = None,
        start: str | None = None,
        force: bool = False,
    ) -> str:
        """Pushes to a branch, with all that follows: push, check suite, pull requests. Gives the new head.

        :param files: what the one new commit changes; None for a push of a commit that is there
        :param start: a branch or SHA that the new commit is put on, by default the branch itself, or the default
            branch where it is new; whatever else is on the branch is then gone, as after a forced push
        :param force: without `start`: replaces the newest commit of the branch
        :raises SimulatorError: if there is no such start
        :raises git.GitError: if git does not take a path or the branch's name
        """
        repository = self.repository(repo)
        before = repository.heads.get(branch, values.ZERO_SHA)
        parent = await self._start(repository, branch, start, force)
        if files is not None:
            after = await self._write(repository, branch, parent, files, message, author)
        else:
            after = parent
            await self._move(repository, f"refs/heads/{branch}", after)
        is_one_more = before == parent or (before == values.ZERO_SHA and parent in repository.heads.values())
        known = [after] if files is not None and is_one_more else None
        await self._announce(repository, f"refs/heads/{branch}", before, after, author, known=known)
        return after

    async def _start(self, repository: values.Repository, branch: str, start: str | None, force: bool) -> str:
        if start is not None:
            sha = repository.heads.get(start, start)
            if not await self.git_of(repository).has(sha):
                raise world.SimulatorError(f"{repository.full_name} has no branch or commit {start!r}")
            return sha
        head = repository.heads.get(branch)
        if head is None:
            return repository.heads[repository.default_branch]
        if force:
            parents = (await self.git_of(repository).commit(head)).parents
            if not parents:
                raise world.SimulatorError(f"the commit of {branch!r} has no parent that could be put another one on")
            return parents[0]
        return head

    async def _write(
        self,
        repository: values.Repository,
        branch: str,
        parent: str,
        files: values.Files,
        message: str,
        author: str | None,
    ) -> str:
        new = values.NewCommit(
            ref=f"refs/heads/{branch}",
            parent=parent,
            files=files,
            message=message,
            author=self.signature(self.user(author or world.SOMEONE)),
        )
        async with self._moving[repository.id]:
            (sha,) = await self.git_of(repository).write([new])
            repository.heads[branch] = sha
        return sha

    async def _move(self, repository: values.Repository, ref: str, target: str | None) -> None:
        async with self._moving[repository.id]:
            await self.git_of(repository).set_refs({ref: target})
            self._note(repository, ref, target)

    def _note(self, repository: values.Repository, ref: str, target: str | None) -> None:
        names = repository.heads if ref.startswith("refs/heads/") else repository.tags
        name = ref.split("/", 2)[2]
        if target is None:
            names.pop(name, None)
        else:
            names[name] = target

    async def delete_branch(self, repo: values.Repository | str, branch: str, *, author: str | None = None) -> None:
        """Deletes a branch; its open pull requests close."""
        repository = self.repository(repo)
        before = repository.heads[branch]
        await self._move(repository, f"refs/heads/{branch}", None)
        await self._announce(repository, f"refs/heads/{branch}", before, values.ZERO_SHA, author)

    async def push_tags(
        self,
        repo: values.Repository | str,
        tags: Sequence[str],
        target: str | None = None,
        *,
        message: str | None = None,
        author: str | None = None,
    ) -> None:
        """Pushes tags for a branch or commit, annotated if there is a `message`; more than three cause no event."""
        repository = self.repository(repo)
        name = target or repository.default_branch
        sha = repository.heads.get(name, name)
        person = self.user(author or world.SOMEONE)
        moved = []
        for tag in tags:
            its_git = self.git_of(repository)
            points_at = sha
            if message is not None:
                points_at = await its_git.annotate(tag, sha, message=message, tagger=self.signature(person))
            moved.append((f"refs/tags/{tag}", repository.tags.get(tag, values.ZERO_SHA), points_at))
            await self._move(repository, f"refs/tags/{tag}", points_at)
        await self._announce_all(repository, moved, person.login)

    async def delete_tag(self, repo: values.Repository | str, tag: str, *, author: str | None = None) -> None:
        repository = self.repository(repo)
        before = repository.tags[tag]
        await self._move(repository, f"refs/tags/{tag}", None)
        await self._announce(repository, f"refs/tags/{tag}", before, values.ZERO_SHA, author)

    async def push_many(
        self,
        repo: values.Repository | str,
        branches: Sequence[str],
        *,
        files: values.Files | None = None,
        send: bool = True,
    ) -> list[values.Delivery]:
        """Pushes one commit to each of many new branches, quickly; gives the signed push deliveries.

        With `send` they go out, and check suites too; without it nothing is sent or recorded.
        """
        repository, person = self.repository(repo), self.user(world.SOMEONE)
        start, author = repository.heads[repository.default_branch], self.signature(person)
        commits = [
            values.NewCommit(
                ref=f"refs/heads/{branch}",
                parent=start,
                files={**(files or {}), "branch.txt": f"{branch}\n"},
                message=f"Change {branch}",
                author=author,
            )
            for branch in branches
        ]
        async with self._moving[repository.id]:
            shas = await self.git_of(repository).write(commits)
            repository.heads.update(zip(branches, shas, strict=True))
        repository.pushed_at = self.clock.now()
        deliveries = []
        for branch, commit in zip(branches, await self.git_of(repository).commits(shas), strict=True):
            payload = self.shapes.push(
                pushes.Push(
                    repository=repository,
                    ref=f"refs/heads/{branch}",
                    before=values.ZERO_SHA,
                    after=commit.sha,
                    is_forced=False,
                    base_ref=None,
                    commits=[commit],
                    head_commit=commit,
                    distinct={commit.sha},
                    pusher=person,
                )
            )
            delivery = self.event("push", payload, repository=repository, sender=person)
            if delivery is not None:
                deliveries.append(delivery)
            if send:
                if delivery is not None:
                    self.hooks.send(delivery)
                self.request_suite(repository, commit, values.ZERO_SHA, sender=person.login)
        return deliveries

    async def received(self, repository: values.Repository, *, sender: str) -> None:
        """Looks what a `git push` has moved, and sets off what follows."""
        async with self._moving[repository.id]:
            now = await self.git_of(repository).refs()
            known = {f"refs/heads/{name}": sha for name, sha in repository.heads.items()}
            known.update({f"refs/tags/{name}": sha for name, sha in repository.tags.items()})
            moved = [
                (ref, known.get(ref, values.ZERO_SHA), now.get(ref, values.ZERO_SHA))
                for ref in sorted({*known, *now})
                if known.get(ref) != now.get(ref)
            ]
            for ref, _, after in moved:
                self._note(repository, ref, None if after == values.ZERO_SHA else after)
        await self._announce_all(repository, moved, sender)

    async def _announce_all(
        self, repository: values.Repository, moved: Sequence[tuple[str, str, str]], sender: str
    ) -> None:
        tags = sum(ref.startswith("refs/tags/") for ref, _, _ in moved)
        branches = len(moved) - tags
        for ref, before, after in moved:
            is_tag = ref.startswith("refs/tags/")
            is_told = tags <= MOST_TAGS if is_tag else branches <= MOST_BRANCHES
            await self._announce(repository, ref, before, after, sender, is_told=is_told)

    async def _announce(
        self,
        repository: values.Repository,
        ref: str,
        before: str,
        after: str,
        author: str | None,
        *,
        known: Sequence[str] | None = None,
        is_told: bool = True,
    ) -> None:
        """Sets off what follows a moved ref. `known` are the commits that it brings, where they are known."""
        person = self.user(author or world.SOMEONE)
        repository.pushed_at = self.clock.now()
        if before == after:
            return
        push = await self._push(repository, ref, before, after, person, known)
        if is_told:
            self.emit("push", self.shapes.push(push), repository=repository, sender=person)
            if before == values.ZERO_SHA:
                self.emit("create", self.shapes.created(push), repository=repository, sender=person)
            if after == values.ZERO_SHA:
                self.emit("delete", self.shapes.deleted(push), repository=repository, sender=person)
        if ref.startswith("refs/heads/"):
            if push.head_commit is not None and is_told:
                self.request_suite(repository, push.head_commit, before, sender=person.login)
            target = None if after == values.ZERO_SHA else after
            await self.follow_push(repository, ref.removeprefix("refs/heads/"), before, target, person)

    async def _push(
        self,
        repository: values.Repository,
        ref: str,
        before: str,
        after: str,
        person: values.User,
        known: Sequence[str] | None,
    ) -> pushes.Push:
        its_git = self.git_of(repository)
        others = [sha for name, sha in repository.heads.items() if f"refs/heads/{name}" != ref]
        forced, brought, distinct, base_ref, head = False, list(known or []), set(known or []), None, None
        if after != values.ZERO_SHA:
            tip = await its_git.peel(after)
            if known is None:
                excluding = others if before == values.ZERO_SHA else [before]
                brought = await its_git.range([tip], excluding=excluding, limit=MOST_COMMITS)
                distinct = set(await its_git.range([tip], excluding=others, limit=MOST_COMMITS))
                forced = before != values.ZERO_SHA and not await its_git.is_ancestor(before, tip)
            if before == values.ZERO_SHA:
                same = [name for name, sha in repository.heads.items() if sha == tip and f"refs/heads/{name}" != ref]
                base_ref = f"refs/heads/{same[0]}" if same else None
            head = await its_git.commit(tip)
        return pushes.Push(
            repository=repository,
            ref=ref,
            before=before,
            after=after,
            is_forced=forced,
            base_ref=base_ref,
            commits=await its_git.commits(brought),
            head_commit=head,
            distinct=distinct,
            pusher=person,
        )

    async def merge(
        self, pull: values.PullRequest, *, method: str = "merge", sender: str | None = None, force: bool = False
    ) -> str:
        """Merges a pull request with a merge commit (`merge`) or one commit for all (`squash`); gives its SHA.

        :param force: although its required checks have not passed, as an administrator may
        :raises SimulatorError: if it is closed, a draft, has conflicts or is blocked by required checks
        """
        repository, person, state = pull.repository, self.user(sender or world.SOMEONE), self.merge_state(pull)
        base, sha = repository.heads.get(pull.base_branch, values.ZERO_SHA), None
        if state.may_merge or (force and state.state == "blocked"):
            sha = await self.merge_commit(pull, base, method=method, author=person)
        if sha is None:
            reasons = "; ".join(state.reasons) or "it has conflicts"
            raise world.SimulatorError(f"pull request {pull.number} may not be merged: {reasons}")
        await self._move(repository, f"refs/heads/{pull.base_branch}", sha)
        self.mark_merged(pull, sha, person)
        await self.changed("closed", pull, person.login)
        await self._announce(repository, f"refs/heads/{pull.base_branch}", base, sha, person.login)
        return sha

    async def merge_commit(
        self, pull: values.PullRequest, base: str, *, method: str, author: values.User
    ) -> str | None:
        """Writes what merging a pull request into a commit makes, without a ref; None on a conflict."""
        its_git = self.git_of(pull.repository)
        title = f"Merge pull request #{pull.number}" if method == "merge" else f"{pull.title} (#{pull.number})"
        sha = await its_git.merge(base, pull.head_sha, message=title, author=self.signature(author))
        if sha is None or method == "merge":
            return sha
        tree = (await its_git.commit(sha)).tree
        return await its_git.commit_tree(tree, [base], message=title, author=self.signature(author))
