"""Several check runs with one request: what is sent is GitHub's schema's, what comes back is classed for each run."""

from __future__ import annotations

from typing import Any

import graphql as core
import msgspec
import pytest

from bot import errors
from bot.github import GitHub, Repository, graphql
from bot.github.graphql import Write, Written
from bot.simulator.rest import graph
from scripts import refresh_graphql_excerpt as refresh
from tests.github.conftest import INSTALLATION_ID, NAME, REPOSITORY_ID, TOKEN, Reply, Server, Time, granted, http_date
from tests.github.test_checks import QUEUED, RUN

PATH = "/graphql"
TWO = (Write(wanted=QUEUED), Write(wanted=msgspec.structs.replace(RUN, external_id="01J1"), node_id="CR_2"))


@pytest.fixture
def server(server: Server, time: Time) -> Server:
    """It tells GraphQL's id of the repository with the token."""
    reply = granted(at=time.at)
    reply.data["repositories"][0]["node_id"] = "R_1"
    server.on("POST", f"/app/installations/{INSTALLATION_ID}/access_tokens", reply)
    return server


def shown(at: int, **changes: Any) -> dict[str, Any]:
    """What GitHub answers about one of the two."""
    wanted = TWO[at].wanted
    run = {
        "id": f"CR_{at}",
        "databaseId": 51_000_000_000 + at,
        "externalId": wanted.external_id,
        "name": wanted.name,
        "resourcePath": f"/{NAME}/runs/{51_000_000_000 + at}",
        "annotations": {"totalCount": 2 * at},
    }
    return {"checkRun": {**run, **changes}}


def test_whatever_we_send_is_valid_by_the_schema_that_github_publishes() -> None:
    assert refresh.problems(graph._schema()) == []


def test_the_excerpt_has_all_that_the_queries_need_and_a_wrong_query_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphql, "_RESULT", "{ checkRun { number } }")
    graphql.document.cache_clear()
    assert any("number" in problem for problem in refresh.problems(graph._schema()))
    graphql.document.cache_clear()


@pytest.mark.parametrize("count", [1, 2, graphql.MAX_RUNS])
def test_no_text_of_anybody_gets_into_a_query(count: int) -> None:
    hostile = msgspec.structs.replace(RUN, name='"}) { evil', external_id="x\n}", summary="$input0", title="`${}`")
    writes = [Write(wanted=hostile)] * count
    assert graphql.document((True,) * count) == graphql.document(tuple(one.node_id is None for one in writes))
    assert "evil" not in graphql.document((True,) * count)
    assert len(core.parse(graphql.document((True, False))).definitions) == 1
    assert str(graphql.variables(writes, repository_id="R_1")).count("evil") == count


