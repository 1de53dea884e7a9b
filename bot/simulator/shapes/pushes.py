"""The payloads of push, create, delete and merge_group: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.simulator import values
from bot.simulator.shapes import accounts, checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One ref that one push has moved."""

    repository: values.Repository
    #: e.g. `refs/heads/main`.
    ref: str
    #: 40 zeros for a ref that is new, or gone.
    before: str
    after: str
    is_forced: bool
    base_ref: str | None
    #: What it brings to the ref, oldest first.
    commits: Sequence[values.Commit]
    #: The commit that the ref points at; None when it is gone.
    head_commit: values.Commit | None
    #: The SHAs that no other branch had.
    distinct: Collection[str]
    pusher: values.User


class PushShapes(checks.CheckShapes):
    """Pushes, on top of all else."""

    def push(self, push: Push) -> accounts.Body:
        repository = push.repository
        head = push.head_commit
        if push.before == values.ZERO_SHA or head is None:
            compare = f"{repository.html_url}/compare/{push.ref.removeprefix('refs/heads/')}"
        else:
            compare = f"{repository.html_url}/compare/{push.before[:12]}...{push.after[:12]}"
        return {
            "ref": push.ref,
            "before": push.before,
            "after": push.after,
            "repository": self._pushed_repository(repository),
            "pusher": {"name": push.pusher.login, "email": push.pusher.email},
            "created": push.before == values.ZERO_SHA,
            "deleted": push.after == values.ZERO_SHA,
            "forced": push.is_forced,
            "base_ref": push.base_ref,
            "compare": compare,
            "commits": [self._commit(repository, commit, commit.sha in push.distinct) for commit in push.commits],
            "head_commit": self._commit(repository, head, True) if head is not None else None,
        }

    def created(self, push: Push) -> accounts.Body:
        """What `create` says of a new branch or tag."""
        repository = push.repository
        return {
            **self.deleted(push),
            "master_branch": repository.default_branch,
            "description": repository.description,
        }

    def deleted(self, push: Push) -> accounts.Body:
        """What `delete` says of a branch or tag that is gone."""
        _, kind, name = push.ref.split("/", 2)
        return {"ref": name, "ref_type": "tag" if kind == "tags" else "branch", "pusher_type": "user"}

    def merge_group(self, group: values.MergeGroup) -> accounts.Body:
        """What `merge_group` says of a group."""
        return {
            "head_sha": group.head_sha,
            "head_ref": f"refs/heads/{group.branch}",
            "base_sha": group.base_sha,
            "base_ref": f"refs/heads/{group.base_branch}",
            "head_commit": self.simple_commit(group.head_commit),
        }

    def _pushed_repository(self, repository: values.Repository) -> accounts.Body:
        """In push events, and only there, two of the times are numbers."""
        body = self.repository(repository)
        body["owner"] = {"name": repository.owner.login, "email": None, **body["owner"]}
        body["created_at"] = int(repository.created_at.timestamp())
        body["pushed_at"] = int(repository.pushed_at.timestamp())
        body["stargazers"] = 0
        body["master_branch"] = repository.default_branch
        return body

    def _commit(self, repository: values.Repository, commit: values.Commit, is_distinct: bool) -> accounts.Body:
        def paths(*statuses: str) -> list[str]:
            return [change.path for change in commit.changes if change.status in statuses]

        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": is_distinct,
            "message": commit.message,
            "timestamp": commit.committer.at.isoformat(),
            "url": f"{repository.html_url}/commit/{commit.sha}",
            "author": _actor(commit.author),
            "committer": _actor(commit.committer),
            "added": paths("added"),
            "removed": paths("removed"),
            "modified": paths("modified", "changed"),
        }


def _actor(who: values.Signature) -> accounts.Body:
    return {"name": who.name, "email": who.email, "date": who.at.isoformat(), "username": who.name}
