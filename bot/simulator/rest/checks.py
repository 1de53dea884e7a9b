"""Check runs, check suites and commit statuses: https://docs.github.com/en/rest/checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bot.simulator import values
from bot.simulator.rest import call, check_rules


def _body(this: call.Call, run: values.CheckRun) -> dict[str, Any]:
    return this.world.shapes.check_run(run, this.world.shown_on(run.repository, run.head_sha))


def _run(this: call.Call) -> values.CheckRun:
    found = this.world.check_runs_by_id.get(this.number("check_run_id"))
    if found is None or found.repository is not this.repository:
        raise call.ApiError(404, "Not Found")
    return found


def _shown_run(this: call.Call) -> values.CheckRun:
    """The run as reads show it."""
    shown = this.world.lag.shown(_run(this))
    if shown is None:
        raise call.ApiError(404, "Not Found")
    return shown


def _check(this: call.Call) -> None:
    """:raises ApiError: 422 with each mistake in the body, 403 for who is not an App"""
    if this.principal.kind != "installation":
        raise call.ApiError(403, "You must authenticate via a GitHub App.")
    found = list(check_rules.problems(this.body))
    if found:
        errors = [{"resource": "CheckRun", "code": "custom", "field": "base", "message": text} for text in found]
        raise call.ApiError(422, "Validation Failed", errors=errors)


async def _commit(this: call.Call, sha: str) -> values.Commit:
    its_git = this.world.git_of(this.repository)
    found = await its_git.object(sha) if call.SHA.fullmatch(sha) else None
    if found is None or found[1] != "commit":
        raise call.ApiError(422, f"No commit found for SHA: {sha}")
    return await its_git.commit(sha)


async def create_run(this: call.Call) -> call.Answer:
    _check(this)
    commit = await _commit(this, this.body["head_sha"])
    run = this.world.create_check_run(this.repository, commit, this.body, app=this.world.app)
    body = _body(this, run)
    return call.Answer(status=201, body=body, headers={"Location": body["url"]})


async def get_run(this: call.Call) -> call.Answer:
    return call.Answer(body=_body(this, _shown_run(this)))


async def update_run(this: call.Call) -> call.Answer:
    run = _run(this)
    _check(this)
    if run.app is not this.world.app:
        raise call.ApiError(
            403, f"Invalid app_id `{run.app.id}` - check run can only be modified by the GitHub App that created it."
        )
    this.world.update_check_run(run, this.body)
    return call.Answer(body=_body(this, run))


async def list_annotations(this: call.Call) -> call.Answer:
    run = _shown_run(this)
    items, headers = this.page(run.annotations)
    return call.Answer(body=[this.world.shapes.annotation(run, item) for item in items], headers=headers)


async def rerequest_run(this: call.Call) -> call.Answer:
    run = _run(this)
    if run.app is not this.world.app:
        raise call.ApiError(403, "This check run is not rerequestable")
    this.world.rerequest_check_run(this.repository, run.id, sender=this.actor.login)
    return call.Answer(status=201, body={})


def _chosen(this: call.Call, runs: Iterable[values.CheckRun]) -> list[values.CheckRun]:
    """`check_name`, `status`, `app_id`, and `filter`: the latest of each name and App (by default) or all."""
    name, status, app_id = this.query.get("check_name"), this.query.get("status"), this.query.get("app_id")
    chosen = [
        run
        for run in (this.world.lag.shown(one) for one in runs)
        if run is not None
        and name in (None, run.name)
        and status in (None, run.status)
        and app_id in (None, str(run.app.id))
    ]
    if this.query.get("filter", "latest") == "latest":
        latest = {(run.suite.id, run.name): run for run in chosen}
        chosen = list(latest.values())
    return sorted(chosen, key=lambda run: run.id, reverse=True)


def _runs_answer(this: call.Call, runs: Sequence[values.CheckRun]) -> call.Answer:
    items, headers = this.page(runs)
    body = {"total_count": len(runs), "check_runs": [_body(this, run) for run in items]}
    return call.Answer(body=body, headers=headers)


async def _sha(this: call.Call) -> str:
    ref = this.parameters["ref"]
    sha = await this.resolve(ref)
    if sha is None:
        raise call.ApiError(422, f"No commit found for SHA: {ref}")
    return sha


async def list_runs_for_ref(this: call.Call) -> call.Answer:
    return _runs_answer(this, _chosen(this, this.world.check_runs(this.repository, await _sha(this))))


# Suites


def _suite(this: call.Call) -> values.CheckSuite:
    found = this.world.check_suites.get(this.number("check_suite_id"))
    if found is None or found.repository is not this.repository:
        raise call.ApiError(404, "Not Found")
    return found


def _suite_body(this: call.Call, suite: values.CheckSuite) -> dict[str, Any]:
    shown = this.world.shown_on(suite.repository, suite.head_sha)
    repository = this.world.shapes.repository(suite.repository)
    return {**this.world.shapes.check_suite(suite, shown), "repository": repository}


async def create_suite(this: call.Call) -> call.Answer:
    if this.principal.kind != "installation":
        raise call.ApiError(403, "You must authenticate via a GitHub App.")
    commit = await _commit(this, this.body["head_sha"])
    found = this.world.find_suite(this.repository, this.world.app, commit.sha)
    suite = found or this.world.new_suite(this.repository, this.world.app, commit)
    return call.Answer(status=200 if found else 201, body=_suite_body(this, suite))


async def get_suite(this: call.Call) -> call.Answer:
    return call.Answer(body=_suite_body(this, _suite(this)))


async def list_suites_for_ref(this: call.Call) -> call.Answer:
    sha, app_id = await _sha(this), this.query.get("app_id")
    found = [
        suite
        for suite in this.world.check_suites.values()
        if suite.repository is this.repository and suite.head_sha == sha and app_id in (None, str(suite.app.id))
    ]
    items, headers = this.page(found)
    body = {"total_count": len(found), "check_suites": [_suite_body(this, suite) for suite in items]}
    return call.Answer(body=body, headers=headers)


async def list_runs_of_suite(this: call.Call) -> call.Answer:
    return _runs_answer(this, _chosen(this, _suite(this).runs))


async def rerequest_suite(this: call.Call) -> call.Answer:
    this.world.rerequest_check_suite(this.repository, _suite(this).id, sender=this.actor.login)
    return call.Answer(status=201, body={})


# Statuses


async def create_status(this: call.Call) -> call.Answer:
    sha = this.parameters["sha"]
    await _commit(this, sha)
    context = this.body.get("context", "default")
    same = [status for status in this.world.statuses if (status.sha, status.context) == (sha, context)]
    if len(same) >= 1000:
        text = "This SHA and context has reached the maximum number of statuses."
        raise call.ApiError(422, "Validation Failed", errors=[{"code": "custom", "message": text}])
    status = this.world.create_status(this.repository, sha, this.body, creator=this.actor)
    return call.Answer(status=201, body=this.world.shapes.status(status))


async def list_statuses(this: call.Call) -> call.Answer:
    sha = await _sha(this)
    found = [status for status in this.world.statuses if status.repository is this.repository and status.sha == sha]
    items, headers = this.page(found[::-1])
    return call.Answer(body=[this.world.shapes.status(status) for status in items], headers=headers)


_REPOSITORY = "/repos/{owner}/{repo}"
_RUN = _REPOSITORY + "/check-runs/{check_run_id}"
_SUITE = _REPOSITORY + "/check-suites/{check_suite_id}"
_READ = "checks:read"
_WRITE = "checks:write"

ROUTES = (
    call.Route(method="POST", template=_REPOSITORY + "/check-runs", handler=create_run, needs=_WRITE),
    call.Route(method="GET", template=_RUN, handler=get_run, needs=_READ),
    call.Route(method="PATCH", template=_RUN, handler=update_run, needs=_WRITE),
    call.Route(method="GET", template=_RUN + "/annotations", handler=list_annotations, needs=_READ),
    call.Route(method="POST", template=_RUN + "/rerequest", handler=rerequest_run, needs=_WRITE),
    call.Route(
        method="GET", template=_REPOSITORY + "/commits/{ref}/check-runs", handler=list_runs_for_ref, needs=_READ
    ),
    call.Route(
        method="GET", template=_REPOSITORY + "/commits/{ref}/check-suites", handler=list_suites_for_ref, needs=_READ
    ),
    call.Route(
        method="GET", template=_REPOSITORY + "/commits/{ref}/statuses", handler=list_statuses, needs="statuses:read"
    ),
    call.Route(method="POST", template=_REPOSITORY + "/check-suites", handler=create_suite, needs=_WRITE),
    call.Route(method="GET", template=_SUITE, handler=get_suite, needs=_READ),
    call.Route(method="GET", template=_SUITE + "/check-runs", handler=list_runs_of_suite, needs=_READ),
    call.Route(method="POST", template=_SUITE + "/rerequest", handler=rerequest_suite, needs=_WRITE),
    call.Route(method="POST", template=_REPOSITORY + "/statuses/{sha}", handler=create_status, needs="statuses:write"),
)
