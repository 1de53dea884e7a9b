"""What is done in a machine that `boot.sh` has booted: the unit is installed as the page says, and a build goes on.

Writes `/out/found.json`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.simulator import Simulator
from tests.acceptance.conftest import pipeline

PACKAGING = Path("/src/packaging/systemd")
UNITS = Path("/etc/systemd/system")
JOBS = Path("/var/lib/buildhook/data/engine/jobs")
RESTARTS = 3
BEGUN = "begun"
COMMAND = f"touch {BEGUN}; until test -e go; do echo goes on; sleep 0.1; done"
PATIENCE_SECONDS = 60.0


def call(*arguments: str) -> str:
    """Run a program; gives what it said, and ends everything where it failed."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    sys.stdout.write(f"$ {' '.join(arguments)} {done.returncode} {done.stdout} {done.stderr}\n")
    sys.stdout.flush()
    done.check_returncode()
    return done.stdout.strip()


def of_unit(name: str) -> str:
    """What systemd says of the unit."""
    return call("systemctl", "show", "buildhook", "--property", name, "--value")


def install(github: Simulator) -> None:
    """As the page says."""
    Path("/etc/sysusers.d").mkdir(exist_ok=True)
    shutil.copyfile(PACKAGING / "buildhook.sysusers", "/etc/sysusers.d/buildhook.conf")
    shutil.copyfile(PACKAGING / "buildhook.service", UNITS / "buildhook.service")
    call("systemd-sysusers")
    folder = Path("/etc/buildhook")
    folder.mkdir()
    secrets = {"private-key.pem": github.private_key, "webhook-secret": str(github.webhook_secret)}
    for name, text in {**secrets, "encryption-key": call("openssl", "rand", "-base64", "32")}.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    said = {"APP_ID": github.app_id, "GITHUB_API_URL": github.api_url, "PORT": 0, "NETWORK": "full"}
    (folder / "buildhook.env").write_text("".join(f"BUILDHOOK_{name}={value}\n" for name, value in said.items()))


def escapes() -> list[str]:
    """What gets out of a sandbox that is made in the unit; another run of it, with a folder of its own."""
    text = (UNITS / "buildhook.service").read_text()
    for pattern, other in (
        ("Type=notify", "Type=oneshot"),
        ("ExecStart=.*", "ExecStart=/opt/buildhook/bin/buildhook engines test local --json"),
        ("(WatchdogSec|Restart)=.*", ""),
        (
            "StateDirectory=buildhook",
            "StateDirectory=probe\nStandardOutput=file:/run/probe.json\nStandardError=journal",
        ),
        ("/var/lib/buildhook", "/var/lib/probe"),
    ):
        text = re.sub(f"^{pattern}$" if "/var" not in pattern else pattern, other, text, flags=re.MULTILINE)
    (UNITS / "probe.service").write_text(text)
    call("systemctl", "start", "probe")
    probes = json.loads(Path("/run/probe.json").read_text())
    return [json.dumps(one) for one in probes if not one["held"]] + [f"{len(probes)} tried"]


async def build(github: Simulator) -> dict[str, Any]:
    """A build during which the service is started anew, and killed."""
    repository = await github.create_repository("octo/hello", files=pipeline(COMMAND))
    github.webhook_url = f"{_url()}/webhook"
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_until(lambda: any(run.status == "in_progress" for run in github.check_runs(repository, head)))
    while not list(JOBS.glob(f"*/box/workspace/{BEGUN}")):
        await asyncio.sleep(0.1)
    pids = {of_unit("MainPID")}
    for _ in range(RESTARTS):
        # The simulator answers meanwhile.
        await asyncio.to_thread(call, "systemctl", "restart", "buildhook")
        pids.add(of_unit("MainPID"))
    call("kill", "-9", of_unit("MainPID"))
    while of_unit("ActiveState") != "active" or of_unit("MainPID") in pids:
        await asyncio.sleep(0.1)
    (begun,) = JOBS.glob(f"*/box/workspace/{BEGUN}")
    begun.with_name("go").touch()
    run = await github.wait_for_check(repository, head, conclusion="success")
    return {"conclusion": run.conclusion, "checks": len(github.check_runs(repository, head)), "lives": len(pids) + 1}


def _url() -> str:
    return of_unit("StatusText").removeprefix("Listens on ").removesuffix(".")


async def main() -> None:
    """All of it, in order."""
    found: dict[str, Any] = {}
    async with Simulator() as github:
        install(github)
        found["escapes"] = escapes()
        call("systemctl", "start", "buildhook")
        found["user"] = call("ps", "-o", "user=", "-p", of_unit("MainPID"))
        call("systemctl", "reload", "buildhook")
        found["build"] = await asyncio.wait_for(build(github), PATIENCE_SECONDS)
        call("systemctl", "stop", "buildhook")
        found["result"] = of_unit("Result")
    Path("/out/found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
