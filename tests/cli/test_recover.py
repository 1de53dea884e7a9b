"""`buildhook deliveries recover`, as people run it: beside a service and without one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance import process


@pytest.fixture
async def github(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A GitHub that finds nobody at the other end."""
    async with Simulator(folder=tmp_path / "github", webhook_url="http://127.0.0.1:9/webhook") as simulator:
        yield simulator


def _environment(github: Simulator, data: Path) -> dict[str, str]:
    return process.for_github(
        github,
        data,
    )


async def test_beside_a_service_it_is_sent_again(github: Simulator, tmp_path: Path) -> None:
    async with process.serving(_environment(github, tmp_path / "data"), log=tmp_path / "service.log") as service:
        # What happened until its first look is the service's own to find.
        await github.wait_until(lambda: any("/hook/deliveries" in one.path for one in github.requests))
        await github.create_repository("octo/hello", {"a.txt": "a"})
        await github.hooks.settle()
        missing = {one.guid for one in github.deliveries}
        github.webhook_url = service.webhook_url
        done = await service.command("deliveries", "recover", "--since", "1h")
        assert {one["id"]: one["outcome"] for one in done} == dict.fromkeys(missing, "arrived")
        assert [one.status_code for one in github.deliveries if one.redelivery] == [202] * len(missing)


async def test_without_a_service_it_is_fetched(github: Simulator, tmp_path: Path, empty_database: Path) -> None:
    (tmp_path / "buildhook.db").write_bytes(empty_database.read_bytes())
    environment = _environment(github, tmp_path)
    await github.create_repository("octo/hello", {"a.txt": "a"})
    await github.hooks.settle()
    (missing,) = github.deliveries
    status, out, err = await process.run("deliveries", "recover", "--json", environment=environment)
    assert (status, err) == (0, "")
    assert [(one["id"], one["outcome"]) for one in json.loads(out)] == [(missing.guid, "fetched")]
    status, out, _ = await process.run("deliveries", "show", missing.guid, environment=environment)
    assert ("received" in out, "source" in out) == (True, True)
    status, out, _ = await process.run("deliveries", "recover", "--since", "2026-03-04", environment=environment)
    assert (status, out) == (0, "Nothing is missing.\n")


@pytest.mark.parametrize("since", ["yesterday", "3w", "-1h", "2026-13-01"])
async def test_a_time_that_is_none_is_told_of(github: Simulator, tmp_path: Path, since: str) -> None:
    environment = _environment(github, tmp_path / "data")
    status, _, err = await process.run("deliveries", "recover", f"--since={since}", environment=environment)
    assert status == 2
    assert "30m, 2h, 3d" in err
    assert "Traceback" not in err


async def test_without_credentials_github_cannot_be_asked(tmp_path: Path, empty_database: Path) -> None:
    (tmp_path / "buildhook.db").write_bytes(empty_database.read_bytes())
    status, _, err = await process.run("deliveries", "recover", environment=process.environment(tmp_path))
    assert status == 1
    assert "BUILDHOOK_APP_ID" in err
