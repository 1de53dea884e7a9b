"""A service for the pages whose commands ask one: a pull request whose test fails, and one whose test goes on."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bot.simulator import Simulator
from tests.acceptance import process

PIPELINE = """\
name: hello
on:
  push:
    branches: [main]
  pull_request:
  workflow_dispatch:
    inputs:
      level:
        type: choice
        options: [info, debug]
        default: info
jobs:
  test:
    artifacts:
      - name: report
        path: report.txt
    steps:
      - run: sh test.sh
"""
WORKFLOW = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make test\n"
FILES = {
    ".buildhook.yml": PIPELINE,
    ".github/workflows/ci.yml": WORKFLOW,
    "src/app.py": "",
    "test.sh": "echo well > report.txt\n",
}
POLICY = """\
[subscribers.chat]
url = "https://hooks.example.org/buildhook"
secret_file = "chat.secret"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is there."""

    github: Simulator
    service: process.Process
    #: The settings of the service, for commands beside it.
    settings: dict[str, str]
    #: Numbers of pull requests.
    failed: int
    lasting: int
    #: Ids of their builds, and of what belongs to the one that failed.
    failed_build: str
    lasting_build: str
    job: str
    artifact: str
    delivery: str


@contextlib.asynccontextmanager
async def beside(folder: Path) -> AsyncIterator[Beside]:
    """A simulator and a service that know `octo/hello`."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    secret = base64.b64encode(os.urandom(32)).decode()
    (folder / "chat.secret").write_text(f"whsec_{secret}\n")
    async with Simulator(folder=folder / "github") as github:
        environment = process.for_github(github, folder / "data", policy_file=policy)
        async with process.serving(environment, log=folder / "service.log") as service:
            github.webhook_url = service.webhook_url
            hello = await github.create_repository("octo/hello", files=FILES)
            await github.push(hello, "fix", {"test.sh": "echo bad > report.txt\nexit 1\n"}, "Fix it")
            failed = await github.open_pull_request(hello, "fix", author="octo")
            await github.wait_for_check(hello.full_name, failed.head_sha)
            await github.push(hello, "slow", {"test.sh": "sleep 600\n"}, "Wait")
            lasting = await github.open_pull_request(hello, "slow", author="octo")
            await github.wait_until(
                lambda: any(one.status == "in_progress" for one in github.check_runs(hello, lasting.head_sha))
            )
            builds = await service.command("builds", "list")
            of = {one["pull_number"]: one["id"] for one in builds if one["pull_number"]}
            shown = await service.command("builds", "show", of[failed.number])
            (kept,) = await service.command("artifacts", "list", of[failed.number])
            yield Beside(
                github=github,
                service=service,
                settings={name: value for name, value in environment.items() if name.startswith("BUILDHOOK_")},
                failed=failed.number,
                lasting=lasting.number,
                failed_build=of[failed.number],
                lasting_build=of[lasting.number],
                job=shown["jobs"][0]["id"],
                artifact=kept["id"],
                delivery=shown["delivery_id"],
            )
            # Unless a page has done that.
            await process.run("builds", "cancel", of[lasting.number], environment=environment)
