"""What happens to accounts, installations and repositories as a whole: made, installed, renamed, given away, forked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.simulator import git, hooks, values, world


class Accounts(world.World):
    """People, installations and repositories."""

    def create_user(self, login: str) -> values.User:
        """A person's account; the one that exists, if there is one."""
        return self.user(login)

    # Installations

    def install(self, login: str, repositories: Iterable[values.Repository | str] = ()) -> values.Installation:
        """Installs the App in an account, for these repositories; sends `installation.created`.

        In an account that has it already, it adds the repositories and sends `installation_repositories.added`.
        """
        account = self.account(login)
        added = [self.repository(repo) for repo in repositories]
        found = self.installation_of(login)
        if found is not None:
            self._add_to(found, added)
            return found
        at = self.clock.now()
        installation = values.Installation(
            id=self.new_id("installation"),
            account=account,
            permissions=dict(self.app.permissions),
            created_at=at,
            updated_at=at,
            repository_ids={repository.id for repository in added},
        )
        self.installations[installation.id] = installation
        self._tell_installation("created", installation, repositories=added)
        return installation

    def installation_of(self, login: str) -> values.Installation | None:
        """The App's installation in an account."""
        for installation in self.installations.values():
            if installation.account.login.lower() == login.lower():
                return installation
        return None

    def _installation(self, login: str) -> values.Installation:
        found = self.installation_of(login)
        if found is None:
            raise world.SimulatorError(f"the App is not installed in {login!r}; install does that")
        return found

    def uninstall(self, login: str) -> None:
        """Removes the App from an account; its tokens end."""
        installation = self._installation(login)
        gone = [self.repositories[repository_id] for repository_id in sorted(installation.repository_ids)]
        del self.installations[installation.id]
        self._tell_installation("deleted", installation, repositories=gone)

    def suspend(self, login: str) -> None:
        """Suspends the App in an account: its tokens are refused and it hears of nothing there."""
        installation = self._installation(login)
        installation.suspended_at = installation.updated_at = self.clock.now()
        installation.suspended_by = self.user(world.SOMEONE)
        self._tell_installation("suspend", installation)

    def unsuspend(self, login: str) -> None:
        installation = self._installation(login)
        installation.suspended_at = installation.suspended_by = None
        installation.updated_at = self.clock.now()
        self._tell_installation("unsuspend", installation)

    def grant(self, login: str, permissions: Mapping[str, str]) -> None:
        """Gives the App these permissions in an account, as its owner does by accepting what the App asks for."""
        installation = self._installation(login)
        installation.permissions = dict(permissions)
        installation.updated_at = self.clock.now()
        self._tell_installation("new_permissions_accepted", installation)

    def remove_from_installation(self, repo: values.Repository | str) -> None:
        """The App may no longer reach a repository; sends `installation_repositories.removed`."""
        repository = self.repository(repo)
        installation = self._installation(repository.owner.login)
        installation.repository_ids.discard(repository.id)
        self._tell_repositories("removed", installation, [repository])

    def ping(self) -> values.Delivery:
        """Tells the App's webhook that it is there, as GitHub does when one is made or changed."""
        config = self.hooks.config()
        at = values.stamp(self.clock.now())
        hook = {
            "type": "App",
            "id": hooks.HOOK_ID,
            "name": "web",
            "active": True,
            "events": sorted(self.app.events),
            "config": {"url": "", **config},
            "created_at": at,
            "updated_at": at,
            "app_id": self.app.id,
            "deliveries_url": f"{self.shapes.api}/app/hook/deliveries",
        }
        payload = {"zen": "Keep it logically awesome.", "hook_id": hooks.HOOK_ID, "hook": hook}
        delivery = self.hooks.prepare("ping", payload)
        self.hooks.send(delivery)
        return delivery

    def _add_to(self, installation: values.Installation, added: list[values.Repository]) -> None:
        new = [repository for repository in added if repository.id not in installation.repository_ids]
        if new:
            installation.repository_ids.update(repository.id for repository in new)
            self._tell_repositories("added", installation, new)

    def _tell_installation(
        self, action: str, installation: values.Installation, *, repositories: list[values.Repository] | None = None
    ) -> None:
        payload = {
            "action": action,
            "installation": self.shapes.installation(installation, self.app),
            "repositories": [self.shapes.short_repository(repository) for repository in repositories or []],
            "requester": None,
            "sender": self.shapes.user(self.user(world.SOMEONE)),
        }
        self.hooks.send(self.hooks.prepare("installation", payload, installation_id=installation.id))

    def _tell_repositories(
        self, action: str, installation: values.Installation, changed: list[values.Repository]
    ) -> None:
        lists: dict[str, list[values.Repository]] = {"added": [], "removed": []}
        lists[action] = changed
        payload = {
            "action": action,
            "installation": self.shapes.installation(installation, self.app),
            "repository_selection": "selected",
            "repositories_added": [self.shapes.short_repository(repository) for repository in lists["added"]],
            "repositories_removed": [self.shapes.short_repository(repository) for repository in lists["removed"]],
            "requester": None,
            "sender": self.shapes.user(self.user(world.SOMEONE)),
        }
        self.hooks.send(self.hooks.prepare("installation_repositories", payload, installation_id=installation.id))

    # Repositories

    async def create_repository(
        self,
        full_name: str,
        files: values.Files | None = None,
        *,
        private: bool = False,
        default_branch: str = "main",
        description: str | None = None,
        installed: bool = True,
    ) -> values.Repository:
        """Makes a repository with one commit of these files, and the App reaches it unless `installed` is false.

        The owner becomes an organization if it is no account yet; `mona` is an administrator. A file that begins with
        `#!` is executable.

        :raises SimulatorError: if there is one of that name, or the name is not one
        """
        owner = self._check_name(full_name)
        repository = self._new_repository(owner, full_name.partition("/")[2], private, default_branch, description)
        its_git = git.Git(self.folder / f"{repository.id}.git")
        await its_git.create(default_branch, objects=self.objects_of(repository))
        first = values.NewCommit(
            ref=f"refs/heads/{default_branch}",
            parent=None,
            files=files if files is not None else {"README.md": f"# {repository.name}\n"},
            message="First commit",
            author=self.signature(self.user(world.SOMEONE)),
        )
        (repository.heads[default_branch],) = await its_git.write([first])
        self.add_repository(repository, its_git)
        if installed:
            self.install(owner.login, [repository])
        self.changes.ring()
        return repository

    def _check_name(self, full_name: str) -> values.User:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", full_name):
            raise world.SimulatorError(f"{full_name!r} is not a repository's name; write it as octo/hello")
        owner, _, name = full_name.partition("/")
        if owner.lower() in world.RESERVED or name in (".", "..") or name.endswith(".git"):
            raise world.SimulatorError(f"the name {full_name!r} is reserved")
        if self.find_repository(full_name) is not None:
            raise world.SimulatorError(f"there is a repository {full_name!r} already")
        return self.account(owner)

    def _new_repository(
        self,
        owner: values.User,
        name: str,
        private: bool,
        default_branch: str,
        description: str | None,
        parent: values.Repository | None = None,
    ) -> values.Repository:
        at = self.clock.now()
        repository_id = self.new_id("repository")
        return values.Repository(
            id=repository_id,
            owner=owner,
            name=name,
            is_private=private,
            default_branch=default_branch,
            html_url=f"{self.shapes.origin}/{owner.login}/{name}",
            description=description,
            created_at=at,
            updated_at=at,
            pushed_at=at,
            network_id=parent.network_id if parent else repository_id,
            parent=parent,
            permissions={} if parent else {world.SOMEONE: "admin"},
        )

    async def fork(self, repo: values.Repository | str, owner: str) -> values.Repository:
        """Copies a repository into another account, where the App is not installed. The two share their objects.

        :raises SimulatorError: if that account has one of the same name
        """
        parent = self.repository(repo)
        self.user(owner)
        account = self._check_name(f"{owner}/{parent.name}")
        fork = self._new_repository(
            account, parent.name, parent.is_private, parent.default_branch, parent.description, parent
        )
        its_git = git.Git(self.folder / f"{fork.id}.git")
        await its_git.create(fork.default_branch, objects=self.objects_of(fork))
        fork.heads, fork.tags = dict(parent.heads), dict(parent.tags)
        heads = {f"refs/heads/{name}": sha for name, sha in fork.heads.items()}
        await its_git.set_refs({**heads, **{f"refs/tags/{name}": sha for name, sha in fork.tags.items()}})
        self.add_repository(fork, its_git)
        self.changes.ring()
        return fork

    async def delete_repository(self, repo: values.Repository | str) -> None:
        """Deletes a repository. Pull requests that came from it stay, and no longer know where they came from."""
        repository = self.repository(repo)
        sender = self.user(world.SOMEONE)
        self.emit("repository", {"action": "deleted"}, repository=repository, sender=sender)
        if self.installation_for(repository) is not None:
            self.remove_from_installation(repository)
        for pull in self.pulls.values():
            if pull.head_repository is repository:
                pull.head_repository = None
        await self.forget_repository(repository)
        self.changes.ring()

    def rename(self, repo: values.Repository | str, new_name: str) -> None:
        """Renames a repository; the API and git redirect from the old name.

        :raises SimulatorError: if there is one of that name
        """
        repository = self.repository(repo)
        self._check_name(f"{repository.owner.login}/{new_name}")
        old_name, repository.name = repository.name, new_name
        self._moved(repository)
        payload = {"action": "renamed", "changes": {"repository": {"name": {"from": old_name}}}}
        self.emit("repository", payload, repository=repository, sender=self.user(world.SOMEONE))

    def transfer(self, repo: values.Repository | str, new_owner: str) -> None:
        """Gives a repository to another account; the API and git redirect from the old name.

        The installation of the old owner loses it. Where the new owner has the App, that installation gets it and
        hears `repository.transferred`; else nobody does.

        :raises SimulatorError: if the new owner has one of that name
        """
        repository = self.repository(repo)
        owner, old_owner = self._check_name(f"{new_owner}/{repository.name}"), repository.owner
        if self.installation_for(repository) is not None:
            self.remove_from_installation(repository)
        repository.owner = owner
        if old_owner.type == "User":
            repository.permissions.setdefault(old_owner.login.lower(), "admin")
        self._moved(repository)
        installation = self.installation_of(owner.login)
        if installation is not None:
            self._add_to(installation, [repository])
        was = {"organization": self.shapes.organization(old_owner)}
        if old_owner.type != "Organization":
            was = {"user": self.shapes.user(old_owner)}
        payload = {"action": "transferred", "changes": {"owner": {"from": was}}}
        self.emit("repository", payload, repository=repository, sender=self.user(world.SOMEONE))

    def archive(self, repo: values.Repository | str, *, back: bool = False) -> None:
        """Makes a repository one that can only be read, or (`back`) takes that back."""
        repository = self.repository(repo)
        repository.is_archived = not back
        repository.updated_at = self.clock.now()
        payload = {"action": "unarchived" if back else "archived"}
        self.emit("repository", payload, repository=repository, sender=self.user(world.SOMEONE))

    def _moved(self, repository: values.Repository) -> None:
        repository.html_url = f"{self.shapes.origin}/{repository.full_name}"
        repository.updated_at = self.clock.now()
        self.name_repository(repository)

    def set_permission(self, repo: values.Repository | str, login: str, level: str) -> None:
        """Gives an account `admin`, `maintain`, `write`, `triage`, `read` or `none` in a repository.

        An App that subscribed to `member` hears of it.
        """
        if level not in world.LEVELS:
            raise world.SimulatorError(f"{level!r} is no level of access; there are {', '.join(world.LEVELS)}")
        repository, member = self.repository(repo), self.user(login)
        old = repository.permissions.get(member.login.lower(), "none")
        repository.permissions[member.login.lower()] = level
        self.changes.ring()
        if level == old:
            return
        payload: dict[str, Any] = {"member": self.shapes.user(member)}
        if level == "none":
            payload["action"] = "removed"
        elif old == "none":
            told = {"permission": {"to": world.LEGACY.get(level, level)}, "role_name": {"to": level}}
            payload |= {"action": "added", "changes": told}
        else:
            changes = {"old_permission": {"from": old}, "permission": {"from": old, "to": level}}
            payload |= {"action": "edited", "changes": changes}
        self.emit("member", payload, repository=repository, sender=self.user(world.SOMEONE))

    def set_visibility(self, repo: values.Repository | str, *, private: bool) -> None:
        """Makes a repository private or public; sends `repository.privatized`, or `repository.publicized` and `public`.

        Nothing is sent where it is so already.
        """
        repository, sender = self.repository(repo), self.user(world.SOMEONE)
        if repository.is_private == private:
            return
        repository.is_private = private
        repository.updated_at = self.clock.now()
        payload = {"action": "privatized" if private else "publicized"}
        self.emit("repository", payload, repository=repository, sender=sender)
        if not private:
            self.emit("public", {}, repository=repository, sender=sender)
