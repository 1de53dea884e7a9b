"""`buildhook dev` on a machine that nothing reaches: a relay of webhooks, the list, the keys and the watched files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.simulator import Simulator
from tests.acceptance import process, starter
from tests.acceptance.conftest import pipeline
from tests.relay.server import RelayServer, relaying

HANDLERS = """\
from gidgethub import routing

router = routing.Router()


@router.register("push")
async def {name}(event, gh):
    pass
"""
#: What a browser sends along with a form of ours.
OWN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Origin": "null"}


class Dev:
    """A running `buildhook dev --json`, at a terminal of its own."""

    def __init__(self, child: starter.Child, reader: asyncio.StreamReader, terminal: int, before: list[Any]) -> None:
        self.child = child
        self.lines: list[Any] = []
        self._reader = reader
        self.terminal = terminal
        #: How the terminal was set.
        self.before = before

    async def line(self, is_it: Callable[[Any], bool]) -> Any:
        """The next line that is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while raw := await self._reader.readline():
                    self.lines.append(json.loads(raw))
                    if is_it(self.lines[-1]):
                        return self.lines[-1]
        raise AssertionError(self.lines)

    async def said(self, text: str) -> str:
        """The next sentence with this text."""
        found: str = (await self.line(lambda line: text in line.get("said", "")))["said"]
        return found

    def press(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())


@contextlib.asynccontextmanager
async def _dev(environment: Mapping[str, str], *arguments: str, folder: Path) -> AsyncIterator[Dev]:
    terminal, its_terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    hearing, said = os.pipe()
    with (folder / "dev.log").open("ab") as log:
        fds = (its_terminal, said, log.fileno())
        child = starter.start(("dev", "--json", *arguments), env=environment, cwd=folder, fds=fds)
    os.close(said)
    os.close(its_terminal)
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(hearing, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    try:
        yield Dev(child, reader, terminal, before)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        os.close(terminal)
        transport.close()


@pytest.fixture
async def relay() -> AsyncIterator[RelayServer]:
    async with relaying() as its:
        yield its


@pytest.mark.long
async def test_what_comes_by_a_relay_is_built_listed_and_replayed_by_a_key(
    github: Simulator, relay: RelayServer, tmp_path: Path
) -> None:
    environment = process.for_github(github, tmp_path / "data", handlers="handlers.py", policy_file="policy.toml")
    (tmp_path / "handlers.py").write_text(HANDLERS.format(name="first"))
    (tmp_path / "policy.toml").write_text("")
    channel = f"{relay.url}/channel"
    github.webhook_url = channel
    async with _dev(environment, "--relay", channel, folder=tmp_path) as dev:
        ready = await dev.line(lambda line: "url" in line)
        await dev.said(f"come by {channel}")
        await relay.until_listening()

        # The way of a push, which GitHub's own signature proves.
        await github.create_repository("octo/hello", files=pipeline("echo well"))
        head = await github.push("octo/hello", "main", {"größe.txt": "☃\n"}, message="Größe \u2028 ☃")
        await github.wait_for_check("octo/hello", head, conclusion="success")
        handled = await dev.line(lambda line: line.get("event") == "push" and line["state"] == "handled")
        assert handled["repository"] == "octo/hello"

        # What somebody else posts to the channel is refused by the door, and never stored.
        forged = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": "forged-1"}
        async with aiohttp.ClientSession() as stranger:
            for signature in ({}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}):
                async with stranger.post(channel, json={"ref": "refs/heads/main"}, headers=forged | signature):
                    pass
                assert "401" in await dev.said("push forged-1 was refused")
        # GitHub was told all the while that everything is well.
        assert {one.status_code for one in github.deliveries} == {200}

        # A key replays what was proved when it came.
        dev.press("x")
        await dev.said("keys:")
        dev.press("r")
        again = await dev.said("Again: ")
        assert again.split()[-1] in {one.guid for one in github.deliveries}
        await dev.line(lambda line: line.get("delivery") == again.split()[-1] and line["state"] != "handling")
        dev.press("9")
        assert await dev.said("")

        # Files that change are read again; a wrong one changes nothing.
        (tmp_path / "handlers.py").write_text(HANDLERS.format(name="second"))
        await dev.said("Read again: handlers.py")
        (tmp_path / "policy.toml").write_text("nonsense")
        await dev.said("wrong, so all stays as it was")
        (tmp_path / "policy.toml").write_text("[access]\noperators = []\n")
        await dev.said("Read again: ")

        # A relay that goes away is asked for again.
        relay.cut()
        await dev.said("The relay is away")
        await relay.until_listening(times=2)
        head = await github.push("octo/hello", "main", {"b": "c"})
        await github.wait_for_check("octo/hello", head, conclusion="success")
        assert ready["url"].startswith("http://127.0.0.1:")
        dev.press("q")
        assert await asyncio.wait_for(dev.child.wait(), process.STOP_SECONDS) == 0
    log = (tmp_path / "dev.log").read_text()
    assert "Traceback" not in log
    status, out, err = await process.run("deliveries", "list", "--json", environment=environment)
    assert status == 0, err
    assert "forged" not in out


@pytest.mark.long
async def test_an_app_is_set_up_through_a_relay_that_makes_a_channel(
    github: Simulator, relay: RelayServer, tmp_path: Path
) -> None:
    """The set-up page knows the channel, and the ping that proves the webhook comes by it."""
    environment = process.environment(tmp_path / "data", github_api_url=github.api_url)
    async with _dev(environment, "--relay", f"{relay.url}/new", folder=tmp_path) as dev:
        ready = await dev.line(lambda line: "setup" in line)
        channel = (await dev.said("GitHub's webhooks come by ")).split()[-1].rstrip(".")
        await relay.until_listening()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(ready["setup"], headers={"Accept": "text/html"}) as answer:
                assert f'value="{channel}"' in await answer.text()
            github.webhook_url = channel
            github.ping()
            await github.hooks.settle()
            form = {
                "token": ready["setup"].partition("=")[2],
                "app_id": str(github.app_id),
                "private_key": github.private_key,
                "webhook_secret": str(github.webhook_secret),
            }
            async with browser.post(f"{ready['url']}/setup/existing", data=form, headers=OWN) as answer:
                assert "The webhook works" in await answer.text()
        await dev.said("settings.env")
        dev.press("q")
        assert await asyncio.wait_for(dev.child.wait(), process.STOP_SECONDS) == 0
    kept = tmp_path / "data" / "relay.url"
    assert kept.read_text().strip() == channel
    assert kept.stat().st_mode & 0o777 == 0o600
    # The next start listens to the same channel, which the App's webhook leads to.
    async with _dev(environment, "--relay", f"{relay.url}/new", folder=tmp_path) as dev:
        await dev.said(f"come by {channel}")
    status, _, err = await process.run("dev", "--relay", "http://smee.example/x", environment=environment)
    assert (status, "write https://" in err) == (1, True)


@pytest.mark.long
async def test_a_terminal_is_given_back_as_it_was_and_ctrl_c_ends_it(github: Simulator, tmp_path: Path) -> None:
    environment = process.for_github(github, tmp_path / "data")
    async with _dev(environment, folder=tmp_path) as dev:
        await dev.said("keys:")
        # Each key comes at once and is not shown.
        assert not termios.tcgetattr(dev.terminal)[3] & (termios.ICANON | termios.ECHO)
        dev.child.terminate()
        assert await asyncio.wait_for(dev.child.wait(), process.STOP_SECONDS) == 0
        assert termios.tcgetattr(dev.terminal) == dev.before
    log = (tmp_path / "dev.log").read_text()
    assert "Traceback" not in log
