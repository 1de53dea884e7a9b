"""What GitHub's state has and we were never told of: pure. Heads without a build, and check runs that do not agree.

GitHub sends no event for more than three tags in one push, none with a payload over 25 MB, and after three days it does
not send one again. https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from bot.github import checks, pulls, refs
from bot.model import build, check
from bot.store import known
from bot.store.checks import AGGREGATE

#: A check run that GitHub acknowledged is not called gone before: lists lag behind.
SETTLED_AFTER = timedelta(minutes=15)
#: A check run of ours that we do not know is left alone for so long: whoever made it may be about to write it down.
ORPHANED_AFTER = timedelta(hours=1)
#: A list of check runs that is as long as this may have been cut.
_WHOLE_LIST = 1_000
_NO_COMMIT = "0" * 40
#: Our external ids: https://github.com/ulid/spec
_OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
#: Who deleted users' pull requests belong to.
_GHOST = {"id": 10137, "login": "ghost"}


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a repository from one look to the next."""

    visited_at: datetime
    #: The head of the default branch that was judged last.
    branch_sha: str | None = None
    #: The tags that were there; None before the first look, which builds none of them.
    tags: tuple[str, ...] | None = None
    #: What lacked a build, by guid, and since when: the event may be on its way.
    waiting: Mapping[str, datetime] = msgspec.field(default_factory=dict)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub shows of a repository."""

    repository_id: int
    default_branch: str
    branch_sha: str | None
    pulls: tuple[pulls.OpenPull, ...]
    tags: tuple[refs.Tag, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What we were told of it."""

    #: Pull requests by number.
    pulls: Mapping[int, build.Pull]
    #: Builds of the default branch's head, newest first.
    heads: Sequence[known.Head]
    #: Ref and head of the pushes since the last look.
    pushes: Collection[tuple[str, str]] = ()


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """A head that we were not told of."""

    #: Derived from what it is about, so that it is never made twice.
    guid: str
    sha: str
    #: None where it is about a pull request.
    ref: str | None = None
    pull: pulls.OpenPull | None = None
    #: `synchronize` or `reopened`; None for a push.
    action: str | None = None

    @property
    def event(self) -> str:
        """The event that would have told."""
        return "push" if self.pull is None else "pull_request"


def find(shown: Shown, told: Told, visit: Visit | None) -> list[Lacking]:
    """The heads that we were not told of: of the default branch, of open pull requests, of new tags."""
    return [
        *_branch(shown, told, visit),
        *(one for pull in shown.pulls for one in _pull(shown, pull, told.pulls.get(pull.pull.number))),
        *_tags(shown, told, visit),
    ]


def _branch(shown: Shown, told: Told, visit: Visit | None) -> list[Lacking]:
    ref, sha = f"refs/heads/{shown.default_branch}", shown.branch_sha
    if sha is None or (visit is not None and visit.branch_sha == sha) or (ref, sha) in told.pushes:
        return []
    if any((one.event, one.ref) == ("push", ref) for one in told.heads):
        return []
    ended = {build.State.CANCELLED, build.State.SKIPPED}
    if told.heads and told.heads[0].trust == build.Trust.TRUSTED and told.heads[0].state not in ended:
        return []
    return [Lacking(guid=_guid("push", shown.repository_id, ref, sha), sha=sha, ref=ref)]


def _pull(shown: Shown, open_pull: pulls.OpenPull, last: build.Pull | None) -> list[Lacking]:
    pull = open_pull.pull
    if last is not None and (last.head_sha, last.base_ref, last.state) == (pull.head_sha, pull.base_ref, "open"):
        return []
    is_reopened = last is not None and last.state != "open" and last.updated_at <= pull.updated_at
    action = "reopened" if is_reopened else "synchronize"
    at = f"{pull.updated_at:%Y-%m-%dT%H:%M:%S}" if is_reopened else ""
    guid = _guid(action, shown.repository_id, pull.number, pull.head_sha, pull.base_ref, pull.base_sha, at)
    return [Lacking(guid=guid, sha=pull.head_sha, pull=open_pull, action=action)]


def _tags(shown: Shown, told: Told, visit: Visit | None) -> list[Lacking]:
    if visit is None or visit.tags is None:
        return []
    pushed = {ref for ref, _ in told.pushes}
    before = set(visit.tags)
    return [
        Lacking(guid=_guid("push", shown.repository_id, ref, tag.sha), sha=tag.sha, ref=ref)
        for tag in shown.tags
        if tag.name not in before and (ref := f"refs/tags/{tag.name}") not in pushed
    ]


