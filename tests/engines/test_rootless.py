"""Containers where the service is a user without any power, in a mount namespace that knows such a user."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.engines import images

UID = 23456
pytestmark = [
    pytest.mark.skipif(
        not images.is_possible() or shutil.which("newuidmap") is None or os.geteuid() != 0,
        reason="podman, busybox or newuidmap is not installed, or this is not root",
    ),
    pytest.mark.long,
]


async def test_t58_containers_hold_where_the_service_is_an_unprivileged_user() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rootless-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", sys.executable, "-m", "tests.engines.rootless", str(folder), str(UID)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        )
        out, _ = await process.communicate()
        told = json.loads(out.decode().splitlines()[-1])
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    assert told["uid"] == UID
    assert (told["result"], told["log"].endswith("hello\n0\nserved")) == ("passed", True), told
    assert told["open"] == {}
    assert "the service has to run as root for that, or set NETWORK=none" in told["full"]
