"""`buildhook engines`: which there are, and the attempts to get out of the sandbox."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from tests.acceptance import process
from tests.cli.conftest import Shell


async def test_the_engines_of_the_settings_and_of_the_policy_are_listed(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[engines.local]\nlabels = ["x64", "Linux"]\n[engines.cluster]\nlabels = "gpu"\n')
    environment = process.environment(tmp_path / "data", policy_file=policy)
    status, out, _ = await process.run("engines", "list", "--json", environment=environment)
    local, cluster = json.loads(out)
    assert status == 0
    assert local == {"name": "local", "is_default": True, "labels": ["linux", "x64"], "self_tests": [], "problem": None}
    assert (cluster["name"], cluster["is_default"], cluster["labels"]) == ("cluster", False, ["gpu"])
    assert "There is no engine 'cluster'" in cluster["problem"]
    _, out, _ = await process.run("engines", "list", environment=environment)
    assert "never run here, run `buildhook engines test local`" in out


async def test_an_engine_whose_list_is_empty_is_told_of(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    environment = process.environment(tmp_path / "data", policy_file=policy, network="list")
    for text, problem in (("", "NETWORK=list, and nothing is listed"), ('[network]\nallow = "pypi.org"\n', "")):
        policy.write_text(text)
        _, out, _ = await process.run("engines", "list", "--json", environment=environment)
        assert (json.loads(out)[0]["problem"] or "")[: len(problem) or None] == problem


async def test_t58_the_sandbox_is_tried_on_this_machine(shell: Shell) -> None:
    status, out, err = await shell.run("engines", "test", "local", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert len(found) >= 25
    assert [one for one in found if one["held"] is False] == []
    # What came of it is kept for the page, and stands in the place of what came before.
    tried = sum(one["held"] is True for one in found)
    (local,) = await shell.json("engines", "list")
    (kept,) = local["self_tests"]
    assert (kept["host"], kept["tried"], kept["held"], kept["escaped"]) == (platform.node(), tried, tried, [])
    status, out, _ = await shell.run("engines", "test")
    assert status == 0
    assert "attempts were held." in out
    _, out, _ = await shell.run("engines", "list")
    assert out.count(f"s ago on {platform.node()}: {tried} of {tried} attempts were held.") == 1
    assert "never run here" not in out


async def test_what_cannot_be_tried_is_a_sentence(tmp_path: Path) -> None:
    environment = process.environment(tmp_path / "data", sandbox="none")
    for name, says in (("local", "SANDBOX=none: there is no sandbox to try"), ("cluster", "There is no engine")):
        status, out, err = await process.run("engines", "test", name, environment=environment)
        assert (status, out) == (1, "")
        assert says in err
        assert "Traceback" not in err


async def test_the_promises_of_the_contract_are_tried_on_this_machine(shell: Shell) -> None:
    status, out, err = await shell.run("engines", "test", "local", "--contract", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert (status, err) == (0, "")
    assert len(found) >= 15
    assert {name for name, one in found.items() if one["held"] is not True} == {"a lost job is no failed job"}
