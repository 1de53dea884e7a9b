"""The whole way: a simulator of GitHub in this process, the service in its own, real git, real sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bot.simulator import Simulator
from tests.acceptance import process

PIPELINE = """\
name: test
on: [push, pull_request]
jobs:
  test:
    steps:
      - name: Test
        run: {command}
"""


def pipeline(command: str) -> dict[str, str]:
    """The files of a repository whose only job runs one command."""
    return {".buildhook.yml": PIPELINE.format(command=command), "README.md": "# hello\n"}


@pytest.fixture
async def github(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that nothing listens to yet."""
    async with Simulator(folder=tmp_path / "github") as simulator:
        yield simulator


@pytest.fixture
def environment(github: Simulator, tmp_path: Path) -> Mapping[str, str]:
    """The settings of a service for that simulator."""
    return process.for_github(
        github,
        tmp_path / "data",
    )


@pytest.fixture
async def service(github: Simulator, environment: Mapping[str, str], tmp_path: Path) -> AsyncIterator[process.Process]:
    """A service that the simulator delivers to."""
    async with process.serving(environment, log=tmp_path / "service.log") as running:
        github.webhook_url = running.webhook_url
        yield running
        log = (tmp_path / "service.log").read_text()
        assert "Traceback" not in log, log
