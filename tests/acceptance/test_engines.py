"""`runs-on` and the operator's engines, in a running service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.simulator import Simulator
from tests.acceptance import process

FILE = """\
on: push
jobs:
  here:
    runs-on: [Linux, x64]
    steps:
      - run: echo it ran
  there:
    runs-on: windows-latest
    steps:
      - run: echo it ran
"""


async def test_runs_on_comes_to_the_engine_that_has_the_labels_and_what_none_has_is_told(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[engines.local]\nlabels = ["linux", "x64"]\n')
    rules = {"BUILDHOOK_POLICY_FILE": str(path)}
    async with process.serving({**environment, **rules}, log=tmp_path / "service.log") as service:
        github.webhook_url = service.webhook_url
        repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
        head = await github.push(repository, "main", {".buildhook.yml": FILE})
        await github.wait_for_check(repository, head, name="buildhook / here", conclusion="success")
        told = await github.wait_for_check(repository, head, name="buildhook / there", conclusion="failure")
    assert (told.title or "").startswith("Errored: No engine takes `runs-on: windows-latest`")
    assert "There is `linux`, `x64` on `local`" in (told.summary or "")


async def test_an_engine_of_the_policy_that_is_not_installed_stops_the_start(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[engines.cluster]\nlabels = "gpu"\n')
    status, _, err = await process.run("serve", environment={**environment, "BUILDHOOK_POLICY_FILE": str(path)})
    assert status == 1
    assert (
        "There is no engine 'cluster', as `BUILDHOOK_ENGINE` or the policy's `engines` name it; there are: local."
        in err
    )
    assert "Traceback" not in err