async def test_one_request_makes_and_changes(server: Server, repository: Repository) -> None:
    server.on("POST", PATH, Reply(data={"data": {"run0": shown(0), "run1": shown(1)}}))
    assert await repository.put_check_runs(TWO) == [
        Written(id=51_000_000_000, node_id="CR_0", annotations_count=0),
        Written(id=51_000_000_001, node_id="CR_1", annotations_count=2),
    ]
    assert repository.find_node_id(51_000_000_001) == "CR_1"
    (seen,) = server.asked("POST", PATH)
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.body["query"] == graphql.document((True, False))
    made, changed = seen.body["variables"]["input0"], seen.body["variables"]["input1"]
    assert (made["repositoryId"], made["headSha"], made["status"]) == ("R_1", QUEUED.head_sha, "QUEUED")
    assert (changed["checkRunId"], changed["conclusion"], "headSha" in changed) == ("CR_2", "FAILURE", False)
    assert changed["startedAt"] == "2026-05-04T12:00:00Z"
    assert changed["output"]["annotations"][0]["location"] == {"startLine": 3, "endLine": 4}


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("NOT_FOUND", "Could not resolve to a node", errors.NotReachable),
        ("FORBIDDEN", "Resource not accessible by integration", errors.Forbidden),
        ("INSUFFICIENT_SCOPES", "Your token has not been granted", errors.Forbidden),
        ("FORBIDDEN", "check run can only be modified by the GitHub App that created it.", errors.ForeignCheckRun),
        ("UNPROCESSABLE", "Validation Failed", errors.Invalid),
        ("UNPROCESSABLE", "No commit found for SHA: 1", errors.CommitUnknown),
        ("RATE_LIMITED", "API rate limit exceeded", errors.GitHubUnavailable),
        ("SERVICE_UNAVAILABLE", "Something went wrong", errors.AnswerLost),
        ("INTERNAL", "Something went wrong", errors.AnswerLost),
        ("MADE_UP_TOMORROW", "?", errors.AnswerLost),
        (None, "Something went wrong while executing your query", errors.AnswerLost),
    ],
)
async def test_a_run_that_is_refused_leaves_the_other_alone(
    server: Server, repository: Repository, kind: str | None, message: str, expected: type[errors.GitHubError]
) -> None:
    trouble = {"path": ["run0"], "message": message, **({"type": kind} if kind else {})}
    server.on("POST", PATH, Reply(data={"data": {"run0": None, "run1": shown(1)}, "errors": [trouble]}))
    refused, done = await repository.put_check_runs(TWO)
    assert type(refused) is expected
    assert isinstance(done, Written)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (shown(0, databaseId=None), 51_000_000_000),
        (shown(0, databaseId=None, resourcePath="/octo/hello/elsewhere"), None),
        (shown(0, externalId="another"), None),
        ({"checkRun": None}, None),
        (None, None),
    ],
)
async def test_only_an_answer_that_bears_our_marks_and_a_number_counts(
    server: Server, repository: Repository, payload: Any, told: int | None
) -> None:
    server.on("POST", PATH, Reply(data={"data": {"run0": payload, "run1": shown(1)}}))
    first, _ = await repository.put_check_runs(TWO)
    assert (first.id if isinstance(first, Written) else type(first)) == (told or errors.AnswerLost)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(status=404, data={"message": "Not Found"}), errors.GraphQLAway),
        (Reply(status=403, data={"message": "Resource not accessible by integration"}), errors.GraphQLAway),
        (Reply(status=502, raw=b"<html>", content_type="text/html"), errors.AnswerLost),
        (Reply(status=504, data={"message": "We couldn't respond to your request in time"}), errors.AnswerLost),
        (Reply(status=413, data={"message": "Too large"}), errors.TooMuch),
        (Reply(raw=b"<html>", content_type="text/html"), errors.AnswerLost),
        (Reply(raw=b'{"data": {"run0"'), errors.AnswerLost),
        (Reply(data={"data": None}), errors.AnswerLost),
        (Reply(data=[]), errors.AnswerLost),
        (Reply(data={"errors": [{"message": "No such field", "extensions": {"code": "x"}}]}), errors.GraphQLAway),
        (Reply(data={"errors": [{"message": "timeout"}]}), errors.AnswerLost),
        (Reply(data={"errors": [{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": "too many"}]}), errors.TooMuch),
        (Reply(data={"errors": [{"type": "FORBIDDEN", "message": "no"}]}), errors.GraphQLAway),
        (Reply(status=403, data={"message": "You have exceeded a secondary rate limit"}), errors.RateLimited),
        (Reply(data={"errors": [{"message": "You have exceeded a secondary rate limit."}]}), errors.RateLimited),
    ],
)
async def test_f53_f98_a_request_that_is_refused_as_a_whole(
    server: Server, repository: Repository, reply: Reply, expected: type[errors.GitHubError]
) -> None:
    server.on("POST", PATH, reply)
    with pytest.raises(errors.GitHubError) as caught:
        await repository.put_check_runs(TWO)
    assert type(caught.value) is expected
    assert len(server.asked("POST", PATH)) == 1


async def test_f34_its_budget_is_apart_and_a_pause_of_its_own_is_everybodys(
    server: Server, repository: Repository, time: Time
) -> None:
    reset = str(int(time.at.timestamp()) + 600)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset, "date": http_date(time.at)}
    used_up = Reply(data={"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, headers=headers)
    server.on("POST", PATH, used_up)
    for _ in range(2):
        with pytest.raises(errors.GraphQLAway) as caught:
            await repository.put_check_runs(TWO)
        assert caught.value.until is not None
        assert (caught.value.until - time.at).total_seconds() == 600
    assert len(server.asked("POST", PATH)) == 1
    server.on("GET", f"/repos/{NAME}", Reply(data={"id": REPOSITORY_ID}))
    await repository.get_raw()
    time.move(601)
    limited = Reply(status=403, data={"message": "You have exceeded a secondary rate limit"})
    server.on("POST", PATH, limited)
    with pytest.raises(errors.RateLimited):
        await repository.put_check_runs(TWO)
    with pytest.raises(errors.RateLimited):
        await repository.get_raw()


async def test_f34_a_limit_in_the_middle_counts_for_the_next_request(server: Server, repository: Repository) -> None:
    trouble = {"path": ["run1"], "type": "RATE_LIMITED", "message": "API rate limit exceeded"}
    server.on("POST", PATH, Reply(data={"data": {"run0": shown(0), "run1": None}, "errors": [trouble]}))
    done, limited = await repository.put_check_runs(TWO)
    assert (type(done), type(limited)) == (Written, errors.GitHubUnavailable)
    with pytest.raises(errors.GraphQLAway):
        await repository.put_check_runs(TWO)
    assert len(server.asked("POST", PATH)) == 1


async def test_f97_the_credential_goes_to_no_other_place(
    server: Server, foreign: Server, repository: Repository
) -> None:
    server.on("POST", PATH, Reply(status=307, headers={"location": f"{foreign.url}{PATH}"}))
    with pytest.raises(errors.GitHubUnavailable) as caught:
        await repository.put_check_runs(TWO)
    assert "another place" in str(caught.value)
    assert foreign.seen == []


async def test_without_an_id_of_the_repository_nothing_is_sent(server: Server, github: GitHub) -> None:
    server.on("POST", f"/app/installations/{INSTALLATION_ID}/access_tokens", granted())
    repository = github.repository(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, full_name=NAME)
    with pytest.raises(errors.GraphQLAway):
        await repository.put_check_runs(TWO)
    assert server.asked("POST", PATH) == []


async def test_what_is_away_is_asked_again_after_a_while(repository: Repository, github: GitHub, time: Time) -> None:
    repository.graphql_went_away(errors.GraphQLAway("no"))
    assert (repository.has_graphql, github.list_without_graphql()) == (False, frozenset({INSTALLATION_ID}))
    other = github.repository(installation_id=8, repository_id=1, full_name=NAME)
    assert other.has_graphql
    other.graphql_went_away(errors.GraphQLAway("no", is_everywhere=True))
    assert github.list_without_graphql() is None
    time.move(1801)
    assert (repository.has_graphql, github.list_without_graphql()) == (True, frozenset())
