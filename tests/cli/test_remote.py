"""The command line asks a service through its API, and says the same as on the database."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from bot import errors
from bot.app import running
from bot.cli.remote import Server
from bot.logs import ArtifactStore
from bot.model import artifact, job, person
from bot.settings import Settings
from bot.shapes import built
from bot.store import Store, artifacts, audit
from tests import factories
from tests.acceptance import process
from tests.cli.conftest import Shell
from tests.web import gate as gates

TOKEN = "BUILDHOOK_TOKEN"


@dataclass
class There:
    """A service, and a place without a database to ask it from."""

    url: str
    shell: Shell
    environment: Mapping[str, str]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command that asks the service."""
        return await process.run(*arguments, "--server", self.url, environment=self.environment)

    async def json(self, *arguments: str) -> Any:
        """Run one command that asks the service with `--json`."""
        status, out, err = await self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)


@pytest.fixture
async def there(shell: Shell, tmp_path: Path) -> AsyncIterator[There]:
    async with running(Settings(data_dir=shell.data_dir, port=0)) as service:
        yield There(url=service.url, shell=shell, environment=process.environment(tmp_path / "nothing"))


def timeless(said: tuple[int, str, str]) -> tuple[int, str, str]:
    """A second may pass between two commands."""
    return said[0], re.sub(r"\d+s ago +", "now ", said[1]), said[2]


async def test_what_a_service_says_is_what_its_database_holds(there: There) -> None:
    shell = there.shell
    for arguments in (
        ("builds", "list"),
        ("builds", "list", "--state", "passed", "--head", "topic"),
        ("builds", "list", "--sha", factories.HEAD_SHA),
        ("builds", "show", shell.build_id),
        ("deliveries", "list", "--event", "push", "--repo", "octo/hello"),
        ("deliveries", "show", shell.delivery_id),
        ("explain", shell.delivery_id),
        ("explain", "6f2c1b7a"),
        ("explain", "octo/hello#7"),
        ("logs", shell.job_id),
        ("artifacts", "list", shell.build_id),
    ):
        assert timeless(await there.run(*arguments)) == timeless(await shell.run(*arguments)), arguments
        assert await there.json(*arguments) == await shell.json(*arguments), arguments
    for raw in ((shell.build_id,), (shell.job_id, "--raw"), (shell.job_id, "--follow")):
        assert await there.run("logs", *raw) == await shell.run("logs", *raw)


async def test_changes_are_asked_of_the_service(there: There) -> None:
    shell = there.shell
    made = await there.json("builds", "retry", shell.build_id, "--failed")
    assert (made["generation"], made["origin_id"]) == (2, shell.build_id)
    assert await there.json("builds", "cancel", made["id"]) == {"id": made["id"], "cancel": "requested"}
    assert (await there.json("deliveries", "replay", shell.delivery_id))["state"] == "received"
    started = await there.json("builds", "start", "octo/hello", "--ref", "main", "--wait", "0")
    assert (started["state"], started["build"]) == ("received", None)
    store = await Store(f"sqlite:///{shell.data_dir / 'buildhook.db'}").open()
    found = await store.read(audit.list_newest, limit=9)
    await store.close()
    assert {str(one.via) for one in found} == {"api"}
    assert [str(one.action) for one in found] == ["start", "replay", "cancel", "retry"]


async def test_what_the_service_refuses_is_said_as_it_says_it(there: There) -> None:
    for arguments, said in (
        (("builds", "cancel", there.shell.build_id), "has ended"),
        (("builds", "show", "01JZZZ1X5GQKSTZ8V0A9E2M3N4"), "It was deleted"),
        (("builds", "show", "../queue"), "There is nothing here"),
        (("builds", "retry", there.shell.build_id, "--job", "test"), "leave out --job"),
    ):
        status, _, err = await there.run(*arguments)
        assert (status, said in err) == (1, True), err


