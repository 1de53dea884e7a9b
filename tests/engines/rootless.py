"""Jobs in containers where the service is a user without any power, for one test.

Run as root in a mount namespace of its own: `unshare --mount python -m tests.engines.rootless FOLDER UID`. It gives
that user ids of its own, becomes it, runs jobs, and prints what became of them as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import podman
from bot.model import job
from tests.engines import gitserver, images, jobs, stores

NAME = "builder"


def _give_ids(folder: Path, uid: int) -> None:
    """What an operator does with `useradd` and `usermod`."""
    lines = {
        "passwd": f"{Path('/etc/passwd').read_text()}{NAME}:x:{uid}:{uid}::{folder}:/bin/sh\n",
        "group": f"{Path('/etc/group').read_text()}{NAME}:x:{uid}:\n",
        "subuid": f"{NAME}:3000000:65536\n",
        "subgid": f"{NAME}:3000000:65536\n",
    }
    for name, text in lines.items():
        (folder / name).write_text(text)
        Path("/etc", name).touch()
        subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)


def _open_python(folder: Path) -> None:
    """Let the user reach the interpreter also where it lies in a home that is closed, as seen in here alone."""
    python = Path(sys.base_prefix).resolve()
    closed = [one for one in python.parents if one != Path("/") and not one.stat().st_mode & 0o001]
    if closed:
        kept = folder / "python"
        kept.mkdir()
        subprocess.run(["mount", "--bind", python, kept], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "none", closed[-1]], check=True)
        python.mkdir(parents=True)
        subprocess.run(["mount", "--move", kept, python], check=True)


async def _main(folder: Path) -> dict[str, object]:
    data_dir = folder / "data"
    named = {stores.SMALL: images.make(), stores.TOOLS: images.make(has_git=True)}
    found: dict[str, object] = {"uid": os.getuid()}
    async with gitserver.serve(folder / "git") as server:
        repository = server.repository()
        code = jobs.Code(server, repository, repository.commit({"README.md": "hello\n"}))
        with stores.made(data_dir, named=named):
            limits = contract.JobLimits(memory_bytes=1 << 30, processes=1000, cpus=2.0, disk_bytes=1 << 30)
            engine = local.Local(data_dir, sandbox="podman", image=stores.TOOLS, job_limits=limits)
            await engine.open()
            request = jobs.make(code.source(trust=jobs.TRUSTED), "cat README.md; id -u; wget -q -O - http://web:8000/")
            serving = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nserved' | nc -l -p 8000 > /dev/null; done"
            images.put(
                podman.Podman(data_dir / "engine", extra_env={}).command,
                podman.Podman(data_dir / "engine", extra_env={}).env,
                images.make(config=json.dumps({"Cmd": ["sh", "-c", serving]})),
                stores.SERVER,
            )
            services = {
                "web": job.Container(image=stores.SERVER, options="--health-cmd 'nc -z 127.0.0.1 8000 || true'")
            }
            plan = replace(request.plan, container=job.Container(image=stores.SMALL), services=services)
            told = await jobs.run(engine, dataclasses.replace(request, plan=plan))
            found |= {"result": told.result, "reason": told.reason, "log": told.log}
            tried = await engine.test()
            found["open"] = {one.name: one.said for one in tried if one.is_held is not True}
            full = local.Local(data_dir, sandbox="podman", image=stores.TOOLS, network="full")
            await engine.close()
            await full.open()
            told = await jobs.run(full, dataclasses.replace(request, plan=plan, job_id=jobs.new_id()))
            found["full"] = told.reason
            await full.close()
    return found


if __name__ == "__main__":
    place, user = Path(sys.argv[1]), int(sys.argv[2])
    # Nothing of it is seen outside.
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    _give_ids(place, user)
    _open_python(place)
    os.chown(place, user, user)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    print(json.dumps(asyncio.run(_main(place))))  # noqa: T201
