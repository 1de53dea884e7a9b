"""The service is away while things happen on GitHub: when it is back it makes up for all of them, without a human."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline


@pytest.fixture
def fixed(github: Simulator, environment: Mapping[str, str], database_url: str) -> Mapping[str, str]:
    """The settings of a service on either database whose address is known while it is away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    github.webhook_url = f"http://127.0.0.1:{port}/webhook"
    return {**environment, "BUILDHOOK_PORT": str(port), "BUILDHOOK_DATABASE_URL": database_url}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [8, pytest.param(50, marks=pytest.mark.long)], ids=lambda count: f"{count} pushes")
async def test_f45_pushes_during_an_outage_are_all_built_and_none_twice(
    github: Simulator, fixed: Mapping[str, str], tmp_path: Path, count: int
) -> None:
    log = tmp_path / "service.log"
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    async with process.serving(fixed, log=log) as service:
        first = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_for_check(repository, first, conclusion="success", timeout_seconds=60)
        assert await service.stop() == 0
    await github.push_many(repository, [f"branch-{number}" for number in range(count)])
    await github.hooks.settle()
    heads = [sha for name, sha in repository.heads.items() if name.startswith("branch-")]
    assert all(one.status_code == 502 for one in github.deliveries[-count:])
    async with process.serving(fixed, log=log) as service:
        for head in heads:
            await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=200)
        builds = await service.command("builds", "list", "--limit", "1000")
        assert sorted(one["head_sha"] for one in builds) == sorted([first, *heads])
    for head in (first, *heads):
        assert len(github.check_runs(repository, head)) == 1
    assert "Traceback" not in log.read_text()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_f9_f46_after_four_days_the_state_of_github_is_built(
    github: Simulator, fixed: Mapping[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "service.log"
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    async with process.serving(fixed, log=log) as service:
        first = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_for_check(repository, first, conclusion="success", timeout_seconds=60)
        await github.hooks.settle()
        await service.kill()
    passed_over = await github.push(repository, "main", {"a.txt": "b"})
    head = await github.push(repository, "main", {"a.txt": "c"})
    feature = await github.push(repository, "feature", {"b.txt": "b"})
    await github.open_pull_request(repository, "feature")
    await github.hooks.settle()
    for one in github.deliveries:
        one.created_at -= timedelta(days=4)
    async with process.serving(fixed, log=log) as service:
        for sha in (head, feature):
            await github.wait_for_check(repository, sha, conclusion="success", timeout_seconds=240)
        made = await service.command("builds", "list")
        assert sorted(one["head_sha"] for one in made) == sorted([first, head, feature])
    assert github.check_runs(repository, passed_over) == []
    assert {len(github.check_runs(repository, sha)) for sha in (first, head, feature)} == {1}
    assert "Traceback" not in log.read_text()
