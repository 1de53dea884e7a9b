"""Secrets the whole way: who gets them, and that no value comes out anywhere, whatever a build prints."""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp

from bot.logs import reading
from bot.simulator import CheckRun, Simulator
from tests.acceptance import process
from tests.acceptance.process import Process

#: Nothing else has such letters in this order.
CANARY = "cAnArY/7f3e:of=the&mine'shaft"
PIPELINE = """\
on: [push, pull_request]
jobs:
  test:
    secrets: [TOKEN, NOT_SET]
    steps:
      - run: |
          echo "length ${{#TOKEN}}, [$NOT_SET]"
          {command}
"""
#: All of it with the tools that are on every machine.
PRINTS = """\
echo "$TOKEN"
          for i in 0 7 11; do printf %s "${TOKEN:0:$i}"; printf '%s\\n' "${TOKEN:$i}"; done
          printf %s "$TOKEN" | base64 -w 0; echo
          printf %s "$TOKEN" | base64 -w 0 | base64 -w 0; echo
          printf %s "user:$TOKEN" | base64
          printf %s "$TOKEN" | od -An -tx1 -v | tr -d ' \\n'; echo
          printf '%s\\n' "$TOKEN" | rev
          printf '%q\\n' "$TOKEN"
          env; set -x; : "$TOKEN"; set +x
          git config remote.origin.url
          echo "main.py:3:1: error: $TOKEN is wrong" >&2
          exit 3"""


def forms() -> list[bytes]:
    """What must not be found."""
    raw = CANARY.encode()
    return [
        raw,
        raw[::-1],
        raw.hex().encode(),
        base64.b64encode(raw)[:-4],
        base64.b64encode(base64.b64encode(raw))[:-4],
        base64.b64encode(b"user:" + raw)[8:-4],
        quote(CANARY, safe="").encode(),
        CANARY.replace("'", "\\'").encode(),
        # What is left where only a part of it was hidden.
        CANARY[:12].encode(),
        CANARY[-12:].encode(),
    ]


def pipeline(command: str) -> dict[str, str]:
    return {".buildhook.yml": PIPELINE.replace("{command}", command).replace("${{#TOKEN}}", "${#TOKEN}")}


async def set_secret(environment: Mapping[str, str], value: str = CANARY) -> None:
    status, _, err = await process.run(
        *("secrets", "set", "TOKEN", "--repo", "octo/hello"), environment=environment, given=value.encode()
    )
    assert (status, err) == (0, "")


async def log_of(service: Process, run: CheckRun) -> str:
    """The log of the job that a check run shows."""
    text: str = (await service.command("logs", run.external_id))["log"]
    return text


async def pages(service: Process) -> dict[str, bytes]:
    """All pages that tell of builds."""
    (made,) = await service.command("builds", "list")
    shown = await service.command("builds", "show", made["id"])
    of_job = f"/jobs/{shown['jobs'][0]['id']}"
    paths = ["/", "/deliveries", "/audit", "/metrics", f"/builds/{made['id']}", of_job, f"{of_job}/log"]
    found = {"commands": json.dumps(shown).encode()}
    async with aiohttp.ClientSession() as session:
        for path in paths:
            async with session.get(f"{service.url}{path}") as answer:
                assert answer.status == 200, path
                found[path] = await answer.read()
    return found


def dump(path: Path) -> bytes:
    """Every row of the database, as text."""
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = [repr(row) for name in names for row in connection.execute(f"SELECT * FROM {name}")]
    connection.close()
    return "\n".join(rows).encode()


async def test_t71_t74_a_secret_that_a_build_prints_in_every_form_is_nowhere(
    github: Simulator, service: Process, tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    await set_secret({**service.environment, **github_app(github)})
    head = await github.push(repository, "main", pipeline(PRINTS))
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    log = await log_of(service, run)
    assert f"length {len(CANARY)}, []" in log
    assert "[buildhook] Secrets that were not given: NOT_SET" in log
    assert "TOKEN=***" in log
    assert log.count("***") > 10
    shown = json.dumps([run.title, run.summary, run.text, run.annotations]).encode()
    assert b"***" in shown
    found = {"check": shown, "database": dump(tmp_path / "data" / "buildhook.db"), **await pages(service)}
    for path in [*(tmp_path / "data").rglob("*"), *tmp_path.glob("*.log")]:
        if path.suffix == ".packed":
            with contextlib.closing(reading.open_packed(path)) as one:
                found[str(path)] = one.read(0, one.size())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    assert any(name.endswith("buildhook.db") for name in found)
    assert any(b"TOKEN=***" in data for name, data in found.items() if name.endswith(".packed"))
    told = [(name, form) for name, data in found.items() for form in forms() if form in data]
    assert told == []


async def test_t32_an_approved_stranger_s_job_gets_no_secret_and_its_log_says_so(
    github: Simulator, service: Process
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline('test "$TOKEN" = "" || touch stolen'))
    await set_secret({**service.environment, **github_app(github)})
    head = await github.push(repository, "main", {"a.txt": "a"})
    run = await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
    assert f"length {len(CANARY)}," in await log_of(service, run)

    fork = await github.fork(repository, owner="hubot")
    await github.commit(fork, branch="topic", files=pipeline("env; cat /proc/*/environ"), message="Take it")
    pull = await github.open_pull_request(repository, head_branch="topic", from_fork=fork)
    waiting = await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="action_required")
    github.press_action(waiting, "approve")
    done = await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="success")
    log = await log_of(service, done)
    note = "[buildhook] Secrets that were not given: NOT_SET, TOKEN; the code is not trusted, whoever let it run.\n"
    assert log.startswith(note)
    assert "length 0, []" in log


async def test_t74_t77_the_service_leaves_no_core_dump_and_says_which_key_others_can_read(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    path, log = tmp_path / "key.pem", tmp_path / "service.log"
    path.write_text(environment["BUILDHOOK_PRIVATE_KEY"])
    path.chmod(0o644)
    given = {**environment, "BUILDHOOK_PRIVATE_KEY_FILE": str(path)}
    del given["BUILDHOOK_PRIVATE_KEY"]
    async with process.serving(given, log=log) as service:
        assert resource.prlimit(service.process.pid, resource.RLIMIT_CORE) == (0, 0)
        assert f"every user of this machine can read {path}: run `chmod 600 {path}`" in log.read_text()
        assert "PRIVATE KEY" not in log.read_text()


def github_app(github: Simulator) -> dict[str, str]:
    """So that the command line asks this GitHub which repository has a name."""
    return {"BUILDHOOK_GITHUB_API_URL": github.api_url}
