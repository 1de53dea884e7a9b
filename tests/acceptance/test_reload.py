"""New settings that come before the work has begun are taken too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from bot import settings
from bot.app import Service


async def test_settings_that_change_before_the_first_turn_of_the_work_are_taken(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with capture_logs() as logged:
        async with Service(settings.load()) as service:
            running = asyncio.create_task(service.run())
            # The task has not had its first turn: a signal may come as soon as "ready" is said.
            service.reload(settings.load())
            async with asyncio.timeout(20):
                while not any(line.get("action") == "reload_settings" for line in logged):
                    await asyncio.sleep(0)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
