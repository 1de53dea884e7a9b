"""Comments and reactions: written for one purpose, found again by what is ours, and told apart from those of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot import errors, telemetry
from bot.github import GitHub, Patience, Repository, comments
from bot.simulator import PullRequest, Simulator

MARKER = "<!-- buildhook:answer -->"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The simulated GitHub."""
    async with Simulator() as opened:
        yield opened
        # Every answer was one that GitHub's own description allows.
        assert opened.problems == []


@pytest.fixture
async def pull(simulator: Simulator) -> PullRequest:
    """A pull request to talk on."""
    repository = await simulator.create_repository("octo/hello", private=True)
    await simulator.commit(repository, "topic", {"a.txt": "a"})
    return await simulator.open_pull_request(repository, "topic")


@pytest.fixture
async def hello(
    simulator: Simulator, pull: PullRequest, metrics: telemetry.Metrics, patience: Patience
) -> AsyncIterator[Repository]:
    """The repository as our App sees it."""
    installation = simulator.installation_of("octo")
    assert installation is not None
    async with GitHub(
        api_url=simulator.api_url,
        app_id=simulator.app_id,
        private_key=simulator.private_key,
        metrics=metrics,
        patience=patience,
    ) as github:
        yield github.repository(
            installation_id=installation.id, repository_id=pull.repository.id, full_name=pull.repository.full_name
        )


async def test_a_comment_is_written_changed_and_read(
    simulator: Simulator, pull: PullRequest, hello: Repository
) -> None:
    made = await hello.create_comment(pull.number, f"{MARKER}\n\none")
    await hello.update_comment(made, f"{MARKER}\n\ntwo")
    found = await hello.get_comment(made)
    assert found == comments.Comment(id=made, body=f"{MARKER}\n\ntwo", app_id=simulator.app_id)
    assert len(simulator.comments_on(pull)) == 1
    assert await hello.get_comment(made + 1) is None
    with pytest.raises(errors.NotReachable):
        await hello.update_comment(made + 1, "x")


async def test_a_reaction_is_given_once_however_often_it_is_sent(
    simulator: Simulator, pull: PullRequest, hello: Repository
) -> None:
    said = simulator.comment(pull, "/test", author="octo")
    for content in (*comments.Reaction, *comments.Reaction):
        await hello.create_reaction(said.id, content)
    assert [one.content for one in said.reactions] == ["eyes", "confused", "-1"]
    simulator.delete_comment(said)
    with pytest.raises(errors.NotReachable):
        await hello.create_reaction(said.id, comments.Reaction.EYES)


async def test_ours_is_found_by_our_app_and_its_marker(
    simulator: Simulator, pull: PullRequest, hello: Repository
) -> None:
    async def find() -> int | None:
        found = await hello.find_comment(pull.number, marker=MARKER)
        return found.id if found is not None else None

    simulator.comment(pull, f"{MARKER} says somebody else", author="octo")
    simulator.comment(pull, f"> {MARKER}", via_app=simulator.app)
    assert await find() is None
    for number in range(130):
        simulator.comment(pull, f"talk {number}", author="octo")
    mine = simulator.comment(pull, f"{MARKER}\n\none", via_app=simulator.app)
    simulator.comment(pull, f"{MARKER}\n\ntwice", via_app=simulator.app)
    assert await find() == mine.id


async def test_one_that_was_written_lately_is_found_in_a_conversation_of_any_length(
    simulator: Simulator, pull: PullRequest, hello: Repository
) -> None:
    for number in range(120):
        simulator.comment(pull, f"talk {number}", author="octo")
    since = simulator.clock.now() + timedelta(seconds=30)
    simulator.clock.advance(60)
    mine = simulator.comment(pull, f"{MARKER}\n\none", via_app=simulator.app)
    simulator.requests.clear()
    found = await hello.find_comment(pull.number, marker=MARKER, since=since)
    assert found is not None
    assert found.id == mine.id
    assert len([one for one in simulator.requests if "/issues/" in one.path]) == 1


async def test_t76_what_talks_can_do_nothing_else(simulator: Simulator, pull: PullRequest, hello: Repository) -> None:
    await hello.create_comment(pull.number, "hello")
    (asked,) = [one for one in simulator.requests if one.path.endswith("/access_tokens")]
    body = asked.body
    assert body["permissions"] == {"metadata": "read", "pull_requests": "write"}
    assert body["repository_ids"] == [pull.repository.id]


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "Unable to create comment because issue is locked.", errors.Locked),
        (403, "Resource not accessible by integration", errors.Forbidden),
        (410, "This issue was deleted", errors.NotReachable),
        (422, "Validation Failed", errors.Invalid),
    ],
)
async def test_what_keeps_a_comment_from_being_written_is_told_apart(
    simulator: Simulator,
    pull: PullRequest,
    hello: Repository,
    status: int,
    message: str,
    error: type[errors.GitHubError],
) -> None:
    simulator.faults.add(method="POST", path="/comments$", status=status, body={"message": message})
    with pytest.raises(errors.GitHubError) as caught:
        await hello.create_comment(pull.number, "hello")
    assert type(caught.value) is error


async def test_an_answer_about_another_comment_is_not_taken_for_ours(
    simulator: Simulator, pull: PullRequest, hello: Repository
) -> None:
    made = await hello.create_comment(pull.number, "hello")
    simulator.faults.add(path=f"/comments/{made}$", times=2, status=200, body={"id": made + 1, "body": "x"})
    with pytest.raises(errors.AnswerLost, match="another comment"):
        await hello.update_comment(made, "again")
    with pytest.raises(errors.GitHubUnavailable, match="another comment"):
        await hello.get_comment(made)
