"""A service whose finished logs and artifacts go to an object store, which is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Simulator
from bot.store import Store, artifacts
from tests.acceptance import process
from tests.logs import s3

pytestmark = pytest.mark.xdist_group("s3")

FILE = """\
on: push
jobs:
  build:
    steps:
      - run: echo told; echo kept > kept.txt
    artifacts:
      - {name: kept, path: kept.txt}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3.serving() as port:
        yield port


def left(data_dir: Path) -> list[Path]:
    return [path for folder in ("logs", "artifacts") for path in (data_dir / folder).rglob("*.*")]


async def built(github: Simulator, store: Store, name: str) -> tuple[str, str]:
    """The job and the artifact of a push."""
    head = await github.push("octo/hello", name, {".buildhook.yml": FILE, "name": name})
    run = await github.wait_for_check(github.repository("octo/hello"), head, name="buildhook", conclusion="success")
    (made,) = await store.read(artifacts.list_of_jobs, [run.external_id])
    return made.job_id, made.id


@pytest.mark.timeout(120)
async def test_f22_a_store_that_is_away_holds_up_no_build_and_loses_nothing(
    github: Simulator, environment: Mapping[str, str], server: int, tmp_path: Path
) -> None:
    await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    data_dir = Path(environment["BUILDHOOK_DATA_DIR"])
    async with s3.Line(server).open() as line, aiohttp.ClientSession() as http:
        given = {**environment, **line.environment, "BUILDHOOK_STORAGE_URL": s3.URL}
        async with process.serving(given, log=tmp_path / "service.log") as service:
            github.webhook_url = service.webhook_url

            async def look(path: str) -> tuple[int, bytes]:
                async with http.get(f"{service.url}{path}", headers={"Accept": "text/html"}) as answer:
                    return answer.status, await answer.read()

            store = await Store(f"sqlite:///{data_dir}/buildhook.db").open(upgrade=False)
            job, artifact = await built(github, store, "one")
            while left(data_dir):
                await asyncio.sleep(0.02)
            assert await look(f"/jobs/{job}/log") == (200, b"told\n")
            status, page = await look(f"/jobs/{job}")
            assert (status, b"told" in page) == (200, True)
            assert (await look(f"/artifacts/{artifact}"))[1].startswith(b"PK")
            await service.command("artifacts", "get", artifact, "--output", str(tmp_path / "kept.zip"))
            assert (tmp_path / "kept.zip").read_bytes().startswith(b"PK")
            assert (await service.command("backup", str(tmp_path / "b.tar")))["logs_elsewhere"] == 1
            line.is_up = False
            other, _ = await built(github, store, "two")
            await store.close()
            assert await look(f"/jobs/{other}/log") == (200, b"told\n")
            assert len(left(data_dir)) == 2
            # Of a log that was looked at a moment ago the service still has what it looked at.
            assert await look(f"/jobs/{job}/log") == (200, b"told\n")
            status, page = await look(f"/artifacts/{artifact}")
            assert (status, b"The object store s3://logs-of-ours/here cannot be used right now" in page) == (503, True)
            code, _, said = await process.run("logs", job, environment=given)
            assert (code, said.count("\n")) == (1, 1)
            assert "The object store s3://logs-of-ours/here cannot be used right now: no connection." in said
            line.is_up = True
            while left(data_dir):
                await asyncio.sleep(0.02)
            assert await look(f"/jobs/{other}/log") == (200, b"told\n")
            assert await service.stop() == 0
    assert "Traceback" not in (tmp_path / "service.log").read_text()


async def test_f86_a_bucket_that_is_not_there_stops_the_start_with_one_line(
    environment: Mapping[str, str], server: int
) -> None:
    line = s3.Line(server)
    async with line.open():
        given = {**environment, **line.environment, "BUILDHOOK_STORAGE_URL": "s3://nobody-has-this"}
        code, _, said = await process.run("serve", environment=given)
    assert code == 1
    assert said.splitlines()[-1].endswith("BUILDHOOK_STORAGE_URL: s3://nobody-has-this: there is no such bucket.")
    assert "Traceback" not in said
