"""Who may cause what: an event's facts and the operator's policy in, a verdict with its reason out.

Pure. People and bots are known by their ids: names pass to others, and a commit's author is whatever its maker wrote.
"""

from __future__ import annotations

import enum
from collections.abc import Collection

import msgspec

from bot.model import build

#: Permissions that let somebody push, so that their code would run anyway.
#: https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
_WRITERS = frozenset({"admin", "maintain", "write"})
#: Branches that a merge queue makes. Anybody who may push can make one of that name as well.
#: https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
QUEUE_PREFIX = "refs/heads/gh-readonly-queue/"


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


class Network(enum.StrEnum):
    """What network jobs have."""

    #: As the operator's setting says.
    SETTING = "setting"
    NONE = "none"


class Approval(enum.StrEnum):
    """Whose pull requests wait."""

    #: Those of people who may not push, and of forks.
    OUTSIDERS = "outsiders"
    EVERYONE = "everyone"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides; without a policy file it is this."""

    approval: Approval = Approval.OUTSIDERS
    #: Ids of bots whose own pull requests run, from a branch of the repository and with commits of theirs alone.
    bots: Collection[int] = msgspec.field(default_factory=frozenset)
    #: A label that approves, where somebody who may push sets it; None: none does.
    label: str | None = None


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who opened a pull request."""

    id: int
    is_bot: bool = False
    #: What GitHub says that they may do in the base; None where it was not asked or not said.
    permission: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What trust depends on, each fact from GitHub's API or a signed payload. Commits' authors are no facts."""

    #: `push`, `pull_request`, `merge_group`, `hook`, `schedule` or `workflow_dispatch`.
    event: str
    #: Fully qualified, of a push or a merge group.
    ref: str = ""
    #: Whether the ref leads to the commit. When the event comes it does; for what is run again it is asked.
    leads_to_commit: bool = True
    #: The repository that the head branch is in; None where it was deleted.
    head_repository_id: int | None = None
    base_repository_id: int | None = None
    author: Author | None = None
    #: Whether a branch of the base repository stands at this head now. A commit that only a fork has can be asked for
    #: by its id in the base repository too: forks share what they store.
    is_head_of_branch: bool = False
    #: Whether every head of the pull request that was heard of was pushed by its author.
    is_only_authors: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an event may cause."""

    action: Action
    trust: build.Trust
    file_from: FileFrom
    #: Whether its jobs may have secrets.
    has_secrets: bool
    network: Network
    #: A sentence for people.
    reason: str


def push(ref: str) -> Facts:
    """The facts of a push: GitHub let the sender write to the repository."""
    return Facts(event="push", ref=ref)


def merge_group(ref: str) -> Facts:
    """The facts of a merge group: GitHub made the branch, for what somebody who may merge has queued."""
    return Facts(event="merge_group", ref=ref)


def hook() -> Facts:
    """The facts of a signed webhook: the operator's policy names its source, the repository and the ref."""
    return Facts(event="hook")


def schedule(ref: str) -> Facts:
    """The facts of a time that came: the default branch's own file names it."""
    return Facts(event="schedule", ref=ref)


def dispatch(ref: str) -> Facts:
    """The facts of a build that somebody started here, where whoever may do that may write."""
    return Facts(event="workflow_dispatch", ref=ref)


def pull_request(
    *,
    head_repository_id: int | None,
    base_repository_id: int,
    author: Author,
    is_head_of_branch: bool,
    is_only_authors: bool = False,
) -> Facts:
    """The facts of a pull request."""
    return Facts(
        event="pull_request",
        head_repository_id=head_repository_id,
        base_repository_id=base_repository_id,
        author=author,
        is_head_of_branch=is_head_of_branch,
        is_only_authors=is_only_authors,
    )


def again(of: build.Build, *, leads_to_commit: bool) -> Facts:
    """The facts of a build that is run again and belongs to no pull request."""
    return Facts(event=of.event, ref=of.ref, leads_to_commit=leads_to_commit)


def may_write(permission: str | None) -> bool:
    """Whether a permission, in GitHub's word for it, lets somebody push. An unknown one does not."""
    return permission in _WRITERS


