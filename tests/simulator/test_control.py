"""The world's operations for another process."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.simulator import Simulator, control, operations
from tests.simulator.conftest import Client, Receiver, Reply


async def call(client: Client, operation: str, **arguments: Any) -> Reply:
    return await client(
        "POST",
        f"/_simulator/{operation}",
        arguments,
        root=client.github.url,
        token="",
        headers={"Content-Type": "application/json"},
    )


async def done(client: Client, operation: str, **arguments: Any) -> Any:
    answer = await call(client, operation, **arguments)
    assert answer.status == 200, answer.content
    return answer.body


async def test_a_whole_story_can_be_told(client: Client, receiver: Receiver) -> None:
    app = await done(client, "app")
    assert app["private_key"] == client.github.private_key
    assert (app["api_url"], app["webhook_url"]) == (client.github.api_url, receiver.url)
    made = await done(client, "create_repository", full_name="octo/hello", files={"a.txt": "a\n"})
    assert made["clone_url"] == f"{client.github.url}/octo/hello.git"
    sha = (await done(client, "push", repo="octo/hello", branch="topic", files={"b.txt": "b\n"}))["sha"]
    pull = await done(client, "open_pull_request", repo="octo/hello", head_branch="topic", title="Add b")
    assert (pull["number"], pull["head_sha"]) == (1, sha)
    body = {"name": "buildhook", "head_sha": sha, "conclusion": "failure"}
    run_id = (await client("POST", "/repos/octo/hello/check-runs", body)).body["id"]
    run = await done(client, "wait_for_check", repo="octo/hello", sha=sha, timeout_seconds=1)
    assert (run["id"], run["conclusion"]) == (run_id, "failure")
    assert [one["id"] for one in await done(client, "check_runs", repo="octo/hello", sha=sha)] == [run_id]
    await done(client, "rerequest_check_run", repo="octo/hello", run_id=run_id, sender="mona")
    await done(client, "comment", repo="octo/hello", number=1, body="/test")
    await done(client, "edit_title", repo="octo/hello", number=1, title="Add b.txt")
    assert (await done(client, "merge", repo="octo/hello", number=1))["is_merged"] is True
    assert await done(client, "push_many", repo="octo/hello", branches=["x", "y"]) == {"deliveries": 2}
    await done(client, "push_tags", repo="octo/hello", tags=["v1"])
    await done(client, "delete_branch", repo="octo/hello", branch="x")
    assert (await done(client, "fork", repo="octo/hello", owner="hubot"))["full_name"] == "hubot/hello"
    await done(client, "set_permission", repo="octo/hello", login="hubot", level="write")
    await done(client, "rename", repo="octo/hello", new_name="greeter")
    await done(client, "suspend", login="octo")
    await done(client, "unsuspend", login="octo")
    await client.github.hooks.settle()
    assert {"check_run.rerequested", "issue_comment.created", "pull_request.closed"} <= set(receiver.events())
    deliveries = await done(client, "deliveries")
    assert deliveries[-1]["payload"]["action"] == "unsuspend"
    again = await done(client, "redeliver", delivery_id=deliveries[0]["id"])
    assert (again["guid"], again["status"]) == (deliveries[0]["guid"], "OK")
    assert [one["path"] for one in await done(client, "requests")] == ["/repos/octo/hello/check-runs"]
    assert (await done(client, "user_token", login="mona"))["token"].startswith("ghp_")


async def test_people_can_talk_and_draft_and_label(client: Client, receiver: Receiver) -> None:
    await done(client, "create_repository", full_name="octo/hello")
    await done(client, "push", repo="octo/hello", branch="topic", files={"a.txt": "a\n"})
    await done(client, "open_pull_request", repo="octo/hello", head_branch="topic", body="Because.")
    where = {"repo": "octo/hello", "number": 1}
    comment = await done(client, "comment", **where, body="/test", author="renovate[bot]")
    assert (comment["author"], comment["body"]) == ("renovate[bot]", "/test")
    this = {"repo": "octo/hello", "comment_id": comment["id"]}
    assert (await done(client, "edit_comment", **this, body="/test all", sender="mona"))["body"] == "/test all"
    assert (await done(client, "react", **this, content="eyes"))["reactions"] == [{"login": "mona", "content": "eyes"}]
    assert [one["id"] for one in await done(client, "comments", **where)] == [comment["id"]]
    await done(client, "delete_comment", **this, sender="mona")
    assert await done(client, "comments", **where) == []
    assert (await call(client, "delete_comment", **this)).status == 400
    assert (await done(client, "label", **where, name="ok to test", sender="mona"))["labels"] == ["ok to test"]
    assert (await done(client, "unlabel", **where, name="ok to test"))["labels"] == []
    assert (await done(client, "convert_to_draft", **where))["is_draft"] is True
    assert (await done(client, "ready_for_review", **where, sender="mona"))["is_draft"] is False
    await done(client, "edit_body", **where, body="For no reason.")
    await client.github.hooks.settle()
    assert {f"issue_comment.{action}" for action in ("created", "edited", "deleted")} <= set(receiver.events())


async def test_a_merge_queue_can_be_used(client: Client) -> None:
    github = client.github
    await done(client, "create_repository", full_name="octo/hello")
    for name in ("one", "two"):
        await done(client, "push", repo="octo/hello", branch=name, files={f"{name}.txt": "x\n"})
        await done(client, "open_pull_request", repo="octo/hello", head_branch=name)
    checks = {"buildhook": github.app_id}
    await done(client, "enable_merge_queue", repo="octo/hello", branch="main", checks=checks, method="squash")
    state = await done(client, "merge_state", repo="octo/hello", number=1)
    assert state == {
        "may_merge": False,
        "state": "blocked",
        "checks": {"buildhook": "missing"},
        "reasons": ["the check 'buildhook' is missing"],
    }
    assert (await call(client, "enqueue", repo="octo/hello", number=1)).status == 400
    group = await done(client, "enqueue", repo="octo/hello", number=1, force=True, sender="hubot")
    assert (group["number"], group["sender"]) == (1, "hubot")
    second = await done(client, "enqueue", repo="octo/hello", number=2, force=True)
    assert second["base_sha"] == group["head_sha"]
    assert [one["number"] for one in await done(client, "merge_groups", repo="octo/hello")] == [1, 2]
    await done(client, "invalidate", repo="octo/hello", number=2)
    await done(client, "dequeue", repo="octo/hello", number=2)
    forged = {"repo": "octo/hello", "sha": group["head_sha"], "name": "buildhook", "conclusion": "success"}
    run = await done(client, "create_foreign_check_run", **forged)
    assert run["app_id"] != github.app_id
    assert [one["number"] for one in await done(client, "merge_groups", repo="octo/hello")] == [1]
    body = {"name": "buildhook", "head_sha": group["head_sha"], "conclusion": "success"}
    assert (await client("POST", "/repos/octo/hello/check-runs", body)).status == 201
    await github.settle_queues()
    assert github.repository("octo/hello").heads["main"] == group["head_sha"]
    await done(client, "required_checks", repo="octo/hello", branch="main", checks=["lint"])
    assert (await done(client, "merge_state", repo="octo/hello", number=2))["checks"] == {"lint": "missing"}
    assert (await call(client, "merge", repo="octo/hello", number=2)).status == 400
    assert (await done(client, "merge", repo="octo/hello", number=2, force=True))["is_merged"] is True


async def test_faults_can_be_set(client: Client) -> None:
    await done(client, "create_repository", full_name="octo/hello")
    await done(client, "add_fault", path="/repos", status=503, times=None)
    assert (await client("GET", "/repos/octo/hello")).status == 503
    await done(client, "clear_faults")
    assert (await client("GET", "/repos/octo/hello")).status == 200


async def test_moods_can_be_set(client: Client, receiver: Receiver) -> None:
    github = client.github
    await done(client, "create_repository", full_name="octo/hello")
    await github.hooks.settle()
    await done(client, "seed_faults", number=7)
    await done(client, "add_fault", method=["POST", "PATCH"], probability=0.0, once_each=True, times=None, status=500)
    await done(client, "lag_reads", seconds=30)
    body = {"name": "buildhook", "head_sha": github.repository("octo/hello").heads["main"]}
    run_id = (await client("POST", "/repos/octo/hello/check-runs", body)).body["id"]
    assert (await client("GET", f"/repos/octo/hello/check-runs/{run_id}")).status == 404
    await done(client, "advance_clock", seconds=31)
    assert (await client("GET", f"/repos/octo/hello/check-runs/{run_id}")).status == 200
    await done(client, "hooks", is_down=True, timeout_seconds=1, unsigned_redeliveries=True)
    assert (github.hooks.is_down, github.hooks.timeout_seconds, github.hooks.unsigned_redeliveries) == (True, 1.0, True)
    await done(client, "push_tags", repo="octo/hello", tags=["v1"])
    await done(client, "delete_tag", repo="octo/hello", tag="v1")
    await github.hooks.settle()
    assert (await done(client, "deliveries"))[-1]["status_code"] == 502
    await done(client, "age_deliveries", days=3)
    assert (await client.as_app("GET", "/app/hook/deliveries")).body == []
    await done(client, "transfer", repo="octo/hello", new_owner="cats")
    assert github.repository("cats/hello").owner.login == "cats"


async def test_limits_can_be_set(client: Client) -> None:
    github = client.github
    github.waits.grace_seconds = 0.0
    await done(client, "create_repository", full_name="octo/hello")
    await done(client, "rates", limit=100, window_seconds=60)
    await done(client, "secondary_limit", writes=0, window_seconds=20, status=429, tells_when=False)
    assert (await client("POST", "/repos/octo/hello/check-runs", {})).status == 429
    await done(client, "no_secondary_limit")
    assert (await client("GET", "/repos/octo/hello")).status == 200
    assert [one["path"] for one in await done(client, "calls_inside_waits")] == ["/repos/octo/hello"]
    await done(client, "advance_clock", seconds=60)
    await done(client, "use_up_rate", login="octo", resource="graphql")
    assert (await client("GET", "/repos/octo/hello")).status == 200
    query = {"query": "query { rateLimit { remaining } }"}
    assert "data" not in (await client("POST", "/graphql", query, root=client.github.url)).body
    await done(client, "graphql", is_there=False)
    assert (await client("POST", "/graphql", query, root=client.github.url)).status == 404
    await done(client, "use_up_rate", login="octo")
    answer = await client("GET", "/repos/octo/hello")
    assert (answer.status, answer.headers["X-RateLimit-Limit"]) == (403, "100")


async def test_buttons_and_the_address_can_be_used(client: Client, receiver: Receiver) -> None:
    await done(client, "webhook", url=None)
    await done(client, "create_repository", full_name="octo/hello")
    assert receiver.received == []
    await done(client, "webhook", url=receiver.url)
    sha = client.github.repository("octo/hello").heads["main"]
    action = {"label": "Go", "description": "Goes", "identifier": "go"}
    body = {"name": "buildhook", "head_sha": sha, "conclusion": "failure", "actions": [action]}
    run_id = (await client("POST", "/repos/octo/hello/check-runs", body)).body["id"]
    await done(client, "press_action", repo="octo/hello", run_id=run_id, identifier="go")
    await client.github.hooks.settle()
    assert receiver.payload("check_run.requested_action")["requested_action"] == {"identifier": "go"}


@pytest.mark.parametrize(
    ("operation", "arguments", "status", "sentence"),
    [
        ("nothing", {}, 404, "no operation"),
        ("push", {"repo": "octo/nope", "branch": "main"}, 400, "no repository"),
        ("push", {"nonsense": 1}, 400, "wrong arguments"),
        ("merge", {"repo": "octo/hello"}, 400, "wrong arguments"),
        ("add_fault", {"path": "("}, 400, "unterminated"),
        ("add_fault", {"probability": 2}, 400, "from 0 to 1"),
        ("hooks", {"is_up": True}, 400, "there is no is_up"),
        ("hooks", {"is_down": "yes"}, 400, "Expected `bool`"),
        ("secondary_limit", {"reads": 1}, 400, "reads"),
        ("use_up_rate", {"login": "nobody"}, 400, "not installed"),
        ("transfer", {"repo": "octo/made", "new_owner": "octo"}, 400, "already"),
        ("create_repository", {"full_name": "octo/hello", "files": {"../x": ""}}, 400, "does not take the path"),
        ("wait_for_check", {"repo": "octo/made", "sha": "x", "timeout_seconds": 0}, 504, "no check run"),
    ],
)
async def test_mistakes_are_answered(
    client: Client, operation: str, arguments: dict[str, Any], status: int, sentence: str
) -> None:
    await client.github.create_repository("octo/made")
    answer = await call(client, operation, **arguments)
    assert (answer.status, sentence in answer.body["error"]) == (status, True), answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json", "Origin": "https://evil.example"}, 403),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 403),
    ],
)
async def test_a_page_in_a_browser_cannot_call_it(client: Client, headers: dict[str, str], status: int) -> None:
    answer = await client("POST", "/_simulator/app", {}, root=client.github.url, token="", headers=headers)
    assert answer.status == status
    assert b"PRIVATE KEY" not in answer.content


async def test_another_machine_cannot_call_it(github: Simulator) -> None:
    @web.middleware
    async def from_afar(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=request.headers["X-From"]))

    application = web.Application(middlewares=[from_afar])
    control.Control(github).add_to(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/_simulator/app"
        async with aiohttp.ClientSession() as session:
            for remote, status in (
                ("127.0.0.1", 200),
                ("::1", 200),
                ("192.0.2.1", 403),
                ("2001:db8::1", 403),
                ("", 403),
            ):
                async with session.post(url, json={}, headers={"X-From": remote}) as answer:
                    assert (answer.status, b"PRIVATE KEY" in await answer.read()) == (status, status == 200), remote
    finally:
        await runner.cleanup()


def test_every_operation_is_documented() -> None:
    assert control.__doc__ is not None
    named = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", control.__doc__, re.MULTILINE))))
    assert named == set(operations.OPERATIONS)
