"""The state of the simulated GitHub: accounts, installations, repositories, and who may do what.

`World` is the floor of a small tower of classes, each a chapter of what can happen: `accounts`, `pulls`, `talking`,
`checking`, `protecting`, `pushing`, `queueing`; `simulator.Simulator` is the top and what others use. All state lives
in memory, the repositories' content in git repositories below `folder`. One event loop, no threads: what does not await
cannot be interrupted.
"""

from __future__ import annotations

import base64
import functools
import itertools
import pathlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.simulator import bell, clock, git, hooks, shapes, values

Result = TypeVar("Result")

#: Who acts where nobody is named: an administrator of every repository that is created.
SOMEONE = "mona"

#: What signs webhooks where no secret is given.
WEBHOOK_WORD = "simulator"

#: The name of the App that is not ours.
OTHER_SLUG = "another-app"

#: Levels of access to a repository, least first.
LEVELS = ("none", "read", "triage", "write", "maintain", "admin")

#: The older words for levels that came later.
LEGACY = {"maintain": "write", "triage": "read"}

#: What the App asked for.
PERMISSIONS = {
    "checks": "write",
    "contents": "read",
    "merge_queues": "read",
    "metadata": "read",
    "pull_requests": "write",
    "statuses": "write",
}

#: What the App subscribed to; `installation` and `installation_repositories` come without a subscription.
EVENTS = frozenset(
    {
        "check_run",
        "check_suite",
        "create",
        "delete",
        "issue_comment",
        "merge_group",
        "public",
        "pull_request",
        "push",
        "repository",
    }
)

#: Owners that would hide other pages of this server.
RESERVED = frozenset(
    {
        "api",
        "app",
        "applications",
        "apps",
        "installation",
        "login",
        "organizations",
        "repos",
        "repositories",
        "settings",
        "user",
        "users",
    }
)


class SimulatorError(Exception):
    """The simulated world cannot do that; the text says why."""


@functools.cache
def generated_key() -> str:
    """A private key as PEM, the same one for the life of the process: making one takes a while."""
    return new_key()


