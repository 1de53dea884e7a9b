"""A service of its own, to be killed: opens a local engine, starts one job, and says how far it is.

`python -m tests.engines.service DATA_DIR REQUEST` where REQUEST is JSON; it writes a line for each event it sees.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from bot.engines import contract
from bot.engines.local import engine as local
from tests.engines import jobs


async def _main() -> None:
    given = json.loads(sys.argv[2])

    async def token() -> str:
        await asyncio.Event().wait()
        return ""

    async def secrets() -> contract.Secrets:
        await asyncio.Event().wait()
        return contract.Secrets()

    asking: dict[str, Any] = {"secrets": secrets, "variables": {"KEY": "KEY"}} if given["waits_for_secrets"] else {}
    source = contract.Source(
        repository_id=1,
        url=given["url"],
        head_sha=given["sha"],
        base_sha=None,
        trust=jobs.UNTRUSTED,
        token=token if given["waits_for_token"] else None,
    )
    opened = local.Local(Path(sys.argv[1]), limits=local.Limits(grace_seconds=0.5))
    await opened.open()
    await opened.start(jobs.make(source, *given["runs"], job_id=given["job_id"], **asking))
    print("started", flush=True)  # noqa: T201
    async for event in opened.events(given["job_id"]):
        print(type(event).__name__, flush=True)  # noqa: T201


asyncio.run(_main())
