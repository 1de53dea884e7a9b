"""Faults on order: each kind does what it says, as often as it was told, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest

from bot.simulator import Repository
from tests.simulator.conftest import Client

RUNS = "/repos/octo/hello/check-runs"


async def post(client: Client, repository: Repository) -> int:
    body = {"name": "buildhook", "head_sha": repository.heads["main"]}
    return (await client("POST", RUNS, body)).status


async def test_a_status_is_answered_and_nothing_done(client: Client, repository: Repository) -> None:
    fault = client.github.faults.add(
        method="post", path="/check-runs$", status=503, body={"message": "Unavailable"}, headers={"Retry-After": "7"}
    )
    body = {"name": "buildhook", "head_sha": repository.heads["main"]}
    answer = await client("POST", RUNS, body)
    assert (answer.status, answer.body, answer.headers["Retry-After"]) == (503, {"message": "Unavailable"}, "7")
    assert client.github.check_runs(repository) == []
    assert (await client("GET", "/repos/octo/hello")).status == 200
    assert await post(client, repository) == 201
    assert fault.hits == 1
    assert [request.status for request in client.github.requests] == [503, 200, 201]


async def test_it_hits_as_often_as_it_was_told(client: Client, repository: Repository) -> None:
    fault = client.github.faults.add(path="/check-runs", times=2, status=500)
    assert [await post(client, repository) for _ in range(3)] == [500, 500, 201]
    client.github.faults.add(times=None, status=502)
    assert [await post(client, repository) for _ in range(3)] == [502] * 3
    client.github.faults.clear()
    assert await post(client, repository) == 201
    assert fault.hits == 2


async def test_the_path_is_that_of_the_api_without_its_root(client: Client, repository: Repository) -> None:
    client.github.faults.add(path=r"^/repos/octo/hello\?x=1$", status=418)
    assert (await client("GET", "/repos/octo/hello")).status == 200
    assert (await client("GET", "/repos/octo/hello?x=1")).status == 418


async def test_a_connection_that_is_dropped_before_did_nothing(client: Client, repository: Repository) -> None:
    client.github.faults.add(path="/check-runs", drop_before=True)
    with pytest.raises(aiohttp.ClientError):
        await post(client, repository)
    assert client.github.check_runs(repository) == []
    assert [request.status for request in client.github.requests] == [0]


async def test_a_lost_answer_was_applied(client: Client, repository: Repository) -> None:
    client.github.faults.add(path="/check-runs", drop_response_after_applying=True)
    with pytest.raises(aiohttp.ClientError):
        await post(client, repository)
    assert [run.name for run in client.github.check_runs(repository)] == ["buildhook"]
    (recorded,) = client.github.requests
    assert (recorded.status, recorded.body["name"]) == (0, "buildhook")


async def test_a_truncated_answer_was_applied(client: Client, repository: Repository) -> None:
    client.github.faults.add(path="/check-runs", truncate=True)
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(client, repository)
    assert len(client.github.check_runs(repository)) == 1


async def test_a_page_for_people_comes_in_place_of_json(client: Client, repository: Repository) -> None:
    client.github.faults.add(path="/check-runs", html=True, status=502)
    answer = await client("POST", RUNS, {"name": "buildhook", "head_sha": repository.heads["main"]})
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert client.github.check_runs(repository) == []
    client.github.faults.add(html=True)
    assert (await client("GET", "/repos/octo/hello")).content.startswith(b"<!DOCTYPE html>")


async def test_headers_are_added_to_the_true_answer(client: Client, repository: Repository) -> None:
    client.github.faults.add(headers={"X-RateLimit-Remaining": "0"}, delay_seconds=0.001)
    answer = await client("GET", "/repos/octo/hello")
    assert (answer.status, answer.headers["X-RateLimit-Remaining"], answer.body["name"]) == (200, "0", "hello")


async def test_a_body_may_be_anything(client: Client, repository: Repository) -> None:
    client.github.faults.add(status=200, body="{")
    assert (await client("GET", "/repos/octo/hello")).content == b"{"
    client.github.faults.add(status=200, body=[1])
    assert (await client("GET", "/repos/octo/hello")).body == [1]


def test_a_pattern_must_be_one(client: Client) -> None:
    with pytest.raises(re.error):
        client.github.faults.add(path="(")


async def test_a_part_of_the_calls_is_hit_and_the_seed_says_which(client: Client, repository: Repository) -> None:
    async def told(seed: int) -> list[int]:
        client.github.faults.clear()
        client.github.faults.seed(seed)
        client.github.faults.add(path="/check-runs", times=None, probability=0.25, status=503)
        return [await post(client, repository) for _ in range(40)]

    first = await told(1)
    assert await told(1) == first
    assert await told(2) != first
    assert 3 <= first.count(503) <= 20
    assert first.count(201) + first.count(503) == 40


async def test_each_call_fails_once_at_most(client: Client, repository: Repository) -> None:
    fault = client.github.faults.add(method=["post", "PATCH"], times=None, once_each=True, status=502)
    assert [await post(client, repository) for _ in range(3)] == [502, 201, 201]
    body = {"name": "another", "head_sha": repository.heads["main"]}
    assert [(await client("POST", RUNS, body)).status for _ in range(2)] == [502, 201]
    assert (await client("GET", "/repos/octo/hello")).status == 200
    assert (fault.hits, fault.matches) == (2, 2)


async def test_half_of_the_calls_fail_once_and_those_that_were_spared_never(
    client: Client, repository: Repository
) -> None:
    fault = client.github.faults.add(times=None, once_each=True, probability=0.5, status=502)
    paths = [f"/repos/octo/hello?number={number}" for number in range(40)]
    first = [(await client("GET", path)).status for path in paths]
    again = [(await client("GET", path)).status for path in paths]
    assert again == [200] * 40
    assert first.count(502) == fault.hits
    assert 10 <= fault.hits <= 30


async def test_every_third_call_is_hit(client: Client, repository: Repository) -> None:
    client.github.faults.add(path="/check-runs", times=None, every=3, status=500)
    assert [await post(client, repository) for _ in range(6)] == [201, 201, 500] * 2


async def test_faults_combine(client: Client, repository: Repository) -> None:
    rare = client.github.faults.add(path="/check-runs", times=None, every=2, status=500)
    other = client.github.faults.add(method="POST", times=None, every=2, status=503)
    assert [await post(client, repository) for _ in range(4)] == [201, 500, 503, 500]
    assert (rare.hits, other.hits) == (2, 1)


@pytest.mark.parametrize("arguments", [{"probability": 1.5}, {"probability": -0.1}, {"every": 0}])
def test_impossible_dice_are_refused(client: Client, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        client.github.faults.add(**arguments)
