"""An installation to be looked at: a real simulator of GitHub, real files, and the command as people run it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot import cli
from bot.doctor import ask_machine, judge_machine
from bot.simulator import Simulator
from tests.acceptance import process

PIPELINE = "on: push\njobs:\n  test:\n    steps:\n      - run: 'true'\n"


@dataclass(frozen=True)
class Report:
    """What the doctor said."""

    lines: list[dict[str, str]]
    text: str

    def of(self, check: str) -> list[dict[str, str]]:
        """The lines of one check."""
        return [one for one in self.lines if one["check"] == check]

    def wrong(self) -> dict[str, list[str]]:
        """What is wrong, by check: all that is told of it."""
        found: dict[str, list[str]] = {}
        for one in self.lines:
            if one["state"] == "wrong":
                assert one["what"]
                assert one["where"]
                found.setdefault(one["check"], []).append(" ".join((one["where"], one["what"], one["mend"])))
        return found

    def tells(self, check: str, *words: str) -> None:
        """Some finding of this check holds all these words."""
        told = self.wrong().get(check, [])
        assert any(all(word in one for word in words) for one in told), (check, words, self.wrong())


@dataclass
class Place:
    """An installation."""

    github: Simulator
    data: Path
    settings: dict[str, object] = field(default_factory=lambda: {"max_jobs": 2})

    def environment(self, **given: object) -> dict[str, str]:
        """The environment of its service, and the settings given; None leaves one out."""
        whole = {"public_url": self.public_url, **self.settings, **given}
        made = process.for_github(self.github, self.data)
        for name, value in whole.items():
            made[f"BUILDHOOK_{name.upper()}"] = str(value)
            if value is None:
                del made[f"BUILDHOOK_{name.upper()}"]
        return made

    @property
    def public_url(self) -> str | None:
        """Where GitHub's webhook leads, without the path."""
        return (self.github.webhook_url or "").removesuffix("/webhook") or None

    async def doctor(self, **given: object) -> Report:
        """What `buildhook doctor` says, with its exit status proved."""
        return await run(self.environment(**given))

    async def ping(self, status_code: int) -> None:
        """A delivery, which is answered with this."""
        sent = self.github.ping()
        await sent.done.wait()
        assert sent.status_code == status_code


#: A line that begins with a time.
_OF_LOG = re.compile(r"^\d{4}-\d\d-\d\d.*\n", re.MULTILINE)


async def run(environment: dict[str, str]) -> Report:
    """What `buildhook doctor` says in this environment."""
    app = cli.make(["doctor"])
    result = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--json"], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    # A service of the same process may write its log meanwhile.
    lines: list[dict[str, Any]] = json.loads(_OF_LOG.sub("", result.stdout))
    report = Report(lines, result.output)
    assert result.exit_code == (1 if report.wrong() else 0)
    for name in ("PRIVATE_KEY", "WEBHOOK_SECRET", "ENCRYPTION_KEY"):
        assert (environment.get(f"BUILDHOOK_{name}") or "\0") not in result.output
    return report


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder on a disk: where tests are run may be in memory."""
    folder = Path(tempfile.mkdtemp(prefix="buildhook-doctor-", dir="/var/tmp"))
    if ask_machine.filesystem(folder) in judge_machine.IN_MEMORY:
        shutil.rmtree(folder)
        pytest.skip("there is no disk here")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def place(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """An installation whose App is well; its service does not run."""
    monkeypatch.chdir(tmp_path)
    async with Simulator(folder=tmp_path / "github", webhook_secret="0123456789abcdef") as github:
        await github.create_repository("octo/hello", {".buildhook.yml": PIPELINE})
        yield Place(github, data)
        assert github.problems == []
