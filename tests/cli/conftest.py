"""A data folder with something in it, and commands run on it as people run them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot import clock
from bot.logs import LogStore
from bot.model import build, job
from bot.store import Store, builds, deliveries, jobs, outcomes
from tests import factories
from tests.acceptance import process

HOSTILE = "\x1b]0;owned\x07\x1b[2Jmain\n[red]\x9b2J\u202e"


@dataclass
class Shell:
    """A place to run commands in."""

    data_dir: Path
    delivery_id: str
    build_id: str
    job_id: str

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command; gives status, standard output and standard error."""
        return await process.run(*arguments, environment=process.environment(self.data_dir))

    async def json(self, *arguments: str) -> Any:
        """Run one command with `--json`."""
        status, out, err = await self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)


@pytest.fixture
async def shell(tmp_path: Path, empty_database: Path) -> Shell:
    """One parked delivery, and one failed build with its log."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(empty_database, data / "buildhook.db")
    store = await Store(f"sqlite:///{data / 'buildhook.db'}").open()
    new = factories.make_verified_delivery(
        event="push", repository="octo/hello", received_at=clock.now(), body=b'{"ref": "refs/heads/main"}'
    )
    await store.write(deliveries.insert_many, [new])
    (claimed,) = await store.write(
        deliveries.claim_next, now=clock.now(), owner="test", lease=clock.now() - factories.NOW, limit=1
    )
    await store.write(deliveries.fail, claimed, error=f"It failed: {HOSTILE}", next_attempt_at=None)
    made = factories.make_new_build(factories.make_build(title=HOSTILE, plan_digest="d" * 64))
    await store.write(outcomes.create, made, now=clock.now())
    (one,) = made.jobs
    ended = replace(one, state=job.State.FAILED, reason="exit status 1", finished_at=clock.now())
    await store.write(jobs.save, ended)
    await store.write(
        builds.save_state, made.build.id, state=build.State.FAILED, started_at=None, finished_at=clock.now()
    )
    await store.close()
    logs = LogStore(data / "logs")
    await logs.append(one.id, offset_bytes=0, data=b"first\n\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07end\n")
    await logs.close()
    return Shell(data, new.guid, made.build.id, one.id)
