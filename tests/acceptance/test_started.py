"""A build that somebody starts: by the command line beside the running service, and by the page."""

from __future__ import annotations

import aiohttp

from bot.simulator import Simulator
from tests.acceptance import process

FILE = """\
on:
  workflow_dispatch:
    inputs:
      level:
        type: choice
        options: [info, debug]
jobs:
  test:
    steps:
      - run: test "$LEVEL" = debug
        env:
          LEVEL: ${{ inputs.level }}
"""


async def test_the_command_line_starts_a_build_with_inputs(github: Simulator, service: process.Process) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": FILE})
    head = repository.heads["main"]
    told = await service.command("builds", "start", "octo/hello", "--input", "level=debug")
    assert told["build"], told
    await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    status, _, err = await process.run(
        "builds", "start", "octo/hello", "--input", "level=loud", environment=service.environment
    )
    assert status == 1
    assert "The input `level` has to be one of `info`, `debug`." in err


async def test_the_page_starts_a_build(github: Simulator, service: process.Process) -> None:
    repository = await github.create_repository("octo/hello", files={".buildhook.yml": FILE})
    form = {"ref": "main", "inputs": "level=debug"}
    async with aiohttp.ClientSession() as session:
        url = f"{service.url}/repos/octo/hello/start"
        async with session.post(url, data=form, headers={"Origin": service.url}) as answer:
            assert answer.status == 200
            assert "/deliveries/dispatch-" in str(answer.url)
    await github.wait_for_check(repository, repository.heads["main"], name="buildhook", conclusion="success")
