"""Users' own handlers in the running service: the documented example, and ones that fail and hang beside a build."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "handlers.py"
BAD = """\
import asyncio
import time

import gidgethub.routing

router = gidgethub.routing.Router()


@router.register("push")
async def fail(event, gh):
    raise ValueError("it does not work")


@router.register("push")
async def hang(event, gh):
    await asyncio.sleep(3600)


@router.register("push")
async def block(event, gh):
    time.sleep(20)


@router.register("push")
async def ask(event, gh):
    await gh.getitem(event.data["repository"]["url"])
"""


async def runs_of(service: process.Process, event: str, *, wanted: set[str]) -> dict[str, Any]:
    """What each handler did with the newest delivery of an event, once these have come to an end of some kind."""
    async with asyncio.timeout(30):
        while True:
            (newest,) = await service.command("deliveries", "list", "--event", event, "--limit", "1")
            shown = await service.command("deliveries", "show", newest["id"])
            found = {one["handler"]: one for one in shown["handlers"]}
            if wanted <= {name for name, one in found.items() if one["state"] not in {"received", "handling"}}:
                return found
            await asyncio.sleep(0.1)


async def test_the_documented_example_thanks_for_a_pull_request_once(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    shutil.copyfile(EXAMPLE, tmp_path / "handlers.py")
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    named = {**environment, "BUILDHOOK_HANDLERS": str(tmp_path / "handlers.py")}
    async with process.serving(named, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        await github.push(repository, "topic", {"a.txt": "a"})
        pull = await github.open_pull_request(repository, head_branch="topic", author="mona")
        await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="success")
        found = await runs_of(service, "pull_request", wanted={"handlers:greet"})
        assert (found["handlers:greet"]["state"], found["handlers:greet"]["attempts"]) == ("handled", 1)
        (comment,) = github.comments_on(pull)
        assert comment.body.startswith("Thank you, @mona!")
        (newest,) = await service.command("deliveries", "list", "--event", "pull_request", "--limit", "1")
        await service.command("deliveries", "replay", newest["id"])
        async with aiohttp.ClientSession() as http, http.get(f"{service.url}/deliveries/{newest['id']}") as page:
            shown = await page.text()
        assert "What your own handlers did" in shown
        assert "handlers:greet" in shown
        async with asyncio.timeout(20):
            while (await service.command("deliveries", "show", newest["id"]))["state"] != "handled":
                await asyncio.sleep(0.1)
        assert len(github.comments_on(pull)) == 1
    assert "Traceback" not in (tmp_path / "service.log").read_text()
    assert not github.problems


async def test_f91_handlers_that_fail_hang_and_block_keep_no_build_from_happening(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"), private=True)
    named = {**environment, "BUILDHOOK_HANDLERS": str(tmp_path / "bad.py")}
    async with process.serving(named, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        for name in ("a.txt", "b.txt"):
            head = await github.push(repository, branch="main", files={name: "a"}, message="Add a file")
            await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
        found = await runs_of(service, "push", wanted={"bad:fail", "bad:ask"})
        assert found["bad:ask"]["state"] == "handled"
        assert found["bad:fail"]["error"].endswith("bad.py: it does not work")
        assert "ValueError in line 11 of " in found["bad:fail"]["error"]
        assert {found[name]["state"] for name in ("bad:hang", "bad:block")} == {"handling"}
        listed = await service.command("deliveries", "list", "--event", "push")
        assert {one["state"] for one in listed} == {"handled"}
        assert len(await service.command("builds", "list")) == 2
        # A handler that blocks does not keep the service from ending.
        assert await service.stop() == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_this_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (BAD.replace("fail(event, gh)", "fail(event)"), "bad:fail (line 9) is called as fail(event, gh)"),
    ],
)
async def test_f86_a_handler_that_cannot_be_loaded_stops_the_start_with_one_line(
    environment: Mapping[str, str], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "bad.py").write_text(text)
    named = {**environment, "BUILDHOOK_HANDLERS": str(tmp_path / "bad.py")}
    status, out, err = await process.run("serve", environment=named)
    assert (status, out) == (1, "")
    assert says in " ".join(err.split())
    assert "Traceback" not in err