async def test_an_artifact_is_saved_from_a_service(there: There, tmp_path: Path) -> None:
    kept = artifact.Artifact(
        id=factories.new_id(),
        job_id=there.shell.job_id,
        name="a.txt",
        size_bytes=3,
        sha256="0" * 64,
        files=1,
        created_at=factories.NOW,
    )
    store = await Store(f"sqlite:///{there.shell.data_dir / 'buildhook.db'}").open()
    await store.write(artifacts.replace_of_job, there.shell.job_id, [kept])
    await store.close()

    async def copy(path: Path) -> None:
        path.write_bytes(b"zip")

    await ArtifactStore(there.shell.data_dir / "artifacts").put(kept.id, copy)
    target = tmp_path / "here.zip"
    assert (await there.json("artifacts", "get", kept.id, "-o", str(target)))["file"] == str(target)
    assert target.read_bytes() == b"zip"


async def test_t103_a_token_is_shown_to_a_service_that_takes_people(tmp_path: Path) -> None:
    async with gates.gate(tmp_path) as gate:
        made = factories.make_build(repository_id=gate.hello.id, repository="octo/hello")
        await gate.house.add_job(of=made, state=job.State.RUNNING)
        await gate.sign_in("reader")
        token = await gate.token("reader", person.Scope.READ)
        environment = {
            **process.environment(tmp_path / "nothing"),
            "BUILDHOOK_SERVER": f"http://127.0.0.1:{gate.client.port}",
        }
        status, out, err = await process.run("builds", "list", "--json", environment={**environment, TOKEN: token})
        assert [one["id"] for one in json.loads(out)] == [made.id], (status, err)
        status, _, err = await process.run("builds", "cancel", made.id, environment={**environment, TOKEN: token})
        assert (status, "may only read" in err) == (1, True)
        for wrong in ({}, {TOKEN: "bhk_" + "A" * 43}):
            status, _, err = await process.run("builds", "list", environment={**environment, **wrong})
            assert (status, "set BUILDHOOK_TOKEN" in err) == (4, True)
            assert "AAAA" not in err


@pytest.mark.parametrize(
    "url",
    [
        "http://builds.example.com",
        "builds.example.com",
        "ftp://builds.example.com",
        "https://builds.example.com/path",
        "https://user:secret@builds.example.com",
        "https://builds.example.com?x=1",
        "https://",
        "http://127.0.0.1.example.com",
    ],
)
def test_t103_a_token_goes_over_tls_or_to_this_machine(url: str) -> None:
    with pytest.raises(errors.SettingsError) as told:
        Server(url, token="bhk_CanarySecret")
    assert "ecret" not in str(told.value).replace("secrets", "")


async def test_a_service_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    environment = process.environment(tmp_path)
    status, _, err = await process.run("builds", "list", "--server", "http://127.0.0.1:1", environment=environment)
    assert status == 1
    assert "cannot be reached" in err


async def test_a_change_whose_answer_is_lost_is_sent_again_with_its_key_and_done_once(there: There) -> None:
    lost: list[str] = []

    async def pass_on(request: web.Request) -> web.StreamResponse:
        async with (
            ClientSession() as session,
            session.post(there.url + request.path, data=await request.read(), headers=_passed(request)) as answer,
        ):
            body = await answer.read()
        lost.append(request.headers["Idempotency-Key"])
        if len(lost) < 3:
            # It was done, and nobody hears of it.
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    proxy = web.Application()
    proxy.router.add_post("/{path:.*}", pass_on)
    async with TestServer(proxy, host="127.0.0.1") as server, Server(str(server.make_url("")), token=None) as remote:
        made = await remote.post(f"/builds/{there.shell.build_id}/retry", {"only_failed": False}, built.Build)
    assert len(lost) == 3
    assert len(set(lost)) == 1
    found = await there.json("builds", "list")
    assert [one["id"] for one in found] == [made.id, there.shell.build_id]


def _passed(request: web.Request) -> dict[str, str]:
    return {name: request.headers[name] for name in ("Idempotency-Key", "Content-Type")}
