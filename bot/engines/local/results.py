"""What a supervisor is to collect when the last step has ended, and the reading end of what it collected."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bot import errors
from bot.engines import contract
from bot.engines.local.supervisor import collect
from bot.model import job
from bot.pipelines import globs

#: The job's own folder for results, beside its workspace; every step finds it as `$BUILDHOOK_RESULTS`.
FOLDER = collect.RESULTS
VARIABLE = "BUILDHOOK_RESULTS"
#: Of a job.
MAX_FILES = 200
MAX_FILE_BYTES = 10 << 20
MAX_TOTAL_BYTES = 64 << 20
#: Of the artifacts of a job, before they are packed.
MAX_ARCHIVED_FILES = 20_000
MAX_ARCHIVED_BYTES = 2 << 30
_MAX_ARCHIVING_SECONDS = 600.0
#: How many names of the workspace are looked at, and for how long.
_MAX_ENTRIES = 500_000
_MAX_SECONDS = 30.0


def wanted(reports: job.Reports, artifacts: Sequence[job.Artifact] = ()) -> dict[str, object]:
    """What a supervisor is told: what to collect as what, and how much. Only what `marshal` knows is in it."""
    named = [(name, getattr(reports, name)) for name in reports.__struct_fields__]
    declared = [_selection(kind, collect.WORKSPACE, patterns) for kind, patterns in named if patterns]
    return {
        "selections": [
            _selection("results", FOLDER, ("**",)),
            *declared,
            *({**_selection(contract.ARTIFACT, collect.WORKSPACE, one.paths), "name": one.name} for one in artifacts),
        ],
        "archived_files": MAX_ARCHIVED_FILES,
        "archived_bytes": MAX_ARCHIVED_BYTES,
        "files": MAX_FILES,
        "file_bytes": MAX_FILE_BYTES,
        "total_bytes": MAX_TOTAL_BYTES,
        "entries": _MAX_ENTRIES,
        "seconds": _MAX_ARCHIVING_SECONDS if artifacts else _MAX_SECONDS,
    }


def _selection(kind: str, folder: str, patterns: tuple[str, ...]) -> dict[str, object]:
    return {"kind": kind, "folder": folder, "globs": [automaton(pattern) for pattern in patterns]}


def automaton(pattern: str) -> dict[str, object]:
    """A pattern of the pipeline file as a supervisor matches it: nothing but numbers.

    :raises bot.pipelines.globs.PatternError: if it is none.
    """
    made = globs.compiled(pattern.removeprefix("!"))
    return {"is_negative": pattern.startswith("!"), **asdict(made)}


def event(values: dict[str, str], *, offset: int, kept: Path) -> contract.ResultFile:
    """The event of a collected file.

    :param kept: the folder of the job's collected files.
    """
    size_bytes, sha256 = int(values.get("size", 0)), values.get("sha256", "")
    read: Callable[[], Awaitable[bytes]] | None = None
    copy: Callable[[Path], Awaitable[None]] | None = None
    if "problem" not in values:
        path = kept / str(int(values["number"]))
        read = partial(asyncio.to_thread, _read, path, size_bytes=size_bytes, sha256=sha256)
        copy = partial(_copy_in_thread, path, sha256=sha256)
    return contract.ResultFile(
        offset=offset,
        kind=values["kind"],
        path=values["path"],
        size_bytes=size_bytes,
        sha256=sha256,
        problem=values.get("problem"),
        files=int(values.get("files", 1)),
        read=read,
        copy=copy,
    )


async def _copy_in_thread(path: Path, target: Path, *, sha256: str) -> None:
    await asyncio.to_thread(_copy, path, target, sha256=sha256)


def _copy(path: Path, target: Path, *, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with (
            open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as source,
            open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file,
        ):
            while data := source.read(1 << 20):
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise errors.EngineError(f"it cannot be kept: {error.strerror}.") from error
    if digest.hexdigest() != sha256:
        raise errors.EngineError("it was damaged on this machine's disk.")


def _read(path: Path, *, size_bytes: int, sha256: str) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            data = file.read(size_bytes + 1)
    except OSError as error:
        raise errors.EngineError(f"it cannot be read any more: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise errors.EngineError("it was damaged on this machine's disk.")
    return data
