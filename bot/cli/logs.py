"""`buildhook logs`: a job's log, whole or as it grows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, TypeVar

import msgspec
import typer

from bot import errors, telemetry
from bot.cli import opening, options, output, patience, remote
from bot.logs import LogStore, Storage
from bot.model import job
from bot.settings import Settings
from bot.shapes import built
from bot.store import Store, builds, jobs

T = TypeVar("T")
_CHUNK_BYTES = 256 * 1024
_LOOK_SECONDS = 0.25
#: A service is asked less often than a disk.
_ASK_SECONDS = 1.0


def logs(
    job_or_build_id: Annotated[str, typer.Argument(help="A job's id, or a build's for all its jobs.", metavar="ID")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave control characters as they are; into a file or pipe only.")
    ] = False,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Print the log of a job.

    Example: buildhook logs 01JZZZ1X5GQKSTZ8V0A9E2M3N4 --follow
    """
    if raw and not as_json and sys.stdout.isatty():
        raise typer.BadParameter(
            "A log can make a terminal do anything: write it to a file or into a pipe.", param_hint="--raw"
        )

    async def work(store: Store, settings: Settings) -> None:
        found = await store.read(jobs.find, job_or_build_id)
        if found is None:
            await store.read(builds.get, job_or_build_id)
        wanted = [found] if found is not None else await store.read(jobs.list_of_builds, [job_or_build_id])
        storage = Storage(settings.data_dir, url=settings.storage_url, account=settings.storage_account)
        try:
            await _show(
                [_stored(store, storage.logs, one) for one in wanted], is_followed=follow, is_raw=raw, as_json=as_json
            )
        finally:
            await storage.close()

    async def ask(there: remote.Server) -> None:
        wanted = await _find(there, remote.part_of(job_or_build_id))
        await _show([_asked(there, one) for one in wanted], is_followed=follow, is_raw=raw, as_json=as_json)

    opening.with_server(server, ask, otherwise=work)


class _Log(msgspec.Struct, frozen=True, kw_only=True):
    """A job's log, wherever it lies."""

    job_id: str
    name: str
    state: job.State
    #: Gives what stands behind an offset.
    read: Callable[[int], Awaitable[bytes]]
    #: Whether the job has ended.
    is_ended: Callable[[], Awaitable[bool]]
    look_seconds: float


def _stored(store: Store, logs_here: LogStore, one: job.Job) -> _Log:
    async def is_ended() -> bool:
        return (await store.read(jobs.get, one.id)).state in job.FINAL

    return _Log(
        job_id=one.id,
        name=one.plan.name,
        state=one.state,
        read=lambda at: logs_here.read(one.origin_id or one.id, start=at, limit=_CHUNK_BYTES),
        is_ended=is_ended,
        look_seconds=_LOOK_SECONDS,
    )


def _asked(there: remote.Server, one: built.Job) -> _Log:
    async def is_ended() -> bool:
        return (await there.get(f"/jobs/{one.id}", built.Job)).state in job.FINAL

    return _Log(
        job_id=one.id,
        name=one.name,
        state=one.state,
        read=lambda at: there.part(f"/jobs/{one.id}/log", start=at),
        is_ended=is_ended,
        look_seconds=_ASK_SECONDS,
    )


async def _find(there: remote.Server, job_or_build_id: str) -> Sequence[built.Job]:
    try:
        return [await there.get(f"/jobs/{job_or_build_id}", built.Job)]
    except errors.NotFound:
        return (await there.get(f"/builds/{job_or_build_id}", built.WholeBuild)).jobs


async def _show(wanted: Sequence[_Log], *, is_followed: bool, is_raw: bool, as_json: bool) -> None:
    for one in wanted:
        if as_json:
            text = (await _whole(one)).decode("utf-8", "replace")
            output.json({"job": one.job_id, "name": one.name, "state": one.state, "log": text})
        else:
            if len(wanted) > 1:
                output.console().print(f"[bold]{output.clean(one.name)}[/] ({one.job_id})")
            await _print(one, is_followed=is_followed, is_raw=is_raw)


async def _whole(one: _Log) -> bytes:
    parts: list[bytes] = []
    while data := await one.read(sum(map(len, parts))):
        parts.append(data)
    return b"".join(parts)


async def _print(one: _Log, *, is_followed: bool, is_raw: bool) -> None:
    offset, rest = 0, b""
    # A log that is followed is wanted whole: what it has by now is there when the service is.
    bear = partial(patience.asked, every_seconds=one.look_seconds) if is_followed else _once
    while True:
        is_ended = await bear(one.is_ended)
        data = await bear(partial(one.read, offset))
        offset += len(data)
        # Whole lines only: a character or a colour may be split between two reads.
        whole, separator, rest = (rest + data).rpartition(b"\n")
        _write(whole + separator, is_raw=is_raw)
        if data:
            continue
        if is_ended or not is_followed:
            break
        await asyncio.sleep(one.look_seconds)
    _write(rest, is_raw=is_raw)


async def _once(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


def _write(data: bytes, *, is_raw: bool) -> None:
    if is_raw or not data:
        sys.stdout.buffer.write(data)
    else:
        sys.stdout.write(telemetry.terminal_safe(data.decode("utf-8", "replace"), has_colour=sys.stdout.isatty()))
    sys.stdout.flush()