def why_approval_ends(before: build.Pull, now: build.Pull) -> str | None:
    """What changed about a pull request, so that no earlier consent holds; None where nothing of that kind did."""
    if (before.head_sha, before.head_repository_id) != (now.head_sha, now.head_repository_id):
        return "The head changed."
    if before.base_ref != now.base_ref:
        return "The base branch changed."
    if before.state != now.state:
        return f"It was {'closed' if now.state == 'closed' else 'reopened'}."
    if before.is_draft != now.is_draft:
        return "It became a draft." if now.is_draft else "It is no draft any more."
    return None


def why_no_secrets(given: build.Trust, *, now: Verdict | None) -> str | None:
    """Why the jobs of a build get no secrets, as the end of a sentence; None where they may have them.

    Consent lets code run that is not trusted, and a label is consent too: neither makes it trusted.

    :param given: what was decided when the build, or the first run of it, was made.
    :param now: what is decided by what GitHub says at this moment; None where the build is the first run. Secrets may
        be newer than the commit, so whoever runs an old one again gets them only where it would be trusted today.
    """
    if given is not build.Trust.TRUSTED:
        return "the code is not trusted, whoever let it run"
    if now is not None and not now.has_secrets:
        return f"it was run again, and the code is not trusted any more ({now.reason.rstrip('.')})"
    return None


def decide(facts: Facts, policy: Policy | None = None) -> Verdict:
    """The verdict. What is not proved to come from somebody who may push waits."""
    rules = policy or Policy()
    if not facts.leads_to_commit:
        return _refuse("The branch or tag does not lead to this commit any more.")
    match facts.event:
        case "push" if facts.ref.startswith(QUEUE_PREFIX):
            return _refuse("A merge queue's branch is built for its merge group, not for a push: anybody may push one.")
        case "push":
            return _run("A push to the repository is trusted.")
        case "merge_group" if facts.ref.startswith(QUEUE_PREFIX):
            return _run("GitHub made the merge group, for what somebody who may merge has queued.")
        case "hook":
            # What is built was pushed to the repository, by somebody who may.
            return _run("The policy lets this source have the ref built.")
        case "schedule":
            return _run("The default branch's own pipeline file names this time.")
        case "workflow_dispatch":
            return _run("Somebody who may start builds here did.")
        case "pull_request":
            return _pull_request(facts, rules)
    return _refuse("Only pushes, pull requests, merge groups and signed webhooks are built.")


def _pull_request(facts: Facts, policy: Policy) -> Verdict:
    author = facts.author
    if facts.head_repository_id is None:
        return _wait("The repository of the head is gone")
    if facts.head_repository_id != facts.base_repository_id:
        return _wait("The head is in a fork")
    if not facts.is_head_of_branch:
        return _wait("No branch of the repository stands at this commit")
    if author is None:
        return _wait("It is not known who opened it")
    if author.is_bot:
        return _bot(facts, author, policy)
    if author.permission is None:
        return _wait("It is not known what the author may do in the repository")
    if not may_write(author.permission):
        return _wait("The author may not push to the repository")
    if policy.approval == Approval.EVERYONE:
        return _wait("The policy lets every pull request wait")
    return _run("The author may push to the repository, and the head is a branch of it.")


def _bot(facts: Facts, author: Author, policy: Policy) -> Verdict:
    if author.id not in policy.bots:
        return _wait("The author is a bot that the policy does not name")
    if not facts.is_only_authors:
        return _wait("Not every commit was pushed by the bot that opened it")
    return _run("The policy names this bot, and it pushed every commit itself to a branch of the repository.")


def _run(reason: str) -> Verdict:
    return Verdict(
        action=Action.RUN,
        trust=build.Trust.TRUSTED,
        file_from=FileFrom.HEAD,
        has_secrets=True,
        network=Network.SETTING,
        reason=reason,
    )


def _wait(fact: str) -> Verdict:
    return _untrusted(Action.WAIT, f"{fact}: somebody who may push has to approve this commit.")


def _refuse(reason: str) -> Verdict:
    return _untrusted(Action.REFUSE, reason)


def _untrusted(action: Action, reason: str) -> Verdict:
    return Verdict(
        action=action,
        trust=build.Trust.UNTRUSTED,
        file_from=FileFrom.BASE,
        has_secrets=False,
        network=Network.NONE,
        reason=reason,
    )
