"""The same world as in `outside`, with jobs in containers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bot.engines.local import engine as local
from tests.engines import gitserver, images, jobs, outside, stores


async def _main() -> None:
    data_dir = Path(sys.argv[1])
    processes = await outside._make_world()
    try:
        async with gitserver.serve(data_dir / "git") as server:
            repository = server.repository()
            code = jobs.Code(server, repository, repository.commit({"a": "a"}))
            with stores.made(data_dir, named={stores.TOOLS: images.make(has_git=True)}):
                engine = local.Local(data_dir, network="full", sandbox="podman", image=stores.TOOLS)
                await engine.open()
                found = {
                    "trusted": await outside._reached(engine, code, jobs.TRUSTED),
                    "untrusted": await outside._reached(engine, code, jobs.UNTRUSTED),
                }
                await engine.close()
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
