"""Check runs: written, and found again by what is ours in them.

GitHub makes another run at each POST, so a run is known by our `external_id`; an answer counts only when it bears it.
https://docs.github.com/en/rest/checks/runs
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from bot import errors, telemetry
from bot.github import classify
from bot.github.calls import Ask, Calls
from bot.model import check

#: GitHub keeps at most 1,000 runs of one name.
_PAGES = 10
#: So many of a commit are found at the most.
MAX_FOUND = 1000

_log = telemetry.log("github")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A check run as GitHub has it."""

    #: GitHub's.
    id: int
    name: str
    #: Ours, as we gave it.
    external_id: str | None
    #: `queued`, `in_progress` or `completed`.
    status: str
    #: None before it is completed; `stale` where GitHub gave up waiting.
    conclusion: str | None
    #: How many were ever sent: an update adds to them.
    annotations_count: int
    #: When it was made, if we did not say otherwise.
    started_at: datetime | None = None


class _App(msgspec.Struct):
    id: int


class _Written(msgspec.Struct):
    annotations_count: int | msgspec.UnsetType = msgspec.UNSET


class _Run(msgspec.Struct):
    id: int
    node_id: str | None = None
    name: str | msgspec.UnsetType = msgspec.UNSET
    head_sha: str | msgspec.UnsetType = msgspec.UNSET
    external_id: str | msgspec.UnsetType | None = msgspec.UNSET
    app: _App | None = None
    output: _Written | msgspec.UnsetType = msgspec.UNSET


class _Output(msgspec.Struct):
    annotations_count: int


class _Shown(msgspec.Struct):
    """A run that was asked for, not written: all that counts is there."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    output: _Output
    node_id: str | None = None
    external_id: str | None = None
    app: _App | None = None
    started_at: datetime | None = None


class _Runs(msgspec.Struct):
    check_runs: list[_Shown]


async def create(calls: Calls, check_run: check.CheckRun) -> int:
    """Make a check run; GitHub's id of it.

    :raises errors.AnswerLost: if it may have been made all the same: `find` it before making another.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    body = {"head_sha": check_run.head_sha, **_body(check_run)}
    made = await calls.call(Ask(method="POST", parts=("check-runs",), body=body), _Run)
    if made.external_id is msgspec.UNSET:
        raise _not_ours(check_run)
    calls.nodes.keep(_proved(made, check_run), made.node_id)
    return made.id


async def update(calls: Calls, github_id: int, check_run: check.CheckRun) -> int | None:
    """Bring a check run to this state. Annotations are added to those it has; gives how many it has then.

    The answer to a write knows all writes before it, which a read may not. None where a server does not say.

    :raises errors.AnswerLost: if it may have been written all the same.
    :raises errors.ForeignCheckRun: if another App made the run.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    ask = Ask(method="PATCH", parts=("check-runs", github_id), body=_body(check_run))
    written = await calls.call(ask, _Run)
    if _proved(written, check_run) != github_id:
        raise errors.AnswerLost(f"GitHub answered an update of check run {github_id} with another check run.")
    calls.nodes.keep(written.id, written.node_id)
    if isinstance(written.output, msgspec.UnsetType) or isinstance(written.output.annotations_count, msgspec.UnsetType):
        return None
    return written.output.annotations_count


async def find(calls: Calls, *, external_id: str, name: str, head_sha: str, app_id: int) -> Found | None:
    """Our check run with these marks, or None if there is none.

    :raises errors.GitHubError: if GitHub does not say.
    """
    ours = await _list(calls, head_sha, app_id, query={"check_name": name})
    found = [run for run in ours if (run.external_id, run.name) == (external_id, name)]
    if len(found) > 1:
        ids = sorted(run.id for run in found)
        _log.warning("A check run is there twice; the newest counts.", action="check_run_twice", ids=ids)
    return found[0] if found else None


async def list_ours(calls: Calls, head_sha: str, app_id: int) -> tuple[Found, ...]:
    """The check runs that our App made for the commit, newest first; at most 1,000.

    :raises errors.GitHubError: if GitHub does not say.
    """
    return await _list(calls, head_sha, app_id)


async def get(calls: Calls, github_id: int) -> Found | None:
    """The check run with GitHub's id, whoever made it, or None if there is none.

    :raises errors.NotReachable: if the repository is not ours to see.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    try:
        run = await calls.call(Ask(parts=("check-runs", github_id)), _Shown)
    except errors.NotReachable as error:
        if error.status != 404:
            raise
        # Raises where it was the token that could not be had.
        await calls.prove()
        return None
    if run.id != github_id:
        raise errors.GitHubUnavailable(f"GitHub answered a question for check run {github_id} with another check run.")
    return _found(run)


