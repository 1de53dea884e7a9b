"""A job with an egress list, from its first connection to its end: `python -m tests.engines.listed FOLDER`.

In the namespaces of a `world`; prints as JSON what the job said and what was left of it.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.engines import contract
from bot.engines.local import engine as local
from tests.engines import gitserver, jobs, world

EGRESS = contract.Egress(allow=("git.example:443", "www.example:80"))
PLAIN = r"""
exec 3<> /dev/tcp/127.0.0.1/3128
printf 'GET http://%s/ HTTP/1.1\r\n\r\n' "$HOST_NAME" >&3
read -r line <&3; echo "$HOST_NAME: $line" | tr -d '\r'
"""


def _certify(folder: Path) -> None:
    """A certificate for `git.example`, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "git.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("git.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )


def _proxies() -> list[int]:
    """The proxies that run in our network, all of whom are of this test."""
    network = os.readlink("/proc/self/ns/net")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_one = b"proxy.run()" in (process / "cmdline").read_bytes()
            if is_one and os.readlink(process / "ns" / "net") == network:
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def _main() -> None:
    folder = Path(sys.argv[1])
    outside = folder / "world"
    (outside / "www").mkdir(parents=True)
    _certify(outside)
    async with gitserver.serve(folder / "git") as server:
        repository = server.repository()
        sha = repository.commit({"ca.pem": (outside / "cert.pem").read_text()})
        gitserver.run("clone", "--bare", "--quiet", str(repository.path), str(outside / "www" / "repo.git"))
        gitserver.run(f"--git-dir={outside}/www/repo.git", "update-server-info")
        async with world.made(outside):
            print(json.dumps(await _job(folder, jobs.Code(server, repository, sha))))  # noqa: T201


async def _job(folder: Path, code: jobs.Code) -> dict[str, object]:
    """One job that is begun by one service and ended under the next."""
    first = local.Local(folder / "data", network="list", egress=EGRESS)
    await first.open()
    fetch = "GIT_SSL_CAINFO=$PWD/ca.pem git clone --quiet --branch main https://git.example/repo.git there && ls there"
    steps = (f"{fetch}; echo ready; until test -e go; do sleep 0.01; done", PLAIN, "HOST_NAME=evil.example\n" + PLAIN)
    request = jobs.make(code.source(trust=jobs.TRUSTED), *steps, env={"HOST_NAME": "www.example"})
    await first.start(request)
    await jobs.until_output(first, request.job_id, b"ready")
    (proxy,) = _proxies()
    seen = Path(f"/proc/{proxy}/status").read_text()
    uids = next(line for line in seen.splitlines() if line.startswith("Uid:")).split()[1:]
    held = sorted(os.readlink(one) for one in Path(f"/proc/{proxy}/fd").iterdir())
    await first.close()
    # The list of the next service is another one; the job goes by the one that it began with.
    then = local.Local(
        folder / "data", network="list", egress=contract.Egress(allow=("other.example",), strangers=True)
    )
    await then.open()
    (jobs.stream_path(folder / "data", request.job_id).parent / "box" / "workspace" / "go").touch()
    told = await jobs.follow(then, request.job_id)
    stranger = await jobs.run(then, jobs.make(code.source(), PLAIN, env={"HOST_NAME": "www.example"}))
    ended = await _ended(then, code, folder / "data")
    killed = await _killed(then, code)
    await then.close()
    return {
        "result": told.result,
        "log": told.log,
        "uids": uids,
        "held": [one for one in held if not one.startswith(("socket:", "pipe:", "anon_inode:"))],
        "stranger": stranger.log,
        "ended": ended,
        "killed": killed,
    }


async def _ended(engine: local.Local, code: jobs.Code, data_dir: Path) -> str:
    """What a job says whose proxy is killed."""
    await jobs.until_true(lambda: not _proxies())
    request = jobs.make(code.source(trust=jobs.TRUSTED), "echo ready; until test -e go; do sleep 0.01; done", "echo on")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    (proxy,) = _proxies()
    os.kill(proxy, signal.SIGKILL)
    await jobs.until_true(lambda: not _proxies())
    (jobs.stream_path(data_dir, request.job_id).parent / "box" / "workspace" / "go").touch()
    return (await jobs.follow(engine, request.job_id)).log


async def _killed(engine: local.Local, code: jobs.Code) -> list[int]:
    """The proxies that are left where a job's supervisor is killed."""
    await jobs.until_true(lambda: not _proxies())
    request = jobs.make(code.source(trust=jobs.TRUSTED), "echo ready; sleep 600")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    (proxy,) = _proxies()
    parent = int(Path(f"/proc/{proxy}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    await jobs.until_true(lambda: not _proxies())
    return _proxies()


if __name__ == "__main__":
    asyncio.run(_main())
