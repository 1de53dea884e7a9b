"""Comments on pull requests and reactions to them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.simulator import PullRequest, Repository, Simulator, SimulatorError
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
    payload = receiver.payload("issue_comment.edited")
    assert payload["changes"] == {"body": {"from": "/test please"}}
    assert (payload["comment"]["body"], payload["sender"]["login"]) == ("/test all", "hubot")


async def test_who_changes_or_deletes_a_comment_is_the_sender(
    github: Simulator, repository: Repository, pull: PullRequest, receiver: Receiver
) -> None:
    comment = github.comment(pull, "/test", author="hubot")
    github.edit_comment(comment, "/test all", sender="mona")
    github.delete_comment(comment, sender="mona")
    await github.hooks.settle()
    for action in ("edited", "deleted"):
        payload = receiver.payload(f"issue_comment.{action}")
        assert (payload["sender"]["login"], payload["comment"]["user"]["login"]) == ("mona", "hubot")
    assert payload["comment"]["body"] == "/test all"
    assert payload["issue"]["comments"] == 0
    assert github.comments_on(pull) == []
    with pytest.raises(SimulatorError, match="there is no comment"):
        github.delete_comment(comment)


async def test_bots_comment_too_and_the_app_hears_of_itself(
    client: Client, pull: PullRequest, receiver: Receiver
) -> None:
    github = client.github
    github.comment(pull, "Bump", author="dependabot[bot]")
    await github.hooks.settle()
    payload = receiver.payload("issue_comment.created")
    assert (payload["sender"]["login"], payload["sender"]["type"]) == ("dependabot[bot]", "Bot")
    await client("POST", f"{ISSUES}/1/comments", {"body": "/test"})
    await github.hooks.settle()
    payload = receiver.payload("issue_comment.created")
    assert (payload["sender"]["login"], payload["sender"]["type"]) == ("buildhook[bot]", "Bot")
    assert payload["comment"]["performed_via_github_app"]["id"] == github.app_id


async def test_the_app_writes_reads_and_changes_its_comment(client: Client, pull: PullRequest) -> None:
    answer = await client("POST", f"{ISSUES}/1/comments", {"body": "Hello"})
    assert (answer.status, answer.headers["Location"]) == (201, answer.body["url"])
    assert answer.body["user"]["login"] == "buildhook[bot]"
    assert answer.body["performed_via_github_app"]["id"] == client.github.app_id
    path = f"{ISSUES}/comments/{answer.body['id']}"
    assert (await client("GET", path)).body == answer.body
    assert (await client("PATCH", path, {"body": "Changed"})).body["body"] == "Changed"
    assert [one["body"] for one in (await client("GET", f"{ISSUES}/1/comments")).body] == ["Changed"]
    for wrong in ("", "  ", "x" * 65_537):
        assert (await client("POST", f"{ISSUES}/1/comments", {"body": wrong})).status == 422
        assert (await client("PATCH", path, {"body": wrong})).status == 422
    assert (await client("DELETE", path)).status == 204
    assert (await client("GET", path)).status == 404
    assert (await client("GET", f"{ISSUES}/1/comments")).body == []
    assert (await client("POST", f"{ISSUES}/9/comments", {"body": "x"})).status == 404
    assert (await client("GET", f"{ISSUES}/comments/1")).status == 404


async def test_the_app_cannot_change_a_persons_comment(client: Client, pull: PullRequest) -> None:
    comment = client.github.comment(pull, "Mine")
    assert (await client("PATCH", f"{ISSUES}/comments/{comment.id}", {"body": "x"})).status == 403
    assert (await client("DELETE", f"{ISSUES}/comments/{comment.id}")).status == 403
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


async def test_everyone_who_sees_it_may_comment_and_change_their_own(client: Client, pull: PullRequest) -> None:
    stranger = client.github.user_token("hubot")
    made = await client("POST", f"{ISSUES}/1/comments", {"body": "Nice"}, token=stranger)
    path = f"{ISSUES}/comments/{made.body['id']}"
    assert (made.status, made.body["author_association"]) == (201, "NONE")
    assert (await client("PATCH", path, {"body": "Very nice"}, token=stranger)).status == 200
    assert (await client("POST", f"{path}/reactions", {"content": "heart"}, token=stranger)).status == 201
    mine = client.github.comment(pull, "Mine")
    assert (await client("PATCH", f"{ISSUES}/comments/{mine.id}", {"body": "x"}, token=stranger)).status == 403
    assert (await client("POST", f"{ISSUES}/1/comments", {"body": "x"}, token="")).status == 401


@pytest.mark.parametrize("permission", ["issues", "pull_requests"])
async def test_either_permission_suffices(client: Client, pull: PullRequest, permission: str) -> None:
    github = client.github
    github.grant("octo", {"metadata": "read", permission: "read"})
    comment = github.comment(pull, "/test", author="hubot")
    reactions = f"{ISSUES}/comments/{comment.id}/reactions"
    assert (await client("GET", f"{ISSUES}/1/comments")).status == 200
    for path, body in ((f"{ISSUES}/1/comments", {"body": "x"}), (reactions, {"content": "eyes"})):
        refused = await client("POST", path, body)
        assert (refused.status, refused.body["message"]) == (403, "Resource not accessible by integration")
    github.grant("octo", {"metadata": "read", permission: "write"})
    assert (await client("POST", f"{ISSUES}/1/comments", {"body": "x"})).status == 201
    assert (await client("POST", reactions, {"content": "eyes"})).status == 201
    github.grant("octo", {"metadata": "read", "checks": "write"})
    assert (await client("GET", f"{ISSUES}/1/comments")).status == 403


async def test_comments_come_in_pages_and_since_a_time(client: Client, pull: PullRequest) -> None:
    comments = [client.github.comment(pull, f"{number}") for number in range(3)]
    comments[2].updated_at += timedelta(minutes=1)
    page = await client("GET", f"{ISSUES}/1/comments?per_page=2")
    assert [one["body"] for one in page.body] == ["0", "1"]
    assert 'rel="next"' in page.headers["Link"]
    since = comments[2].updated_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [one["body"] for one in (await client("GET", f"{ISSUES}/1/comments?since={since}")).body] == ["2"]
    for wrong in ("yesterday", "2026-01-31T12:00:00"):
        assert (await client("GET", f"{ISSUES}/1/comments?since={wrong}")).status == 422
