"""The world's operations for another process, as JSON over HTTP, for callers on this machine only.

`POST /_simulator/{operation}` with a JSON object of arguments (`Content-Type: application/json`); the answer is JSON,
400 with `{"error": ...}` where the world cannot do it. `repo` is a name such as `octo/hello`; `number` a pull request.

| operation | arguments | answer |
|---|---|---|
| `app` | | `app_id`, `client_id`, `private_key`, `webhook_secret`, `webhook_url`, `url`, `api_url` |
| `webhook` | `url` | |
| `create_repository` | `full_name`, `files`, `private`, `default_branch` | the repository |
| `push` | `repo`, `branch`, `files`, `message`, `author`, `start`, `force` | `sha` |
| `push_many` | `repo`, `branches` | `deliveries` |
| `push_tags` | `repo`, `tags`, `target`, `message` | |
| `delete_branch` | `repo`, `branch` | |
| `delete_tag` | `repo`, `tag` | |
| `fork` | `repo`, `owner` | the repository |
| `rename` | `repo`, `new_name` | |
| `transfer` | `repo`, `new_owner` | |
| `delete_repository` | `repo` | |
| `set_permission` | `repo`, `login`, `level` | |
| `install`, `uninstall`, `suspend`, `unsuspend` | `login` | |
| `open_pull_request` | `repo`, `head_branch`, `base`, `author`, `from_fork`, `title`, `draft` | the pull request |
| `close`, `reopen`, `ready_for_review` | `repo`, `number` | the pull request |
| `merge` | `repo`, `number`, `method` | the pull request |
| `retarget`, `edit_title`, `comment` | `repo`, `number` and `base`, `title`, `body` | the pull request |
| `rerequest_check_run` | `repo`, `run_id`, `sender` | |
| `rerequest_check_suite` | `repo`, `suite_id`, `sender` | |
| `press_action` | `repo`, `run_id`, `identifier`, `sender` | |
| `check_runs` | `repo`, `sha` | a list |
| `wait_for_check` | `repo`, `sha`, `name`, `conclusion`, `timeout_seconds` | the check run; 504 if it does not come |
| `requests` | | every call of the API |
| `deliveries` | | every attempt to deliver an event |
| `redeliver` | `delivery_id` | the new attempt |
| `age_deliveries` | `days` | |
| `hooks` | of `is_down`, `timeout_seconds`, `unsigned_redeliveries` those that change | |
| `add_fault` | as `Faults.add` | |
| `clear_faults` | | |
| `seed_faults` | `number` | |
| `lag_reads` | `seconds` | |
| `rates` | of `limit`, `window_seconds` those that change | |
| `use_up_rate` | `login` | |
| `secondary_limit` | as `Secondary`: what is not given is as on GitHub | |
| `no_secondary_limit` | | |
| `calls_inside_waits` | | every call that came although its account had been told to wait |
| `advance_clock` | `seconds` | |
| `user_token` | `login` | `token` |
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from bot.simulator import git, github, limits, origin, values, world

Operation = Callable[[github.GitHub, dict[str, Any]], Awaitable[Any] | Any]


class Control:
    """Serves the operations."""

    def __init__(self, its_world: github.GitHub) -> None:
        self._world = its_world

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/_simulator/{operation}", self.serve)

    async def serve(self, request: web.Request) -> web.Response:
        host = origin.host_name(request.host)
        if not (origin.is_loopback(request.remote or "") and origin.is_loopback(host)) or "Origin" in request.headers:
            return _json(403, {"error": "only processes of this machine may do that"})
        if request.content_type != "application/json":
            return _json(415, {"error": "send a JSON object as application/json"})
        operation = OPERATIONS.get(request.match_info["operation"])
        if operation is None:
            return _json(404, {"error": f"there is no operation {request.match_info['operation']!r}"})
        try:
            arguments = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
            result = operation(self._world, arguments)
            return _json(200, await result if inspect.isawaitable(result) else result)
        except TimeoutError as error:
            return _json(504, {"error": str(error)})
        except (world.SimulatorError, git.GitError, msgspec.MsgspecError, re.error) as error:
            return _json(400, {"error": str(error)})
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return _json(400, {"error": f"wrong arguments: {type(error).__name__}: {error}"})


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


# What values look like


def _repository(repository: values.Repository) -> dict[str, Any]:
    return {
        "id": repository.id,
        "full_name": repository.full_name,
        "clone_url": repository.clone_url,
        "html_url": repository.html_url,
        "default_branch": repository.default_branch,
        "private": repository.is_private,
        "heads": dict(repository.heads),
    }


def _pull(pull: values.PullRequest) -> dict[str, Any]:
    names = ("id", "number", "state", "title", "head_branch", "head_sha", "base_branch", "base_sha", "merge_commit_sha")
    return {name: getattr(pull, name) for name in names} | {
        "html_url": f"{pull.repository.html_url}/pull/{pull.number}",
        "is_draft": pull.is_draft,
        "is_merged": pull.merged_at is not None,
    }


def _run(run: values.CheckRun) -> dict[str, Any]:
    names = ("id", "name", "head_sha", "status", "conclusion", "external_id", "details_url", "title", "summary", "text")
    return {name: getattr(run, name) for name in names} | {
        "annotations": run.annotations,
        "actions": run.actions,
        "suite_id": run.suite.id,
        "app_id": run.app.id,
    }


def _delivery(delivery: values.Delivery) -> dict[str, Any]:
    names = ("id", "guid", "event", "action", "redelivery", "url", "status", "status_code", "duration_seconds")
    return {name: getattr(delivery, name) for name in names} | {
        "headers": delivery.headers,
        "payload": msgspec.json.decode(delivery.body),
        "response_body": delivery.response_body,
    }


# The operations


def _app(its: github.GitHub, _: dict[str, Any]) -> dict[str, Any]:
    return {
        "app_id": its.app_id,
        "client_id": its.app.client_id,
        "private_key": its.private_key,
        "webhook_secret": its.webhook_secret,
        "webhook_url": its.webhook_url,
        "url": its.url,
        "api_url": its.api_url,
    }


def _webhook(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.webhook_url = arguments["url"]


async def _create_repository(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _repository(await its.create_repository(**arguments))


async def _fork(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _repository(await its.fork(**arguments))


async def _push(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, str]:
    return {"sha": await its.push(**arguments)}


async def _push_many(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, int]:
    return {"deliveries": len(await its.push_many(**arguments))}


async def _open_pull_request(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _pull(await its.open_pull_request(**arguments))


def _on_pull(name: str) -> Operation:
    async def act(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
        rest = dict(arguments)
        pull = its.pull_request(rest.pop("repo"), rest.pop("number"))
        result = getattr(its, name)(pull, **rest)
        if inspect.isawaitable(result):
            await result
        return _pull(pull)

    return act


def _plain(name: str) -> Operation:
    async def act(its: github.GitHub, arguments: dict[str, Any]) -> None:
        result = getattr(its, name)(**arguments)
        if inspect.isawaitable(result):
            await result

    return act


def _press_action(its: github.GitHub, arguments: dict[str, Any]) -> None:
    run = its.check_run(arguments["repo"], arguments["run_id"])
    its.press_action(run, arguments["identifier"], sender=arguments.get("sender"))


def _check_runs(its: github.GitHub, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [_run(run) for run in its.check_runs(**arguments)]


async def _wait_for_check(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _run(await its.wait_for_check(**arguments))


def _requests(its: github.GitHub, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(request) for request in its.requests]


def _deliveries(its: github.GitHub, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [_delivery(delivery) for delivery in its.deliveries]


async def _redeliver(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    delivery = its.redeliver(arguments["delivery_id"])
    await delivery.done.wait()
    return _delivery(delivery)


def _change(target: object, arguments: dict[str, Any], *names: str) -> None:
    """Sets the attributes that are given.

    :raises TypeError: if there is another, or one of another type
    """
    for name, value in arguments.items():
        if name not in names:
            raise TypeError(f"there is no {name}; there are {', '.join(names)}")
        setattr(target, name, msgspec.convert(value, type(getattr(target, name))))


def _hooks(its: github.GitHub, arguments: dict[str, Any]) -> None:
    _change(its.hooks, arguments, "is_down", "timeout_seconds", "unsigned_redeliveries")


def _age_deliveries(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.hooks.age(**arguments)


def _rates(its: github.GitHub, arguments: dict[str, Any]) -> None:
    _change(its.rates, arguments, "limit", "window_seconds")


def _use_up_rate(its: github.GitHub, arguments: dict[str, Any]) -> None:
    found = its.installation_of(arguments["login"])
    if found is None:
        raise world.SimulatorError(f"the App is not installed in {arguments['login']!r}; install does that")
    its.rates.use_up(found)


def _secondary_limit(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.rates.secondary = limits.Secondary(**arguments)


def _no_secondary_limit(its: github.GitHub, _: dict[str, Any]) -> None:
    its.rates.secondary = None


def _calls_inside_waits(its: github.GitHub, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(one) for one in its.calls_inside_waits]


def _advance_clock(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.clock.advance(**arguments)


def _seed_faults(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.faults.seed(**arguments)


def _add_fault(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.faults.add(**arguments)


def _clear_faults(its: github.GitHub, _: dict[str, Any]) -> None:
    its.faults.clear()


def _user_token(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, str]:
    return {"token": its.user_token(arguments["login"])}


#: Every operation by its name.
OPERATIONS: dict[str, Operation] = {
    "app": _app,
    "webhook": _webhook,
    "create_repository": _create_repository,
    "fork": _fork,
    "push": _push,
    "push_many": _push_many,
    "open_pull_request": _open_pull_request,
    "press_action": _press_action,
    "check_runs": _check_runs,
    "wait_for_check": _wait_for_check,
    "requests": _requests,
    "deliveries": _deliveries,
    "redeliver": _redeliver,
    "age_deliveries": _age_deliveries,
    "hooks": _hooks,
    "add_fault": _add_fault,
    "seed_faults": _seed_faults,
    "rates": _rates,
    "use_up_rate": _use_up_rate,
    "secondary_limit": _secondary_limit,
    "no_secondary_limit": _no_secondary_limit,
    "calls_inside_waits": _calls_inside_waits,
    "advance_clock": _advance_clock,
    "clear_faults": _clear_faults,
    "user_token": _user_token,
    **{
        name: _plain(name)
        for name in (
            "push_tags",
            "delete_branch",
            "delete_tag",
            "delete_repository",
            "rename",
            "transfer",
            "lag_reads",
            "set_permission",
            "install",
            "uninstall",
            "suspend",
            "unsuspend",
            "rerequest_check_run",
            "rerequest_check_suite",
        )
    },
    **{
        name: _on_pull(name)
        for name in ("close", "reopen", "ready_for_review", "merge", "retarget", "edit_title", "comment")
    },
}
