"""The network of trusted code: the outside and nothing of this host; shown in a small world of network namespaces."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.engines import outside

#: As real root, whose jobs become other users, and as root of a user namespace, who can become nobody else.
WAYS = {"root": ("unshare", "--net"), "namespace": ("unshare", "--user", "--map-root-user", "--net")}


@pytest.mark.parametrize("way", [name for name in WAYS if name != "root" or os.geteuid() == 0])
async def test_t55_full_network_reaches_the_outside_and_nothing_of_this_host(tmp_path: Path, way: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*WAYS[way], sys.executable, "-m", "tests.engines.outside", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    said, _ = await process.communicate()
    found = json.loads(said.splitlines()[-1])
    assert found["direct"] == [*outside.OWN, *outside.OUTSIDE]
    assert found["trusted"] == ["passed", "reached 192.0.2.2", "reached 198.51.100.7", "nameserver 10.0.2.3"]
    assert found["untrusted"] == ["passed"]
    assert found["left"] == []
