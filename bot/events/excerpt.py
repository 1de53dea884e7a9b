"""What of an event expressions may name as `github.event`: a small, bounded part of its payload. Pure.

It is made of what was read and checked, not of the payload itself, so it is the same whichever way an event came to be
known; names and shapes are those of GitHub's payloads.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.events import payloads

#: Characters of a text that somebody wrote, and labels.
MAX_TEXT = 4096
MAX_LABELS = 100


def of_push(
    *,
    ref: str,
    before: str | None,
    after: str,
    message: str,
    repository: payloads.Repository,
    sender: payloads.Account,
    default_branch: str | None,
) -> Mapping[str, Any]:
    """`push`."""
    return {
        "ref": ref,
        "before": before or "0" * len(after),
        "after": after,
        "created": before is None,
        "head_commit": {"id": after, "message": _text(message)},
        **_common(repository, sender, default_branch=default_branch),
    }


def of_pull(changed: payloads.PullRequest) -> Mapping[str, Any]:
    """`pull_request`."""
    pull = changed.pull_request
    return {
        "action": changed.action,
        "number": changed.number,
        "pull_request": {
            "number": changed.number,
            "title": _text(pull.title),
            "body": _text(pull.body),
            "draft": pull.draft is True,
            "user": _account(pull.user),
            "labels": [{"name": _text(one.name)} for one in (pull.labels or ())[:MAX_LABELS]],
            "head": _side(pull.head),
            "base": _side(pull.base),
        },
        **_common(changed.repository, changed.sender),
    }


def of_group(asked: payloads.MergeGroupEvent) -> Mapping[str, Any]:
    """`merge_group`."""
    group = asked.merge_group
    return {
        "action": asked.action,
        "merge_group": {
            "head_sha": group.head_sha,
            "head_ref": group.head_ref,
            "base_sha": group.base_sha,
            "base_ref": group.base_ref,
            "head_commit": {"message": _text(group.head_commit.message if group.head_commit is not None else None)},
        },
        **_common(asked.repository, asked.sender),
    }


def _common(
    repository: payloads.Repository, sender: payloads.Account | None, *, default_branch: str | None = None
) -> dict[str, Any]:
    owner, _, name = repository.full_name.partition("/")
    told = {"id": repository.id, "full_name": repository.full_name, "name": name, "owner": {"login": owner}}
    if default_branch is not None:
        told["default_branch"] = default_branch
    return {"repository": told, "sender": {} if sender is None else _account(sender)}


def _account(one: payloads.Account) -> dict[str, Any]:
    return {"id": one.id, "login": one.login, "type": one.type or ""}


def _side(one: payloads.Side) -> dict[str, Any]:
    return {"ref": one.ref, "sha": one.sha, "repo": None if one.repo is None else {"id": one.repo.id}}


def _text(text: str | None) -> str:
    return (text or "")[:MAX_TEXT]
