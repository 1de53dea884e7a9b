"""`buildhook backup`: everything in one file, as it stands at one instant, while the service runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

import bot
from bot import errors
from bot.cli import options, output
from bot.logs import LogStore
from bot.settings import Settings, load
from bot.store import Store, archive, dump


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced.", metavar="FILE")],
    as_json: options.Json = False,
) -> None:
    """Write everything that is kept into one file: all deliveries with their payloads, builds, checks and logs.

    The service may run meanwhile. No setting and no secret of yours is in it, but what GitHub sent is. Of the logs
    those are in it that lie in this data folder: what lies in an object store or with other replicas is only counted.

    Example: buildhook backup /backups/buildhook.tar
    """
    contents, elsewhere = asyncio.run(_backup(load(), file))
    size_bytes = file.stat().st_size
    logs = sum(member.name.startswith("logs/") for member in contents.members)
    if as_json:
        told = {"created_at": contents.created_at, "schema": contents.schema, "rows": contents.rows}
        told |= {"logs": logs, "logs_elsewhere": elsewhere}
        output.json({"file": str(file), "size_bytes": size_bytes, **told})
        return
    output.facts(
        {
            "file": output.clean(str(file)),
            "size": f"{size_bytes / 1e6:.1f} MB",
            "as of": contents.created_at.isoformat(timespec="seconds"),
            "logs": f"{logs}, and {elsewhere} that lie elsewhere are not in it" if elsewhere else str(logs),
            **{name: str(rows) for name, rows in contents.rows.items()},
        }
    )


async def _backup(settings: Settings, file: Path) -> tuple[archive.Contents, int]:
    """What was written, and how many logs are not in it because they lie elsewhere."""
    store = Store(settings.effective_database_url)
    if not store.is_shared and not store.path.exists():
        raise errors.NotFound(f"There is no database at {store.path}: set BUILDHOOK_DATA_DIR to the service's folder.")
    logs = LogStore(settings.data_dir / "logs")
    # As it is: a backup is what one makes before an upgrade.
    await store.open(upgrade=False)
    try:
        with archive.writing(file) as writer:
            snapshot = await store.read(dump.write, writer, version=bot.__version__)
            elsewhere = 0
            for job_id, size_bytes in snapshot.log_sizes.items():
                if not await _add_log(writer, logs, job_id, size_bytes=size_bytes):
                    elsewhere += size_bytes > 0
            return writer.finish(snapshot.contents), elsewhere
    finally:
        await store.close()
        await logs.close()


async def _add_log(writer: archive.Writer, logs: LogStore, job_id: str, *, size_bytes: int) -> bool:
    async with logs.opened(job_id) as log:
        stored_bytes = await log.size()
        end = min(stored_bytes, size_bytes)
        if end == 0:
            # It lies on another replica's disk or in an object store, or the job never said anything.
            return False
        is_sealed = stored_bytes == size_bytes and await logs.is_sealed(job_id)
        with writer.member(f"logs/{job_id}.log.gz", is_sealed=is_sealed) as into:
            at = 0
            while at < end and (data := await log.read(start=at, limit=min(1024 * 1024, end - at))):
                into.write(data)
                at += len(data)
        return True
