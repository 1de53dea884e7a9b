"""The unit for systemd, as systemd itself reads it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bot import listener, settings
from bot.engines.local import cgroups, escapes

UNIT = Path(__file__).parents[2] / "packaging/systemd/buildhook.service"
#: What `systemd-analyze security` may find at most, of 100: namespaces, mounts and a network are what jobs need.
MOST_EXPOSED = 40
#: Would keep bubblewrap from making a sandbox, the engine from making control groups, or jobs from going on.
NOT_WITH_JOBS = {
    *("ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname", "ProtectProc"),
    *("ProcSubset", "PrivateDevices", "MemoryDenyWriteExecute", "DynamicUser", "PrivatePIDs", "RemoveIPC"),
}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here: apt-get install systemd"
)


def service() -> dict[str, list[str]]:
    """The section `[Service]`: each name with all that is said of it."""
    section = re.search(r"^\[Service\]\n(.*?)^\[Install\]", UNIT.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", section.group(1), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub("^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=30, check=False
    )
    # A newer systemd knows it; an older one starts the service, but not a second time while jobs run.
    said = [line for line in done.stderr.splitlines() if "'DelegateSubgroup'" not in line]
    assert (said, done.returncode) == ([], 0)


@needs_systemd
def test_it_gives_no_more_than_jobs_need() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_jobs_go_on_while_the_service_is_away() -> None:
    said = service()
    assert said["KillMode"] == ["process"]
    # In a control group with others below it the next service could not be put; this is the one that it moves to.
    assert said["DelegateSubgroup"] == [cgroups._SERVICE]
    assert set(said["Delegate"][0].split()) == {"cpu", "memory", "pids"}
    assert set(said) & NOT_WITH_JOBS == set()


def test_it_is_given_the_time_that_it_takes() -> None:
    said = service()
    assert said["Type"] == ["notify"]
    assert float(said["TimeoutStopSec"][0].rstrip("s")) > listener.GRACE_SECONDS + listener.SHUTDOWN_SECONDS + 10
    assert float(said["WatchdogSec"][0].rstrip("s")) >= 30


def test_its_secrets_are_settings_that_come_from_files() -> None:
    said = service()
    given = {name.partition(":")[0] for name in said["LoadCredential"]}
    files = dict(line.split("=", 1) for line in said["Environment"] if "%d" in line)
    assert {value.removeprefix("%d/") for value in files.values()} == given
    assert set(files) <= {f"{settings.PREFIX}{name}_FILE" for name in settings.SECRETS}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_under_systemd_the_sandbox_holds_and_a_build_goes_on_while_the_service_is_started_anew(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists():
        pytest.skip("booting systemd needs root, and systemd: apt-get install systemd")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--cgroup", "--kill-child"),
            *("bash", UNIT.parents[2] / "tests/packaging/boot.sh", tmp_path, UNIT.parents[2]),
            *(sys.base_prefix, sysconfig.get_path("purelib"), "tests/packaging/booted.py"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"this machine lets nobody boot in a namespace: {done.stderr}")
    said = tmp_path / "said"
    assert (tmp_path / "found.json").exists(), said.read_text() if said.exists() else done.stdout + done.stderr
    assert json.loads((tmp_path / "found.json").read_text()) == {
        "escapes": [f"{len(escapes._PROBES)} tried"],
        "user": "buildhook",
        "build": {"conclusion": "success", "checks": 1, "lives": 5},
        "result": "success",
    }
