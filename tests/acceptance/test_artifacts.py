"""Artifacts: from a job's workspace through the service to a zip that somebody saves; nothing but plain files."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Simulator
from tests.acceptance import process

FILE = """\
on: push
jobs:
  build:
    steps:
      - run: |
          mkdir -p dist/sub out
          echo one > dist/one.txt
          echo two > dist/sub/two.txt; chmod +x dist/sub/two.txt
          echo no > dist/skipped.log
          ln -s /etc/passwd dist/link.txt
          ln -s / dist/root
          mkfifo dist/pipe.txt
          ln dist/one.txt dist/hard.txt
          echo three > out/three.txt
      - run: {end}
    artifacts:
      - name: dist
        path: |
          dist/**
          !dist/*.log
        retention-days: 7
      - name: more things
        path: [out/, "*.none"]
      - name: nothing
        path: "*.none"
"""


async def built(github: Simulator, *, end: str = "true", conclusion: str = "success") -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    head = await github.push(repository, "main", {".buildhook.yml": FILE.format(end=end)})
    await github.wait_for_check(repository, head, name="buildhook", conclusion=conclusion)


@pytest.mark.parametrize(("end", "conclusion"), [("true", "success"), ("exit 3", "failure")])
async def test_files_are_kept_whether_the_job_passes_or_not(
    github: Simulator, service: process.Process, tmp_path: Path, end: str, conclusion: str
) -> None:
    await built(github, end=end, conclusion=conclusion)
    (made,) = await service.command("builds", "list")
    found = await service.command("artifacts", "list", made["id"])
    assert [(one["name"], one["files"]) for one in found] == [("dist", 3), ("more things", 1)]
    dist = found[0]
    assert dist["expires_at"] is not None
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/artifacts/{dist['id']}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''dist.zip"
        data = await answer.read()
    assert hashlib.sha256(data).hexdigest() == dist["sha256"]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        names = {one.filename: one for one in opened.infolist()}
        assert set(names) == {"dist/one.txt", "dist/hard.txt", "dist/sub/two.txt"}
        assert opened.read("dist/one.txt") == b"one\n"
        modes = {name: one.external_attr >> 16 for name, one in names.items()}
        assert modes == {"dist/one.txt": 0o100644, "dist/hard.txt": 0o100644, "dist/sub/two.txt": 0o100755}
    target = tmp_path / "saved.zip"
    saved = await service.command("artifacts", "get", dist["id"], "--output", str(target))
    assert (saved["sha256"], target.read_bytes()) == (dist["sha256"], data)


async def test_the_page_of_the_build_lists_them(github: Simulator, service: process.Process) -> None:
    await built(github)
    (made,) = await service.command("builds", "list")
    async with (
        aiohttp.ClientSession(headers={"Accept": "text/html"}) as session,
        session.get(f"{service.url}/builds/{made['id']}") as answer,
    ):
        text = await answer.text()
    assert "more things" in text
    assert os.fspath(Path("artifacts")) in text