async def _list(
    calls: Calls, head_sha: str, app_id: int, *, query: Mapping[str, str | int] | None = None
) -> tuple[Found, ...]:
    def read(answer: classify.Answer) -> list[_Shown]:
        return classify.decode(answer, _Runs, what=f"GET /repos/{calls.full_name}/commits/…/check-runs").check_runs

    ask = Ask(parts=("commits", head_sha, "check-runs"), query={**(query or {}), "app_id": app_id, "filter": "all"})
    runs = await calls.walk(ask, read, most_pages=_PAGES)
    # The filters are GitHub's word; what is written to must be ours by every mark.
    ours = {
        run.id: _found(run) for run in runs if run.head_sha == head_sha and (run.app is None or run.app.id == app_id)
    }
    for run in runs:
        if run.id in ours:
            calls.nodes.keep(run.id, run.node_id)
    return tuple(ours[github_id] for github_id in sorted(ours, reverse=True))


def _found(run: _Shown) -> Found:
    return Found(
        id=run.id,
        name=run.name,
        external_id=run.external_id,
        status=run.status,
        conclusion=run.conclusion,
        annotations_count=run.output.annotations_count,
        started_at=run.started_at,
    )


def _proved(run: _Run, wanted: check.CheckRun) -> int:
    told = ((run.external_id, wanted.external_id), (run.name, wanted.name), (run.head_sha, wanted.head_sha))
    # A server may leave a member out; one that says another thing answers about another run.
    if any(said not in (msgspec.UNSET, expected) for said, expected in told):
        raise _not_ours(wanted)
    return run.id


def _not_ours(wanted: check.CheckRun) -> errors.AnswerLost:
    return errors.AnswerLost(
        f"GitHub's answer is not the check run {telemetry.one_line(wanted.name)!r} that was written. "
        "It is looked up before it is written again."
    )


def _body(check_run: check.CheckRun) -> dict[str, object]:
    return given(
        {
            "name": check_run.name,
            "external_id": check_run.external_id,
            "details_url": check_run.details_url,
            "status": check_run.status,
            "conclusion": check_run.conclusion,
            "started_at": instant(check_run.started_at),
            "completed_at": instant(check_run.completed_at),
            "output": given(
                {
                    "title": check_run.title,
                    "summary": check_run.summary,
                    "text": check_run.text,
                    "annotations": [_annotation(one) for one in check_run.annotations] or None,
                }
            ),
            # Buttons that an earlier update made stay where none are told.
            "actions": [action(one) for one in check_run.actions] if check_run.status == "completed" else None,
        }
    )


def action(one: check.Action) -> dict[str, object]:
    """A button as both of GitHub's APIs take it."""
    return {"label": one.label, "description": one.description, "identifier": one.identifier}


def _annotation(annotation: check.Annotation) -> dict[str, object]:
    return given(
        {
            "path": annotation.path,
            "start_line": annotation.start_line,
            "end_line": annotation.end_line,
            "annotation_level": annotation.level.value,
            "message": annotation.text,
            "title": annotation.title,
            "raw_details": annotation.raw_details,
        }
    )


def given(fields: dict[str, object]) -> dict[str, object]:
    """The members that there are: what is None is left out, not told as null."""
    return {name: value for name, value in fields.items() if value is not None}


def instant(at: datetime | None) -> str | None:
    """A time as GitHub takes it: in whole seconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
