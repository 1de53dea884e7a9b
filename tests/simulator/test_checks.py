"""Check runs, check suites and statuses: GitHub's rules, one by one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.simulator import Repository, Simulator, SimulatorError
from tests.simulator.conftest import Client, Receiver, Reply

RUNS = "/repos/octo/hello/check-runs"
ANNOTATION = {"path": "a.py", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "wrong"}
ACTION = {"label": "Re-run failed", "description": "Runs what failed", "identifier": "rerun_failed"}


@pytest.fixture
async def sha(github: Simulator, repository: Repository) -> str:
    return await github.push(repository, "topic", {"a.py": "a\n"})


async def create(client: Client, sha: str, **body: Any) -> Reply:
    return await client("POST", RUNS, {"name": "buildhook", "head_sha": sha, **body})


async def test_a_new_run_is_queued_and_shown(client: Client, repository: Repository, sha: str) -> None:
    pull = await client.github.open_pull_request(repository, "topic")
    answer = await create(client, sha, external_id="job-1", details_url="https://ci.example/1")
    assert answer.status == 201
    assert answer.headers["Location"] == answer.body["url"]
    body = answer.body
    assert (body["status"], body["conclusion"], body["completed_at"]) == ("queued", None, None)
    assert (body["external_id"], body["details_url"]) == ("job-1", "https://ci.example/1")
    assert body["html_url"] == f"{repository.html_url}/runs/{body['id']}"
    assert (body["app"]["id"], body["output"]["title"]) == (client.github.app_id, None)
    assert [one["number"] for one in body["pull_requests"]] == [pull.number]
    assert (await client("GET", f"{RUNS}/{body['id']}")).body == body
    assert (await client("GET", f"{RUNS}/1")).status == 404


async def test_a_run_goes_its_way(client: Client, sha: str, receiver: Receiver) -> None:
    run_id = (await create(client, sha)).body["id"]
    body = (await client("PATCH", f"{RUNS}/{run_id}", {"status": "in_progress"})).body
    assert (body["status"], body["conclusion"]) == ("in_progress", None)
    output = {"title": "Passed", "summary": "All.", "text": "More.", "annotations": [ANNOTATION]}
    body = (await client("PATCH", f"{RUNS}/{run_id}", {"conclusion": "success", "output": output})).body
    assert (body["status"], body["conclusion"]) == ("completed", "success")
    assert body["completed_at"] is not None
    assert (body["output"]["title"], body["output"]["annotations_count"]) == ("Passed", 1)
    await client("PATCH", f"{RUNS}/{run_id}", {"output": {"title": "T", "summary": "S", "annotations": [ANNOTATION]}})
    annotations = await client("GET", f"{RUNS}/{run_id}/annotations")
    assert [one["message"] for one in annotations.body] == ["wrong", "wrong"]
    body = (await client("PATCH", f"{RUNS}/{run_id}", {"status": "queued"})).body
    assert (body["status"], body["conclusion"], body["completed_at"]) == ("queued", None, None)
    await client.github.hooks.settle()
    assert [name for name in receiver.events() if name.startswith("check_")] == [
        "check_run.completed",
        "check_run.created",
        "check_suite.completed",
        "check_suite.requested",
    ]
    assert receiver.payload("check_run.completed")["check_run"]["conclusion"] == "success"
    assert receiver.payload("check_suite.completed")["check_suite"]["conclusion"] == "success"


async def test_a_run_may_be_born_complete(client: Client, sha: str) -> None:
    whole = {"status": "completed", "conclusion": "neutral", "completed_at": "2026-01-31T12:00:00+02:00"}
    body = (await create(client, sha, **whole, started_at="2026-01-31T09:59:00Z")).body
    assert (body["started_at"], body["completed_at"]) == ("2026-01-31T09:59:00Z", "2026-01-31T10:00:00Z")


async def test_each_post_makes_another_run(client: Client, sha: str) -> None:
    first, second = (await create(client, sha)).body["id"], (await create(client, sha)).body["id"]
    assert first != second
    latest = (await client("GET", f"/repos/octo/hello/commits/{sha}/check-runs")).body
    assert [run["id"] for run in latest["check_runs"]] == [second]
    every = (await client("GET", f"/repos/octo/hello/commits/{sha}/check-runs?filter=all")).body
    assert [run["id"] for run in every["check_runs"]] == [second, first]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"status": "completed"}, "conclusion"),
        ({"completed_at": "2026-01-31T12:00:00Z"}, "conclusion"),
        ({"conclusion": "stale"}, "only GitHub"),
        ({"conclusion": "great"}, "conclusion"),
        ({"status": "waiting"}, "status"),
        ({"output": {"title": "t", "summary": "x" * 65_536}}, "summary"),
        ({"output": {"title": "t", "summary": "s", "text": "x" * 65_536}}, "text"),
        ({"output": {"title": "t"}}, "summary"),
        ({"output": {"title": "t", "summary": "s", "annotations": [ANNOTATION] * 51}}, "annotations"),
        ({"output": {"title": "t", "summary": "s", "annotations": [{**ANNOTATION, "message": "é" * 32_769}]}}, "64 KB"),
        (
            {"output": {"title": "t", "summary": "s", "annotations": [{**ANNOTATION, "raw_details": "x" * 65_537}]}},
            "64",
        ),
        ({"output": {"title": "t", "summary": "s", "annotations": [{**ANNOTATION, "title": "x" * 256}]}}, "255"),
        (
            {
                "output": {
                    "title": "t",
                    "summary": "s",
                    "annotations": [{**ANNOTATION, "end_line": 2, "start_column": 1}],
                }
            },
            "columns",
        ),
        ({"output": {"title": "t", "summary": "s", "annotations": [{**ANNOTATION, "start_line": 2}]}}, "end_line"),
        (
            {"output": {"title": "t", "summary": "s", "annotations": [{**ANNOTATION, "annotation_level": "bad"}]}},
            "level",
        ),
        ({"actions": [ACTION] * 4}, "actions"),
        ({"actions": [{**ACTION, "label": "x" * 21}]}, "label"),
        ({"actions": [{**ACTION, "description": "x" * 41}]}, "description"),
        ({"actions": [{**ACTION, "identifier": "x" * 21}]}, "identifier"),
        ({"started_at": "now"}, "started_at"),
    ],
)
async def test_what_github_refuses_is_refused(client: Client, sha: str, body: dict[str, Any], sentence: str) -> None:
    run_id = (await create(client, sha)).body["id"]
    for answer in (await create(client, sha, **body), await client("PATCH", f"{RUNS}/{run_id}", body)):
        assert answer.status == 422
        assert sentence in str(answer.body)
    assert len(client.github.check_runs("octo/hello", sha)) == 1
    assert client.github.check_run("octo/hello", run_id).conclusion is None


async def test_what_is_just_small_enough_is_taken(client: Client, sha: str) -> None:
    annotation = {**ANNOTATION, "message": "x" * 65_536, "title": "x" * 255, "start_column": 1, "end_column": 9}
    output = {"title": "t", "summary": "é" * 65_535, "text": "x" * 65_535, "annotations": [annotation] * 50}
    action = {"label": "x" * 20, "description": "x" * 40, "identifier": "x" * 20}
    answer = await create(client, sha, output=output, actions=[action] * 3)
    assert (answer.status, answer.body["output"]["annotations_count"]) == (201, 50)


@pytest.mark.parametrize("missing", ["a" * 40, "main", "abc", "../x"])
async def test_an_unknown_commit_is_refused(client: Client, repository: Repository, missing: str) -> None:
    answer = await create(client, missing)
    assert (answer.status, answer.body["message"]) == (422, f"No commit found for SHA: {missing}")


async def test_the_run_of_another_app_can_be_seen_and_not_changed(client: Client, sha: str) -> None:
    foreign = await client.github.create_foreign_check_run("octo/hello", sha, "scan", status="in_progress")
    answer = await client("PATCH", f"{RUNS}/{foreign.id}", {"conclusion": "success"})
    assert answer.status == 403
    assert answer.body["message"] == (
        f"Invalid app_id `{foreign.app.id}` - check run can only be modified by the GitHub App that created it."
    )
    assert foreign.conclusion is None
    assert (await client("GET", f"{RUNS}/{foreign.id}")).body["app"]["id"] == foreign.app.id
    assert (await client("POST", f"{RUNS}/{foreign.id}/rerequest")).status == 403


async def test_runs_are_chosen_by_name_app_status_and_page(client: Client, sha: str) -> None:
    github = client.github
    foreign = await github.create_foreign_check_run("octo/hello", sha, "scan", conclusion="success")
    ids = [(await create(client, sha, name=f"job {number}")).body["id"] for number in range(3)]
    await client("PATCH", f"{RUNS}/{ids[0]}", {"conclusion": "failure"})

    async def chosen(query: str) -> list[int]:
        answer = await client("GET", f"/repos/octo/hello/commits/topic/check-runs?{query}")
        assert answer.body["total_count"] >= len(answer.body["check_runs"])
        return [run["id"] for run in answer.body["check_runs"]]

    assert await chosen("") == [*ids[::-1], foreign.id]
    assert await chosen("check_name=job+1") == [ids[1]]
    assert await chosen(f"app_id={foreign.app.id}") == [foreign.id]
    assert await chosen(f"app_id={github.app_id}&status=completed") == [ids[0]]
    assert await chosen("status=in_progress") == []
    assert await chosen("per_page=2&page=2") == [ids[0], foreign.id]
    assert (await client("GET", f"/repos/octo/hello/commits/{'a' * 40}/check-runs")).status == 422


async def test_a_check_of_a_forks_head_shows_no_pull_request(client: Client, repository: Repository) -> None:
    fork = await client.github.fork(repository, "hubot")
    sha = await client.github.push(fork, "topic", {"a.py": "a"})
    await client.github.open_pull_request(repository, "topic", from_fork=fork)
    body = (await create(client, sha)).body
    assert body["pull_requests"] == []
    suite = (await client("GET", f"/repos/octo/hello/check-suites/{body['check_suite']['id']}")).body
    assert (suite["head_branch"], suite["pull_requests"]) == (None, [])


async def test_a_suite_sums_its_runs_up(client: Client, sha: str) -> None:
    first = (await create(client, sha, name="one", conclusion="success")).body
    path = f"/repos/octo/hello/check-suites/{first['check_suite']['id']}"
    assert (await client("GET", path)).body["conclusion"] == "success"
    second = (await create(client, sha, name="two", status="in_progress")).body
    body = (await client("GET", path)).body
    assert (body["status"], body["conclusion"], body["latest_check_runs_count"]) == ("in_progress", None, 2)
    await client("PATCH", f"{RUNS}/{second['id']}", {"conclusion": "timed_out"})
    assert (await client("GET", path)).body["conclusion"] == "timed_out"
    # The newest run of a name counts, not those before it.
    await create(client, sha, name="two", conclusion="skipped")
    assert (await client("GET", path)).body["conclusion"] == "success"
    runs = (await client("GET", f"{path}/check-runs?filter=all")).body
    assert runs["total_count"] == 3
    suites = (await client("GET", f"/repos/octo/hello/commits/{sha}/check-suites")).body
    assert [suite["id"] for suite in suites["check_suites"]] == [first["check_suite"]["id"]]
    assert (await client("GET", "/repos/octo/hello/check-suites/1")).status == 404


async def test_a_suite_can_be_made_once(client: Client, repository: Repository) -> None:
    body = {"head_sha": repository.heads["main"]}
    first = await client("POST", "/repos/octo/hello/check-suites", body)
    second = await client("POST", "/repos/octo/hello/check-suites", body)
    assert (first.status, second.status) == (201, 200)
    assert first.body["id"] == second.body["id"]


async def test_a_rerun_queues_the_suite_tells_the_app_and_leaves_the_run(
    client: Client, repository: Repository, sha: str, receiver: Receiver
) -> None:
    run = (await create(client, sha, conclusion="failure", external_id="job-1")).body
    client.github.rerequest_check_run(repository, run["id"], sender="hubot")
    await client.github.hooks.settle()
    payload = receiver.payload("check_run.rerequested")
    assert (payload["check_run"]["id"], payload["check_run"]["external_id"]) == (run["id"], "job-1")
    assert payload["sender"]["login"] == "hubot"
    assert payload["check_run"]["check_suite"]["head_branch"] == "topic"
    assert (await client("GET", f"{RUNS}/{run['id']}")).body["conclusion"] == "failure"
    path = f"/repos/octo/hello/check-suites/{run['check_suite']['id']}"
    assert (await client("GET", path)).body["status"] == "queued"
    assert (await client("POST", f"{RUNS}/{run['id']}/rerequest")).status == 201
    assert (await client("POST", f"{path}/rerequest")).status == 201
    await client.github.hooks.settle()
    assert receiver.payload("check_run.rerequested")["sender"]["type"] == "Bot"
    assert receiver.payload("check_suite.rerequested")["check_suite"]["id"] == run["check_suite"]["id"]


async def test_a_button_tells_its_identifier(
    client: Client, repository: Repository, sha: str, receiver: Receiver
) -> None:
    run_id = (await create(client, sha, conclusion="failure", actions=[ACTION])).body["id"]
    run = client.github.check_run(repository, run_id)
    client.github.press_action(run, "rerun_failed", sender="hubot")
    await client.github.hooks.settle()
    payload = receiver.payload("check_run.requested_action")
    assert payload["requested_action"] == {"identifier": "rerun_failed"}
    assert payload["sender"]["login"] == "hubot"
    with pytest.raises(SimulatorError, match="no action"):
        client.github.press_action(run, "nope")


async def test_buttons_of_another_app_are_not_heard_by_ours(
    github: Simulator, repository: Repository, sha: str, receiver: Receiver
) -> None:
    foreign = await github.create_foreign_check_run(repository, sha, "scan", conclusion="failure", actions=[ACTION])
    github.press_action(foreign, "rerun_failed")
    github.rerequest_check_run(repository, foreign.id)
    github.rerequest_check_suite(repository, foreign.suite.id)
    await github.hooks.settle()
    assert [name for name in receiver.events() if "re" in name.partition(".")[2] and "check" in name] == [
        "check_run.created",
        "check_suite.requested",
    ]


async def test_the_oldest_of_a_thousand_runs_of_one_name_goes(
    github: Simulator, repository: Repository, sha: str
) -> None:
    github.app.events -= {"check_run", "check_suite"}
    commit = await github.git_of(repository).commit(sha)
    runs = [github.create_check_run(repository, commit, {"name": "same"}, app=github.app) for _ in range(1001)]
    assert len(github.check_runs(repository, sha)) == 1000
    with pytest.raises(SimulatorError):
        github.check_run(repository, runs[0].id)


async def test_a_test_can_wait_for_a_check(client: Client, repository: Repository, sha: str) -> None:
    github = client.github
    waiting = asyncio.create_task(github.wait_for_check(repository, sha, conclusion="success"))
    first = (await create(client, sha, conclusion="failure")).body["id"]
    assert (await github.wait_for_check(repository, sha)).id == first
    assert not waiting.done()
    second = (await create(client, sha, conclusion="success")).body["id"]
    assert (await waiting).id == second


async def test_waiting_in_vain_says_what_there_is(client: Client, repository: Repository, sha: str) -> None:
    await create(client, sha, status="in_progress", output={"title": "Half way", "summary": ""})
    with pytest.raises(TimeoutError, match=r"buildhook: in_progress, None, 'Half way'"):
        await client.github.wait_for_check(repository, sha, timeout_seconds=0.01)
    with pytest.raises(TimeoutError, match="there are none"):
        await client.github.wait_for_check(repository, repository.heads["main"], timeout_seconds=0.01)


async def test_statuses(client: Client, sha: str) -> None:
    path = f"/repos/octo/hello/statuses/{sha}"
    body = {"state": "pending", "context": "ci", "description": "Soon", "target_url": "https://ci.example/1"}
    answer = await client("POST", path, body)
    assert (answer.status, answer.body["state"], answer.body["creator"]["type"]) == (201, "pending", "Bot")
    await client("POST", path, {"state": "success"})
    listed = (await client("GET", f"/repos/octo/hello/commits/{sha}/statuses")).body
    assert [(one["context"], one["state"]) for one in listed] == [("default", "success"), ("ci", "pending")]
    assert (await client("POST", path, {"state": "great"})).status == 422
    assert (await client("POST", f"/repos/octo/hello/statuses/{'a' * 40}", body)).status == 422


async def test_reads_may_lag_behind_writes(client: Client, repository: Repository) -> None:
    github = client.github
    sha = repository.heads["main"]
    body = {"name": "buildhook", "head_sha": sha, "output": {"title": "First", "summary": "s"}}
    seen = await client("POST", "/repos/octo/hello/check-runs", body)
    github.lag_reads(30)
    made = await client("POST", "/repos/octo/hello/check-runs", body | {"name": "late"})
    assert (made.status, made.body["name"]) == (201, "late")
    path = f"/repos/octo/hello/check-runs/{made.body['id']}"
    listed = f"/repos/octo/hello/commits/{sha}/check-runs"
    of_suite = f"/repos/octo/hello/check-suites/{made.body['check_suite']['id']}/check-runs"
    assert (await client("GET", path)).status == 404
    assert (await client("GET", f"{path}/annotations")).status == 404
    for each in (listed, of_suite):
        assert [run["name"] for run in (await client("GET", each)).body["check_runs"]] == ["buildhook"]
    changed = await client("PATCH", path, {"conclusion": "success"})
    assert changed.body["conclusion"] == "success"
    old = f"/repos/octo/hello/check-runs/{seen.body['id']}"
    note = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
    await client(
        "PATCH", old, {"conclusion": "failure", "output": {"title": "T", "summary": "s", "annotations": [note]}}
    )
    shown = (await client("GET", old)).body
    assert (shown["status"], shown["conclusion"], shown["output"]["title"]) == ("queued", None, "First")
    assert (await client("GET", f"{old}/annotations")).body == []
    assert [run.conclusion for run in github.check_runs(repository, sha)] == ["failure", "success"]
    github.clock.advance(31)
    assert (await client("GET", path)).body["conclusion"] == "success"
    assert (await client("GET", old)).body["conclusion"] == "failure"
    assert len((await client("GET", f"{old}/annotations")).body) == 1
    assert (await client("GET", listed)).body["total_count"] == 2
    await client("PATCH", old, {"conclusion": "neutral"})
    assert (await client("GET", old)).body["conclusion"] == "failure"
    github.lag_reads(0)
    assert (await client("GET", old)).body["conclusion"] == "neutral"