def due(
    found: Sequence[Lacking], visit: Visit | None, *, now: datetime, grace: timedelta
) -> tuple[list[Lacking], dict[str, datetime]]:
    """What is to be made now, and since when each lacks, by guid: its event may be on the way a little longer."""
    since = {one.guid: visit.waiting.get(one.guid, now) if visit is not None else now for one in found}
    return [one for one in found if since[one.guid] + grace <= now], since


def visited(shown: Shown, visit: Visit | None, *, still: Mapping[Lacking, datetime], now: datetime) -> Visit:
    """What to remember of this look.

    :param still: what lacks a build still, and since when.
    :param now: when the look began.
    """
    before = visit or Visit(visited_at=now)
    refs_left = {one.ref for one in still}
    is_judged = f"refs/heads/{shown.default_branch}" not in refs_left
    return Visit(
        # As long as something waits for its event, that event may have come since.
        visited_at=before.visited_at if still else now,
        branch_sha=shown.branch_sha if is_judged else before.branch_sha,
        tags=tuple(one.name for one in shown.tags if f"refs/tags/{one.name}" not in refs_left),
        waiting={one.guid: at for one, at in still.items()},
    )


def payload(one: Lacking, *, repository: bytes, installation_id: int) -> bytes:
    """The payload that GitHub would have sent, of what its API shows.

    :param repository: the repository as an object of JSON.
    """
    common = {"repository": msgspec.Raw(repository), "installation": {"id": installation_id}}
    if one.pull is not None:
        author = one.pull.pull
        sender = {"id": author.author_id, "login": author.author} if author.author_id else _GHOST
        return msgspec.json.encode(
            {
                "action": one.action,
                "number": author.number,
                "pull_request": msgspec.Raw(one.pull.raw),
                "sender": sender,
                **common,
            }
        )
    assert one.ref is not None
    label = one.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return msgspec.json.encode(
        {
            "ref": one.ref,
            "before": _NO_COMMIT,
            "after": one.sha,
            "deleted": False,
            "head_commit": {"id": one.sha, "message": f"{label} as it stands on GitHub"},
            # Who pushed is not told; that it was pushed to the repository is.
            "sender": msgspec.json.decode(repository, type=_Owned).owner,
            **common,
        }
    )


class _Owner(msgspec.Struct):
    id: int
    login: str


class _Owned(msgspec.Struct):
    owner: _Owner


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where GitHub shows other check runs than it should."""

    #: They were acknowledged as completed, and are not.
    unfinished: tuple[check.Check, ...] = ()
    #: They were acknowledged, and are not there.
    gone: tuple[check.Check, ...] = ()
    #: They are not completed, and nobody will ever complete them.
    orphaned: tuple[checks.Found, ...] = ()


def compare(stored: Sequence[check.Check], shown: Sequence[checks.Found], *, now: datetime) -> Difference:
    """How the check runs of one commit on GitHub differ from what they should be.

    :param stored: the checks of the commit, of all generations.
    :param shown: the App's check runs of the commit.
    """
    newest = {one.name: one for one in sorted(stored, key=lambda one: one.generation)}
    by_id = {one.id: one for one in shown}
    ended = [one for one in newest.values() if _has_ended(one, now=now)]
    unfinished = [one for one in ended if (run := by_id.get(one.github_id or 0)) and run.status != "completed"]
    gone = [one for one in ended if one.github_id not in by_id] if len(shown) < _WHOLE_LIST else []
    ours = {one.external_id for one in stored} | {one.github_id for one in stored}
    orphaned = [
        run
        for run in shown
        if run.status != "completed" and not {run.external_id, run.id} & ours and _is_orphaned(run, now=now)
    ]
    return Difference(unfinished=tuple(unfinished), gone=tuple(gone), orphaned=tuple(orphaned))


def _has_ended(one: check.Check, *, now: datetime) -> bool:
    is_shown = not one.is_stale and one.error is None and one.github_id is not None
    return is_shown and one.reported_at is not None and one.reported_at + SETTLED_AFTER <= now


def _is_orphaned(run: checks.Found, *, now: datetime) -> bool:
    # What others make with the App's credentials is their own.
    bears_our_marks = run.name == AGGREGATE or run.name.startswith(f"{AGGREGATE} / ")
    if not bears_our_marks or run.external_id is None or not _OURS.fullmatch(run.external_id):
        return False
    return run.started_at is not None and run.started_at + ORPHANED_AFTER <= now


def _guid(*parts: object) -> str:
    return f"state-{hashlib.sha256(chr(0).join(map(str, parts)).encode()).hexdigest()[:40]}"
