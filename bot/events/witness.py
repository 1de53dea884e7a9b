"""A repository on GitHub that notes each fact that a decision asks of it, so that no handler has to remember to."""

from __future__ import annotations

from collections.abc import Callable

from bot.github import Repository, pulls, refs


class Witness(Repository):
    """The same repository; what is read of it becomes a step of the decision's trail."""

    def __init__(self, seen: Repository, *, note: Callable[[str], None]) -> None:
        """:param note: takes a sentence for people."""
        super().__init__(seen._calls, files=seen._files, app_id=seen._app_id)
        self._note = note

    async def get_raw(self) -> bytes:
        """See `Repository.get_raw`."""
        found = await super().get_raw()
        self._note(f"GitHub shows repository {self.id} to the installation.")
        return found

    async def get_branch_head(self, name: str) -> str | None:
        """See `Repository.get_branch_head`."""
        found = await super().get_branch_head(name)
        self._note(f"GitHub: branch `{name}` {'is gone' if found is None else f'stands at {found}'}.")
        return found

    async def get_branch(self, name: str) -> refs.Branch | None:
        """See `Repository.get_branch`."""
        found = await super().get_branch(name)
        self._note(f"GitHub: branch `{name}` {'is gone' if found is None else f'stands at {found.sha}'}.")
        return found

    async def get_tag(self, name: str) -> str | None:
        """See `Repository.get_tag`."""
        found = await super().get_tag(name)
        self._note(f"GitHub: tag `{name}` {'is gone, or names no commit' if found is None else f'names {found}'}.")
        return found

    async def get_file(self, path: str, *, ref: str) -> bytes | None:
        """See `Repository.get_file`."""
        found = await super().get_file(path, ref=ref)
        size = "is not there" if found is None else f"has {len(found)} bytes"
        self._note(f"GitHub: `{path}` at commit {ref} {size}.")
        return found

    async def get_permission(self, login: str, *, user_id: int) -> str:
        """See `Repository.get_permission`."""
        found = await super().get_permission(login, user_id=user_id)
        self._note(f"GitHub: `{login}` (id {user_id}) has the permission `{found}` in repository {self.id}.")
        return found

    async def get_pull(self, number: int) -> pulls.Pull:
        """See `Repository.get_pull`."""
        found = await super().get_pull(number)
        self._note(
            f"GitHub: pull request #{number} is {found.state} now, its head is {found.head_sha}, its base"
            f" `{found.base_ref}`."
        )
        return found

    async def is_ahead_only(self, *, base: str, head: str) -> bool:
        """See `Repository.is_ahead_only`."""
        found = await super().is_ahead_only(base=base, head=head)
        self._note(f"GitHub: commit {head} {'contains' if found else 'does not contain'} all of its base {base}.")
        return found
