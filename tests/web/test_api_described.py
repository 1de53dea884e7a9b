"""Schemathesis asks the API for what its description allows and for what it does not: the answers are as described."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot.app import running
from bot.model import build, job, person, report
from bot.settings import Settings
from bot.store import Store, builds, deliveries, jobs, outcomes, results
from bot.web import rules
from tests import factories
from tests.web import gate as gates
from tests.web.gate import OPERATOR, Gate

EVERYTHING = ("--phases=examples,coverage,fuzzing,stateful", "--max-examples=40")


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def _filled(store: Store, *, repository_id: int) -> None:
    """Some of each thing, ended and not."""
    for number in range(6):
        made = factories.make_build(
            repository_id=repository_id, repository="octo/hello", head_sha=f"{number:040x}", started_at=factories.NOW
        )
        new = factories.make_new_build(made, factories.make_job())
        await store.write(outcomes.create, new, now=factories.NOW)
        await store.write(
            results.insert, new.jobs[0].id, factories.make_results(factories.make_case(state=report.State.FAILED))
        )
        if number % 2:
            ended = replace(new.jobs[0], state=job.State.FAILED, finished_at=factories.NOW)
            await store.write(jobs.save, ended)
            await store.write(
                builds.save_state,
                made.id,
                state=build.State.FAILED,
                started_at=factories.NOW,
                finished_at=factories.NOW,
            )
        await store.write(deliveries.insert_many, [factories.make_verified_delivery(repository_id=repository_id)])


async def _try(url: str, folder: Path, *options: str) -> tuple[int, str]:
    """Let it ask a service in all ways that it knows; gives its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{url}{rules.API}/openapi.json",
        # A cursor and a question are texts of which few mean anything, and most things that are named are not there.
        "--exclude-checks=positive_data_acceptance",
        "--seed=1",
        "--generation-database=none",
        "--no-color",
        *options,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode("utf-8", "replace")


async def _try_as_operator(gate: Gate, folder: Path, *options: str) -> tuple[int, str]:
    await gate.sign_in(OPERATOR)
    token = await gate.token(OPERATOR, person.Scope.READ, person.Scope.WRITE)
    await _filled(gate.house.store, repository_id=gate.hello.id)
    url = f"http://127.0.0.1:{gate.client.port}"
    return await _try(url, folder, f"--header=Authorization: Bearer {token}", *options)


async def test_what_is_described_is_answered_and_nothing_else(gate: Gate, tmp_path: Path) -> None:
    options = ("--phases=examples,fuzzing", "--max-examples=2", "--no-shrink")
    status, said = await _try_as_operator(gate, tmp_path, *options)
    assert status == 0, said


@pytest.mark.long
async def test_a_program_with_a_token_may_ask_whatever_it_likes(gate: Gate, tmp_path: Path) -> None:
    status, said = await _try_as_operator(gate, tmp_path, *EVERYTHING)
    assert status == 0, said


@pytest.mark.long
async def test_a_program_on_this_machine_may_ask_the_whole_service_whatever_it_likes(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=0)
    async with running(settings) as service:
        store = await Store(settings.effective_database_url).open()
        await _filled(store, repository_id=factories.REPOSITORY_ID)
        await store.close()
        status, said = await _try(service.url, tmp_path, *EVERYTHING)
    assert status == 0, said
