"""Takes in what a job leaves behind: reads its files one by one, and writes what they say before the job's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bot import errors, failpoint, telemetry
from bot.engines import contract
from bot.logs import ArtifactStore, LogStore
from bot.model import artifact, job, report, storage
from bot.reports import matchers, reading
from bot.store import Store, results

_log = telemetry.log("builds")
#: Larger files are read in a thread: the loop would stand still for longer than a request takes.
_INLINE_BYTES = 16 * 1024


class Taken(msgspec.Struct, frozen=True):
    """What of a job's files is kept here."""

    results: report.Results
    artifacts: tuple[artifact.Artifact, ...]


async def take(
    files: Sequence[contract.ResultFile],
    *,
    of: job.Job,
    logs: LogStore,
    kept: ArtifactStore,
    room: storage.Room,
    new_id: Callable[[], str],
    now: datetime,
) -> Taken:
    """Keep the artifacts of a job, and read all its other files.

    :param room: how much its repository may keep; what does not fit is not even copied.
    :raises errors.StoreUnavailable: if the disk cannot be used.
    """
    made: list[artifact.Artifact] = []
    problems = []
    too_much = []
    for one in files:
        taken_bytes = sum(known.size_bytes for known in made)
        if one.kind == contract.ARTIFACT and not room.has_place(taken_bytes + one.size_bytes):
            too_much.append(one.path)
        elif one.kind == contract.ARTIFACT and one.copy is not None and one.problem is None:
            try:
                made.append(await _keep(one, of=of, kept=kept, id=new_id(), now=now))
            except errors.EngineError as error:
                problems.append(f"The artifact {one.path}: {error}")
        elif one.kind == contract.ARTIFACT:
            problems.append(f"The artifact {one.path}: {one.problem or 'the engine does not give it.'}")
    found = await read([one for one in files if one.kind != contract.ARTIFACT], of=of, logs=logs)
    if room.is_full:
        found = storage.lean(found)
        problems.append(storage.why_lean(room))
    elif too_much:
        problems.append(storage.why_not_kept(room, too_much))
    if problems:
        found = replace(found, problems=(*found.problems, *problems))
    return Taken(found, tuple(made))


async def _keep(
    one: contract.ResultFile, *, of: job.Job, kept: ArtifactStore, id: str, now: datetime
) -> artifact.Artifact:
    assert one.copy is not None
    await kept.put(id, one.copy)
    declared = next((known for known in of.plan.artifacts if known.name == one.path), None)
    days = declared.retention_days if declared is not None else None
    return artifact.Artifact(
        id=id,
        job_id=of.id,
        name=one.path,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        files=one.files,
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )


async def read(files: Sequence[contract.ResultFile], *, of: job.Job, logs: LogStore) -> report.Results:
    """What all files of a job say, and what their matchers find in its log. A file that is of no use is a problem."""
    reader = reading.Reader()
    for one in files:
        path = one.path or f"({one.kind})"
        if one.problem is not None or one.read is None:
            reader.note(path, one.problem or "the engine does not give it.")
            continue
        try:
            data = await one.read()
        except errors.EngineError as error:
            reader.note(path, str(error))
            continue
        try:
            if len(data) > _INLINE_BYTES:
                await asyncio.to_thread(reader.take, one.kind, one.path, data)
            else:
                reader.take(one.kind, one.path, data)
        except Exception:
            # Whatever it is about this file: its job has ended all the same.
            _log.exception("reading a result file failed", action="read_result_file", job_id=of.id, kind=one.kind)
            reader.note(path, "it could not be read: a mistake of ours, see the service's log.")
    if reader.wants_log:
        start = max(0, of.log_size_bytes - matchers.MAX_LOG_CHARACTERS)
        log = await logs.read(of.id, start=start, limit=matchers.MAX_LOG_CHARACTERS)
        await asyncio.to_thread(reader.take_log, log.decode("utf-8", "replace"))
    return reader.results()


async def write(store: Store, made: report.Results, *, of: job.Job, repository_id: int) -> None:
    """Write the test cases and findings of a job, a part at a time; what they come to is written with its end.

    Doing it again, after a crash for example, leaves the same.

    :raises errors.LeaseLost: if another process took the job over.
    """
    await store.write(results.clear, of)
    for start in range(0, len(made.cases), results.PART_ROWS):
        part = made.cases[start : start + results.PART_ROWS]
        await store.write(results.insert_cases, of, part, repository_id=repository_id)
    for start in range(0, len(made.findings), results.PART_ROWS):
        await store.write(results.insert_findings, of, made.findings[start : start + results.PART_ROWS])
    await failpoint.pause("results.before_end")
