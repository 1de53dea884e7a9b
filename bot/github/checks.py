"""Check runs: written, and found again by what is ours in them.

GitHub makes another run at each POST, so a run is known by our `external_id`; an answer counts only when it bears it.
https://docs.github.com/en/rest/checks/runs
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bot import errors, telemetry
from bot.github.calls import Ask, Calls
from bot.model import check

_PER_PAGE = 100
#: GitHub keeps at most 1,000 runs of one name.
_PAGES = 10

_log = telemetry.log("github")


class _App(msgspec.Struct):
    id: int


class _Run(msgspec.Struct):
    id: int
    name: str | msgspec.UnsetType = msgspec.UNSET
    head_sha: str | msgspec.UnsetType = msgspec.UNSET
    external_id: str | msgspec.UnsetType | None = msgspec.UNSET
    app: _App | None = None


class _Runs(msgspec.Struct):
    check_runs: list[_Run]


async def create(calls: Calls, check_run: check.CheckRun) -> int:
    """Make a check run; GitHub's id of it.

    :raises errors.AnswerLost: if it may have been made all the same: `find` it before making another.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    body = {"head_sha": check_run.head_sha, **_body(check_run)}
    made = await calls.call(Ask(method="POST", parts=("check-runs",), body=body), _Run)
    if made.external_id is msgspec.UNSET:
        raise _not_ours(check_run)
    return _proved(made, check_run)


async def update(calls: Calls, github_id: int, check_run: check.CheckRun) -> None:
    """Bring a check run to this state. Annotations are added to those it has.

    :raises errors.AnswerLost: if it may have been written all the same.
    :raises errors.ForeignCheckRun: if another App made the run.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    ask = Ask(method="PATCH", parts=("check-runs", github_id), body=_body(check_run))
    if _proved(await calls.call(ask, _Run), check_run) != github_id:
        raise errors.AnswerLost(f"GitHub answered an update of check run {github_id} with another check run.")


async def find(calls: Calls, *, external_id: str, name: str, head_sha: str, app_id: int) -> int | None:
    """GitHub's id of our check run, or None if there is none.

    :raises errors.GitHubError: if GitHub does not say.
    """
    found: list[int] = []
    for page in range(1, _PAGES + 1):
        query: dict[str, str | int] = {"check_name": name, "app_id": app_id, "filter": "all"}
        query |= {"per_page": _PER_PAGE, "page": page}
        ask = Ask(parts=("commits", head_sha, "check-runs"), query=query)
        runs = (await calls.call(ask, _Runs)).check_runs
        # The filters are GitHub's word; what is written to must be ours by every mark.
        found += [
            run.id
            for run in runs
            if (run.external_id, run.name, run.head_sha) == (external_id, name, head_sha)
            and (run.app is None or run.app.id == app_id)
        ]
        if len(runs) < _PER_PAGE:
            break
    if len(found) > 1:
        _log.warning("A check run is there twice; the newest counts.", action="check_run_twice", ids=sorted(found))
    return max(found, default=None)


def _proved(run: _Run, wanted: check.CheckRun) -> int:
    told = ((run.external_id, wanted.external_id), (run.name, wanted.name), (run.head_sha, wanted.head_sha))
    # A server may leave a member out; one that says another thing answers about another run.
    if any(given not in (msgspec.UNSET, expected) for given, expected in told):
        raise _not_ours(wanted)
    return run.id


def _not_ours(wanted: check.CheckRun) -> errors.AnswerLost:
    return errors.AnswerLost(
        f"GitHub's answer is not the check run {telemetry.one_line(wanted.name)!r} that was written. "
        "It is looked up before it is written again."
    )


def _body(check_run: check.CheckRun) -> dict[str, object]:
    return _given(
        {
            "name": check_run.name,
            "external_id": check_run.external_id,
            "details_url": check_run.details_url,
            "status": check_run.status,
            "conclusion": check_run.conclusion,
            "started_at": _instant(check_run.started_at),
            "completed_at": _instant(check_run.completed_at),
            "output": _given(
                {
                    "title": check_run.title,
                    "summary": check_run.summary,
                    "text": check_run.text,
                    "annotations": [_annotation(one) for one in check_run.annotations] or None,
                }
            ),
        }
    )


def _annotation(annotation: check.Annotation) -> dict[str, object]:
    return _given(
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


def _given(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
