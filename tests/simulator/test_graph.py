"""The GraphQL API: check runs by GitHub's published schema, under the same rules as over REST."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bot.simulator import Repository, Simulator, limits
from tests.simulator.conftest import Client, Receiver, Reply
from tests.simulator.test_checks import RUNS

MAKE = """mutation($a: CreateCheckRunInput!, $b: CreateCheckRunInput!) {
  a: createCheckRun(input: $a) {
    checkRun { id databaseId name status externalId annotations(first: 1) { totalCount } }
  }
  b: createCheckRun(input: $b) { checkRun { id databaseId name status } }
}"""
CHANGE = """mutation($a: UpdateCheckRunInput!) {
  a: updateCheckRun(input: $a) { checkRun { databaseId status conclusion title annotations(first: 1) { totalCount } } }
}"""
PLACE = {"startLine": 1, "endLine": 1}
MARK = {"path": "a.py", "location": PLACE, "annotationLevel": "FAILURE", "message": "wrong"}


def node_id(kind: str, number: int) -> str:
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def given(repository: Repository, **fields: Any) -> dict[str, Any]:
    """The input of a new run."""
    whole = {"repositoryId": node_id("R", repository.id), "headSha": repository.heads["main"], "name": "one"}
    return {**whole, **fields}


async def ask(
    client: Client, query: str, variables: dict[str, Any], *, root: str = "/graphql", token: str | None = None
) -> Reply:
    return await client("POST", root, {"query": query, "variables": variables}, root=client.github.url, token=token)


async def test_several_runs_are_made_and_changed_with_one_request_each(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    output = {"title": "t", "summary": "s", "annotations": [MARK]}
    both = {"a": given(repository, externalId="x", output=output), "b": given(repository, name="two")}
    for root in ("/graphql", "/api/graphql"):
        answer = await ask(client, MAKE, both, root=root)
        assert (answer.status, answer.headers["X-RateLimit-Resource"], "errors" in answer.body) == (
            200,
            "graphql",
            False,
        )
    run = answer.body["data"]["a"]["checkRun"]
    assert run["databaseId"] > 2**31
    assert (run["name"], run["status"], run["externalId"], run["annotations"]) == (
        "one",
        "QUEUED",
        "x",
        {"totalCount": 1},
    )
    shown = (await client("GET", f"{RUNS}/{run['databaseId']}")).body
    assert (shown["node_id"], shown["external_id"], shown["output"]["annotations_count"]) == (run["id"], "x", 1)
    change = {
        "repositoryId": node_id("R", repository.id),
        "checkRunId": run["id"],
        "status": "COMPLETED",
        "conclusion": "SUCCESS",
    }
    answer = await ask(client, CHANGE, {"a": {**change, "output": output}})
    assert answer.body["data"]["a"]["checkRun"] == {
        "databaseId": run["databaseId"],
        "status": "COMPLETED",
        "conclusion": "SUCCESS",
        "title": "t",
        "annotations": {"totalCount": 2},
    }
    await client.github.hooks.settle()
    assert receiver.events().count("check_run.created") == 4
    assert receiver.events().count("check_run.completed") == 1


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"headSha": "1" * 40}, "UNPROCESSABLE", "No commit found for SHA"),
        ({"repositoryId": "R_nothing"}, "NOT_FOUND", "Could not resolve to a node"),
        ({"status": "COMPLETED"}, "UNPROCESSABLE", "conclusion"),
        ({"output": {"title": "t", "summary": "s", "annotations": [MARK] * 51}}, "UNPROCESSABLE", "annotations"),
    ],
)
async def test_what_is_refused_of_a_request_leaves_the_rest_alone(
    client: Client, repository: Repository, changes: dict[str, Any], kind: str, text: str
) -> None:
    answer = await ask(client, MAKE, {"a": given(repository, **changes), "b": given(repository, name="two")})
    assert answer.status == 200
    assert (answer.body["data"]["a"], answer.body["data"]["b"]["checkRun"]["name"]) == (None, "two")
    (error,) = answer.body["errors"]
    assert (error["type"], error["path"], text in error["message"]) == (kind, ["a"], True)
    assert [run.name for run in client.github.check_runs(repository)] == ["two"]


async def test_the_rights_are_those_of_rest(client: Client, github: Simulator, repository: Repository) -> None:
    token = github.installation_token("octo", permissions={"checks": "read"})
    answer = await ask(client, MAKE, {"a": given(repository), "b": given(repository)}, token=token)
    assert {one["type"] for one in answer.body["errors"]} == {"FORBIDDEN"}
    elsewhere = await github.create_repository("octo/other", {"a": "b"}, private=True)
    token = github.installation_token("octo", repositories=[elsewhere])
    answer = await ask(client, MAKE, {"a": given(repository), "b": given(elsewhere)}, token=token)
    assert [one["type"] for one in answer.body["errors"]] == ["NOT_FOUND"]
    foreign = await github.create_foreign_check_run(repository, repository.heads["main"], "theirs")
    change = {"repositoryId": node_id("R", repository.id), "checkRunId": node_id("CR", foreign.id), "name": "ours"}
    answer = await ask(client, CHANGE, {"a": change})
    assert "can only be modified by the GitHub App that created it" in answer.body["errors"][0]["message"]
    assert (await ask(client, CHANGE, {"a": change}, token="")).status == 401
    assert (await ask(client, CHANGE, {"a": change}, token="ghs_wrong")).status == 401


@pytest.mark.parametrize(
    "query", ["mutation {", "mutation { nothing }", "query { rateLimit { limit } } mutation { a: b }", MAKE]
)
async def test_a_query_that_the_schema_does_not_allow_does_nothing(
    client: Client, repository: Repository, query: str
) -> None:
    answer = await ask(client, query, {"a": given(repository, name=5), "b": {}})
    assert (answer.status, "data" in answer.body, bool(answer.body["errors"])) == (200, False, True)
    assert client.github.check_runs(repository) == []


async def test_points_are_counted_apart_from_those_of_rest(client: Client, repository: Repository) -> None:
    github = client.github
    installation = github.installation_of("octo")
    assert installation is not None
    github.rates.use_up(installation, resource=limits.GRAPHQL)
    answer = await ask(client, MAKE, {"a": given(repository), "b": given(repository)})
    assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (200, "0")
    assert [one["type"] for one in answer.body["errors"]] == ["RATE_LIMITED"]
    assert (await client("GET", "/repos/octo/hello")).status == 200
    assert github.check_runs(repository) == []
    github.clock.advance(3601)
    told = await ask(client, "query { rateLimit { limit remaining cost } }", {})
    assert told.body["data"]["rateLimit"] == {"limit": 5000, "remaining": 4999, "cost": 1}


async def test_a_secondary_limit_counts_a_mutation_as_five_points(client: Client, repository: Repository) -> None:
    github = client.github
    github.rates.secondary = limits.Secondary(graphql_points=9)
    both = {"a": given(repository), "b": given(repository)}
    assert (await ask(client, MAKE, both)).status == 200
    refused = await ask(client, MAKE, both)
    assert (refused.status, refused.body["message"]) == (403, limits.SECONDARY)


async def test_a_server_without_it_answers_404(client: Client, repository: Repository) -> None:
    client.github.has_graphql = False
    assert (await ask(client, MAKE, {"a": given(repository), "b": given(repository)})).status == 404


async def test_a_lost_answer_is_lost_after_it_was_done(client: Client, repository: Repository) -> None:
    client.github.faults.add(method="POST", path="^/graphql$", status=502, html=True)
    assert (await ask(client, MAKE, {"a": given(repository), "b": given(repository)})).status == 502
    assert client.github.check_runs(repository) == []
