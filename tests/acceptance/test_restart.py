"""The service dies and comes back: the same run of the build goes on, and there is one check run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline


@pytest.mark.parametrize(
    "seconds", [4, pytest.param(10, marks=pytest.mark.long)], ids=lambda seconds: f"{seconds}s build"
)
async def test_f3_kill_9_during_a_build_and_the_same_run_goes_on(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path, seconds: int
) -> None:
    command = f"echo begins; for i in $(seq {seconds * 10}); do echo line $i; sleep 0.1; done; echo ends"
    repository = await github.create_repository("octo/hello", files=pipeline(command))
    log = tmp_path / "service.log"
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
        (made,) = await service.command("builds", "list")
        (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
        while not (await service.command("logs", job["id"]))["log"].count("line"):
            pass
        await service.kill()
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        run = await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=seconds + 20)
        lines = (await service.command("logs", job["id"]))["log"].splitlines()
        assert [one for one in lines if one in {"begins", "ends"}] == ["begins", "ends"]
        assert [one for one in lines if one.startswith("line ")] == [f"line {i}" for i in range(1, seconds * 10 + 1)]
    assert [one.id for one in github.check_runs(repository, head)] == [run.id]
    assert "Traceback" not in log.read_text()


async def test_f2_a_delivery_that_was_answered_is_handled_after_a_kill(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    # GitHub's API is away, so that nothing can be decided before the kill.
    github.faults.add(path="", status=502, html=True, times=None)
    async with process.serving(environment, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.hooks.settle()
        assert [one.status_code for one in github.deliveries if one.event == "push"] == [202]
        await service.kill()
    github.faults.clear()
    async with process.serving(environment, log=tmp_path / "service.log") as service:
        await github.wait_for_check(repository, head, conclusion="success")
        assert len(await service.command("builds", "list")) == 1


async def test_f6_a_check_run_whose_answer_was_lost_is_found_and_not_made_twice(
    github: Simulator, service: process.Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    github.faults.add(method="POST", path="/check-runs$", drop_response_after_applying=True)
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_for_check(repository, head, conclusion="success")
    assert len(github.check_runs(repository, head)) == 1


async def test_f80_sigterm_ends_with_status_0_and_leaves_the_build_running(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("sleep 3; echo done"))
    async with process.serving(environment, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
        assert await service.stop() == 0
    async with process.serving(environment, log=tmp_path / "service.log"):
        await github.wait_for_check(repository, head, conclusion="success")
    assert len(github.check_runs(repository, head)) == 1


async def test_f25_a_second_service_on_the_same_data_is_refused(service: process.Process) -> None:
    status, _, err = await process.run("serve", environment=service.environment)
    assert status == 1
    assert "another buildhook already serves" in err
    assert "Traceback" not in err
