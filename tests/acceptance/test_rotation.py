"""The webhook's secret changes while deliveries come in: none is refused."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from bot.simulator import Simulator
from tests.acceptance import process

OLD, NEW = "the secret of yesterday", "the secret of tomorrow"


async def until_logged(log: Path, text: str, *, count: int) -> None:
    """Wait until the service has written a line so often."""
    async with asyncio.timeout(20):
        while log.read_text().count(text) < count:
            await asyncio.sleep(0.02)


async def test_f87_a_new_webhook_secret_is_taken_under_load_and_no_delivery_is_refused(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    data = Path(environment["BUILDHOOK_DATA_DIR"])
    data.mkdir()
    kept = {name: value for name, value in environment.items() if name != "BUILDHOOK_WEBHOOK_SECRET"}
    settings, log = data / "settings.env", tmp_path / "service.log"
    settings.write_text(f"BUILDHOOK_WEBHOOK_SECRET={OLD}\n")
    github.webhook_secret = OLD
    answers: list[int] = []

    async def deliver_on(url: str, number: int) -> None:
        async with aiohttp.ClientSession() as session:
            for turn in range(10_000):
                body = b'{"zen":"Keep it logically awesome."}'
                # Signed with what GitHub has at this very moment.
                headers = github.hooks.headers(body, event="ping", guid=f"rotated-{number}-{turn}")
                async with session.post(url, data=body, headers=headers) as answer:
                    answers.append(answer.status)

    async with process.serving(kept, log=log) as service:
        senders = [asyncio.create_task(deliver_on(service.webhook_url, number)) for number in range(4)]
        # First both are known here, then GitHub changes, then the old one is forgotten.
        settings.write_text(f"BUILDHOOK_WEBHOOK_SECRET={NEW}\nBUILDHOOK_WEBHOOK_SECRET_PREVIOUS={OLD}\n")
        service.process.send_signal(signal.SIGHUP)
        await until_logged(log, "The settings were read again", count=1)
        before = len(answers)
        github.webhook_secret = NEW
        async with asyncio.timeout(20):
            while len(answers) < before + 100:
                await asyncio.sleep(0.01)
        settings.write_text(f"BUILDHOOK_WEBHOOK_SECRET={NEW}\n")
        service.process.send_signal(signal.SIGHUP)
        await until_logged(log, "The settings were read again", count=2)
        before = len(answers)
        async with asyncio.timeout(20):
            while len(answers) < before + 100:
                await asyncio.sleep(0.01)
        for sender in senders:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender
    assert set(answers) == {202}
    assert "Traceback" not in log.read_text()
