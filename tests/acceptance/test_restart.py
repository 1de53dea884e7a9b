"""The service dies and comes back: the same run of the build goes on, and there is one check run."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Repository, Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline


@pytest.mark.parametrize(
    ("kills", "seconds"), [(2, 0.5), pytest.param(10, 3, marks=pytest.mark.long)], ids=["2-kills", "10-kills-in-30s"]
)
async def test_f3_f5_kill_9_again_and_again_during_a_build_and_the_same_run_goes_on(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path, kills: int, seconds: float
) -> None:
    command = "echo begins; n=0; until test -e go; do n=$((n+1)); echo line $n; sleep 0.1; done; echo ends"
    repository = await github.create_repository("octo/hello", files=pipeline(command))
    log = tmp_path / "service.log"
    head, job_id, seen = "", "", 0
    for _ in range(kills):
        async with process.serving(environment, log=log) as service:
            github.webhook_url = service.webhook_url
            head = head or await github.push(repository, "main", {"a.txt": "a"})
            if not job_id:
                await github.wait_until(functools.partial(_is_running, github, repository, head))
                job_id = await _only_job(service)
            # Each life of the service sees the build go on, for some seconds of it.
            until = seen + seconds * 10
            while (seen := len(await _lines(service, job_id))) <= until:
                pass
            await service.kill()
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        (Path(environment["BUILDHOOK_DATA_DIR"]) / "engine/jobs" / job_id / "box/workspace/go").touch()
        run = await github.wait_for_check(repository, head, conclusion="success")
        begins, *lines, ends = (await service.command("logs", job_id))["log"].splitlines()
        assert (begins, ends) == ("begins", "ends")
        assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
        assert len(lines) >= seen
    assert [one.id for one in github.check_runs(repository, head)] == [run.id]
    assert "Traceback" not in log.read_text()


def _is_running(github: Simulator, repository: Repository, head: str) -> bool:
    return any(one.status == "in_progress" for one in github.check_runs(repository, head))


async def _only_job(service: process.Process) -> str:
    """The id of the only job of the only build."""
    (made,) = await service.command("builds", "list")
    (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
    return str(job["id"])


async def _lines(service: process.Process, job_id: str) -> list[str]:
    """What the job said, as far as it goes, without gap."""
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/jobs/{job_id}/log") as answer:
        assert answer.status == 200
        said = (await answer.text()).splitlines()
    assert said[:1] in ([], ["begins"])
    lines = said[1:]
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    return lines


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