def new_key() -> str:
    """A private key as PEM that nobody else has."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


class World:
    """Everything there is, and how to find it."""

    def __init__(
        self,
        *,
        folder: pathlib.Path,
        webhook_url: str | None,
        webhook_secret: str | None,
        app_id: int,
        private_key: str,
        permissions: Mapping[str, str],
        events: Iterable[str],
    ) -> None:
        #: Repositories lie in here.
        self.folder = folder
        #: Rings whenever something changed.
        self.changes = bell.Bell()
        #: The time, here.
        self.clock = clock.Clock()
        self.shapes = shapes.Shapes()
        #: The App's private key, PEM.
        self.private_key = private_key
        self._ids = {
            name: itertools.count(first)
            for name, first in (
                ("user", 9_000_001),
                ("repository", 700_000_001),
                ("installation", 50_000_001),
                ("pull", 2_300_000_001),
                ("check_suite", 41_000_000_001),
                ("check_run", 51_000_000_001),
                ("comment", 3_100_000_001),
                ("reaction", 230_000_001),
                ("status", 38_000_000_001),
            )
        }
        self.users: dict[str, values.User] = {}
        self.repositories: dict[int, values.Repository] = {}
        self.installations: dict[int, values.Installation] = {}
        self.pulls: dict[tuple[int, int], values.PullRequest] = {}
        self.check_suites: dict[int, values.CheckSuite] = {}
        self.check_runs_by_id: dict[int, values.CheckRun] = {}
        self.comments: dict[int, values.Comment] = {}
        self.statuses: list[values.Status] = []
        self._names: dict[str, int] = {}
        self._old_names: dict[str, int] = {}
        self._gits: dict[int, git.Git] = {}
        self._last_commit_at = datetime.fromtimestamp(0, tz=UTC)
        self._other_id = app_id + 1
        #: The App under test.
        self.app = self._new_app(app_id, "buildhook", permissions=permissions, events=events)
        self.hooks = hooks.Hooks(
            url=webhook_url, secret=webhook_secret, app_id=app_id, changes=self.changes, clock=self.clock
        )
        self.user(SOMEONE)

    def new_id(self, noun: str) -> int:
        return next(self._ids[noun])

    def _new_app(
        self,
        app_id: int,
        slug: str,
        *,
        permissions: Mapping[str, str],
        events: Iterable[str],
        name: str = "",
        owner: values.User | None = None,
    ) -> values.App:
        return values.App(
            id=app_id,
            slug=slug,
            name=name or slug,
            client_id=_client_id(app_id),
            owner=owner or self.account("octo"),
            bot=self.user(f"{slug}[bot]"),
            permissions=dict(permissions),
            events=set(events),
            created_at=self.clock.now(),
            client_secret=secrets.token_hex(20),
        )

    @functools.cached_property
    def other_app(self) -> values.App:
        """An App that is not ours, for check runs that we may not change and tokens that we may not take."""
        return self._new_app(self._other_id, OTHER_SLUG, permissions={"checks": "write", "metadata": "read"}, events=())

    def replace_app(
        self, slug: str, *, name: str, owner: values.User, permissions: Mapping[str, str], events: Iterable[str]
    ) -> values.App:
        """A new App, with a key of its own, in place of the one under test; it is installed nowhere."""
        # Past the one that is not ours.
        self.app = self._new_app(
            self.app.id + 1000, slug, permissions=permissions, events=events, name=name, owner=owner
        )
        self.private_key = new_key()
        self.installations.clear()
        self.changes.ring()
        return self.app

    # Finding

    def find_app(self, client_id: str) -> values.App | None:
        """Ours or the other one."""
        if client_id == self.app.client_id:
            return self.app
        # By its id, because looking at the other one makes it.
        return self.other_app if client_id == _client_id(self._other_id) else None

    def user(self, login: str, *, type_: str | None = None) -> values.User:
        """The account of that name, made if it is new: a bot where the name ends with `[bot]`, else a person."""
        found = self.users.get(login.lower())
        if found is None:
            kind = type_ or ("Bot" if login.endswith("[bot]") else "User")
            found = self.users[login.lower()] = values.User(id=self.new_id("user"), login=login, type=kind)
        return found

    def account(self, login: str) -> values.User:
        """The account of that name; a new one becomes an organization."""
        return self.user(login, type_="Organization")

    def find_repository(self, full_name: str) -> values.Repository | None:
        repository_id = self._names.get(full_name.lower())
        return self.repositories[repository_id] if repository_id is not None else None

    def find_renamed(self, full_name: str) -> values.Repository | None:
        """The repository that had this name before."""
        repository_id = self._old_names.get(full_name.lower())
        return self.repositories[repository_id] if repository_id is not None else None

    def repository(self, repo: values.Repository | str) -> values.Repository:
        """:raises SimulatorError: if there is none of that name"""
        if isinstance(repo, values.Repository):
            return repo
        found = self.find_repository(repo)
        if found is None:
            raise SimulatorError(f"there is no repository {repo!r}; create_repository makes one")
        return found

    def git_of(self, repository: values.Repository) -> git.Git:
        return self._gits[repository.id]

    def objects_of(self, repository: values.Repository) -> pathlib.Path:
        """Where the objects of a repository and of all its forks lie."""
        return self.folder / f"{repository.network_id}.objects"

    def network(self, repository: values.Repository) -> list[values.Repository]:
        """The repository, what it is a fork of, and all other forks of that."""
        return [one for one in self.repositories.values() if one.network_id == repository.network_id]

    def add_repository(self, repository: values.Repository, its_git: git.Git) -> None:
        self.repositories[repository.id] = repository
        self._gits[repository.id] = its_git
        self.name_repository(repository)

    async def forget_repository(self, repository: values.Repository) -> None:
        """Removes a repository and every name that led to it."""
        for names in (self._names, self._old_names):
            for name in [name for name, repository_id in names.items() if repository_id == repository.id]:
                del names[name]
        del self.repositories[repository.id]
        its_git = self._gits.pop(repository.id)
        await its_git.close()
        shutil.rmtree(its_git.folder)
        if not self.network(repository):
            shutil.rmtree(self.objects_of(repository))

    def name_repository(self, repository: values.Repository) -> None:
        """Notes the name that a repository has now; names that it had go on leading to it."""
        for name, repository_id in list(self._names.items()):
            if repository_id == repository.id:
                del self._names[name]
                self._old_names[name] = repository_id
        self._names[repository.full_name.lower()] = repository.id
        self._old_names.pop(repository.full_name.lower(), None)

    def open_pulls(self, repository: values.Repository) -> list[values.PullRequest]:
        return [pull for pull in self.pulls.values() if pull.repository is repository and pull.state == "open"]

    # Who may do what

    def level(self, repository: values.Repository, user: values.User) -> str:
        """One of `LEVELS`."""
        if user is repository.owner:
            return "admin"
        given = repository.permissions.get(user.login.lower())
        return given or ("none" if repository.is_private else "read")

    def is_explicit(self, repository: values.Repository, user: values.User) -> bool:
        """Whether somebody may do something there that the public may not: as its owner, or by what was given."""
        given = repository.permissions.get(user.login.lower(), "none")
        return user is repository.owner or given != "none"

    def permissions(self, repository: values.Repository, user: values.User) -> dict[str, bool]:
        """What somebody may do there, by GitHub's older words."""
        named = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
        return {name: self.may(repository, user, needed) for name, needed in named.items()}

    def may(self, repository: values.Repository, user: values.User, level: str) -> bool:
        return LEVELS.index(self.level(repository, user)) >= LEVELS.index(level)

    def association(self, repository: values.Repository, user: values.User) -> str:
        """GitHub's `author_association`."""
        if user is repository.owner:
            return "OWNER"
        if user.login.lower() in repository.permissions and self.may(repository, user, "read"):
            return "MEMBER" if repository.owner.type == "Organization" else "COLLABORATOR"
        theirs = [pull for pull in self.pulls.values() if pull.repository is repository and pull.author is user]
        return "CONTRIBUTOR" if any(pull.merged_at for pull in theirs) else "NONE"

    def installation_for(self, repository: values.Repository) -> values.Installation | None:
        """The installation that reaches a repository, suspended or not."""
        for installation in self.installations.values():
            if repository.id in installation.repository_ids:
                return installation
        return None

    # Telling

    def event(
        self, event: str, payload: Mapping[str, Any], *, repository: values.Repository, sender: values.User
    ) -> values.Delivery | None:
        """A delivery, prepared and not sent, or None where the App is not to know of the event."""
        installation = self.installation_for(repository)
        if event not in self.app.events or installation is None or installation.suspended_at is not None:
            return None
        whole = {**payload, "repository": payload.get("repository") or self.shapes.repository(repository)}
        if repository.owner.type == "Organization":
            whole["organization"] = self.shapes.organization(repository.owner)
        whole["sender"] = self.shapes.user(sender)
        whole["installation"] = {
            "id": installation.id,
            "node_id": shapes.node_id("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u", installation.id),
        }
        return self.hooks.prepare(event, whole, installation_id=installation.id, repository_id=repository.id)

    def emit(
        self, event: str, payload: Mapping[str, Any], *, repository: values.Repository, sender: values.User
    ) -> values.Delivery | None:
        """Tells the App, if it is to know."""
        delivery = self.event(event, payload, repository=repository, sender=sender)
        if delivery is not None:
            self.hooks.send(delivery)
        self.changes.ring()
        return delivery

    async def wait_until(
        self,
        predicate: Callable[[], Result],
        *,
        timeout_seconds: float = 30.0,
        describe: Callable[[], str] = lambda: "what was waited for did not come",
    ) -> Result:
        """Gives the first true value of `predicate`; it is looked at whenever something in this world changes.

        :raises TimeoutError: if it is not true in time; the text is what `describe` says then
        """
        return await self.changes.wait_until(predicate, timeout_seconds=timeout_seconds, describe=describe)

    def commit_time(self) -> datetime:
        """When the next commit is made: no two at the same second, so that no two commits are equal by chance."""
        self._last_commit_at = max(self.clock.now(), self._last_commit_at + values.SECOND)
        return self._last_commit_at

    def signature(self, user: values.User) -> values.Signature:
        """A commit's author for an account, made now."""
        return values.Signature(name=user.login, email=user.email, at=self.commit_time())


def _client_id(app_id: int) -> str:
    return "Iv23li" + base64.b32encode(app_id.to_bytes(8, "big")).decode().lower().rstrip("=")
