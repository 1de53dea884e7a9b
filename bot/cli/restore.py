"""`buildhook restore`: a backup into an empty database, on whichever database the settings name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bot import identity
from bot.cli import options, output
from bot.logs import LogStore
from bot.settings import Settings, load
from bot.store import Store, archive, dump


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `buildhook backup` wrote.", metavar="FILE")],
    as_json: options.Json = False,
) -> None:
    """Fill an empty database, and the folder of logs, from a backup.

    The next `buildhook serve` first compares it with GitHub, and meanwhile only takes deliveries in: nothing old is
    posted.

    Example: buildhook restore /backups/buildhook.tar
    """
    contents = asyncio.run(_restore(load(), file))
    if as_json:
        output.json({"created_at": contents.created_at, "schema": contents.schema, "rows": contents.rows})
        return
    output.facts({"as of": contents.created_at.isoformat(timespec="seconds"), **_counts(contents)})
    output.console().print("It is restored. `buildhook serve` first compares it with GitHub, then goes on by itself.")


def _counts(contents: archive.Contents) -> dict[str, str]:
    return {name: str(rows) for name, rows in contents.rows.items()}


async def _restore(settings: Settings, file: Path) -> archive.Contents:
    store = Store(settings.effective_database_url)
    logs = LogStore(settings.data_dir / "logs")
    busy = f"a buildhook serves {settings.data_dir}: stop it first"
    with archive.reading(file) as reader, identity.locked(settings.data_dir / "serve.lock", busy=busy):
        await store.open(upgrade=False)
        try:
            await store.read(dump.expect_empty)
            # Cut off here it can be done again: logs that no job has are harmless.
            await _restore_logs(logs, reader)
            await store.write(dump.load, reader)
        finally:
            await store.close()
            await logs.close()
        return reader.contents


async def _restore_logs(logs: LogStore, reader: archive.Reader) -> None:
    for member in reader.contents.members:
        if not member.name.startswith("logs/"):
            continue
        job_id = member.name.removeprefix("logs/").removesuffix(".log.gz")
        at = 0
        for data in reader.chunks(member):
            await logs.append(job_id, offset_bytes=at, data=data)
            at += len(data)
        if member.is_sealed:
            await logs.seal(job_id)
        else:
            await logs.sync(job_id)
