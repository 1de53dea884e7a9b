"""An event that did not happen, for people who want to know what it would run: a build and its facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.events import excerpt, payloads
from bot.model import build, change
from bot.pipelines import plan

#: Those that can be imagined, by what they bring.
EVENTS = ("push", "pull_request", "merge_group")
_NOBODY = payloads.Account(id=1, login="you", type="User")
_ZEROS = "0" * 40


class Imagined(msgspec.Struct, frozen=True, kw_only=True):
    """What of an event decides what runs."""

    #: With all that expressions may name.
    build: build.Build
    facts: plan.Facts


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of an event."""

    event: str
    #: Of a push the branch that was pushed, else that of the head.
    branch: str | None = None
    tag: str | None = None
    base: str = "main"
    #: None where nothing is said of them.
    changed: tuple[str, ...] | None = None


def make(wish: Wish, payload: Mapping[str, Any] | None = None) -> Imagined:
    """The event of a wish.

    :param payload: what GitHub sends with it; what is said there counts more.
    :raises errors.ShapeUnknown: if the payload is not one of that event.
    """
    files = None if wish.changed is None else change.ChangedFiles(names=wish.changed, is_whole=True)
    of = build.Build(
        id="imagined",
        repository_id=1,
        installation_id=1,
        repository="you/hello",
        event=wish.event,
        ref=_ref(wish),
        head_sha=_ZEROS,
        sender=_NOBODY.login,
        sender_id=_NOBODY.id,
        trust=build.Trust.TRUSTED,
        cause="imagined",
        created_at=datetime(2000, 1, 1, tzinfo=UTC),
    )
    if wish.event == "push":
        return _push(of, files, payload)
    if wish.event == "pull_request":
        of = replace(of, base_ref=wish.base, head_ref=wish.branch or "feature", pull_number=1)
        return _pull(of, files, payload)
    return _group(replace(of, base_ref=wish.base), files, payload)


def _ref(wish: Wish) -> str:
    if wish.tag is not None:
        return f"refs/tags/{wish.tag}"
    if wish.event == "pull_request":
        return "refs/pull/1/merge"
    if wish.event == "merge_group":
        return f"refs/heads/gh-readonly-queue/{wish.base}/pr-1-{_ZEROS}"
    return f"refs/heads/{wish.branch or 'main'}"


def _push(of: build.Build, files: change.ChangedFiles | None, payload: Mapping[str, Any] | None) -> Imagined:
    repository = payloads.PushedRepository(id=of.repository_id, full_name=of.repository, default_branch="main")
    before, message = None, ""
    if payload is not None:
        told = _read(payload, payloads.Push, event="push")
        of = _by(replace(of, ref=told.ref, head_sha=told.after), told.repository, told.sender)
        repository, before = told.repository, told.before if told.before.strip("0") else None
        message = (told.head_commit.message or "") if told.head_commit is not None else ""
    known = excerpt.of_push(
        ref=of.ref,
        before=before,
        after=of.head_sha,
        message=message,
        repository=repository,
        sender=payloads.Account(id=of.sender_id, login=of.sender, type="User"),
        default_branch=repository.default_branch,
    )
    facts = plan.Facts(event="push", ref=of.ref, changed_files=files)
    return Imagined(build=replace(of, payload=known), facts=facts)


def _pull(of: build.Build, files: change.ChangedFiles | None, payload: Mapping[str, Any] | None) -> Imagined:
    made = _pull_payload(of) if payload is None else payload
    told = _read(made, payloads.PullRequest, event="pull_request")
    pull = told.pull_request
    of = _by(
        replace(
            of,
            ref=f"refs/pull/{told.number}/merge",
            head_sha=pull.head.sha,
            head_ref=pull.head.ref,
            base_ref=pull.base.ref,
            base_sha=pull.base.sha,
            pull_number=told.number,
            title=pull.title or "",
            payload=excerpt.of_pull(told),
        ),
        told.repository,
        told.sender,
    )
    facts = plan.Facts(
        event="pull_request",
        ref=of.ref,
        base_ref=of.base_ref,
        action=told.action,
        is_draft=pull.draft is True,
        changed_files=files,
    )
    return Imagined(build=of, facts=facts)


def _pull_payload(of: build.Build) -> Mapping[str, Any]:
    who = msgspec.to_builtins(_NOBODY)
    sides = {
        side: {"ref": ref, "sha": _ZEROS, "repo": {"id": of.repository_id}}
        for side, ref in (("head", of.head_ref), ("base", of.base_ref))
    }
    pull = {"number": 1, "state": "open", "title": "", "user": who, "updated_at": "2000-01-01T00:00:00Z", **sides}
    repository = {"id": of.repository_id, "full_name": of.repository}
    return {"action": "opened", "number": 1, "pull_request": pull, "repository": repository, "sender": who}


def _group(of: build.Build, files: change.ChangedFiles | None, payload: Mapping[str, Any] | None) -> Imagined:
    made = payload
    if made is None:
        group = {"head_sha": _ZEROS, "head_ref": of.ref, "base_sha": _ZEROS, "base_ref": f"refs/heads/{of.base_ref}"}
        repository = {"id": of.repository_id, "full_name": of.repository}
        made = {"action": "checks_requested", "merge_group": group, "repository": repository}
    told = _read(made, payloads.MergeGroupEvent, event="merge_group")
    group_told = told.merge_group
    of = _by(
        replace(
            of,
            ref=group_told.head_ref,
            head_sha=group_told.head_sha,
            base_sha=group_told.base_sha,
            base_ref=group_told.base_ref.removeprefix("refs/heads/"),
            payload=excerpt.of_group(told),
        ),
        told.repository,
        told.sender or _NOBODY,
    )
    facts = plan.Facts(event="merge_group", ref=of.ref, base_ref=of.base_ref, action=told.action, changed_files=files)
    return Imagined(build=of, facts=facts)


def _by(of: build.Build, repository: payloads.Repository, sender: payloads.Account) -> build.Build:
    return replace(
        of, repository=repository.full_name, repository_id=repository.id, sender=sender.login, sender_id=sender.id
    )


def _read(payload: Mapping[str, Any], shape: type[Any], *, event: str) -> Any:
    try:
        return msgspec.convert(payload, shape)
    except (msgspec.ValidationError, ValueError, OverflowError) as wrong:
        raise errors.ShapeUnknown(f"The payload is not that of a {event} event: {wrong}.") from wrong
