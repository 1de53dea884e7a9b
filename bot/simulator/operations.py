"""What each operation of the control API does and answers; `control` lists them and serves them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bot.simulator import github, limits, values, world

Operation = Callable[[github.GitHub, dict[str, Any]], Awaitable[Any] | Any]

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
        "labels": list(pull.labels),
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


def _comment_body(comment: values.Comment) -> dict[str, Any]:
    return {
        "id": comment.id,
        "number": comment.number,
        "author": comment.author.login,
        "body": comment.body,
        "reactions": [{"login": one.user.login, "content": one.content} for one in comment.reactions],
    }


def _group(group: values.MergeGroup) -> dict[str, Any]:
    names = ("branch", "head_sha", "base_branch", "base_sha", "sender")
    return {name: getattr(group, name) for name in names} | {"number": group.pull.number}


def _delivery(delivery: values.Delivery) -> dict[str, Any]:
    names = ("id", "guid", "event", "action", "redelivery", "url", "status", "status_code", "duration_seconds")
    return {name: getattr(delivery, name) for name in names} | {
        "headers": delivery.headers,
        "payload": msgspec.json.decode(delivery.payload_json),
        "response_body": delivery.response_body,
    }


# The operations


def _app(its: github.GitHub, _: dict[str, Any]) -> dict[str, Any]:
    return {
        "app_id": its.app_id,
        "client_id": its.client_id,
        "client_secret": its.client_secret,
        "callback_urls": its.sign_ins.callback_urls(its.app),
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


def _merge_state(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    state = its.merge_state(its.pull_request(arguments["repo"], arguments["number"]))
    return {"may_merge": state.may_merge, "state": state.state, "checks": state.checks, "reasons": state.reasons}


async def _enqueue(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    rest = dict(arguments)
    return _group(await its.enqueue(its.pull_request(rest.pop("repo"), rest.pop("number")), **rest))


def _merge_groups(its: github.GitHub, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [_group(group) for group in its.merge_groups(**arguments)]


def _comment(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    rest = dict(arguments)
    return _comment_body(its.comment(its.pull_request(rest.pop("repo"), rest.pop("number")), **rest))


def _comments(its: github.GitHub, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [_comment_body(one) for one in its.comments_on(its.pull_request(**arguments))]


def _edit_comment(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    rest = dict(arguments)
    comment = its.find_comment(rest.pop("repo"), rest.pop("comment_id"))
    its.edit_comment(comment, **rest)
    return _comment_body(comment)


def _delete_comment(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    rest = dict(arguments)
    comment = its.find_comment(rest.pop("repo"), rest.pop("comment_id"))
    its.delete_comment(comment, **rest)
    return _comment_body(comment)


def _react(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    comment = its.find_comment(arguments["repo"], arguments["comment_id"])
    its.react(comment, arguments["content"], user=its.user(arguments.get("login", world.SOMEONE)))
    return _comment_body(comment)


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


async def _create_foreign_check_run(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _run(await its.create_foreign_check_run(**arguments))


async def _wait_for_check(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, Any]:
    return _run(await its.wait_for_check(**arguments))


def _requests(its: github.GitHub, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(request) for request in its.requests]


def _deliveries(its: github.GitHub, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [_delivery(delivery) for delivery in its.deliveries]


async def _ping(its: github.GitHub, _: dict[str, Any]) -> dict[str, Any]:
    delivery = its.ping()
    await delivery.done.wait()
    return _delivery(delivery)


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
    _change(its.hooks, arguments, "is_down", "timeout_seconds", "unsigned_redeliveries", "content_type", "is_insecure")


def _age_deliveries(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.hooks.age(**arguments)


def _rates(its: github.GitHub, arguments: dict[str, Any]) -> None:
    _change(its.rates, arguments, "limit", "graphql_limit", "window_seconds")


def _graphql(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.has_graphql = bool(arguments["is_there"])


def _use_up_rate(its: github.GitHub, arguments: dict[str, Any]) -> None:
    found = its.installation_of(arguments["login"])
    if found is None:
        raise world.SimulatorError(f"the App is not installed in {arguments['login']!r}; install does that")
    its.rates.use_up(found, resource=arguments.get("resource", limits.CORE))


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


def _callback_urls(its: github.GitHub, arguments: dict[str, Any]) -> None:
    its.app.callback_urls = [str(one) for one in arguments["urls"]]


def _sign_in(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, str]:
    return {"url": its.sign_in(arguments["login"], arguments["authorize_url"])}


def _signed_in_token(its: github.GitHub, arguments: dict[str, Any]) -> dict[str, str]:
    return {"token": its.signed_in_token(arguments["login"])}


#: Every operation by its name.
OPERATIONS: dict[str, Operation] = {
    "app": _app,
    "webhook": _webhook,
    "create_repository": _create_repository,
    "fork": _fork,
    "push": _push,
    "push_many": _push_many,
    "open_pull_request": _open_pull_request,
    "comment": _comment,
    "comments": _comments,
    "edit_comment": _edit_comment,
    "delete_comment": _delete_comment,
    "react": _react,
    "merge_state": _merge_state,
    "enqueue": _enqueue,
    "merge_groups": _merge_groups,
    "press_action": _press_action,
    "create_foreign_check_run": _create_foreign_check_run,
    "check_runs": _check_runs,
    "wait_for_check": _wait_for_check,
    "requests": _requests,
    "deliveries": _deliveries,
    "ping": _ping,
    "redeliver": _redeliver,
    "age_deliveries": _age_deliveries,
    "hooks": _hooks,
    "add_fault": _add_fault,
    "seed_faults": _seed_faults,
    "rates": _rates,
    "graphql": _graphql,
    "use_up_rate": _use_up_rate,
    "secondary_limit": _secondary_limit,
    "no_secondary_limit": _no_secondary_limit,
    "calls_inside_waits": _calls_inside_waits,
    "advance_clock": _advance_clock,
    "clear_faults": _clear_faults,
    "user_token": _user_token,
    "callback_urls": _callback_urls,
    "sign_in": _sign_in,
    "signed_in_token": _signed_in_token,
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
            "required_checks",
            "ruleset",
            "enable_merge_queue",
            "set_permission",
            "set_visibility",
            "revoke_sign_in",
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
        for name in (
            "close",
            "reopen",
            "ready_for_review",
            "convert_to_draft",
            "retarget",
            "edit_title",
            "edit_body",
            "label",
            "unlabel",
            "merge",
            "dequeue",
            "invalidate",
        )
    },
}
