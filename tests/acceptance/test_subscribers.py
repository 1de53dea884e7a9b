"""Signed webhooks out, the whole way: a subscriber hears of builds, and one that is away keeps nothing from GitHub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bot import clock, signing
from bot.simulator import Simulator
from tests import forgeries
from tests.acceptance import process
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process
from tests.acceptance.test_rotation import until_logged
from tests.subscribers import receiver
from tests.subscribers.receiver import Receiver

POLICY = """\
[subscribers.chat]
url = "http://127.0.0.1:{port}/hook"
secret_file = "chat.secret"
allow_http = true
"""


@pytest.fixture
async def chat() -> AsyncIterator[Receiver]:
    """A subscriber's server."""
    async with receiver.receiving() as made:
        yield made


@pytest.fixture
def environment(environment: Mapping[str, str], chat: Receiver, tmp_path: Path) -> Mapping[str, str]:
    """The settings of a service with a subscriber."""
    (tmp_path / "policy.toml").write_text(POLICY.format(port=chat.port))
    (tmp_path / "chat.secret").write_text(forgeries.SECRET + "\n")
    return {**environment, "BUILDHOOK_POLICY_FILE": str(tmp_path / "policy.toml")}


async def test_a_subscriber_hears_of_a_push_from_start_to_end(
    github: Simulator, service: Process, chat: Receiver
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo hunter2"), private=True)
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="hunter2")
    await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    async with asyncio.timeout(20):
        while len(chat.received) < 2:
            await asyncio.sleep(0.02)
    bodies = [json.loads(one.body) for one in chat.received]
    for one in chat.received:
        signing.verify(one.headers, one.body, keys=[forgeries.KEY], now=clock.now())
        assert b"hunter2" not in one.body
    told = {one["type"]: one["data"]["build"] for one in bodies}
    assert {event: (one["state"], one["head_sha"]) for event, one in told.items()} == {
        "build.started": ("running", head),
        "build.finished": ("passed", head),
    }
    (made,) = await service.command("builds", "list")
    assert told["build.finished"]["id"] == made["id"]
    assert told["build.finished"]["url"] == f"{service.url}/builds/{made['id']}"
    async with asyncio.timeout(20):
        while (listed := await service.command("subscribers", "list"))[0]["unsent"]:
            await asyncio.sleep(0.1)
    assert (listed[0]["name"], listed[0]["state"], listed[0]["origin"]) == (
        "chat",
        "active",
        f"http://127.0.0.1:{chat.port}",
    )


async def test_f92_a_subscriber_that_is_gone_keeps_no_check_from_github_and_is_told_of(
    github: Simulator, service: Process, chat: Receiver, tmp_path: Path
) -> None:
    chat.status = 410
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, branch="main", files={"a.txt": "a"}, message="Add a")
    await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    await until_logged(tmp_path / "service.log", "Subscriber chat is sent nothing more", count=1)
    (found,) = await service.command("subscribers", "list")
    assert (found["state"], found["reason"]) == ("disabled", "It answered 410: it wants nothing any more.")
    assert (await service.command("subscribers", "enable", "chat"))["state"] == "active"
    status, _, err = await process.run("subscribers", "enable", "chat", environment=service.environment)
    assert (status, "is not disabled" in err) == (1, True)
    status, _, err = await process.run("subscribers", "enable", "nobody", environment=service.environment)
    assert (status, "There is no subscriber nobody" in err) == (1, True)
