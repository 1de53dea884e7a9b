"""Who may cause what: an event's facts in, a verdict with its reason out. Pure; people are known by their ids."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bot.model import build

#: Permissions that let somebody push, so that their code would run anyway.
#: https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
_WRITERS = frozenset({"admin", "maintain", "write"})


class Action(enum.StrEnum):
    """What follows from an event."""

    RUN = "run"
    #: Nothing runs until somebody with write access approves this very commit.
    WAIT = "wait"
    #: Nothing runs, whoever approves.
    REFUSE = "refuse"


class FileFrom(enum.StrEnum):
    """Whose pipeline file counts."""

    HEAD = "head"
    BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What trust depends on, each fact from GitHub's API or a signed payload. Commits' authors are no facts."""

    #: `push` or `pull_request`.
    event: str
    #: The repository that the head branch is in; None where it was deleted.
    head_repository_id: int | None = None
    base_repository_id: int | None = None
    #: What GitHub says that the pull request's author may do in the base; None where it was not asked or not said.
    author_permission: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an event may cause."""

    action: Action
    trust: build.Trust
    file_from: FileFrom
    #: A sentence for people.
    reason: str


def push() -> Facts:
    """The facts of a push: GitHub let the sender write to the repository."""
    return Facts(event="push")


def pull_request(*, head_repository_id: int | None, base_repository_id: int, author_permission: str | None) -> Facts:
    """The facts of a pull request."""
    return Facts(
        event="pull_request",
        head_repository_id=head_repository_id,
        base_repository_id=base_repository_id,
        author_permission=author_permission,
    )


def may_write(permission: str | None) -> bool:
    """Whether a permission, in GitHub's word for it, lets somebody push. An unknown one does not."""
    return permission in _WRITERS


def decide(facts: Facts) -> Verdict:
    """The verdict. What is not proved to come from somebody who may push waits."""
    if facts.event == "push":
        return _run("A push to the repository is trusted.")
    if facts.event != "pull_request":
        return Verdict(
            action=Action.REFUSE,
            trust=build.Trust.UNTRUSTED,
            file_from=FileFrom.BASE,
            reason="Only pushes and pull requests are built.",
        )
    if facts.head_repository_id is None:
        return _wait("The repository of the head is gone")
    if facts.head_repository_id != facts.base_repository_id:
        return _wait("The head is in a fork")
    if facts.author_permission is None:
        return _wait("It is not known what the author may do in the repository")
    if not may_write(facts.author_permission):
        return _wait("The author may not push to the repository")
    return _run("The author may push to the repository, and the head is a branch of it.")


def _run(reason: str) -> Verdict:
    return Verdict(action=Action.RUN, trust=build.Trust.TRUSTED, file_from=FileFrom.HEAD, reason=reason)


def _wait(fact: str) -> Verdict:
    return Verdict(
        action=Action.WAIT,
        trust=build.Trust.UNTRUSTED,
        file_from=FileFrom.BASE,
        reason=f"{fact}: somebody who may push has to approve this commit.",
    )
