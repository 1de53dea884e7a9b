"""The policy file of a running service: a wrong one stops the start, and changes nothing when it is read again."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from bot.simulator import Simulator
from tests.acceptance import process
from tests.acceptance.conftest import pipeline
from tests.acceptance.test_rotation import until_logged


async def test_f86_a_wrong_policy_file_stops_the_start_with_a_line_for_each_mistake(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[sources.shop]\nnope = 1\n")
    status, out, err = await process.run("serve", environment={**environment, "BUILDHOOK_POLICY_FILE": str(path)})
    assert (status, out) == (1, "")
    assert "Traceback" not in err
    assert "line 2: `sources.shop.nope`: it means nothing." in err
    assert "line 1: `sources.shop.secret_file`: a secret is needed" in err


async def test_f81_a_policy_file_that_went_wrong_keeps_the_old_values_and_says_why(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    path, log = tmp_path / "policy.toml", tmp_path / "service.log"
    path.write_text("")
    async with process.serving({**environment, "BUILDHOOK_POLICY_FILE": str(path)}, log=log) as service:
        path.write_text("[nope]\n")
        service.process.send_signal(signal.SIGHUP)
        await until_logged(log, "`nope` is no section of the policy", count=1)
        assert "so the old ones stay" in log.read_text()
        path.write_text("# Nobody may do anything.\n")
        service.process.send_signal(signal.SIGHUP)
        await until_logged(log, "The settings were read again", count=1)


ASK = """
exec 3<> /dev/tcp/127.0.0.1/3128
printf 'GET http://one.example:81/ HTTP/1.1\\r\\n\\r\\n' >&3
read -r line <&3
echo "$line" | grep "one.example:81 is listed in the operator's policy"
"""


async def test_t55_f81_builds_go_by_the_list_of_the_policy_as_it_is_when_they_begin(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    path, log = tmp_path / "policy.toml", tmp_path / "service.log"
    path.write_text('[network]\nallow = ["one.example:80"]\n')
    given = {**environment, "BUILDHOOK_POLICY_FILE": str(path), "BUILDHOOK_NETWORK": "list"}
    repository = await github.create_repository("octo/hello", files={**pipeline("bash try.sh"), "try.sh": ASK})
    async with process.serving(given, log=log) as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, branch="main", files={"a.txt": "a"})
        await github.wait_for_check(repository, head, name="buildhook", conclusion="success")
        path.write_text('[network]\nallow = ["two.example"]\n')
        service.process.send_signal(signal.SIGHUP)
        await until_logged(log, "The settings were read again", count=1)
        head = await github.push(repository, branch="main", files={"a.txt": "b"})
        await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
