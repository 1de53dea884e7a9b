"""Limits as GitHub sets and tells them, and who does not keep to them."""

from __future__ import annotations

import contextlib
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from bot.simulator import Repository, limits
from tests.simulator.conftest import Client, Reply

PATH = "/repos/octo/hello"


@pytest.fixture(autouse=True)
def _strict(client: Client) -> None:
    """These tests send one call after the other, so none is under way when an answer comes."""
    client.github.waits.grace_seconds = 0.0


async def write(client: Client, repository: Repository) -> Reply:
    return await client("POST", f"{PATH}/check-runs", {"name": "buildhook", "head_sha": repository.heads["main"]})


async def test_a_limit_ends_with_its_window(client: Client, repository: Repository) -> None:
    github = client.github
    github.rates.limit, github.rates.window_seconds = 2, 2.0
    answers = [await client("GET", PATH) for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 403]
    assert answers[2].body["message"].startswith("API rate limit exceeded")
    assert (answers[2].headers["X-RateLimit-Remaining"], "Retry-After" in answers[2].headers) == ("0", False)
    date = parsedate_to_datetime(answers[2].headers["Date"]).timestamp()
    assert 0 < int(answers[2].headers["X-RateLimit-Reset"]) - date <= 4
    github.clock.advance(3)
    assert (await client("GET", PATH)).status == 200


async def test_a_limit_can_be_used_up_at_once(client: Client, repository: Repository) -> None:
    github = client.github
    installation = github.installation_of("octo")
    assert installation is not None
    github.rates.use_up(installation)
    assert (await client("GET", PATH)).status == 403
    assert (await client.as_app("GET", "/app")).status == 200
    github.rates.use_up(f"app {github.app_id}")
    assert (await client.as_app("GET", "/app")).status == 403
    github.clock.advance(3601)
    assert (await client("GET", PATH)).status == 200


@pytest.mark.parametrize(
    ("rule", "reads", "writes"), [({"writes": 3}, 0, 3), ({"points": 16}, 16, 0), ({"points": 16}, 1, 3)]
)
@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("tells_when", [True, False])
async def test_a_secondary_limit_counts_points_and_writes(
    client: Client,
    repository: Repository,
    rule: dict[str, Any],
    reads: int,
    writes: int,
    status: int,
    tells_when: bool,
) -> None:
    github = client.github
    github.rates.secondary = limits.Secondary(**rule, window_seconds=20.0, status=status, tells_when=tells_when)
    assert [(await client("GET", PATH)).status for _ in range(reads)] == [200] * reads
    assert [(await write(client, repository)).status for _ in range(writes)] == [201] * writes
    refused = await write(client, repository)
    assert (refused.status, refused.body["message"]) == (status, limits.SECONDARY)
    assert refused.headers.get("Retry-After") == ("20" if tells_when else None)
    assert int(refused.headers["X-RateLimit-Remaining"]) > 0
    assert len(github.check_runs(repository)) == writes
    assert (await client.as_app("GET", "/app")).status == 200
    github.clock.advance(20)
    assert (await write(client, repository)).status == 201


async def test_a_call_inside_a_wait_is_listed(client: Client, repository: Repository) -> None:
    github = client.github
    github.rates.secondary = limits.Secondary(writes=1, window_seconds=20.0)
    await write(client, repository)
    await write(client, repository)
    assert github.calls_inside_waits == []
    await client.as_app("GET", "/app")
    assert (await client("GET", "/rate_limit")).status == 403
    assert github.calls_inside_waits == []
    github.clock.advance(5)
    await client("GET", PATH)
    (broken,) = github.calls_inside_waits
    assert (broken.account, broken.method, broken.path) == ("installation 50000001", "GET", PATH)
    assert broken.seconds_after >= 5
    assert 0 < broken.seconds_early <= 15
    github.clock.advance(16)
    await client("GET", PATH)
    assert len(github.calls_inside_waits) == 1


async def test_a_refusal_without_a_time_means_a_minute(client: Client, repository: Repository) -> None:
    github = client.github
    github.rates.secondary = limits.Secondary(writes=1, window_seconds=20.0, tells_when=False)
    await write(client, repository)
    await write(client, repository)
    github.clock.advance(30)
    assert (await client("GET", PATH)).status == 200
    assert len(github.calls_inside_waits) == 1
    github.clock.advance(31)
    assert (await client("GET", PATH)).status == 200
    assert len(github.calls_inside_waits) == 1


async def test_the_last_call_of_a_limit_says_that_it_is_the_last(client: Client, repository: Repository) -> None:
    client.github.rates.limit = 1
    assert (await client("GET", PATH)).status == 200
    assert (await client("GET", PATH)).status == 403
    assert len(client.github.calls_inside_waits) == 1


async def test_a_wait_that_was_ordered_counts_too(client: Client, repository: Repository) -> None:
    github = client.github
    github.faults.add(status=429, headers={"Retry-After": "30"}, body={"message": "Slow down"})
    assert (await client("GET", PATH)).status == 429
    assert (await client("GET", PATH)).status == 200
    assert len(github.calls_inside_waits) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403, "body": {"message": "Resource not accessible by integration"}},
        {"status": 503, "headers": {"Retry-After": "30"}},
        {"status": 403, "headers": {"Retry-After": "soon"}, "body": {"message": "No"}},
        {"drop_before": True, "headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}},
    ],
)
async def test_other_answers_ask_for_no_wait(client: Client, repository: Repository, fault: dict[str, Any]) -> None:
    github = client.github
    github.faults.add(**fault)
    with contextlib.suppress(aiohttp.ClientError):
        await client("GET", PATH)
    assert (await client("GET", PATH)).status == 200
    assert github.calls_inside_waits == []


async def test_a_call_that_was_under_way_is_forgiven(client: Client, repository: Repository) -> None:
    github = client.github
    github.waits.grace_seconds = 5.0
    github.faults.add(status=429, headers={"Retry-After": "30"})
    await client("GET", PATH)
    await client("GET", PATH)
    assert github.calls_inside_waits == []
    # A second refusal does not begin the grace anew.
    github.clock.advance(4)
    github.faults.add(status=429, headers={"Retry-After": "60"})
    await client("GET", PATH)
    github.clock.advance(4)
    await client("GET", PATH)
    assert len(github.calls_inside_waits) == 1
