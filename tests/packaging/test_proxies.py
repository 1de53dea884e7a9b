"""What stands in front of the service in what is shipped: HAProxy, with the very configuration that is shipped."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from ruamel.yaml import YAML

from tests.acceptance import process

PACKAGING = Path(__file__).parents[2] / "packaging"
STARTED_SECONDS = 20.0

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not here: apt-get install haproxy")


def of_compose() -> str:
    """The proxy before two services."""
    parsed = YAML(typ="safe").load((PACKAGING / "compose.postgresql.yaml").read_text())
    return str(parsed["configs"]["haproxy"]["content"])


def of_chart() -> str:
    """The one in the pod, which passes the metrics on."""
    text = (PACKAGING / "helm/buildhook/templates/configmap.yaml").read_text()
    found = re.search(r"^  haproxy\.cfg: \|\n(.*?)^  \{\{- end", text, re.MULTILINE | re.DOTALL)
    assert found
    return re.sub("^    ", "", found.group(1), flags=re.MULTILINE)


@contextlib.asynccontextmanager
async def proxying(config: str, folder: Path) -> AsyncIterator[str]:
    """HAProxy with this configuration, on a port of its own; gives where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bound = f"bind fd@{listening.fileno()}"
        config, times = re.subn(r"bind :\d+", bound, config)
        assert times == 1
        (folder / "haproxy.cfg").write_text(config)
        with (folder / "haproxy.log").open("wb") as log:
            running = await asyncio.create_subprocess_exec(
                *("haproxy", "-db", "-f", str(folder / "haproxy.cfg")),
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            assert running.returncode is None, (folder / "haproxy.log").read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                running.send_signal(signal.SIGKILL)
            await running.wait()


async def test_metrics_are_passed_on_and_nothing_else(tmp_path: Path) -> None:
    async with process.serving(process.environment(tmp_path / "data"), log=tmp_path / "service.log") as service:
        config, times = re.subn(r"127\.0\.0\.1:8080", f"127.0.0.1:{service.port}", of_chart())
        assert times == 1
        async with proxying(config, tmp_path) as url, aiohttp.ClientSession() as session:
            strange = {"Host": "10.1.2.3:9090"}
            async with session.get(f"{service.url}/metrics", headers=strange) as answer:
                assert answer.status == 404
            async with session.get(f"{url}/metrics", headers=strange) as answer:
                assert answer.status == 200
                assert "buildhook_build_info" in await answer.text()
            for path in ("/", "/builds", "/metrics/", "/metrics/../", "//metrics", "/readyz"):
                async with session.get(f"{url}{path}", headers=strange) as answer:
                    assert answer.status == 404, path
            async with session.post(f"{url}/metrics", headers=strange) as answer:
                assert answer.status == 404


async def test_of_two_services_the_one_that_is_ready_is_asked(tmp_path: Path) -> None:
    # `a` is not set up and so not ready; `b` is, and only it answers a delivery without a signature with 401.
    ready = process.environment(
        tmp_path / "b", app_id=1, private_key=_key(), webhook_secret="s" * 32, github_api_url="http://127.0.0.1:9"
    )
    async with (
        process.serving(process.environment(tmp_path / "a"), log=tmp_path / "a.log") as a,
        process.serving(ready, log=tmp_path / "b.log") as b,
    ):
        config = of_compose()
        for name, one in (("a", a), ("b", b)):
            config, times = re.subn(rf"server {name} {name}:8080", f"server {name} 127.0.0.1:{one.port}", config)
            assert times == 1
        async with proxying(config, tmp_path) as url, aiohttp.ClientSession() as session:
            async with asyncio.timeout(STARTED_SECONDS):
                # Until the first checks are done both are asked.
                found: list[int] = []
                while found[-4:] != [401] * 4:
                    async with session.post(f"{url}/webhook", json={}) as answer:
                        found.append(answer.status)
            assert set(found) <= {401, 503}


def _key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
