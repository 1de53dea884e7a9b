"""`buildhook logs`: a job's log, whole or as it grows."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from bot import telemetry
from bot.cli import opening, output
from bot.logs import LogStore, Storage
from bot.model import job
from bot.settings import Settings
from bot.store import Store, builds, jobs

_CHUNK_BYTES = 256 * 1024
_LOOK_SECONDS = 0.25


def logs(
    job_or_build_id: Annotated[str, typer.Argument(help="A job's id, or a build's for all its jobs.", metavar="ID")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Leave control characters as they are.")] = False,
    as_json: output.Json = False,
) -> None:
    """Print the log of a job.

    Example: buildhook logs 01JZZZ1X5GQKSTZ8V0A9E2M3N4 --follow
    """

    async def work(store: Store, settings: Settings) -> None:
        found = await store.read(jobs.find, job_or_build_id)
        if found is None:
            await store.read(builds.get, job_or_build_id)
        wanted = [found] if found is not None else await store.read(jobs.list_of_builds, [job_or_build_id])
        storage = Storage(settings.data_dir, url=settings.storage_url, account=settings.storage_account)
        store_of_logs = storage.logs
        try:
            for one in wanted:
                if as_json:
                    text = (await _whole(store_of_logs, one)).decode("utf-8", "replace")
                    output.json({"job": one.id, "name": one.plan.name, "state": one.state, "log": text})
                else:
                    if len(wanted) > 1:
                        output.console().print(f"[bold]{output.clean(one.plan.name)}[/] ({one.id})")
                    await _print(store, store_of_logs, one, is_followed=follow, is_raw=raw)
        finally:
            await storage.close()

    opening.with_store(work)


async def _whole(store_of_logs: LogStore, one: job.Job) -> bytes:
    of = one.origin_id or one.id
    return await store_of_logs.read(of, start=0, limit=await store_of_logs.size(of))


async def _print(store: Store, store_of_logs: LogStore, one: job.Job, *, is_followed: bool, is_raw: bool) -> None:
    offset, of = 0, one.origin_id or one.id
    rest = b""
    while True:
        is_ended = (await store.read(jobs.get, one.id)).state in job.FINAL
        data = await store_of_logs.read(of, start=offset, limit=_CHUNK_BYTES)
        offset += len(data)
        # Whole lines only: a character or a colour may be split between two reads.
        whole, separator, rest = (rest + data).rpartition(b"\n")
        _write(whole + separator, is_raw=is_raw)
        if data:
            continue
        if is_ended or not is_followed:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    _write(rest, is_raw=is_raw)


def _write(data: bytes, *, is_raw: bool) -> None:
    if is_raw or not data:
        sys.stdout.buffer.write(data)
    else:
        sys.stdout.write(telemetry.terminal_safe(data.decode("utf-8", "replace"), has_colour=sys.stdout.isatty()))
    sys.stdout.flush()
