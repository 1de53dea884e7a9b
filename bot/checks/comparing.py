"""The comparison of a restored database with GitHub: what is told, what stays, and what was handled already. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bot.github.checks import Found
from bot.model import check
from bot.store import checks

#: Of a delivery that the lost database knew.
HANDLED = "It was handled behind the backup: GitHub shows check runs of its commit that the backup does not know."


class Action(enum.StrEnum):
    """What is done with a check."""

    #: It is told like any other.
    KEEP = "keep"
    #: GitHub shows its end, which stays.
    TAKE = "take"
    #: It is never told.
    DROP = "drop"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison says of one check."""

    check: check.Check
    action: Action
    #: The check run on GitHub that it is.
    found: Found | None
    #: Why, for people.
    text: str

    @property
    def ends_build(self) -> bool:
        """Whether its whole build is over, and not only its job."""
        return self.action == Action.DROP or (self.action == Action.TAKE and self.check.name == checks.AGGREGATE)


def judge(own: Sequence[check.Check], found: Sequence[Found], *, is_wanted: bool) -> list[Verdict]:
    """The verdicts on the checks of one commit that may have to be told.

    :param own: all checks of the commit, also those that were told to their end.
    :param found: all our check runs that GitHub has of it, newest first.
    :param is_wanted: whether the commit is the head of an open pull request or of the default branch.
    """
    # A generation of which any check has a newer run is over as a whole.
    superseded = {one.build_id for one in own if _is_superseded(one, own, found)}
    return [_judge(one, own_run(one, found), one.build_id in superseded, is_wanted) for one in own if is_open(one)]


def is_open(one: check.Check) -> bool:
    """Whether a check may have to be told."""
    return one.is_stale or one.reported_status != "completed"


def is_lacking(own: Sequence[check.Check], found: Sequence[Found]) -> bool:
    """Whether GitHub has no run of a check that may have to be told."""
    return any(is_open(one) and own_run(one, found) is None for one in own)


def _judge(one: check.Check, run: Found | None, is_superseded: bool, is_wanted: bool) -> Verdict:
    if is_superseded:
        action, text = Action.DROP, "GitHub shows a newer run of it."
    elif run is not None and run.status == "completed":
        action, text = Action.TAKE, f"GitHub shows its end: {run.conclusion}."
    elif run is not None or is_wanted:
        action, text = Action.KEEP, "It goes on."
    else:
        action, text = Action.DROP, "GitHub has no run of it, and its commit is the head of nothing that is open."
    return Verdict(check=one, action=action, found=run, text=text)


def own_run(one: check.Check, found: Sequence[Found]) -> Found | None:
    """The check run on GitHub that a check is."""
    return next((run for run in found if (run.external_id, run.name) == (one.external_id, one.name)), None)


def _is_superseded(one: check.Check, own: Sequence[check.Check], found: Sequence[Found]) -> bool:
    generations = {other.external_id: other.generation for other in own}
    run = own_run(one, found)
    for other in found:
        if other.name != one.name or other.external_id == one.external_id:
            continue
        known = generations.get(other.external_id or "")
        # One that the backup does not know came after it, or at least after this one.
        if (known is None and (run is None or other.id > run.id)) or (known is not None and known > one.generation):
            return True
    return False


class _Head(msgspec.Struct, frozen=True):
    sha: str


class _Pull(msgspec.Struct, frozen=True):
    head: _Head
    state: str = "open"
    updated_at: datetime | None = None


class _Suite(msgspec.Struct, frozen=True):
    head_sha: str | None = None
    updated_at: datetime | None = None


class _Run(msgspec.Struct, frozen=True):
    head_sha: str
    check_suite: _Suite = _Suite()


class _Repository(msgspec.Struct, frozen=True):
    #: Seconds since 1970 in a push, a text elsewhere.
    pushed_at: int | datetime | None = None


class _Payload(msgspec.Struct, frozen=True):
    action: str | None = None
    after: str | None = None
    repository: _Repository = _Repository()
    pull_request: _Pull | None = None
    check_run: _Run | None = None
    check_suite: _Suite | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery tells."""

    #: The commit that it may have built.
    head_sha: str
    #: When it happened, by GitHub's clock; None where the payload does not say.
    at: datetime | None


def told(event: str, payload: bytes) -> Told | None:
    """The commit that a delivery may have had built; None where nothing is built for it."""
    try:
        read = msgspec.json.decode(payload, type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    match event:
        case "push" if read.after is not None and read.after.strip("0"):
            pushed_at = read.repository.pushed_at
            at = datetime.fromtimestamp(pushed_at, UTC) if isinstance(pushed_at, int) else pushed_at
            return Told(head_sha=read.after, at=at)
        case "pull_request" if read.pull_request is not None and read.pull_request.state == "open":
            return Told(head_sha=read.pull_request.head.sha, at=read.pull_request.updated_at)
        case "check_run" if read.check_run is not None and read.action == "rerequested":
            return Told(head_sha=read.check_run.head_sha, at=read.check_run.check_suite.updated_at)
        case "check_suite" if read.check_suite is not None and read.action == "rerequested":
            suite = read.check_suite
            return None if suite.head_sha is None else Told(head_sha=suite.head_sha, at=suite.updated_at)
    return None


def is_unknown(own: Sequence[check.Check], found: Sequence[Found]) -> bool:
    """Whether GitHub shows check runs that the backup does not know: what they came from was handled behind it."""
    known = {one.external_id for one in own}
    return any(run.external_id not in known for run in found)


def why_done(own: Sequence[check.Check], found: Sequence[Found], *, is_wanted: bool) -> str | None:
    """Why nothing follows any more from a delivery of the backup; None where it has to be handled."""
    if is_unknown(own, found):
        return HANDLED
    if not found and not is_wanted:
        return "It is from before the backup, and its commit is the head of no open pull request or default branch."
    return None
