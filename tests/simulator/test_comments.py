"""Comments on pull requests and reactions to them."""

from __future__ import annotations

import pytest

from bot.simulator import PullRequest, Repository, Simulator
from tests.simulator.conftest import Client, Receiver

ISSUES = "/repos/octo/hello/issues"


@pytest.fixture
async def pull(github: Simulator, repository: Repository) -> PullRequest:
    await github.push(repository, "topic", {"a.txt": "a\n"})
    return await github.open_pull_request(repository, "topic", title="Add a")


async def test_a_persons_comment_is_told(github: Simulator, pull: PullRequest, receiver: Receiver) -> None:
    comment = github.comment(pull, "/test please", author="hubot")
    await github.hooks.settle()
    payload = receiver.payload("issue_comment.created")
    assert (payload["comment"]["id"], payload["comment"]["body"]) == (comment.id, "/test please")
    assert (payload["comment"]["user"]["login"], payload["comment"]["author_association"]) == ("hubot", "NONE")
    assert payload["issue"]["number"] == pull.number
    assert payload["issue"]["pull_request"]["url"].endswith("/pulls/1")
    github.edit_comment(comment, "/test all")
    await github.hooks.settle()
    assert receiver.payload("issue_comment.edited")["changes"] == {"body": {"from": "/test please"}}


async def test_the_app_writes_reads_and_changes_its_comment(client: Client, pull: PullRequest) -> None:
    answer = await client("POST", f"{ISSUES}/1/comments", {"body": "Hello"})
    assert (answer.status, answer.headers["Location"]) == (201, answer.body["url"])
    assert answer.body["user"]["login"] == "buildhook[bot]"
    assert answer.body["performed_via_github_app"]["id"] == client.github.app_id
    path = f"{ISSUES}/comments/{answer.body['id']}"
    assert (await client("GET", path)).body == answer.body
    assert (await client("PATCH", path, {"body": "Changed"})).body["body"] == "Changed"
    assert [one["body"] for one in (await client("GET", f"{ISSUES}/1/comments")).body] == ["Changed"]
    for empty in ("", "  "):
        assert (await client("POST", f"{ISSUES}/1/comments", {"body": empty})).status == 422
    assert (await client("POST", f"{ISSUES}/9/comments", {"body": "x"})).status == 404
    assert (await client("GET", f"{ISSUES}/comments/1")).status == 404


async def test_the_app_cannot_change_a_persons_comment(client: Client, pull: PullRequest) -> None:
    comment = client.github.comment(pull, "Mine")
    assert (await client("PATCH", f"{ISSUES}/comments/{comment.id}", {"body": "x"})).status == 403
    person = client.github.user_token("mona")
    assert (await client("PATCH", f"{ISSUES}/comments/{comment.id}", {"body": "x"}, token=person)).status == 200
    answer = await client("POST", f"{ISSUES}/1/comments", {"body": "As mona"}, token=person)
    assert (answer.body["user"]["login"], answer.body["performed_via_github_app"]) == ("mona", None)


async def test_each_emoji_is_given_once(client: Client, pull: PullRequest) -> None:
    comment = client.github.comment(pull, "/test")
    path = f"{ISSUES}/comments/{comment.id}/reactions"
    first = await client("POST", path, {"content": "eyes"})
    again = await client("POST", path, {"content": "eyes"})
    other = await client("POST", path, {"content": "+1"})
    assert (first.status, again.status, other.status) == (201, 200, 201)
    assert first.body == again.body
    assert [one["content"] for one in (await client("GET", path)).body] == ["eyes", "+1"]
    counted = (await client("GET", f"{ISSUES}/comments/{comment.id}")).body["reactions"]
    assert (counted["total_count"], counted["eyes"], counted["+1"], counted["heart"]) == (2, 1, 1, 0)
    assert (await client("POST", path, {"content": "party"})).status == 422
